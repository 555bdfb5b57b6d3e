import { afterEach, describe, expect, test, vi } from "vitest";
import { axisLabel, bucketLabel, buckets, findGranularity, findRange, floor, RANGES, startOfDay } from "../src/ranges";

const isoOf = (dates: Date[]) => dates.map((date) => date.toISOString().replace(":00.000Z", "Z"));
const iso = (date: Date) => isoOf([date])[0];
const starting = (id: string, now: string) => iso(findRange(id).start(new Date(now)));

afterEach(() => {
  vi.unstubAllEnvs();
});

test("the tests run in Berlin, whose clocks change on 29 March and 25 October 2026", () => {
  expect(new Date("2026-01-01T00:00:00Z").getTimezoneOffset()).toBe(-60);
  expect(new Date("2026-07-01T00:00:00Z").getTimezoneOffset()).toBe(-120);
});

describe("floor", () => {
  test.each([
    ["minute", "2026-03-05T12:34Z"],
    ["hour", "2026-03-05T12:00Z"],
    ["day", "2026-03-04T23:00Z"],
    ["week", "2026-03-01T23:00Z"],
    ["month", "2026-02-28T23:00Z"],
  ] as const)("to a %s", (granularity, start) => {
    expect(iso(floor(new Date("2026-03-05T12:34:56.789Z"), granularity))).toBe(start);
  });

  test("a Sunday belongs to the week that began on Monday, a Monday to its own", () => {
    expect(iso(floor(new Date("2026-03-08T22:59:59Z"), "week"))).toBe("2026-03-01T23:00Z");
    expect(iso(floor(new Date("2026-03-08T23:00:00Z"), "week"))).toBe("2026-03-08T23:00Z");
  });

  test("a week may begin in another year", () => {
    expect(iso(floor(new Date("2027-01-01T12:00:00Z"), "week"))).toBe("2026-12-27T23:00Z");
  });

  test("the end of a month belongs to it, in a leap year as well", () => {
    expect(iso(floor(new Date("2028-02-29T22:59:59Z"), "month"))).toBe("2028-01-31T23:00Z");
    expect(iso(floor(new Date("2028-02-29T23:00:00Z"), "month"))).toBe("2028-02-29T23:00Z");
  });

  test("the two hours from 2 to 3 when clocks are set back stay two", () => {
    expect(iso(floor(new Date("2026-10-25T00:30:00Z"), "hour"))).toBe("2026-10-25T00:00Z");
    expect(iso(floor(new Date("2026-10-25T01:30:00Z"), "hour"))).toBe("2026-10-25T01:00Z");
  });

  test("an hour of a zone with half an hour begins at its own full hour", () => {
    vi.stubEnv("TZ", "Asia/Kolkata");
    expect(iso(floor(new Date("2026-03-05T12:34:56Z"), "hour"))).toBe("2026-03-05T12:30Z");
    expect(iso(floor(new Date("2026-03-05T12:34:56Z"), "day"))).toBe("2026-03-04T18:30Z");
  });

  test("floors times before 1970 downwards", () => {
    expect(iso(floor(new Date("1969-12-31T22:30:30.5Z"), "minute"))).toBe("1969-12-31T22:30Z");
  });
});

