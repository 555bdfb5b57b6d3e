import { describe, expect, test } from "vitest";
import { type LiveRequest, MAX_LIVE_REQUESTS, mergeLiveEvent } from "../src/live_requests";

const at = (second: number) => new Date(Date.UTC(2026, 2, 1, 12, 0, second)).toISOString();
const about = (number: number, second = number) => ({
  id: `request ${number}`,
  time: at(second),
  model: "gpt-4o",
  api_key: "key",
});
const request = (number: number, second = number): LiveRequest => ({
  ...about(number, second),
  status: 200,
  latency_ms: 40,
});
const usage = (number: number, second = number): LiveRequest => ({
  ...about(number, second),
  total_tokens: 12,
  cost_nano: 90_000,
});
const merged = (events: LiveRequest[]) => events.reduce(mergeLiveEvent, [] as LiveRequest[]);
const numbers = (requests: LiveRequest[]) => requests.map(({ id }) => Number(id.split(" ")[1]));
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe("the two events of one request", () => {
  test("make one row, in either order", () => {
    const whole = { ...about(1), status: 200, latency_ms: 40, total_tokens: 12, cost_nano: 90_000 };
    expect(merged([request(1), usage(1)])).toEqual([whole]);
    expect(merged([usage(1), request(1)])).toEqual([whole]);
  });

  test("leave the row where it is", () => {
    expect(numbers(merged([request(1), request(2), usage(1, 3)]))).toEqual([2, 1]);
  });

  test("make one row when they are repeated, as after a reconnect", () => {
    const once = merged([request(1), usage(1), request(2)]);
    expect(merged([request(1), usage(1), request(2), request(1), usage(1), request(2)])).toEqual(once);
  });

  test("keep what the other one reported", () => {
    const [row] = merged([usage(1), request(1)]);
    expect(row).toMatchObject({ cost_nano: 90_000, status: 200 });
  });
});

describe("the list", () => {
  test("has the newest first, whatever the order of the events", () => {
    expect(numbers(merged([request(2), request(3), request(1)]))).toEqual([3, 2, 1]);
  });

  test("has the last of two that ended at the same time first", () => {
    expect(numbers(merged([request(1, 5), request(2, 5)]))).toEqual([2, 1]);
  });

  test("compares times, not their texts, of which only some have fractions", () => {
    const [early, late] = [
      { ...about(1), time: "2026-03-01T12:00:00Z" },
      { ...about(2), time: "2026-03-01T12:00:00.5Z" },
    ];
    expect(numbers(merged([late, early]))).toEqual([2, 1]);
    expect(numbers(merged([early, late]))).toEqual([2, 1]);
  });

  test("is bounded, and drops the oldest", () => {
    const shown = numbers(merged(upTo(MAX_LIVE_REQUESTS + 5).map((number) => request(number))));
    expect(shown).toHaveLength(MAX_LIVE_REQUESTS);
    expect([shown[0], shown.at(-1)]).toEqual([25, 6]);
  });

  test("takes no usage of requests that have left it when a reconnect replays topic after topic", () => {
    const missed = upTo(50);
    const rows = merged([...missed.map((number) => request(number)), ...missed.map((number) => usage(number))]);
    expect(numbers(rows)).toEqual(missed.slice(-MAX_LIVE_REQUESTS).reverse());
    expect(rows.every(({ status, cost_nano }) => status === 200 && cost_nano === 90_000)).toBe(true);
  });

  test("is not changed in place: pages compare it with the one before", () => {
    const before = Object.freeze([Object.freeze(request(1))]) as LiveRequest[];
    expect(mergeLiveEvent(before, usage(1))).not.toBe(before);
    expect(mergeLiveEvent(before, request(2))).not.toBe(before);
    expect(before).toEqual([request(1)]);
  });
});
