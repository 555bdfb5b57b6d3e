// Requests to the console's server, which forwards them to the services. The session is in a cookie that no script can read.

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly field: string | null,
  ) {
    super(detail);
  }
}

const ROLE_CODES = ["insufficient_role", "owners_only", "organization_not_found"];

let organization: string | null = null;

/** Sets the organization of later requests. It stays, even if another page switches the session. */
export function setOrganization(id: string | null): void {
  organization = id;
}

/** Query parameters that name the organization, for requests that cannot have headers. */
export function organizationParameters(): Parameters {
  return { organization };
}

type Parameters = Record<string, string | number | boolean | readonly string[] | null | undefined>;

const sessionListeners = new Set<() => void>();
const roleListeners = new Set<() => void>();

/** Calls `callback` whenever a response reports that the session has ended. */
export function onSignedOut(callback: () => void): () => void {
  sessionListeners.add(callback);
  return () => sessionListeners.delete(callback);
}

/** Calls `callback` whenever a response reports that the person's role has changed, or their membership has ended. */
export function onRoleChange(callback: () => void): () => void {
  roleListeners.add(callback);
  return () => roleListeners.delete(callback);
}

export function withQuery(path: string, parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) {
      for (const one of value) query.append(name, one);
    } else if (value !== null && value !== undefined && value !== "") {
      query.append(name, String(value));
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

export function get<T>(path: string, parameters: Parameters = {}, signal?: AbortSignal): Promise<T> {
  return call<T>("GET", withQuery(path, parameters), undefined, signal);
}

export function send<T>(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T> {
  return call<T>(method, path, body);
}

async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  // Pages of other sites cannot send a custom header. The server rejects changes without it.
  const headers: Record<string, string> = { Accept: "application/json", "Tollgate-Console": "1" };
  const init: RequestInit = { method, headers, credentials: "same-origin", signal: signal ?? null };
  if (organization !== null) headers["Tollgate-Organization"] = organization;
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(`/api/${path}`, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The console's server is unavailable. Check your connection.", null);
  }
  if (response.status === 204) return undefined as T;
  const content = await parse(response);
  if (response.ok) return content as T;
  const problem = problemOf(response, content);
  if (isSessionEnded(problem)) for (const callback of sessionListeners) callback();
  if (ROLE_CODES.includes(problem.code)) for (const callback of roleListeners) callback();
  throw problem;
}

async function parse(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

function problemOf(response: Response, content: unknown): ApiError {
  const { code, detail, field } = (content ?? {}) as { code?: string; detail?: string; field?: string };
  const text = detail ?? `The server returned ${response.status} ${response.statusText}.`;
  return new ApiError(response.status, code ?? "unknown", sentence(text), field ?? null);
}

function isSessionEnded(problem: ApiError): boolean {
  return problem.status === 401 && (problem.code === "session_required" || problem.code === "invalid_session");
}

export function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
