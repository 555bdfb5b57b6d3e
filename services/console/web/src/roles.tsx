// What roles may do. The services decide; pages do not offer what would be refused.
import type { ComponentChildren } from "preact";
import type { Account, Role } from "./types";

/** From the one that may do most to the one that may do least. */
export const ROLES: readonly (readonly [Role, string])[] = [
  ["owner", "Everything, and decides who else is an owner"],
  ["admin", "Everything but what concerns owners"],
  ["billing", "Adds credit, and sees the rest"],
  ["developer", "Makes, changes and revokes API keys, and sees the rest"],
  ["viewer", "Sees keys, usage and credit, and changes nothing"],
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
  billing: "those with the role billing",
  developer: "developers",
  viewer: "viewers",
};

function whoMay(right: Right): string {
  return list.format(ALLOWED[right].map((role) => PLURALS[role]));
}

/** For who may not: what others do, and who they are. */
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
      Your role here is {account.role}: {children} by {whoMay(right)}.
    </p>
  );
}
