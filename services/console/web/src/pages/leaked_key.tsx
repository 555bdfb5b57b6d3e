// The report of a leaked API key, with or without sign-in.
import { useState } from "preact/hooks";
import { send } from "../api";
import { Field } from "../fields";
import { Notice } from "../parts";
import { useSubmit } from "../submit";
import { Entry } from "./entry";

export function LeakedKey({ isSignedIn }: { isSignedIn: boolean }) {
  const [key, setKey] = useState("");
  const [isReported, setReported] = useState(false);
  const submit = useSubmit("key");
  const report = submit.run(async () => {
    await send("POST", "accounts/v1/keys/leaked", { key: key.trim() });
    setKey("");
    setReported(true);
  });
  return (
    <Entry title="Report a leaked key">
      {submit.error && <Notice kind="error">{submit.error}</Notice>}
      {isReported && (
        <Notice kind="good">
          Thank you. If this was an active key, it is revoked now, and the owners and admins of its organization get an
          e-mail.
        </Notice>
      )}
      <p>An API key that others can read must be revoked. You can report any key, not only your own.</p>
      <form onSubmit={report}>
        <Field
          label="The key"
          placeholder="tg_…"
          autocomplete="off"
          required
          maxLength={200}
          value={key}
          onValue={(text) => {
            setKey(text);
            setReported(false);
          }}
          error={submit.errorOf("key")}
        />
        <button type="submit" class="primary" disabled={submit.isRunning}>
          {submit.isRunning ? "Reporting…" : "Report and revoke the key"}
        </button>
      </form>
      <p class="beside">{isSignedIn ? <a href="/keys">API keys</a> : <a href="/sign-in">Sign in</a>}</p>
    </Entry>
  );
}
