import { describe, expect, test, vi } from "vitest";
import {
  count,
  credit,
  duration,
  formatClock,
  formatDate,
  formatDateTime,
  formatMinute,
  money,
  NANO,
  parseCount,
  parseMoney,
  percent,
  roundMoney,
  shortCount,
  shortMoney,
  typedMoney,
} from "../src/format";

describe("money", () => {
  test.each([
    [0, "$0.00"],
    [1, "$0.000000001"],
    [150, "$0.00000015"],
    [9_999_999, "$0.009999999"],
    [10_000_000, "$0.01"],
    [100_000_000, "$0.10"],
    [123_456_789, "$0.123456789"],
    [999_999_999, "$0.999999999"],
    [NANO, "$1.00"],
    [1_999_999_999, "$2.00"],
    [1_234_567.891 * NANO, "$1,234,567.89"],
    // The largest amount that JSON carries exactly.
    [Number.MAX_SAFE_INTEGER, "$9,007,199.25"],
    [1e21, "$1,000,000,000,000.00"],
  ])("of %d nano-dollars is %s", (nano, text) => {
    expect(money(nano)).toBe(text);
  });

  test("has its sign before the currency", () => {
    expect(money(-2_500 * NANO)).toBe("−$2,500.00");
    expect(money(-1)).toBe("−$0.000000001");
  });
});

describe("roundMoney", () => {
  test.each([
    [0, "$0.00"],
    [1, "<$0.0001"],
    [99_999, "<$0.0001"],
    [100_000, "$0.0001"],
    [5_000_000, "$0.005"],
    [120_000_000, "$0.12"],
    [999_960_000, "$1.00"],
    [12_345_678_901, "$12.35"],
    [-5 * NANO, "−$5.00"],
    [-1_000, "−$0.000001"],
  ])("of %d nano-dollars is %s", (nano, text) => {
    expect(roundMoney(nano)).toBe(text);
  });
});

describe("credit", () => {
  test.each([
    [0, "$0.00"],
    [99_999, "$0.00"],
    [100_000, "$0.0001"],
    [9_999_999_999, "$9.9999"],
    [10 * NANO, "$10.00"],
    [9_007_199.25 * NANO, "$9,007,199.25"],
  ])("of %d nano-dollars is %s: never more than there is", (nano, text) => {
    expect(credit(nano)).toBe(text);
  });

  test("below zero is a debt, never shown smaller than it is", () => {
    expect(credit(-2_500_000_000)).toBe("−$2.50");
    expect(credit(-500_000_000)).toBe("−$0.50");
    expect(credit(-1)).toBe("−$0.0001");
  });
});

test.each([
  [0, "$0"],
  [1, "$0.000000001"],
  [2_500_000, "$0.0025"],
  [NANO, "$1"],
  [100 * NANO, "$100"],
  [999.9 * NANO, "$1000"],
  [1_000 * NANO, "$1K"],
  [2_500_000 * NANO, "$2.5M"],
])("shortMoney of %d nano-dollars is %s", (nano, text) => {
  expect(shortMoney(nano)).toBe(text);
});

describe("parseMoney", () => {
  test.each([
    ["5", 5 * NANO],
    [" $ 2.50 ", 2.5 * NANO],
    ["0.000000001", 1],
    ["0", 0],
    // 0.1 + 0.2 as floats would be off by one.
    ["0.3", 300_000_000],
    ["1.005", 1_005_000_000],
    ["9007199.254740991", Number.MAX_SAFE_INTEGER],
  ])("reads %j exactly", (text, nano) => {
    expect(parseMoney(text)).toBe(nano);
  });

  test.each(["", " ", "-5", "5.", ".5", "1e3", "1,000", "0.0000000001", "5 USD", "NaN", "Infinity", "٥", "12345678"])(
    "rejects %j",
    (text) => {
      expect(parseMoney(text)).toBeNull();
    },
  );

  test("rejects an amount that a number cannot hold exactly", () => {
    expect(parseMoney("9007199.254740992")).toBeNull();
    expect(parseMoney("9999999")).toBeNull();
  });

  test.each([0, 1, 10, 999_999_999, NANO, 2.5 * NANO, 20 * NANO, 1_234_567_891, Number.MAX_SAFE_INTEGER])(
    "reads back what typedMoney writes for %d",
    (nano) => {
      expect(parseMoney(typedMoney(nano))).toBe(nano);
    },
  );
});

test.each([
  [0, "0"],
  [5 * NANO, "5"],
  [2.5 * NANO, "2.50"],
  [1, "0.000000001"],
])("typedMoney of %d is %s", (nano, text) => {
  expect(typedMoney(nano)).toBe(text);
});

test.each([
  ["1", 1],
  [" 500 ", 500],
  ["999999999999", 999_999_999_999],
  ["0", null],
  ["-1", null],
  ["1.5", null],
  ["1e3", null],
  ["1000000000000", null],
  ["", null],
])("parseCount of %j is %j", (text, number) => {
  expect(parseCount(text)).toBe(number);
});

test("counts are exact, and short only when they are long", () => {
  expect(count(1_234_567)).toBe("1,234,567");
  expect(shortCount(99_999)).toBe("99,999");
  expect(shortCount(100_000)).toBe("100K");
  expect(shortCount(2_345_678_901)).toBe("2.3B");
});

test.each([
  [0, 0, "0%"],
  [0, 5, "0.0%"],
  [1, 2_000, "<0.1%"],
  [1, 1_000, "0.1%"],
  [1, 3, "33%"],
  [5, 5, "100%"],
])("%d of %d are %s", (part, whole, text) => {
  expect(percent(part, whole)).toBe(text);
});

test.each([
  [null, "–"],
  [0, "0 ms"],
  [999, "999 ms"],
  [1_000, "1.00 s"],
  [9_994, "9.99 s"],
  [61_250, "61.3 s"],
])("a duration of %j ms is %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

describe("times", () => {
  // Newer versions of ICU put a narrow space before AM and PM.
  const plain = (text: string) => text.replaceAll("\u202f", " ");

  test("are in the browser's time zone, on both sides of a change of the clocks", () => {
    expect(plain(formatDateTime("2026-03-29T00:59:59Z"))).toBe("Mar 29, 2026, 1:59:59 AM");
    expect(plain(formatDateTime("2026-03-29T01:00:00Z"))).toBe("Mar 29, 2026, 3:00:00 AM");
    expect(plain(formatMinute("2026-10-25T00:30:00Z"))).toBe("Oct 25, 2026, 2:30 AM");
    expect(plain(formatMinute("2026-10-25T01:30:00Z"))).toBe("Oct 25, 2026, 2:30 AM");
    expect(plain(formatClock("2026-12-31T23:30:05.25Z"))).toBe("12:30:05 AM");
  });

  test("may be on another day than in UTC", () => {
    expect(formatDate("2026-12-31T23:30:00Z")).toBe("Jan 1, 2027");
    expect(formatDate("2028-02-28T23:30:00Z")).toBe("Feb 29, 2028");
  });

  test("may be missing", () => {
    expect(formatDateTime(null)).toBe("–");
    expect(formatMinute(null)).toBe("–");
    expect(formatDate(null)).toBe("–");
  });

  test("follow a browser in a zone with half an hour", async () => {
    vi.stubEnv("TZ", "Asia/Kolkata");
    vi.resetModules();
    const format = await import("../src/format");
    expect(format.formatDate("2026-01-31T18:30:00Z")).toBe("Feb 1, 2026");
    vi.unstubAllEnvs();
  });
});
