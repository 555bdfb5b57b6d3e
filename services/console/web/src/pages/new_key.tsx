// A new API key: what it may do, and the key itself, which is shown this once and kept nowhere.
import { useState } from "preact/hooks";
import { get, send } from "../api";
import { parseCount, parseMoney } from "../format";
import { useLoad } from "../load";
import { Code, Dialog, Field, Notice, Select } from "../parts";
import { curlSnippet, nodeSnippet, pythonSnippet } from "../snippets";
import { useSubmit } from "../submit";
import type { Budget, NewKey, PriceList } from "../types";

const DAY_MS = 86_400_000;
const LIFETIMES = [
  ["", "never"],
  ["7", "in 7 days"],
  ["30", "in 30 days"],
  ["90", "in 90 days"],
  ["365", "in a year"],
] as const;

interface Wanted {
  name: string;
  models: string[];
  days: string;
  requests: string;
  tokens: string;
  day: string;
  month: string;
  total: string;
}

const NOTHING: Wanted = { name: "", models: [], days: "", requests: "", tokens: "", day: "", month: "", total: "" };

/** What is wrong with what was typed, by field. */
function mistakes(wanted: Wanted): Partial<Record<keyof Wanted, string>> {
  const found: Partial<Record<keyof Wanted, string>> = {};
  for (const field of ["requests", "tokens"] as const) {
    if (wanted[field].trim() && parseCount(wanted[field]) === null)
      found[field] = "A whole number above 0, or nothing.";
  }
  for (const field of ["day", "month", "total"] as const) {
    if (wanted[field].trim() && parseMoney(wanted[field]) === null)
      found[field] = "An amount such as 5 or 2.50, or nothing.";
  }
  return found;
}

function requestOf(wanted: Wanted): object {
  const budgets = (["day", "month", "total"] as const).flatMap((period): Budget[] => {
    const amount_nano = parseMoney(wanted[period]);
    return amount_nano === null ? [] : [{ period, amount_nano }];
  });
  return {
    name: wanted.name,
    models: wanted.models.length > 0 ? wanted.models : null,
    limits: { requests_per_minute: parseCount(wanted.requests), tokens_per_minute: parseCount(wanted.tokens) },
    budgets,
    expires_at: wanted.days ? new Date(Date.now() + Number(wanted.days) * DAY_MS).toISOString() : null,
  };
}

export function CreateKey(props: { apiUrl: string; onCreated: () => void; onClose: () => void }) {
  const [made, setMade] = useState<NewKey | null>(null);
  return made === null ? (
    <Dialog title="Create an API key" onClose={props.onClose}>
      <KeyForm
        onClose={props.onClose}
        onMade={(key) => {
          setMade(key);
          props.onCreated();
        }}
      />
    </Dialog>
  ) : (
    // Escape must not throw away what is shown this once.
    <Dialog title={`Your key “${made.name}”`} onClose={() => undefined} key="made">
      <MadeKey made={made} apiUrl={props.apiUrl} />
      <div class="buttons">
        <button type="button" class="primary" onClick={props.onClose}>
          I have kept it
        </button>
      </div>
    </Dialog>
  );
}

function KeyForm({ onClose, onMade }: { onClose: () => void; onMade: (key: NewKey) => void }) {
  const [wanted, setWanted] = useState(NOTHING);
  const [isChecked, setChecked] = useState(false);
  const submit = useSubmit("name", "models", "limits", "budgets");
  const wrong = isChecked ? mistakes(wanted) : {};
  const set = (field: keyof Wanted) => (value: string) => setWanted((before) => ({ ...before, [field]: value }));

  const create = (event: Event) => {
    event.preventDefault();
    setChecked(true);
    if (Object.keys(mistakes(wanted)).length > 0) return;
    submit.run(async () => onMade(await send<NewKey>("POST", "accounts/v1/keys", requestOf(wanted))))();
  };
  const error = submit.error ?? submit.errorOf("models") ?? submit.errorOf("limits") ?? submit.errorOf("budgets");
  return (
    <form onSubmit={create}>
      {error && <Notice kind="error">{error}</Notice>}
      <Field
        label="Name"
        required
        maxLength={100}
        hint="Where it will be used, such as “server” or “laptop”."
        value={wanted.name}
        onValue={set("name")}
        error={submit.errorOf("name")}
      />
      <Select label="Expires" value={wanted.days} onValue={set("days")} options={LIFETIMES} />
      <details>
        <summary>Limits and budgets</summary>
        <AllowedModels chosen={wanted.models} onChange={(models) => setWanted((before) => ({ ...before, models }))} />
        <div class="pair">
          <Field
            label="Requests a minute"
            inputMode="numeric"
            placeholder="no limit"
            value={wanted.requests}
            onValue={set("requests")}
            error={wrong.requests ?? null}
          />
          <Field
            label="Tokens a minute"
            inputMode="numeric"
            placeholder="no limit"
            value={wanted.tokens}
            onValue={set("tokens")}
            error={wrong.tokens ?? null}
          />
        </div>
        <div class="pair three">
          <Field
            label="USD a day"
            inputMode="decimal"
            placeholder="no limit"
            value={wanted.day}
            onValue={set("day")}
            error={wrong.day ?? null}
          />
          <Field
            label="USD a month"
            inputMode="decimal"
            placeholder="no limit"
            value={wanted.month}
            onValue={set("month")}
            error={wrong.month ?? null}
          />
          <Field
            label="USD in total"
            inputMode="decimal"
            placeholder="no limit"
            value={wanted.total}
            onValue={set("total")}
            error={wrong.total ?? null}
          />
        </div>
        <p class="hint">Days and months of budgets are those of UTC.</p>
      </details>
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" class="primary" disabled={submit.isRunning}>
          {submit.isRunning ? "Creating…" : "Create the key"}
        </button>
      </div>
    </form>
  );
}

function AllowedModels({ chosen, onChange }: { chosen: string[]; onChange: (models: string[]) => void }) {
  const [typed, setTyped] = useState("");
  const prices = useLoad((signal) => get<PriceList>("billing/v1/prices", {}, signal), []);
  const add = () => {
    const model = typed.trim();
    if (model && !chosen.includes(model)) onChange([...chosen, model]);
    setTyped("");
  };
  return (
    <div class="field">
      <div class="with-button">
        <Field
          label="Models that it may call"
          placeholder="all models"
          list="known-models"
          maxLength={200}
          value={typed}
          onValue={setTyped}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              add();
            }
          }}
        />
        <button type="button" onClick={add} disabled={!typed.trim()}>
          Add
        </button>
      </div>
      <datalist id="known-models">
        {prices.data?.data.map(({ model }) => (
          <option key={model} value={model} />
        ))}
      </datalist>
      {chosen.length > 0 && (
        <ul class="chips">
          {chosen.map((model) => (
            <li key={model}>
              {model}
              <button
                type="button"
                class="link"
                aria-label={`Take ${model} away`}
                onClick={() => onChange(chosen.filter((one) => one !== model))}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const LANGUAGES = { curl: curlSnippet, Python: pythonSnippet, Node: nodeSnippet } as const;

function MadeKey({ made, apiUrl }: { made: NewKey; apiUrl: string }) {
  const [language, setLanguage] = useState<keyof typeof LANGUAGES>("curl");
  const model = made.models?.[0];
  return (
    <>
      <Notice kind="info">Copy it now: it is shown this once, and we keep no copy of it.</Notice>
      <Code text={made.key} label="Copy the key" />
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
    </>
  );
}
