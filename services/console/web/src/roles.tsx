// The permissions of roles. The services enforce them; pages hide actions that would be rejected.
import type { ComponentChildren } from "preact";
import type { Account, Role } from "./types";

/** From the role with the most permissions to the one with the fewest. */
export const ROLES: readonly (readonly [Role, string])[] = [
  ["owner", "Everything, including who is an owner"],
  ["admin", "Everything except changes of owners"],
  ["billing", "Adds credit; reads the rest"],
  ["developer", "Creates, changes and revokes API keys; reads the rest"],
  ["viewer", "Reads keys, usage and credit"],
];

const ALLOWED = {
  keys: ["owner", "admin", "developer"],
  credit: ["owner", "admin", "billing"],
  /** Members, projects, the organization's name, the audit log. */
  organization: ["owner", "admin"],
} as const satisfies Record<string, readonly Role[]>;

export type Right = keyof typeof ALLOWED;

export function may(account: Account, right: Right): boolean {
  return (ALLOWED[right] as readonly Role[]).includes(account.role);
}

const list = new Intl.ListFormat("en", { type: "conjunction" });
const PLURALS: Record<Role, string> = {
  owner: "owners",
  admin: "admins",
  billing: "members with the role billing",
  developer: "developers",
  viewer: "viewers",
};

function rolesWith(right: Right): string {
  return list.format(ALLOWED[right].map((role) => PLURALS[role]));
}

/** For a person without the permission: who has it. */
export function RoleHint({
  account,
  right,
  children,
}: {
  account: Account;
  right: Right;
  children: ComponentChildren;
}) {
  if (may(account, right)) return null;
  return (
    <p class="hint">
      Your role is {account.role}: {children} by {rolesWith(right)}.
    </p>
  );
}
