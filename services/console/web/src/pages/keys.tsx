// API keys: the list, and how one ends.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { count, formatDate, formatMinute, money } from "../format";
import { useLoad } from "../load";
import { Card, type Column, Dialog, Empty, Notice, Page, Show, Table, Tag } from "../parts";
import { navigate, usePlace } from "../router";
import { useSubmit } from "../submit";
import type { Account, Key, KeyPage } from "../types";
import { CreateKey } from "./new_key";

const PAGE = 200;
const WRITERS = ["owner", "admin", "developer"];

export function Keys({ account, apiUrl }: { account: Account; apiUrl: string }) {
  const place = usePlace();
  const [most, setMost] = useState(PAGE);
  const [ending, setEnding] = useState<Key | null>(null);
  const keys = useLoad((signal) => get<KeyPage>("accounts/v1/keys", { limit: most }, signal), [most]);
  const mayWrite = WRITERS.includes(account.role);
  const isCreating = mayWrite && place.searchParams.has("new");
  const create = (
    <a class="button primary" href="/keys?new=1">
      Create an API key
    </a>
  );
  return (
    <Page title="API keys" actions={mayWrite && create}>
      <Card>
        <Show of={keys}>
          {(page) =>
            page.keys.length === 0 ? (
              <Empty>
                <p>You have no API key yet. With one, your programs call models through Tollgate.</p>
                {mayWrite && create}
              </Empty>
            ) : (
              <>
                <Table
                  caption="API keys"
                  columns={columns(mayWrite ? setEnding : null)}
                  rows={page.keys}
                  id={(key) => key.id}
                />
                {page.next_after !== null && most < 1000 && (
                  <button type="button" onClick={() => setMost(1000)}>
                    Show more
                  </button>
                )}
              </>
            )
          }
        </Show>
      </Card>
      {isCreating && (
        <CreateKey apiUrl={apiUrl} onCreated={keys.reload} onClose={() => navigate("/keys", { replace: true })} />
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

function columns(onRevoke: ((key: Key) => void) | null): Column<Key>[] {
  const shown: Column<Key>[] = [
    { head: "Name", cell: (key) => <span class="name">{key.name}</span> },
    { head: "Key", cell: (key) => <code>{key.hint}</code> },
    { head: "State", cell: (key) => <State of={key} /> },
    { head: "Limits", wraps: true, cell: (key) => <Bounds of={key} /> },
    { head: "Created", cell: (key) => formatDate(key.created_at) },
    { head: "Last used", cell: (key) => (key.last_used_at ? formatMinute(key.last_used_at) : "never") },
  ];
  if (onRevoke === null) return shown;
  const revoke = (key: Key) =>
    key.revoked_at === null && (
      <button type="button" class="small danger" aria-label={`Revoke ${key.name}`} onClick={() => onRevoke(key)}>
        Revoke
      </button>
    );
  return [...shown, { head: "", cell: revoke }];
}

function State({ of: key }: { of: Key }) {
  if (key.revoked_at !== null) return <Tag kind="plain">revoked</Tag>;
  if (key.expires_at !== null && new Date(key.expires_at) <= new Date()) return <Tag kind="bad">expired</Tag>;
  return (
    <>
      <Tag kind="good">works</Tag>
      {key.expires_at !== null && <span class="hint"> until {formatDate(key.expires_at)}</span>}
    </>
  );
}

function Bounds({ of: key }: { of: Key }) {
  const { requests_per_minute: requests, tokens_per_minute: tokens } = key.limits;
  const told = [
    key.models && (key.models.length <= 2 ? key.models.join(", ") : `${key.models.length} models`),
    requests && `${count(requests)} requests/min`,
    tokens && `${count(tokens)} tokens/min`,
    ...key.budgets.map(
      ({ period, amount_nano }) => `${money(amount_nano)} ${period === "total" ? "in total" : `a ${period}`}`,
    ),
  ].filter(Boolean);
  return <>{told.length > 0 ? told.join(" · ") : "none"}</>;
}

function Revoke({ of: key, onClose, onDone }: { of: Key; onClose: () => void; onDone: () => void }) {
  const submit = useSubmit();
  const revoke = submit.run(async () => {
    await send("DELETE", `accounts/v1/keys/${key.id}`);
    onDone();
  });
  return (
    <Dialog title={`Revoke “${key.name}”?`} onClose={onClose}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <p>
        Whatever uses <code>{key.hint}</code> is refused within moments. This cannot be undone; what it has used stays
        in your reports.
      </p>
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Keep it
        </button>
        <button type="button" class="danger" disabled={submit.isRunning} onClick={revoke}>
          Revoke the key
        </button>
      </div>
    </Dialog>
  );
}
