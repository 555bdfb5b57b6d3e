// The time ranges of the pages and their buckets, in the browser's time zone.

export type Granularity = "minute" | "hour" | "day" | "week" | "month";

export interface Range {
  id: string;
  label: string;
  granularities: readonly [Granularity, ...Granularity[]];
  /** The start, which is the start of a bucket of the smallest granularity. */
  start: (now: Date) => Date;
}

export const TIME_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

export const RANGES: readonly [Range, ...Range[]] = [
  { id: "7d", label: "7 days", granularities: ["day", "hour"], start: (now) => daysBefore(now, 6) },
  {
    id: "1h",
    label: "1 hour",
    granularities: ["minute"],
    start: (now) => new Date(floor(now, "minute").getTime() - 59 * 60_000),
  },
  {
    id: "24h",
    label: "24 hours",
    granularities: ["hour"],
    start: (now) => new Date(floor(now, "hour").getTime() - 23 * 3_600_000),
  },
  { id: "30d", label: "30 days", granularities: ["day", "week"], start: (now) => daysBefore(now, 29) },
  { id: "90d", label: "90 days", granularities: ["week", "day", "month"], start: (now) => daysBefore(now, 89) },
  { id: "1y", label: "1 year", granularities: ["month", "week"], start: (now) => floor(daysBefore(now, 364), "month") },
];

export function findRange(id: string | null): Range {
  return RANGES.find((range) => range.id === id) ?? RANGES[0];
}

export function findGranularity(range: Range, name: string | null): Granularity {
  return range.granularities.find((one) => one === name) ?? range.granularities[0];
}

export function startOfDay(now: Date): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate());
}

function daysBefore(now: Date, days: number): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() - days);
}

/** The start of the bucket that contains `at`. Weeks start on Monday. */
export function floor(at: Date, granularity: Granularity): Date {
  const [year, month, day] = [at.getFullYear(), at.getMonth(), at.getDate()];
  switch (granularity) {
    case "minute":
      return new Date(Math.floor(at.getTime() / 60_000) * 60_000);
    case "hour":
      // Not `setMinutes(0)`: when clocks are set back, that would change the second of two equal hours into the first.
      return new Date(at.getTime() - at.getMinutes() * 60_000 - (at.getTime() % 60_000));
    case "day":
      return new Date(year, month, day);
    case "week":
      return new Date(year, month, day - ((at.getDay() + 6) % 7));
    case "month":
      return new Date(year, month, 1);
  }
}

function next(at: Date, granularity: Granularity): Date {
  switch (granularity) {
    case "minute":
      return new Date(at.getTime() + 60_000);
    case "hour":
      return new Date(at.getTime() + 3_600_000);
    case "day":
      return new Date(at.getFullYear(), at.getMonth(), at.getDate() + 1);
    case "week":
      return new Date(at.getFullYear(), at.getMonth(), at.getDate() + 7);
    case "month":
      return new Date(at.getFullYear(), at.getMonth() + 1, 1);
  }
}

/** The start of every bucket of a range. The usage API leaves out buckets without usage. */
export function buckets(start: Date, end: Date, granularity: Granularity): Date[] {
  const found: Date[] = [];
  for (let at = floor(start, granularity); at < end; at = next(at, granularity)) found.push(at);
  return found;
}

const FORMATS: Record<Granularity, Intl.DateTimeFormatOptions> = {
  minute: { hour: "2-digit", minute: "2-digit" },
  hour: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" },
  day: { month: "short", day: "numeric" },
  week: { month: "short", day: "numeric" },
  month: { year: "numeric", month: "short" },
};

export function bucketLabel(at: Date, granularity: Granularity): string {
  const text = new Intl.DateTimeFormat(undefined, FORMATS[granularity]).format(at);
  return granularity === "week" ? `week of ${text}` : text;
}

export function axisLabel(at: Date, granularity: Granularity, isLong: boolean): string {
  if (granularity === "hour" && !isLong) return new Intl.DateTimeFormat(undefined, FORMATS.minute).format(at);
  const shown = granularity === "hour" ? FORMATS.day : FORMATS[granularity];
  return new Intl.DateTimeFormat(undefined, shown).format(at);
}
