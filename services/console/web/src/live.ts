// The live stream of requests, as hooks.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, organizationParameters, withQuery } from "./api";
import { type LiveRequest, mergeLiveEvent } from "./live_requests";
import { RefreshTimer } from "./refresh_timer";

export type LiveState = "connecting" | "live" | "reconnecting";

const RECONNECT_MS = 3000;
const CATCH_UP_MS = 1000;

/** The newest requests of the account, and the state of the stream. Calls `onEvent` for each event. */
export function useLive(onEvent: () => void): { requests: LiveRequest[]; state: LiveState } {
  const [requests, setRequests] = useState<LiveRequest[]>([]);
  const [state, setState] = useState<LiveState>("connecting");
  const callback = useRef(onEvent);
  callback.current = onEvent;

  useEffect(() => {
    let source: EventSource;
    let timer = 0;
    let catchUp = 0;
    const merge = (message: MessageEvent<string>) => {
      const event = JSON.parse(message.data) as LiveRequest;
      setRequests((before) => mergeLiveEvent(before, event));
      callback.current();
    };
    const open = () => {
      source = new EventSource(withQuery("/api/analytics/v1/live", organizationParameters()));
      source.addEventListener("totals", () => {
        setState("live");
        // The stream does not report a request that ended just before it began, and the sums may not include it yet.
        catchUp = setTimeout(() => callback.current(), CATCH_UP_MS);
      });
      source.addEventListener("request", merge);
      source.addEventListener("usage", merge);
      source.onerror = () => {
        setState("reconnecting");
        // The browser reconnects by itself after a broken stream, but not after an error response. It hides the status
        // of that response, so another request finds out whether the session has ended.
        if (source.readyState !== EventSource.CLOSED) return;
        timer = setTimeout(open, RECONNECT_MS);
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

/** Returns a function that schedules calls of `refresh`, as `RefreshTimer` does, until the component is removed. */
export function useRefreshTimer(refresh: () => void): () => void {
  const newest = useRef(refresh);
  newest.current = refresh;
  const [timer] = useState(() => new RefreshTimer(() => newest.current()));
  useEffect(() => () => timer.stop(), [timer]);
  return timer.schedule;
}
