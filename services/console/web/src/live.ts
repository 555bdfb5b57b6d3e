// The live stream of requests, and when to ask for sums again because of it.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, ofOrganization, withQuery } from "./api";
import type { Consumption } from "./types";

export interface LiveRequest extends Partial<Consumption> {
  id: string;
  time: string;
  model: string;
  api_key: string;
  status?: number;
  latency_ms?: number;
}

export type LiveState = "connecting" | "live" | "away";

const SHOWN = 20;
// The stream tells of a request when the log has it; sums follow within a second.
const ASK_AFTER_MS = [250, 700, 1500, 3000];
const AT_MOST_EVERY_MS = 2000;
const TRY_AGAIN_MS = 3000;
const CATCH_UP_MS = 1000;

/** The newest requests of the account, and whether the stream is there; `onEvent` is called for each event. */
export function useLive(onEvent: () => void): { requests: LiveRequest[]; state: LiveState } {
  const [requests, setRequests] = useState<LiveRequest[]>([]);
  const [state, setState] = useState<LiveState>("connecting");
  const callback = useRef(onEvent);
  callback.current = onEvent;

  useEffect(() => {
    let source: EventSource;
    let timer = 0;
    let catchUp = 0;
    const take = (event: MessageEvent<string>) => {
      const told = JSON.parse(event.data) as LiveRequest;
      setRequests((before) => merged(before, told));
      callback.current();
    };
    const open = () => {
      source = new EventSource(withQuery("/api/analytics/v1/live", ofOrganization()));
      source.addEventListener("totals", () => {
        setState("live");
        // What ended just before the stream began is not told by it, and may not have been in the sums yet.
        catchUp = setTimeout(() => callback.current(), CATCH_UP_MS);
      });
      source.addEventListener("request", take);
      source.addEventListener("usage", take);
      source.onerror = () => {
        setState("away");
        // The browser comes back by itself to a stream that broke off, not after an answer that was none. It does not
        // tell which that was: another call does, if the session has ended.
        if (source.readyState !== EventSource.CLOSED) return;
        timer = setTimeout(open, TRY_AGAIN_MS);
        get("accounts/v1/organizations").catch(() => undefined);
      };
    };
    open();
    return () => {
      clearTimeout(timer);
      clearTimeout(catchUp);
      source.close();
    };
  }, []);

  return { requests, state };
}

function merged(before: LiveRequest[], told: LiveRequest): LiveRequest[] {
  const known = before.find((one) => one.id === told.id);
  if (known) return before.map((one) => (one === known ? { ...one, ...told } : one));
  return [told, ...before].slice(0, SHOWN);
}

/** Calls `ask` soon after what is told to it, a few times, and not more often than the services should be asked. */
export function useSoon(ask: () => void): () => void {
  const newest = useRef(ask);
  newest.current = ask;
  const [soon] = useState(() => new Soon(() => newest.current()));
  useEffect(() => () => soon.stop(), [soon]);
  return soon.tell;
}

class Soon {
  private first: number | null = null;
  private later: number[] = [];
  private askedAt = 0;

  constructor(private readonly ask: () => void) {}

  tell = (): void => {
    const wait = Math.max(0, this.askedAt + AT_MOST_EVERY_MS - Date.now());
    const [first = 0, ...later] = ASK_AFTER_MS.map((ms) => ms + wait);
    // The first is not put off by what comes after it, or busy accounts would never be told anything.
    this.first ??= setTimeout(() => {
      this.first = null;
      this.askedAt = Date.now();
      this.ask();
    }, first);
    this.later.forEach(clearTimeout);
    this.later = later.map((ms) => setTimeout(this.ask, ms));
  };

  stop(): void {
    if (this.first !== null) clearTimeout(this.first);
    this.later.forEach(clearTimeout);
  }
}
