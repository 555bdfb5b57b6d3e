// A new API key: its settings, then the key itself.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { FormButtons } from "../fields";
import { isKeyWrong, KEY_FIELDS, KeyFields, keyRequest, NEW_KEY } from "../key_fields";
import { useLoad } from "../load";
import { MadeKey } from "../made_key";
import { Dialog, Notice } from "../parts";
import { useSubmit } from "../submit";
import type { NewKey, PriceList, Project } from "../types";

interface CreateKeyProps {
  apiUrl: string;
  projects: readonly Project[];
  /** The project that is selected initially. */
  project: string;
  onCreated: () => void;
  onClose: () => void;
}

export function CreateKey(props: CreateKeyProps) {
  const [made, setMade] = useState<NewKey | null>(null);
  if (made !== null) return <MadeKey made={made} apiUrl={props.apiUrl} onClose={props.onClose} />;
  return (
    <Dialog title="Create an API key" onClose={props.onClose}>
      <KeyForm
        {...props}
        onMade={(key) => {
          setMade(key);
          props.onCreated();
        }}
      />
    </Dialog>
  );
}

function KeyForm({ projects, project, onClose, onMade }: CreateKeyProps & { onMade: (key: NewKey) => void }) {
  const [typed, setTyped] = useState({ ...NEW_KEY, project });
  const [isChecked, setChecked] = useState(false);
  const prices = useLoad((signal) => get<PriceList>("billing/v1/prices", {}, signal), []);
  const submit = useSubmit(...KEY_FIELDS);

  const create = (event: Event) => {
    event.preventDefault();
    setChecked(true);
    if (isKeyWrong(typed)) return;
    submit.run(async () => onMade(await send<NewKey>("POST", "accounts/v1/keys", keyRequest(typed))))();
  };
  return (
    <form onSubmit={create}>
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      <KeyFields
        typed={typed}
        onChange={setTyped}
        isChecked={isChecked}
        submit={submit}
        projects={projects}
        models={prices.data?.data ?? []}
      />
      <FormButtons submit={submit} act="Create the key" running="Creating…" onCancel={onClose} />
    </form>
  );
}
