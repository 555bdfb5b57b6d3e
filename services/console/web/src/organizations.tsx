// Switching to another organization, and creating one.
import { useState } from "preact/hooks";
import { send } from "./api";
import { Field } from "./fields";
import { Notice } from "./parts";
import { useSubmit } from "./submit";
import type { Organization } from "./types";

/** Switches the session to this organization. */
export async function switchTo(account_id: string): Promise<void> {
  await send("PUT", "accounts/v1/sessions/current/organization", { account_id });
}

export function CreateOrganization({ onCreated }: { onCreated: () => Promise<void> }) {
  const [name, setName] = useState("");
  const submit = useSubmit("name");
  const create = submit.run(async () => {
    const { account_id } = await send<Organization>("POST", "accounts/v1/organizations", { name });
    await switchTo(account_id);
    await onCreated();
  });
  return (
    <form onSubmit={create}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <Field
        label="Name of a new organization"
        required
        maxLength={100}
        value={name}
        onValue={setName}
        error={submit.errorOf("name")}
        hint="It has its own keys, members and credit."
      />
      <button type="submit" disabled={submit.isRunning}>
        {submit.isRunning ? "Creating…" : "Create organization"}
      </button>
    </form>
  );
}
