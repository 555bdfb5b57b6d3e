// Invitations that have not been accepted yet.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { Field } from "../fields";
import { formatDate, formatMinute } from "../format";
import { useLoad } from "../load";
import { Card, type Column, Empty, Notice, Show, Table } from "../parts";
import { useSubmit } from "../submit";
import type { Account, Invitation, InvitationList } from "../types";
import { assignableBy, RoleSelect } from "./members";

export function Invitations({ account }: { account: Account }) {
  const invitations = useLoad((signal) => get<InvitationList>("accounts/v1/invitations", {}, signal), []);
  const [notice, setNotice] = useState<string | null>(null);
  const submit = useSubmit();
  const withdraw = (invitation: Invitation) =>
    submit.run(async () => {
      setNotice(null);
      await send("DELETE", `accounts/v1/invitations/${invitation.id}`);
      setNotice(`The invitation to ${invitation.email} was withdrawn.`);
      invitations.reload();
    })();
  const again = (invitation: Invitation) =>
    submit.run(async () => {
      setNotice(null);
      await send("POST", "accounts/v1/invitations", { email: invitation.email, role: invitation.role });
      setNotice(`We have sent another e-mail to ${invitation.email}. Only the newest link works.`);
      invitations.reload();
    })();
  return (
    <Card title="Invitations">
      <Invite
        account={account}
        onInvited={(email) => {
          setNotice(`We have sent an e-mail to ${email}. The link in it works once, for 7 days.`);
          invitations.reload();
        }}
      />
      {notice && <Notice kind="good">{notice}</Notice>}
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <Show of={invitations}>
        {(found) =>
          found.invitations.length === 0 ? (
            <Empty>No pending invitations.</Empty>
          ) : (
            <Table
              caption="Invitations"
              columns={columns(withdraw, again, submit.isRunning)}
              rows={found.invitations}
              id={(invitation) => invitation.id}
            />
          )
        }
      </Show>
    </Card>
  );
}

function Invite({ account, onInvited }: { account: Account; onInvited: (email: string) => void }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("developer");
  const submit = useSubmit("email", "role");
  const invite = submit.run(async () => {
    const invitation = await send<Invitation>("POST", "accounts/v1/invitations", { email, role });
    setEmail("");
    onInvited(invitation.email);
  });
  return (
    <form class="settings" onSubmit={invite}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <div class="pair">
        <Field
          label="E-mail"
          type="email"
          autocomplete="off"
          required
          value={email}
          onValue={setEmail}
          error={submit.errorOf("email")}
        />
        <RoleSelect roles={assignableBy(account)} role={role} onRole={setRole} error={submit.errorOf("role")} />
      </div>
      <button type="submit" class="primary" disabled={submit.isRunning}>
        {submit.isRunning ? "Sending…" : "Send an invitation"}
      </button>
    </form>
  );
}

function columns(
  onWithdraw: (invitation: Invitation) => void,
  onAgain: (invitation: Invitation) => void,
  isRunning: boolean,
): Column<Invitation>[] {
  return [
    {
      head: "E-mail",
      cell: ({ email }) => (
        <span class="name slim" title={email}>
          {email}
        </span>
      ),
    },
    { head: "Role", cell: ({ role }) => role },
    { head: "Sent", cell: ({ created_at }) => formatMinute(created_at) },
    { head: "Expires", cell: ({ expires_at }) => formatDate(expires_at) },
    {
      head: "Actions",
      acts: true,
      cell: (invitation) => (
        <>
          <button
            type="button"
            class="small"
            aria-label={`Resend the invitation to ${invitation.email}`}
            disabled={isRunning}
            onClick={() => onAgain(invitation)}
          >
            Resend
          </button>
          <button
            type="button"
            class="small danger"
            aria-label={`Withdraw the invitation to ${invitation.email}`}
            disabled={isRunning}
            onClick={() => onWithdraw(invitation)}
          >
            Withdraw
          </button>
        </>
      ),
    },
  ];
}
