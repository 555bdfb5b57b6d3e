// A form's call: whether it runs, and what was refused.
import { useState } from "preact/hooks";
import { ApiError, sentence } from "./api";
import { explain } from "./load";

export interface Submission {
  isRunning: boolean;
  /** What was refused, unless it is about a field that the form shows it at. */
  error: string | null;
  errorOf: (field: string) => string | null;
  run: (work: () => Promise<void>) => (event?: Event) => void;
}

/** `fields` are those that have a place for what is wrong with them. */
export function useSubmit(...fields: string[]): Submission {
  const [isRunning, setRunning] = useState(false);
  const [refusal, setRefusal] = useState<{ field: string | null; text: string } | null>(null);
  const shownAt = fields.find((field) => refusal?.field === field || refusal?.field?.startsWith(`${field}.`));

  const run = (work: () => Promise<void>) => (event?: Event) => {
    event?.preventDefault();
    if (isRunning) return;
    setRunning(true);
    setRefusal(null);
    work()
      .catch((error: unknown) => {
        setRefusal({ field: error instanceof ApiError ? error.field : null, text: explain(error) });
      })
      .finally(() => setRunning(false));
  };
  return {
    isRunning,
    error: refusal !== null && shownAt === undefined ? refusal.text : null,
    errorOf: (field) => (refusal !== null && field === shownAt ? withoutField(refusal) : null),
    run,
  };
}

/** Beside the field its name need not be said. */
function withoutField({ field, text }: { field: string | null; text: string }): string {
  const name = `${field}: `;
  return text.toLowerCase().startsWith(name) ? sentence(text.slice(name.length)) : text;
}
