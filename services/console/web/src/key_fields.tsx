// The form for the settings of an API key, for a new key and for an existing one.
import { BudgetFields, budgetsOf, isWrong, NO_BUDGETS, type TypedBudgets, typedBudgets } from "./budgets";
import { Chips, Field, Select, type TypedTexts, textsOf, typedTexts } from "./fields";
import { formatMinute, parseCount } from "./format";
import type { Submission } from "./submit";
import type { Key, Limits, PricedModel, Project } from "./types";

type Limit = keyof Limits;

const LIMITS: readonly (readonly [Limit, string])[] = [
  ["requests_per_minute", "Requests per minute"],
  ["tokens_per_minute", "Tokens per minute"],
  ["max_in_flight", "Concurrent requests"],
  ["max_body_bytes", "Request size in bytes"],
];
const SCOPES = [
  ["account", "whole organization"],
  ["project", "its project"],
  ["key", "this key only"],
] as const;
const DAY_MS = 86_400_000;
const LIFETIMES = [
  ["", "never"],
  ["7", "in 7 days"],
  ["30", "in 30 days"],
  ["90", "in 90 days"],
  ["365", "in a year"],
] as const;
/** The lifetime of a key whose expiry is not changed. */
const UNCHANGED = "unchanged";

export interface TypedKey {
  name: string;
  project: string;
  /** Days from now, an empty text for no expiry, or `UNCHANGED`. */
  lifetime: string;
  models: TypedTexts;
  networks: TypedTexts;
  limits: Record<Limit, string>;
  budgets: TypedBudgets;
  scope: Key["usage_scope"];
}

const NO_LIMITS = Object.fromEntries(LIMITS.map(([name]) => [name, ""])) as Record<Limit, string>;

export const NEW_KEY: TypedKey = {
  name: "",
  project: "",
  lifetime: "",
  models: typedTexts(null),
  networks: typedTexts(null),
  limits: NO_LIMITS,
  budgets: NO_BUDGETS,
  scope: "account",
};

export function typedKey(key: Key): TypedKey {
  const limits = Object.fromEntries(LIMITS.map(([name]) => [name, String(key.limits[name] ?? "")]));
  return {
    name: key.name,
    project: key.project_id ?? "",
    lifetime: key.expires_at === null ? "" : UNCHANGED,
    models: typedTexts(key.models),
    networks: typedTexts(key.allowed_ips),
    limits: limits as Record<Limit, string>,
    budgets: typedBudgets(key.budgets),
    scope: key.usage_scope,
  };
}

/** Fields that show their own errors, for `useSubmit`. */
export const KEY_FIELDS = [
  "name",
  "project_id",
  "models",
  "allowed_ips",
  ...LIMITS.map(([name]) => `limits.${name}`),
  "budgets",
];

export function isKeyWrong(typed: TypedKey): boolean {
  return LIMITS.some(([name]) => limitMistake(typed.limits[name]) !== null) || isWrong(typed.budgets);
}

function limitMistake(text: string): string | null {
  return text.trim() && parseCount(text) === null ? "Enter a positive integer, or leave it empty." : null;
}

/** The request body with all settings. */
export function keyRequest(typed: TypedKey): Record<string, unknown> {
  return {
    name: typed.name.trim(),
    project_id: typed.project || null,
    models: orAll(typed.models),
    allowed_ips: orAll(typed.networks),
    limits: Object.fromEntries(LIMITS.map(([name]) => [name, parseCount(typed.limits[name])])),
    budgets: budgetsOf(typed.budgets),
    usage_scope: typed.scope,
    ...(typed.lifetime === UNCHANGED ? {} : { expires_at: endOf(typed.lifetime) }),
  };
}

function orAll(typed: TypedTexts): string[] | null {
  const texts = textsOf(typed);
  return texts.length > 0 ? texts : null;
}

function endOf(lifetime: string): string | null {
  return lifetime ? new Date(Date.now() + Number(lifetime) * DAY_MS).toISOString() : null;
}

/** Only the settings that differ, so that other members' changes of other settings stay. */
export function keyChanges(before: TypedKey, typed: TypedKey): Record<string, unknown> {
  const old = keyRequest(before);
  const wanted = Object.entries(keyRequest(typed));
  return Object.fromEntries(wanted.filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name])));
}

interface KeyFieldsProps {
  typed: TypedKey;
  onChange: (typed: TypedKey) => void;
  /** Whether errors are shown: only after the first attempt to submit. */
  isChecked: boolean;
  submit: Submission;
  projects: readonly Project[];
  models: readonly PricedModel[];
  /** The key's current expiry. */
  expiresAt?: string | null;
  /** Whether limits and budgets are expanded. */
  isOpen?: boolean;
}

export function KeyFields({
  typed,
  onChange,
  submit,
  projects,
  expiresAt = null,
  isOpen = false,
  ...more
}: KeyFieldsProps) {
  const set =
    <Name extends keyof TypedKey>(name: Name) =>
    (value: TypedKey[Name]) =>
      onChange({ ...typed, [name]: value });
  const kept = expiresAt === null ? [] : ([[UNCHANGED, formatMinute(expiresAt)]] as const);
  return (
    <>
      <Field
        label="Name"
        required
        maxLength={100}
        hint="Where it will be used, such as “server” or “laptop”."
        value={typed.name}
        onValue={set("name")}
        error={submit.errorOf("name")}
      />
      <div class="pair">
        {projects.length > 0 && (
          <Select
            label="Project"
            value={typed.project}
            onValue={set("project")}
            options={[["", "none"], ...projects.map(({ id, name }) => [id, name] as const)]}
            error={submit.errorOf("project_id")}
          />
        )}
        <Select label="Expires" value={typed.lifetime} onValue={set("lifetime")} options={[...kept, ...LIFETIMES]} />
      </div>
      <details open={isOpen || more.isChecked}>
        <summary>Limits and budgets</summary>
        <Chips
          label="Allowed models"
          placeholder="all models"
          suggested={more.models.map(({ model }) => model)}
          typed={typed.models}
          onChange={set("models")}
          error={submit.errorOf("models")}
        />
        <Chips
          label="Allowed networks"
          placeholder="all; such as 192.0.2.0/24"
          typed={typed.networks}
          onChange={set("networks")}
          error={submit.errorOf("allowed_ips")}
        />
        <div class="pair two">
          {LIMITS.map(([name, label]) => (
            <Field
              key={name}
              label={label}
              inputMode="numeric"
              placeholder="no limit"
              value={typed.limits[name]}
              onValue={(text) => set("limits")({ ...typed.limits, [name]: text })}
              error={(more.isChecked ? limitMistake(typed.limits[name]) : null) ?? submit.errorOf(`limits.${name}`)}
            />
          ))}
        </div>
        <BudgetFields
          typed={typed.budgets}
          onChange={set("budgets")}
          isChecked={more.isChecked}
          error={submit.errorOf("budgets")}
        />
        <Select
          label="Usage access"
          value={typed.scope}
          onValue={(scope) => set("scope")(scope as Key["usage_scope"])}
          options={SCOPES}
        />
      </details>
    </>
  );
}

export function scopeText(scope: Key["usage_scope"]): string {
  return SCOPES.find(([name]) => name === scope)?.[1] ?? scope;
}

export function limitTexts(limits: Limits): string[] {
  return LIMITS.flatMap(([name, label]) => {
    const limit = limits[name] ?? null;
    return limit === null ? [] : [`${label}: ${limit.toLocaleString("en-US")}`];
  });
}
