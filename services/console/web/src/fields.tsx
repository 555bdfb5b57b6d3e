// The fields of forms.
import { useId } from "preact/hooks";
import type { Submission } from "./submit";

interface FieldProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  hint?: string;
  error?: string | null;
  type?: "text" | "email" | "password" | "search";
  autocomplete?: string;
  required?: boolean;
  minLength?: number;
  maxLength?: number;
  placeholder?: string;
  inputMode?: "numeric" | "decimal";
  list?: string;
  onKeyDown?: (event: KeyboardEvent) => void;
}

export function Field({ label, value, onValue, hint, error, ...rest }: FieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...(rest as object)}
        id={id}
        value={value}
        onInput={(event) => onValue(event.currentTarget.value)}
        aria-invalid={error ? true : undefined}
        aria-describedby={error || hint ? `${id}-about` : undefined}
      />
      <About id={`${id}-about`} hint={hint} error={error} />
    </div>
  );
}

/** A field's error, or its hint if there is no error. */
function About({ id, hint, error }: { id: string; hint: string | undefined; error: string | null | undefined }) {
  const text = error || hint;
  if (!text) return null;
  return (
    <p class={error ? "field-error" : "hint"} id={id}>
      {text}
    </p>
  );
}

type OwnProps = Pick<FieldProps, "value" | "onValue" | "error">;

export function EmailField(props: OwnProps) {
  return <Field label="E-mail" type="email" autocomplete="username" required {...props} />;
}

export function PasswordField(props: OwnProps & Partial<Pick<FieldProps, "label" | "hint">>) {
  return <Field label="Password" type="password" autocomplete="current-password" required {...props} />;
}

const MIN_PASSWORD_LENGTH = 10;

export function NewPasswordField(props: OwnProps & Pick<FieldProps, "label" | "hint">) {
  return (
    <Field
      type="password"
      autocomplete="new-password"
      required
      minLength={MIN_PASSWORD_LENGTH}
      hint={`At least ${MIN_PASSWORD_LENGTH} characters.`}
      {...props}
    />
  );
}

export function Select(props: {
  label: string;
  value: string;
  onValue: (value: string) => void;
  options: readonly (readonly [string, string])[];
  hint?: string;
  error?: string | null;
}) {
  const id = useId();
  const { error, hint } = props;
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <select
        id={id}
        value={props.value}
        onChange={(event) => props.onValue(event.currentTarget.value)}
        aria-invalid={error ? true : undefined}
        aria-describedby={error || hint ? `${id}-about` : undefined}
      >
        {props.options.map(([value, text]) => (
          <option key={value} value={value} selected={value === props.value}>
            {text}
          </option>
        ))}
      </select>
      <About id={`${id}-about`} hint={hint} error={error} />
    </div>
  );
}

/** Several texts, such as a key's allowed models. `textsOf` returns them. */
export type TypedTexts = readonly string[];

/** The last text is in the input field. It counts even if its button was not pressed. */
export function typedTexts(texts: readonly string[] | null): TypedTexts {
  return [...(texts ?? []), ""];
}

export function textsOf(typed: TypedTexts): string[] {
  return [...new Set(typed.map((one) => one.trim()).filter(Boolean))];
}

export function Chips(props: {
  label: string;
  placeholder: string;
  typed: TypedTexts;
  onChange: (typed: TypedTexts) => void;
  suggested?: readonly string[];
  error?: string | null;
}) {
  const { onChange, suggested } = props;
  const id = useId();
  const chosen = props.typed.slice(0, -1);
  const text = props.typed.at(-1) ?? "";
  const add = () => onChange(typedTexts(textsOf(props.typed)));
  return (
    <div class="field">
      <div class="with-button">
        <Field
          label={props.label}
          placeholder={chosen.length === 0 ? props.placeholder : "add another"}
          {...(suggested ? { list: id } : {})}
          maxLength={200}
          value={text}
          onValue={(value) => onChange([...chosen, value])}
          error={props.error ?? null}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              add();
            }
          }}
        />
        <button type="button" onClick={add} disabled={!text.trim()} aria-label={`Add to ${props.label}`}>
          Add
        </button>
      </div>
      {suggested && (
        <datalist id={id}>
          {suggested.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
      {chosen.length > 0 && (
        <ul class="chips">
          {chosen.map((one) => (
            <li key={one}>
              {one}
              <button
                type="button"
                class="link"
                aria-label={`Remove ${one}`}
                onClick={() => onChange([...chosen.filter((other) => other !== one), text])}
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

/** The buttons of a form in a dialog. */
export function FormButtons(props: { submit: Submission; act: string; running: string; onCancel: () => void }) {
  const { isRunning } = props.submit;
  return (
    <div class="buttons">
      <button type="button" onClick={props.onCancel}>
        Cancel
      </button>
      <button type="submit" class="primary" disabled={isRunning}>
        {isRunning ? props.running : props.act}
      </button>
    </div>
  );
}
