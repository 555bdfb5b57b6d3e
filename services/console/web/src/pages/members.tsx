// The members of the organization and their roles.
import { useState } from "preact/hooks";
import { send } from "../api";
import { Confirm } from "../confirm";
import { FormButtons, Select } from "../fields";
import { formatDate } from "../format";
import type { Loaded } from "../load";
import { Card, type Column, Dialog, Notice, Show, Table } from "../parts";
import { may, ROLES } from "../roles";
import { useSubmit } from "../submit";
import type { Account, Member, MemberList, Role } from "../types";

interface MembersProps {
  of: Loaded<MemberList>;
  account: Account;
  onChange: () => Promise<void>;
}

type Act = { kind: "role" | "remove"; member: Member };

export function Members({ of, account, onChange }: MembersProps) {
  const [act, setAct] = useState<Act | null>(null);
  const close = () => setAct(null);
  const done = async () => {
    const isOwn = act?.member.email === account.email;
    close();
    of.reload();
    // Pages offer the actions of the person's own role.
    if (isOwn) await onChange();
  };
  return (
    <Card title="Members">
      <Show of={of}>
        {({ members }) => (
          <Table
            caption="Members"
            columns={columns(account, members, setAct)}
            rows={members}
            id={(member) => member.person_id}
          />
        )}
      </Show>
      {account.role === "admin" && <p class="hint">Only owners can change who is an owner.</p>}
      {act?.kind === "role" && <ChangeRole of={act.member} account={account} onClose={close} onDone={done} />}
      {act?.kind === "remove" && <Remove of={act.member} account={account} onClose={close} onDone={done} />}
    </Card>
  );
}

/** The roles that the person may assign. */
export function assignableBy(account: Account): readonly (readonly [Role, string])[] {
  return ROLES.filter(([role]) => role !== "owner" || account.role === "owner");
}

function columns(account: Account, members: readonly Member[], onAct: (act: Act) => void): Column<Member>[] {
  const owners = members.filter(({ role }) => role === "owner");
  // Only owners can change owners, and nobody can change the last one.
  const mayChange = (member: Member) => member.role !== "owner" || (account.role === "owner" && owners.length > 1);
  const acts: Column<Member> = {
    head: "Actions",
    acts: true,
    cell: (member) =>
      mayChange(member) && (
        <>
          <button
            type="button"
            class="small"
            aria-label={`Change the role of ${member.email}`}
            onClick={() => onAct({ kind: "role", member })}
          >
            Change role
          </button>
          {member.email !== account.email && (
            <button
              type="button"
              class="small danger"
              aria-label={`Remove ${member.email}`}
              onClick={() => onAct({ kind: "remove", member })}
            >
              Remove
            </button>
          )}
        </>
      ),
  };
  return [
    {
      head: "E-mail",
      cell: (member) => (
        <span class="name slim" title={member.email}>
          {member.email}
        </span>
      ),
    },
    { head: "Role", cell: (member) => `${member.role}${member.email === account.email ? " (you)" : ""}` },
    { head: "Joined", cell: (member) => formatDate(member.joined_at) },
    ...(may(account, "organization") ? [acts] : []),
  ];
}

interface OneProps {
  of: Member;
  account: Account;
  onClose: () => void;
  onDone: () => Promise<void>;
}

function ChangeRole({ of: member, account, onClose, onDone }: OneProps) {
  const [role, setRole] = useState<string>(member.role);
  const submit = useSubmit("role");
  const change = submit.run(async () => {
    if (role !== member.role) await send("PATCH", `accounts/v1/members/${member.person_id}`, { role });
    await onDone();
  });
  return (
    <Dialog title={`Role of ${member.email}`} onClose={onClose}>
      <form onSubmit={change}>
        {submit.error && <Notice kind="error">{submit.error}</Notice>}
        <RoleSelect roles={assignableBy(account)} role={role} onRole={setRole} error={submit.errorOf("role")} />
        <FormButtons submit={submit} act="Change the role" running="Changing…" onCancel={onClose} />
      </form>
    </Dialog>
  );
}

export function RoleSelect(props: {
  roles: readonly (readonly [Role, string])[];
  role: string;
  onRole: (role: string) => void;
  error: string | null;
}) {
  const what = props.roles.find(([role]) => role === props.role)?.[1] ?? "";
  return (
    <Select
      label="Role"
      value={props.role}
      onValue={props.onRole}
      options={props.roles.map(([role]) => [role, role])}
      hint={`${what}.`}
      error={props.error}
    />
  );
}

function Remove({ of: member, account, onClose, onDone }: OneProps) {
  const remove = async () => {
    await send("DELETE", `accounts/v1/members/${member.person_id}`);
    await onDone();
  };
  return (
    <Confirm
      title={`Remove ${member.email}?`}
      act="Remove the member"
      keep="Keep them"
      onAct={remove}
      onClose={onClose}
    >
      <p>
        They lose access to {account.name} within a minute. API keys that they created keep working: revoke those that
        they know.
      </p>
    </Confirm>
  );
}