describe("buckets", () => {
  const found = (start: string, end: string, granularity: Parameters<typeof buckets>[2]) =>
    buckets(new Date(start), new Date(end), granularity);

  test("a day has 23 hours when clocks are set forward, and 25 when they are set back", () => {
    expect(found("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "hour")).toHaveLength(23);
    const hours = found("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "hour");
    expect(new Set(isoOf(hours)).size).toBe(25);
  });

  test("days begin at midnight across a change of the clocks", () => {
    expect(isoOf(found("2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z", "day"))).toEqual([
      "2026-03-27T23:00Z",
      "2026-03-28T23:00Z",
      "2026-03-29T22:00Z",
    ]);
  });

  test("weeks begin on Monday at midnight across a change of the clocks", () => {
    expect(isoOf(found("2026-10-19T00:00:00Z", "2026-11-02T12:00:00Z", "week"))).toEqual([
      "2026-10-18T22:00Z",
      "2026-10-25T23:00Z",
      "2026-11-01T23:00Z",
    ]);
  });

  test("months begin on their first day, whatever their length", () => {
    expect(isoOf(found("2026-01-31T12:00:00Z", "2026-04-15T12:00:00Z", "month"))).toEqual([
      "2025-12-31T23:00Z",
      "2026-01-31T23:00Z",
      "2026-02-28T23:00Z",
      "2026-03-31T22:00Z",
    ]);
  });

  test("a day that has no midnight begins at its first hour", () => {
    vi.stubEnv("TZ", "Africa/Cairo");
    // On 24 April 2026 the clocks go from 0:00 to 1:00.
    expect(isoOf(found("2026-04-22T22:00:00Z", "2026-04-25T21:00:00Z", "day"))).toEqual([
      "2026-04-22T22:00Z",
      "2026-04-23T22:00Z",
      "2026-04-24T21:00Z",
    ]);
  });

  test("the end is not included, and an empty range has no bucket", () => {
    expect(isoOf(found("2026-03-05T12:00:00Z", "2026-03-05T13:00:00Z", "hour"))).toEqual(["2026-03-05T12:00Z"]);
    expect(found("2026-03-05T12:00:00Z", "2026-03-05T12:00:00Z", "hour")).toEqual([]);
  });

  test("the hour that has just begun has a bucket, in the second of two equal hours as well", () => {
    const now = new Date("2026-10-25T01:30:00Z");
    const hours = buckets(findRange("24h").start(now), now, "hour");
    expect(hours).toHaveLength(24);
    expect(iso(hours.at(-1) as Date)).toBe("2026-10-25T01:00Z");
  });
});

describe("ranges", () => {
  test("start at the beginning of a bucket", () => {
    expect(starting("1h", "2026-03-05T12:34:56Z")).toBe("2026-03-05T11:35Z");
    expect(starting("24h", "2026-03-05T12:34:56Z")).toBe("2026-03-04T13:00Z");
    expect(starting("7d", "2026-03-05T12:34:56Z")).toBe("2026-02-26T23:00Z");
    expect(starting("30d", "2026-03-05T12:34:56Z")).toBe("2026-02-03T23:00Z");
    expect(starting("90d", "2026-03-05T12:34:56Z")).toBe("2025-12-05T23:00Z");
    expect(starting("1y", "2026-03-05T12:34:56Z")).toBe("2025-02-28T23:00Z");
  });

  test("count days of the calendar, not of 24 hours, across a change of the clocks", () => {
    expect(starting("7d", "2026-04-01T12:00:00Z")).toBe("2026-03-25T23:00Z");
    expect(starting("7d", "2026-10-28T12:00:00Z")).toBe("2026-10-21T22:00Z");
  });

  test("start on a day that exists, from the end of a month", () => {
    expect(starting("30d", "2026-03-31T12:00:00Z")).toBe("2026-03-01T23:00Z");
    expect(starting("1y", "2028-02-29T12:00:00Z")).toBe("2027-02-28T23:00Z");
  });

  test.each(RANGES)("$id has as many buckets as it says, at any time of two years", ({ id, granularities, start }) => {
    const sizes: Record<string, number[]> = { "1h": [60], "24h": [24], "7d": [7], "30d": [30] };
    for (let at = Date.UTC(2026, 0, 1, 0, 0, 1); at < Date.UTC(2028, 0, 1); at += 6.3 * 3_600_000) {
      const now = new Date(at);
      const found = buckets(start(now), now, granularities[0]);
      expect(found[0]?.getTime()).toBeLessThanOrEqual(start(now).getTime());
      if (sizes[id]) expect(sizes[id], now.toISOString()).toContain(found.length);
      expect(found).toEqual([...found].sort((one, other) => one.getTime() - other.getTime()));
    }
  });

  test("an unknown or missing name is the first one", () => {
    expect(findRange("10y")).toBe(RANGES[0]);
    expect(findRange(null)).toBe(RANGES[0]);
    expect(findGranularity(findRange("30d"), "minute")).toBe("day");
    expect(findGranularity(findRange("30d"), "week")).toBe("week");
  });
});

test("today begins at the browser's midnight", () => {
  expect(iso(startOfDay(new Date("2026-03-29T12:00:00Z")))).toBe("2026-03-28T23:00Z");
  expect(iso(startOfDay(new Date("2026-12-31T23:30:00Z")))).toBe("2026-12-31T23:00Z");
});

test("labels are short on an axis and whole beside a bar", () => {
  const at = new Date("2026-03-02T13:00:00Z");
  expect(bucketLabel(at, "week")).toBe("week of Mar 2");
  expect(bucketLabel(at, "month")).toBe("Mar 2026");
  expect(bucketLabel(at, "hour").replaceAll("\u202f", " ")).toBe("Mar 2, 02:00 PM");
  expect(axisLabel(at, "hour", false).replaceAll("\u202f", " ")).toBe("02:00 PM");
  expect(axisLabel(at, "hour", true)).toBe("Mar 2");
  expect(axisLabel(at, "day", true)).toBe("Mar 2");
});
