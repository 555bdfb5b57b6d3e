// Which organization is looked at, and a new one.
import { useState } from "preact/hooks";
import { send } from "./api";
import { Field } from "./fields";
import { Notice } from "./parts";
import { useSubmit } from "./submit";
import type { Organization } from "./types";

/** From now on every page is about this organization. */
export async function switchTo(account_id: string): Promise<void> {
  await send("PUT", "accounts/v1/sessions/current/organization", { account_id });
}

export function FoundOrganization({ onFounded }: { onFounded: () => Promise<void> }) {
  const [name, setName] = useState("");
  const submit = useSubmit("name");
  const found = submit.run(async () => {
    const { account_id } = await send<Organization>("POST", "accounts/v1/organizations", { name });
    await switchTo(account_id);
    await onFounded();
  });
  return (
    <form onSubmit={found}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <Field
        label="Name of a new organization"
        required
        maxLength={100}
        value={name}
        onValue={setName}
        error={submit.errorOf("name")}
        hint="With keys, members and credit of its own."
      />
      <button type="submit" disabled={submit.isRunning}>
        {submit.isRunning ? "Founding…" : "Found it"}
      </button>
    </form>
  );
}
