// One API key: its state, its settings and its rotation.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { BUDGETS, budgetText } from "../budgets";
import { formatMinute } from "../format";
import {
  isKeyWrong,
  KEY_FIELDS,
  KeyFields,
  keyChanges,
  limitTexts,
  scopeText,
  type TypedKey,
  typedKey,
} from "../key_fields";
import { useLoad } from "../load";
import { Card, Facts, Notice, Page, Show, Table } from "../parts";
import { may, RoleHint } from "../roles";
import { navigate } from "../router";
import { useSubmit } from "../submit";
import type { Account, BudgetState, Budgets, Key, PriceList, Project, ProjectList } from "../types";
import { isExpired, Revoke, State } from "./keys";
import { RotateKey } from "./rotate_key";

interface Found {
  key: Key;
  projects: Project[];
}

export function KeyDetail({ id, account, apiUrl }: { id: string; account: Account; apiUrl: string }) {
  const [act, setAct] = useState<"rotate" | "revoke" | null>(null);
  const found = useLoad(
    async (signal): Promise<Found> => {
      const [key, { projects }] = await Promise.all([
        get<Key>(`accounts/v1/keys/${id}`, {}, signal),
        get<ProjectList>("accounts/v1/projects", {}, signal),
      ]);
      return { key, projects };
    },
    [id],
  );
  const key = found.data?.key ?? null;
  const isWriter = may(account, "keys");
  const mayChange = isWriter && key !== null && key.revoked_at === null;
  const close = () => setAct(null);
  return (
    <Page
      title={key?.name ?? "API key"}
      actions={
        <div class="choices">
          <a href="/keys">All keys</a>
          {mayChange && !isExpired(key) && (
            <button type="button" onClick={() => setAct("rotate")}>
              Rotate
            </button>
          )}
          {mayChange && (
            <button type="button" class="danger" onClick={() => setAct("revoke")}>
              Revoke
            </button>
          )}
        </div>
      }
    >
      <Show of={found}>
        {({ key, projects }) => (
          <>
            <Card>
              <Standing of={key} projects={projects} />
            </Card>
            {key.revoked_at === null && key.budgets.length + (key.project_id ? 1 : 0) > 0 && <Spent of={key} />}
            <Card title="Settings">
              {mayChange ? (
                <Settings key={key.id} of={key} projects={projects} onChanged={found.reload} />
              ) : (
                <FixedSettings of={key} />
              )}
              <RoleHint account={account} right="keys">
                API keys are managed
              </RoleHint>
            </Card>
          </>
        )}
      </Show>
      {act === "rotate" && key && (
        <RotateKey
          of={key}
          apiUrl={apiUrl}
          onClose={close}
          onRotated={(made) => {
            close();
            navigate(`/keys/${made.id}`);
          }}
        />
      )}
      {act === "revoke" && key && (
        <Revoke
          of={key}
          onClose={close}
          onDone={() => {
            close();
            found.reload();
          }}
        />
      )}
    </Page>
  );
}

function Standing({ of: key, projects }: { of: Key; projects: readonly Project[] }) {
  const project = projects.find(({ id }) => id === key.project_id);
  return (
    <Facts
      facts={[
        ["Key", <code key="hint">{key.hint}</code>],
        ["State", <State key="state" of={key} />],
        [
          "Project",
          project ? (
            <a key="project" href={`/keys?project=${project.id}`}>
              {project.name}
            </a>
          ) : (
            key.project_id && "archived"
          ),
        ],
        ["Created", formatMinute(key.created_at) + (key.created_by ? ` by ${key.created_by}` : "")],
        ["Expires", key.expires_at && formatMinute(key.expires_at)],
        ["Revoked", key.revoked_at && formatMinute(key.revoked_at)],
        ["Last used", key.last_used_at ? formatMinute(key.last_used_at) : "never"],
        [
          "Replaces",
          key.replaces && (
            <a key="replaces" href={`/keys/${key.replaces}`}>
              another key
            </a>
          ),
        ],
        [
          "Requests",
          <a key="requests" href={`/requests?api_key=${key.id}`}>
            view its requests
          </a>,
        ],
      ]}
    />
  );
}

/** The state of the budgets that limit the key: its own and its project's. */
function Spent({ of: key }: { of: Key }) {
  const budgets = useLoad(
    (signal) => get<Budgets>("balance/v1/budgets", { key_id: key.id }, signal),
    [key.id, JSON.stringify(key.budgets), key.project_id],
  );
  if (budgets.data?.budgets.length === 0) return null;
  const isOfProject = ({ budget_id }: BudgetState) => budget_id.startsWith("project:");
  return (
    <Card title="Budgets">
      <Show of={budgets}>
        {(found) => (
          <Table
            caption="Budgets"
            columns={[{ head: "Scope", cell: (budget) => (isOfProject(budget) ? "project" : "key") }, ...BUDGETS]}
            rows={found.budgets}
            id={(budget) => `${budget.budget_id} ${budget.period}`}
          />
        )}
      </Show>
    </Card>
  );
}

function Settings({ of: key, projects, onChanged }: { of: Key; projects: readonly Project[]; onChanged: () => void }) {
  const [kept, setKept] = useState(key);
  const [typed, setTyped] = useState(() => typedKey(key));
  const [isChecked, setChecked] = useState(false);
  const [notice, setNotice] = useState<string | null>(null);
  const prices = useLoad((signal) => get<PriceList>("billing/v1/prices", {}, signal), []);
  const submit = useSubmit(...KEY_FIELDS);
  const type = (next: TypedKey) => {
    setTyped(next);
    setNotice(null);
  };

  const save = (event: Event) => {
    event.preventDefault();
    setChecked(true);
    if (isKeyWrong(typed)) return;
    submit.run(async () => {
      const changes = keyChanges(typedKey(kept), typed);
      if (Object.keys(changes).length === 0) {
        setNotice("No changes to save.");
        return;
      }
      const changed = await send<Key>("PATCH", `accounts/v1/keys/${key.id}`, changes);
      setKept(changed);
      setTyped(typedKey(changed));
      setNotice("Saved. The change applies within moments.");
      onChanged();
    })();
  };
  return (
    <form class="settings" onSubmit={save}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <KeyFields
        typed={typed}
        onChange={type}
        isChecked={isChecked}
        submit={submit}
        projects={projects}
        models={prices.data?.data ?? []}
        expiresAt={kept.expires_at}
        isOpen
      />
      {notice && <Notice kind="good">{notice}</Notice>}
      <div class="buttons">
        <button type="submit" class="primary" disabled={submit.isRunning}>
          {submit.isRunning ? "Saving…" : "Save"}
        </button>
      </div>
    </form>
  );
}

function FixedSettings({ of: key }: { of: Key }) {
  return (
    <Facts
      facts={[
        ["Allowed models", key.models?.join(", ") ?? "all"],
        ["Allowed networks", key.allowed_ips?.join(", ") ?? "all"],
        ["Limits", limitTexts(key.limits).join(" · ") || "none"],
        ["Budgets", key.budgets.map(budgetText).join(" · ") || "none"],
        ["Usage access", scopeText(key.usage_scope)],
      ]}
    />
  );
}
