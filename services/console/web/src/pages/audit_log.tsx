// The audit log: who did what in the organization, when and from where.
import type { ComponentChildren } from "preact";
import { get } from "../api";
import { formatMinute, money } from "../format";
import { PagedTable, usePages } from "../paging";
import { Card, type Column, Page } from "../parts";
import { may, RoleHint } from "../roles";
import type { Account, AuditEntry, AuditPage, Detail } from "../types";

const PAGE = 100;

const ACTIONS: Record<string, string> = {
  "credit.adjusted": "Adjusted the credit",
  "invitation.sent": "Sent an invitation",
  "invitation.withdrawn": "Withdrew an invitation",
  "key.changed": "Changed an API key",
  "key.created": "Created an API key",
  "key.leaked": "Reported an API key as leaked",
  "key.revoked": "Revoked an API key",
  "key.rotated": "Rotated an API key",
  "member.joined": "Joined",
  "member.left": "Left",
  "member.removed": "Removed a member",
  "member.role_changed": "Changed a member's role",
  "organisation.created": "Created the organization",
  "organisation.renamed": "Renamed the organization",
  "organisation.resumed": "Resumed the organization",
  "organisation.suspended": "Suspended the organization",
  "payment.begun": "Started a payment",
  "project.archived": "Archived a project",
  "project.changed": "Changed a project",
  "project.created": "Created a project",
  "promo_code.redeemed": "Redeemed a promo code",
};

export function AuditLog({ account }: { account: Account }) {
  return (
    <Page title="Audit log" actions={<a href="/organization">Organization</a>}>
      {may(account, "organization") ? (
        <Entries />
      ) : (
        <RoleHint account={account} right="organization">
          the audit log is read
        </RoleHint>
      )}
    </Page>
  );
}

function Entries() {
  const entries = usePages(async (after, signal) => {
    const page = await get<AuditPage>("accounts/v1/audit-log", { limit: PAGE, after }, signal);
    return { rows: page.entries, next: page.next_after };
  }, []);
  return (
    <Card>
      <PagedTable of={entries} caption="Audit log" columns={COLUMNS} id={(entry) => entry.id}>
        No entries yet.
      </PagedTable>
      <p class="hint">Entries cannot be changed or deleted. Sign-ins are listed in each person's account.</p>
    </Card>
  );
}

const COLUMNS: Column<AuditEntry>[] = [
  { head: "Time", wraps: true, cell: (entry) => <time title={entry.at}>{formatMinute(entry.at)}</time> },
  { head: "Actor", cell: (entry) => <span class="name short">{actorName(entry)}</span> },
  { head: "Action", cell: (entry) => ACTIONS[entry.action] ?? entry.action },
  { head: "Target", cell: (entry) => <Target of={entry} /> },
  { head: "Details", wraps: true, cell: (entry) => detailsOf(entry).join(" · ") || "–" },
  { head: "Address", cell: (entry) => entry.address || "–" },
];

function actorName({ actor }: AuditEntry): string {
  switch (actor.kind) {
    case "person":
      return actor.email ?? actor.id;
    case "operator":
      return "Tollgate's operators";
    case "service":
      return "Tollgate";
    case "anonymous":
      return "Not signed in";
    default:
      return actor.kind;
  }
}

function Target({ of: entry }: { of: AuditEntry }): ComponentChildren {
  const { email, name: given } = entry.details;
  const name = entry.target_name ?? textOf(email) ?? textOf(given);
  if (entry.target_kind === "organisation" || entry.target_id === entry.actor.id) return "–";
  const shown = name ?? entry.target_kind.replaceAll("_", " ");
  if (entry.target_kind !== "key") {
    return (
      <span class="name short" title={shown}>
        {shown}
      </span>
    );
  }
  return (
    <a class="name short" title={shown} href={`/keys/${entry.target_id}`}>
      {shown}
    </a>
  );
}

function textOf(detail: Detail | undefined): string | null {
  return typeof detail === "string" ? detail : null;
}

/** The details that the row does not show already. */
function detailsOf({ details: { from, to, ...details }, target_name }: AuditEntry): string[] {
  const change = from !== undefined && to !== undefined ? [`from ${from} to ${to}`] : [];
  const others = Object.entries(details).flatMap(([name, value]) => {
    if (value === null || value === target_name || name === "email" || name === "replaced_by") return [];
    if (name === "amount_nano" && typeof value === "number") return [money(value)];
    if (name === "hint") return [String(value)];
    if (name === "overlap_s" && typeof value === "number") return [`old key works for ${hours(value)} more`];
    const text = Array.isArray(value) ? value.join(", ").replaceAll("_", " ") : String(value);
    return [`${name.replaceAll("_", " ")}: ${text}`];
  });
  return [...change, ...others];
}

function hours(seconds: number): string {
  const [amount, unit] = seconds % 86_400 === 0 ? [seconds / 86_400, "day"] : [Math.round(seconds / 360) / 10, "hour"];
  return `${amount} ${unit}${amount === 1 ? "" : "s"}`;
}
