// API keys: the list, and revocation.
import { useState } from "preact/hooks";
import { get, send, withQuery } from "../api";
import { budgetText } from "../budgets";
import { Confirm } from "../confirm";
import { Select } from "../fields";
import { count, formatDate, formatMinute } from "../format";
import { useLoad } from "../load";
import { PagedTable, usePages } from "../paging";
import { Card, type Column, Page, Tag } from "../parts";
import { may, RoleHint } from "../roles";
import { setQuery } from "../router";
import type { Account, Key, KeyPage, Project, ProjectList } from "../types";
import { CreateKey } from "./new_key";

const PAGE = 100;
const MAX_BOUNDS = 2;

export function Keys({ account, apiUrl, place }: { account: Account; apiUrl: string; place: URL }) {
  const [ending, setEnding] = useState<Key | null>(null);
  const project_id = place.searchParams.get("project");
  const loaded = useLoad((signal) => get<ProjectList>("accounts/v1/projects", {}, signal), []);
  const keys = usePages(
    async (after, signal) => {
      const page = await get<KeyPage>("accounts/v1/keys", { limit: PAGE, project_id, after }, signal);
      return { rows: page.keys, next: page.next_after };
    },
    [project_id],
  );
  const projects = loaded.data?.projects ?? [];
  const mayWrite = may(account, "keys");
  const isCreating = mayWrite && place.searchParams.has("new") && (loaded.data !== null || loaded.error !== null);
  const create = (
    <a class="button primary" href={withQuery("/keys", { new: 1, project: project_id })}>
      Create an API key
    </a>
  );
  return (
    <Page title="API keys" actions={mayWrite && create}>
      <Card>
        {projects.length > 0 && (
          <div class="choices filters">
            <Select
              label="Project"
              value={project_id ?? ""}
              onValue={(project) => setQuery({ project })}
              options={[["", "all"], ...projects.map(({ id, name }) => [id, name] as const)]}
            />
          </div>
        )}
        <PagedTable
          of={keys}
          caption="API keys"
          columns={columns(projects, mayWrite ? setEnding : null)}
          id={(key) => key.id}
        >
          <p>
            {project_id === null
              ? "You have no API keys yet. Your programs need one to call models through Tollgate."
              : "This project has no API keys yet."}
          </p>
          {mayWrite && create}
        </PagedTable>
        <RoleHint account={account} right="keys">
          API keys are managed
        </RoleHint>
      </Card>
      <p class="hint">
        Found a leaked key? <a href="/leaked-key">Report it</a> to revoke it immediately.
      </p>
      {isCreating && (
        <CreateKey
          apiUrl={apiUrl}
          projects={projects}
          project={project_id ?? ""}
          onCreated={keys.reload}
          onClose={() => setQuery({ new: "" })}
        />
      )}
      {ending && (
        <Revoke
          of={ending}
          onClose={() => setEnding(null)}
          onDone={() => {
            setEnding(null);
            keys.reload();
          }}
        />
      )}
    </Page>
  );
}

function columns(projects: readonly Project[], onRevoke: ((key: Key) => void) | null): Column<Key>[] {
  const names = new Map(projects.map(({ id, name }) => [id, name]));
  const project: Column<Key> = {
    head: "Project",
    cell: (key) => (
      <span class="name short">{key.project_id === null ? "–" : (names.get(key.project_id) ?? "archived")}</span>
    ),
  };
  const revoke: Column<Key> = {
    head: "Actions",
    acts: true,
    cell: (key) =>
      key.revoked_at === null && (
        <button type="button" class="small danger" aria-label={`Revoke ${key.name}`} onClick={() => onRevoke?.(key)}>
          Revoke
        </button>
      ),
  };
  return [
    {
      head: "Name",
      cell: (key) => (
        <a class="name" href={`/keys/${key.id}`}>
          {key.name}
        </a>
      ),
    },
    { head: "Key", cell: (key) => <code>{key.hint}</code> },
    ...(projects.length > 0 ? [project] : []),
    { head: "State", cell: (key) => <State of={key} /> },
    { head: "Limits", wraps: true, cell: (key) => <Bounds of={key} /> },
    { head: "Last used", cell: (key) => (key.last_used_at ? formatMinute(key.last_used_at) : "never") },
    ...(onRevoke ? [revoke] : []),
  ];
}

export function isExpired(key: Key): boolean {
  return key.expires_at !== null && new Date(key.expires_at) <= new Date();
}

export function State({ of: key }: { of: Key }) {
  if (key.revoked_at !== null) return <Tag kind="plain">revoked</Tag>;
  if (isExpired(key)) return <Tag kind="bad">expired</Tag>;
  return (
    <>
      <Tag kind="good">active</Tag>
      {key.expires_at !== null && <span class="hint"> until {formatDate(key.expires_at)}</span>}
    </>
  );
}

function Bounds({ of: key }: { of: Key }) {
  const { requests_per_minute: requests, tokens_per_minute: tokens, max_in_flight: inFlight } = key.limits;
  const bounds = [
    key.models && (key.models.length <= 2 ? key.models.join(", ") : `${key.models.length} models`),
    key.allowed_ips && (key.allowed_ips.length === 1 ? key.allowed_ips[0] : `${key.allowed_ips.length} networks`),
    requests && `${count(requests)} requests/min`,
    tokens && `${count(tokens)} tokens/min`,
    inFlight && `${count(inFlight)} at once`,
    ...key.budgets.map(budgetText),
  ].filter(Boolean);
  if (bounds.length === 0) return <>none</>;
  const more = bounds.length - MAX_BOUNDS;
  // The key's page shows all of them.
  return <>{more <= 1 ? bounds.join(" · ") : `${bounds.slice(0, MAX_BOUNDS).join(" · ")} and ${more} more`}</>;
}

export function Revoke({ of: key, onClose, onDone }: { of: Key; onClose: () => void; onDone: () => void }) {
  const revoke = async () => {
    await send("DELETE", `accounts/v1/keys/${key.id}`);
    onDone();
  };
  return (
    <Confirm title={`Revoke “${key.name}”?`} act="Revoke the key" keep="Keep it" onAct={revoke} onClose={onClose}>
      <p>
        Requests with <code>{key.hint}</code> are rejected within moments. This cannot be undone. Its usage stays in
        your reports.
      </p>
    </Confirm>
  );
}
