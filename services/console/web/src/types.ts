// What the services answer, as far as pages show it. The services' own documents are the reference.

export type Role = "owner" | "admin" | "billing" | "developer" | "viewer";

export interface Account {
  account_id: string;
  name: string;
  email: string;
  role: Role;
}

export interface Organization {
  account_id: string;
  name: string;
  role: Role;
}

export interface OrganizationList {
  organizations: Organization[];
}

/** Without an account although there is a person: who has signed in belongs to no organization. */
export interface Session {
  account: Account | null;
  person: { email: string } | null;
  api_url: string;
}

export interface Member {
  person_id: string;
  email: string;
  role: Role;
  joined_at: string;
}

export interface MemberList {
  members: Member[];
}

export interface Invitation {
  id: string;
  email: string;
  role: Role;
  created_at: string;
  expires_at: string;
}

export interface InvitationList {
  invitations: Invitation[];
}

export interface PersonsSession {
  id: string;
  is_current: boolean;
  user_agent: string;
  address: string;
  created_at: string;
  last_seen_at: string;
  expires_at: string;
}

export interface SessionList {
  sessions: PersonsSession[];
}

export type Detail = string | number | boolean | string[] | null;

export interface Entry {
  id: string;
  at: string;
  actor: { kind: "person" | "operator" | "service" | "anonymous"; id: string; email: string | null };
  address: string;
  action: string;
  target_kind: string;
  target_id: string;
  target_name: string | null;
  details: Record<string, Detail>;
}

export interface EntryPage {
  entries: Entry[];
  next_after: string | null;
}

export interface Budget {
  period: "day" | "month" | "total";
  amount_nano: number;
}

export interface Limits {
  requests_per_minute: number | null;
  tokens_per_minute: number | null;
  max_in_flight: number | null;
  max_body_bytes: number | null;
}

export interface Key {
  id: string;
  name: string;
  hint: string;
  project_id: string | null;
  models: string[] | null;
  allowed_ips: string[] | null;
  limits: Limits;
  budgets: Budget[];
  usage_scope: "account" | "project" | "key";
  created_at: string;
  created_by: string | null;
  expires_at: string | null;
  revoked_at: string | null;
  last_used_at: string | null;
  replaces: string | null;
}

export interface NewKey extends Key {
  key: string;
}

export interface KeyPage {
  keys: Key[];
  next_after: string | null;
}

export interface Project {
  id: string;
  name: string;
  budgets: Budget[];
  created_at: string;
}

export interface ProjectList {
  projects: Project[];
}

export interface Consumption {
  input_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  total_tokens: number;
  images: number;
  audio_seconds: number;
  characters: number;
  searches: number;
  cost_nano: number;
}

export interface Totals extends Consumption {
  requests: number;
  errors: number;
  mean_latency_ms: number | null;
}

export interface NamedKey {
  id: string;
  name?: string;
}

export interface UsageGroup extends Totals {
  time?: string;
  other?: boolean;
  model?: string;
  api_key?: NamedKey;
  project?: string | null;
}

export interface Usage {
  start: string;
  end: string;
  data: UsageGroup[];
  total: Totals;
  next_cursor: string | null;
}

export interface Request extends Consumption {
  id: string;
  time: string;
  model: string;
  api_key: NamedKey;
  endpoint: string;
  stream: boolean;
  status: number;
  outcome: string;
  error_code: string;
  latency_ms: number;
}

export interface RequestPage {
  data: Request[];
  next_cursor: string | null;
}

export interface CostLine {
  item: string;
  quantity: number;
  price_nano: number | null;
}

export interface Attempt {
  target: string;
  provider: string;
  latency_ms: number;
  status: number | null;
  error_code: string;
  served: boolean;
}

export interface Generation extends Consumption {
  id: string;
  state: string;
  opened_at: string | null;
  closed_at: string | null;
  model: string;
  served_model: string;
  provider: string;
  endpoint: string;
  stream: boolean;
  client: string;
  end_user: string;
  api_key: NamedKey;
  status: number | null;
  outcome: string | null;
  error_code: string;
  finish_reason: string;
  latency_ms: number | null;
  first_token_ms: number | null;
  attempts: Attempt[];
  cost_lines: CostLine[];
  request_nano: number | null;
  multiplier_bps: number | null;
  estimated: boolean;
}

export interface Expiring {
  grant_id: string;
  expires_at: string;
  remaining_nano: number;
}

export interface Balance {
  posted_nano: number;
  held_nano: number;
  available_nano: number;
  due_nano: number;
  expires: Expiring[];
}

export interface Grant {
  grant_id: string;
  source: string;
  reason: string;
  state: "open" | "spent" | "expired";
  granted_at: string;
  expires_at: string | null;
  amount_nano: number;
  remaining_nano: number;
}

export interface Grants {
  grants: Grant[];
  next_cursor: string | null;
}

export interface BudgetState extends Budget {
  budget_id: string;
  resets_at: string | null;
  spent_nano: number;
  held_nano: number;
  left_nano: number;
}

export interface Budgets {
  budgets: BudgetState[];
}

export interface Payment {
  id: string;
  state: string;
  amount_nano: number;
  refunded_nano: number;
  credited_nano: number;
  created_at: string;
  paid_at: string | null;
}

export interface PaymentPage {
  payments: Payment[];
  methods: string[];
}

export interface Price {
  valid_from: string;
  prices: Record<string, number>;
}

export interface PricedModel {
  model: string;
  provider: string;
  context_tokens: number | null;
  max_output_tokens: number | null;
  versions: Price[];
}

export interface PriceList {
  data: PricedModel[];
}
