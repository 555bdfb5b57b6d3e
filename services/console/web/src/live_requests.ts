// The list of live requests, and how events of the stream change it.
import type { Consumption } from "./types";

/** What `request` and `usage` events report of a request. Either may be missing yet. */
export interface LiveRequest extends Partial<Consumption> {
  id: string;
  time: string;
  model: string;
  api_key: string;
  status?: number;
  latency_ms?: number;
}

export const MAX_LIVE_REQUESTS = 20;

/**
 * Return the list, newest first, with an event merged into it.
 *
 * The stream reports a request twice, in either order. After a reconnect it replays all `request` events before all
 * `usage` events, so an event may belong to a request that has already left the list: its time keeps it out.
 */
export function mergeLiveEvent(requests: LiveRequest[], event: LiveRequest): LiveRequest[] {
  const known = requests.find(({ id }) => id === event.id);
  if (known) return requests.map((one) => (one === known ? { ...one, ...event } : one));
  const at = requests.findIndex(({ time }) => Date.parse(time) <= Date.parse(event.time));
  return requests.toSpliced(at === -1 ? requests.length : at, 0, event).slice(0, MAX_LIVE_REQUESTS);
}
