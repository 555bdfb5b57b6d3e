// The person's account: sessions, password and organizations.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { deviceOf } from "../devices";
import { NewPasswordField, PasswordField } from "../fields";
import { formatMinute } from "../format";
import { useLoad } from "../load";
import { CreateOrganization, switchTo } from "../organizations";
import { Card, type Column, Notice, Page, Show, Table, Tag } from "../parts";
import { useSubmit } from "../submit";
import type { Account, Organization, OrganizationList, PersonSession, SessionList } from "../types";

interface Props {
  account: Account;
  onChange: () => Promise<void>;
}

export function AccountPage({ account, onChange }: Props) {
  const sessions = useLoad((signal) => get<SessionList>("accounts/v1/sessions", {}, signal), []);
  return (
    <Page title="Account">
      <p>
        You are signed in as <strong class="breaks">{account.email}</strong>.
      </p>
      <Sessions of={sessions} />
      <div class="columns">
        <Password email={account.email} onChanged={sessions.reload} />
        <Organizations account={account} onChange={onChange} />
      </div>
    </Page>
  );
}

function Sessions({ of: sessions }: { of: ReturnType<typeof useLoad<SessionList>> }) {
  const submit = useSubmit();
  const end = (ended: readonly PersonSession[]) =>
    submit.run(async () => {
      try {
        for (const { id } of ended) await send("DELETE", `accounts/v1/sessions/${id}`);
      } finally {
        sessions.reload();
      }
    })();
  const others = (sessions.data?.sessions ?? []).filter((one) => !one.is_current);
  return (
    <Card
      title="Sessions"
      actions={
        others.length > 1 && (
          <button type="button" class="small danger" disabled={submit.isRunning} onClick={() => end(others)}>
            End all others
          </button>
        )
      }
    >
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <Show of={sessions}>
        {(found) => (
          <Table
            caption="Sessions"
            columns={columns((one) => end([one]), submit.isRunning)}
            rows={found.sessions}
            id={(one) => one.id}
          />
        )}
      </Show>
      <p class="hint">If you do not recognize a session, end it and change your password.</p>
    </Card>
  );
}

function columns(onEnd: (session: PersonSession) => void, isRunning: boolean): Column<PersonSession>[] {
  return [
    {
      head: "Device",
      cell: (session) => (
        <>
          <span class="name" title={session.user_agent}>
            {deviceOf(session.user_agent)}
          </span>{" "}
          {session.is_current && <Tag kind="good">current</Tag>}
        </>
      ),
    },
    { head: "Address", cell: (session) => session.address || "–" },
    { head: "Signed in", cell: (session) => formatMinute(session.created_at) },
    { head: "Last seen", cell: (session) => formatMinute(session.last_seen_at) },
    { head: "Ends", cell: (session) => formatMinute(session.expires_at) },
    {
      head: "Actions",
      acts: true,
      cell: (session) =>
        !session.is_current && (
          <button
            type="button"
            class="small danger"
            aria-label={`End the session of ${deviceOf(session.user_agent)} at ${session.address}`}
            disabled={isRunning}
            onClick={() => onEnd(session)}
          >
            End
          </button>
        ),
    },
  ];
}

function Password({ email, onChanged }: { email: string; onChanged: () => void }) {
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const [isDone, setDone] = useState(false);
  const submit = useSubmit("current_password", "password");
  const change = submit.run(async () => {
    setDone(false);
    await send("PUT", "accounts/v1/password", { current_password: current, password });
    setCurrent("");
    setPassword("");
    setDone(true);
    onChanged();
  });
  return (
    <Card title="Password">
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {isDone && <Notice kind="good">Your password was changed, and your other sessions have ended.</Notice>}
      <form onSubmit={change}>
        {/* For password managers. */}
        <input class="hidden" type="text" autocomplete="username" value={email} readOnly tabIndex={-1} aria-hidden />
        <PasswordField
          label="Current password"
          value={current}
          onValue={setCurrent}
          error={submit.errorOf("current_password")}
        />
        <NewPasswordField
          label="New password"
          hint="At least 10 characters. Your other sessions will end."
          value={password}
          onValue={setPassword}
          error={submit.errorOf("password")}
        />
        <button type="submit" disabled={submit.isRunning}>
          {submit.isRunning ? "Changing…" : "Change the password"}
        </button>
      </form>
    </Card>
  );
}

function Organizations({ account, onChange }: Props) {
  const found = useLoad(
    (signal) => get<OrganizationList>("accounts/v1/organizations", {}, signal),
    [account.account_id, account.name],
  );
  const submit = useSubmit();
  const go = (one: Organization) =>
    submit.run(async () => {
      await switchTo(one.account_id);
      await onChange();
    })();
  const shown: Column<Organization>[] = [
    {
      head: "Name",
      cell: (one) => (
        <span class="name" title={one.name}>
          {one.name}
        </span>
      ),
    },
    { head: "Your role", cell: (one) => one.role },
    {
      head: "Actions",
      acts: true,
      cell: (one) =>
        one.account_id === account.account_id ? (
          <Tag kind="good">current</Tag>
        ) : (
          <button
            type="button"
            class="small"
            aria-label={`Switch to ${one.name}`}
            disabled={submit.isRunning}
            onClick={() => go(one)}
          >
            Switch
          </button>
        ),
    },
  ];
  return (
    <Card title="Organizations">
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <Show of={found}>
        {({ organizations }) => (
          <Table caption="Organizations" columns={shown} rows={organizations} id={(one) => one.account_id} />
        )}
      </Show>
      <CreateOrganization onCreated={onChange} />
    </Card>
  );
}
