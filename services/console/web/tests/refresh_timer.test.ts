import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MIN_INTERVAL_MS, REFRESH_DELAYS_MS, RefreshTimer } from "../src/refresh_timer";

const refresh = vi.fn();
let timer: RefreshTimer;

beforeEach(() => {
  vi.useFakeTimers({ now: new Date("2026-03-01T12:00:00Z") });
  refresh.mockReset();
  timer = new RefreshTimer(refresh);
});
afterEach(() => {
  vi.useRealTimers();
});

test("one event leads to a few refreshes, because sums follow the stream with a delay", () => {
  timer.schedule();
  const counts = REFRESH_DELAYS_MS.map((ms, index) => {
    vi.advanceTimersByTime(ms - (REFRESH_DELAYS_MS[index - 1] ?? 0));
    return refresh.mock.calls.length;
  });
  expect(counts).toEqual([1, 2, 3, 4]);
  vi.advanceTimersByTime(60_000);
  expect(refresh).toHaveBeenCalledTimes(4);
});

test("events that follow do not postpone the first refresh", () => {
  for (let ms = 0; ms < REFRESH_DELAYS_MS[0]; ms += 50) {
    timer.schedule();
    vi.advanceTimersByTime(50);
  }
  expect(refresh).toHaveBeenCalledTimes(1);
});

test("steady traffic refreshes in intervals", () => {
  for (let ms = 0; ms < 60_000; ms += 20) {
    timer.schedule();
    vi.advanceTimersByTime(20);
  }
  const most = 60_000 / MIN_INTERVAL_MS + 1;
  expect(refresh.mock.calls.length).toBeLessThanOrEqual(most);
  expect(refresh.mock.calls.length).toBeGreaterThan(most - 6);
});

test("after the last event of steady traffic the sums are refreshed to the end", () => {
  for (let ms = 0; ms < 10_000; ms += 20) {
    timer.schedule();
    vi.advanceTimersByTime(20);
  }
  refresh.mockReset();
  vi.advanceTimersByTime(60_000);
  expect(refresh.mock.calls.length).toBeGreaterThanOrEqual(3);
});

test("a page that is left refreshes nothing", () => {
  timer.schedule();
  timer.stop();
  vi.advanceTimersByTime(60_000);
  expect(refresh).not.toHaveBeenCalled();
});
