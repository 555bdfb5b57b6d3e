// The state of data that a page loads: pending, failed or loaded. Loaded data stays during a reload.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";

export interface Loaded<T> {
  data: T | null;
  error: string | null;
  reload: () => void;
}

export function explain(error: unknown): string {
  return error instanceof ApiError ? error.message : "An error occurred in this page. Reload it.";
}

/** Loads immediately, and again when `inputs` change or `reload` is called. The newest call wins. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, inputs: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<{ data: T | null; error: string | null }>({ data: null, error: null });
  const running = useRef<AbortController | null>(null);
  const newest = useRef(load);
  newest.current = load;

  const reload = useCallback(() => {
    running.current?.abort();
    const controller = new AbortController();
    running.current = controller;
    newest.current(controller.signal).then(
      (data) => {
        if (!controller.signal.aborted) setState({ data, error: null });
      },
      (error: unknown) => {
        if (!controller.signal.aborted) setState((before) => ({ data: before.data, error: explain(error) }));
      },
    );
  }, []);

  useEffect(() => {
    setState({ data: null, error: null });
    reload();
    return () => running.current?.abort();
  }, inputs);

  return { ...state, reload };
}
