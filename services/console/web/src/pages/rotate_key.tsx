// The rotation of a key: a new key replaces it, and the old one keeps working for a while.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { FormButtons, Select } from "../fields";
import { formatMinute } from "../format";
import { MadeKey } from "../made_key";
import { Dialog, Notice } from "../parts";
import { useSubmit } from "../submit";
import type { Key, NewKey } from "../types";

const OVERLAPS = [
  ["0", "immediately"],
  ["3600", "in an hour"],
  ["86400", "in 24 hours"],
  ["604800", "in 7 days"],
  ["2592000", "in 30 days"],
] as const;

interface Rotated {
  made: NewKey;
  /** The old key's current state. */
  old: Key;
}

interface RotateKeyProps {
  of: Key;
  apiUrl: string;
  onRotated: (made: NewKey) => void;
  onClose: () => void;
}

export function RotateKey({ of: key, apiUrl, onRotated, onClose }: RotateKeyProps) {
  const [rotated, setRotated] = useState<Rotated | null>(null);
  if (rotated === null) return <Ask of={key} onDone={setRotated} onClose={onClose} />;
  const { made, old } = rotated;
  return (
    <MadeKey made={made} apiUrl={apiUrl} onClose={() => onRotated(made)}>
      <p>
        The old key <code>{old.hint}</code>{" "}
        {old.revoked_at === null && old.expires_at !== null
          ? `works until ${formatMinute(old.expires_at)}.`
          : "no longer works."}
        {made.expires_at !== null &&
          ` The new key expires on ${formatMinute(made.expires_at)}, when the old one would have.`}
      </p>
    </MadeKey>
  );
}

function Ask(props: { of: Key; onDone: (rotated: Rotated) => void; onClose: () => void }) {
  const { of: key, onDone, onClose } = props;
  const [overlap, setOverlap] = useState("86400");
  const submit = useSubmit();
  const rotate = submit.run(async () => {
    const body = { overlap_s: Number(overlap) };
    const made = await send<NewKey>("POST", `accounts/v1/keys/${key.id}/rotations`, body);
    // Show the new key even if this fails, because it cannot be requested again.
    const old = await get<Key>(`accounts/v1/keys/${key.id}`).catch(() => endingAs(key, Number(overlap)));
    onDone({ made, old });
  });
  return (
    <Dialog title={`Rotate “${key.name}”`} onClose={onClose}>
      <form onSubmit={rotate}>
        {submit.error && <Notice kind="error">{submit.error}</Notice>}
        <p>
          A new key replaces this one, with the same settings and budgets. The old key keeps working for a while, so
          that you can update the programs that use it.
        </p>
        <Select label="Old key expires" value={overlap} onValue={setOverlap} options={OVERLAPS} />
        {key.expires_at !== null && (
          <p class="hint">Both keys expire on {formatMinute(key.expires_at)} at the latest.</p>
        )}
        <FormButtons submit={submit} act="Rotate the key" running="Rotating…" onCancel={onClose} />
      </form>
    </Dialog>
  );
}

function endingAs(key: Key, overlap_s: number): Key {
  const end = new Date(Date.now() + overlap_s * 1000);
  if (overlap_s === 0) return { ...key, revoked_at: end.toISOString() };
  const isSooner = key.expires_at !== null && new Date(key.expires_at) < end;
  return isSooner ? key : { ...key, expires_at: end.toISOString() };
}
