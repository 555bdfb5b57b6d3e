// The text of a new key, which is shown once and stored nowhere.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Code, Dialog, Notice } from "./parts";
import { curlSnippet, nodeSnippet, pythonSnippet } from "./snippets";
import type { NewKey } from "./types";

const LANGUAGES = { curl: curlSnippet, Python: pythonSnippet, Node: nodeSnippet } as const;

export function MadeKey(props: {
  made: NewKey;
  apiUrl: string;
  onClose: () => void;
  /** Further information about the key. */
  children?: ComponentChildren;
}) {
  const { made, apiUrl } = props;
  const [language, setLanguage] = useState<keyof typeof LANGUAGES>("curl");
  const model = made.models?.[0];
  return (
    // Escape must not close the dialog, because the key is shown only once.
    <Dialog title={`Your key “${made.name}”`} onClose={() => undefined}>
      <Notice kind="info">Copy the key now. It is shown only once, and we store no copy.</Notice>
      <Code text={made.key} label="Copy the key" />
      {props.children}
      <fieldset class="tabs">
        <legend class="hidden">Language of the example</legend>
        {(Object.keys(LANGUAGES) as (keyof typeof LANGUAGES)[]).map((name) => (
          <label key={name}>
            <input type="radio" name="language" checked={name === language} onChange={() => setLanguage(name)} />
            {name}
          </label>
        ))}
      </fieldset>
      <Code text={LANGUAGES[language](apiUrl, made.key, model)} label="Copy the example" />
      <div class="buttons">
        <button type="button" class="primary" onClick={props.onClose}>
          I have saved it
        </button>
      </div>
    </Dialog>
  );
}
