// Calls of the console's own server, which asks the services. The session is in a cookie that no script can read.

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

const OF_ROLES = ["insufficient_role", "owners_only", "organization_not_found"];

let organization: string | null = null;

/** Calls are about this organization from now on, whatever another page of the same session switches to. */
export function setOrganization(id: string | null): void {
  organization = id;
}

/** The parameters that say the same where a page can send no header. */
export function organizationParameters(): Parameters {
  return { organization };
}

type Parameters = Record<string, string | number | boolean | readonly string[] | null | undefined>;

const whenSignedOut = new Set<() => void>();
const whenOtherRole = new Set<() => void>();

/** Calls back whenever an answer says that the session has ended. */
export function onSignedOut(callback: () => void): () => void {
  whenSignedOut.add(callback);
  return () => whenSignedOut.delete(callback);
}

/** Calls back whenever an answer says that one is another member of the organization than before, or none. */
export function onOtherRole(callback: () => void): () => void {
  whenOtherRole.add(callback);
  return () => whenOtherRole.delete(callback);
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
  // Other sites' pages can not send a header of their own: the server takes nothing that changes something without it.
  const headers: Record<string, string> = { Accept: "application/json", "Tollgate-Console": "1" };
  const init: RequestInit = { method, headers, credentials: "same-origin", signal: signal ?? null };
  if (organization !== null) headers["Tollgate-Organization"] = organization;
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(`/api/${path}`, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The console's server does not answer. Is your connection all right?", null);
  }
  if (answer.status === 204) return undefined as T;
  const content = await parse(answer);
  if (answer.ok) return content as T;
  const problem = problemOf(answer, content);
  if (isSessionEnded(problem)) for (const callback of whenSignedOut) callback();
  if (OF_ROLES.includes(problem.code)) for (const callback of whenOtherRole) callback();
  throw problem;
}

async function parse(answer: Response): Promise<unknown> {
  try {
    return await answer.json();
  } catch {
    return null;
  }
}

function problemOf(answer: Response, content: unknown): ApiError {
  const { code, detail, field } = (content ?? {}) as { code?: string; detail?: string; field?: string };
  const told = detail ?? `The answer was ${answer.status} ${answer.statusText}.`;
  return new ApiError(answer.status, code ?? "unknown", sentence(told), field ?? null);
}

function isSessionEnded(problem: ApiError): boolean {
  return problem.status === 401 && (problem.code === "session_required" || problem.code === "invalid_session");
}

export function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
