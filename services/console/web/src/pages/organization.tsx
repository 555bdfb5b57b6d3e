// The organization: its name, roles, and leaving. Members and invitations are in files of their own.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { Confirm } from "../confirm";
import { Field } from "../fields";
import { type Loaded, useLoad } from "../load";
import { CreateOrganization, switchTo } from "../organizations";
import { Card, Notice, Page } from "../parts";
import { may, ROLES, RoleHint } from "../roles";
import { navigate } from "../router";
import { useSubmit } from "../submit";
import type { Account, MemberList, OrganizationList } from "../types";
import { Entry } from "./entry";
import { Invitations } from "./invitations";
import { AcceptInvitation } from "./mails";
import { Members } from "./members";

interface Props {
  account: Account;
  onChange: () => Promise<void>;
}

export function OrganizationPage({ account, onChange }: Props) {
  const members = useLoad((signal) => get<MemberList>("accounts/v1/members", {}, signal), []);
  const mayManage = may(account, "organization");
  return (
    <Page
      title="Organization"
      actions={
        mayManage && (
          <a class="button" href="/organization/audit-log">
            Audit log
          </a>
        )
      }
    >
      <Card title={mayManage ? "Name" : account.name}>
        {mayManage ? (
          <Rename account={account} onChange={onChange} />
        ) : (
          <RoleHint account={account} right="organization">
            the organization is managed, and the audit log is read,
          </RoleHint>
        )}
      </Card>
      <Members of={members} account={account} onChange={onChange} />
      {mayManage && <Invitations account={account} />}
      <div class="columns">
        <Card title="What roles may do">
          <dl class="roles">
            {ROLES.map(([role, what]) => (
              <div key={role}>
                <dt>{role}</dt>
                <dd>{what}.</dd>
              </div>
            ))}
          </dl>
        </Card>
        <Leave account={account} members={members} onChange={onChange} />
      </div>
    </Page>
  );
}

/** For a signed-in person who belongs to no organization. */
export function NoOrganization(props: { email: string; place: URL; onChange: () => Promise<void> }) {
  const signOut = useSubmit();
  if (props.place.pathname === "/invitation") {
    return (
      <main class="entry">
        <AcceptInvitation onChange={props.onChange} />
      </main>
    );
  }
  return (
    <Entry title="No organization">
      {signOut.error && <Notice kind="error">{signOut.error}</Notice>}
      <p>
        You are signed in as <strong class="breaks">{props.email}</strong>, and belong to no organization. Open the link
        of an invitation, or create an organization.
      </p>
      <CreateOrganization onCreated={props.onChange} />
      <p class="beside">
        <button
          type="button"
          class="link"
          disabled={signOut.isRunning}
          onClick={signOut.run(async () => {
            await send("DELETE", "session");
            await props.onChange();
          })}
        >
          Sign out
        </button>
      </p>
    </Entry>
  );
}

function Rename({ account, onChange }: Props) {
  const [name, setName] = useState(account.name);
  const [isSaved, setSaved] = useState(false);
  const submit = useSubmit("name");
  const rename = submit.run(async () => {
    setSaved(false);
    await send("PATCH", "accounts/v1/account", { name });
    setSaved(true);
    await onChange();
  });
  return (
    <form class="settings" onSubmit={rename}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <div class="with-button">
        <Field
          label="Name of the organization"
          required
          maxLength={100}
          value={name}
          onValue={setName}
          error={submit.errorOf("name")}
        />
        <button type="submit" disabled={submit.isRunning || name.trim() === account.name}>
          Rename
        </button>
      </div>
      {isSaved && <Notice kind="good">The organization was renamed.</Notice>}
    </form>
  );
}

function Leave({ account, members, onChange }: Props & { members: Loaded<MemberList> }) {
  const [isAsked, setAsked] = useState(false);
  const leave = async () => {
    await send("DELETE", "accounts/v1/members/current");
    const { organizations } = await get<OrganizationList>("accounts/v1/organizations");
    if (organizations[0]) await switchTo(organizations[0].account_id);
    // The next page must not send requests as a member of the organization that was just left.
    await onChange();
    navigate("/");
  };
  const owners = (members.data?.members ?? []).filter(({ role }) => role === "owner");
  const isLastOwner = account.role === "owner" && owners.length < 2;
  return (
    <Card title="Leave">
      {isLastOwner ? (
        <p class="hint">You are the only owner. Make another member an owner before you leave.</p>
      ) : (
        <button type="button" class="danger" onClick={() => setAsked(true)}>
          Leave the organization
        </button>
      )}
      {isAsked && (
        <Confirm
          title={`Leave “${account.name}”?`}
          act="Leave"
          keep="Stay"
          onAct={leave}
          onClose={() => setAsked(false)}
        >
          <p>You lose access to its keys, usage and credit until someone invites you again.</p>
        </Confirm>
      )}
    </Card>
  );
}
