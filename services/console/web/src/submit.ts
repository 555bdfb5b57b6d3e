// The state of a form's request: whether it is running, and its error.
import { useState } from "preact/hooks";
import { ApiError, sentence } from "./api";
import { explain } from "./load";

export interface Submission {
  isRunning: boolean;
  /** The error, unless the form shows it at a field. */
  error: string | null;
  errorOf: (field: string) => string | null;
  run: (work: () => Promise<void>) => (event?: Event) => void;
}

/** `fields` are the fields that show their own errors. */
export function useSubmit(...fields: string[]): Submission {
  const [isRunning, setRunning] = useState(false);
  const [failure, setFailure] = useState<{ field: string | null; text: string } | null>(null);
  const shownAt = fields.find((field) => failure?.field === field || failure?.field?.startsWith(`${field}.`));

  const run = (work: () => Promise<void>) => (event?: Event) => {
    event?.preventDefault();
    if (isRunning) return;
    setRunning(true);
    setFailure(null);
    work()
      .catch((error: unknown) => {
        setFailure({ field: error instanceof ApiError ? error.field : null, text: explain(error) });
      })
      .finally(() => setRunning(false));
  };
  return {
    isRunning,
    error: failure !== null && shownAt === undefined ? failure.text : null,
    errorOf: (field) => (failure !== null && field === shownAt ? withoutField(failure) : null),
    run,
  };
}

/** Removes the field's name from an error that is shown beside the field. */
function withoutField({ field, text }: { field: string | null; text: string }): string {
  const name = `${field}: `;
  return text.toLowerCase().startsWith(name) ? sentence(text.slice(name.length)) : text;
}
