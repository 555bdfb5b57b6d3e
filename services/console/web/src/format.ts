// Formats amounts, counts and times, and parses amounts. Money is in nano-dollars: $1 is 1,000,000,000.

export const NANO = 1_000_000_000;

const counts = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** A dollar or more with two decimals, rounded; less than a dollar exactly. */
export function money(nano: number): string {
  const sign = nano < 0 ? "−" : "";
  const amount = Math.abs(nano);
  if (amount >= NANO || amount === 0) {
    const [units = "0", places = "00"] = (amount / NANO).toFixed(2).split(".");
    return `${sign}$${counts.format(Number(units))}.${places}`;
  }
  return `${sign}$${trimmed((amount / NANO).toFixed(9))}`;
}

/** An amount for large figures, with at most four decimals. */
export function roundMoney(nano: number): string {
  if (nano <= 0 || nano >= NANO) return money(nano);
  return nano < NANO / 10_000 ? "<$0.0001" : `$${trimmed((nano / NANO).toFixed(4))}`;
}

/** Remaining credit, rounded down to a hundredth of a cent: it never shows more than there is. */
export function credit(nano: number): string {
  const hundredths = Math.floor(nano / (NANO / 10_000));
  const [units = "0", places = ""] = (Math.abs(hundredths) / 10_000).toFixed(4).split(".");
  return `${hundredths < 0 ? "−" : ""}$${counts.format(Number(units))}.${places.replace(/00$/, "")}`;
}

/** An amount for the axis of a chart: three significant digits. */
export function shortMoney(nano: number): string {
  if (nano === 0) return "$0";
  const amount = nano / NANO;
  if (amount >= 1000) return `$${compact.format(amount)}`;
  return `$${Number(amount.toPrecision(3))
    .toFixed(9)
    .replace(/\.?0+$/, "")}`;
}

function trimmed(decimal: string): string {
  return decimal.replace(/0+$/, "").replace(/\.(\d?)$/, (_, digit: string) => `.${digit.padEnd(2, "0")}`);
}

export function count(value: number): string {
  return counts.format(value);
}

export function shortCount(value: number): string {
  return value < 100_000 ? counts.format(value) : compact.format(value);
}

export function percent(part: number, whole: number): string {
  if (whole === 0) return "0%";
  const share = (100 * part) / whole;
  return share > 0 && share < 0.1 ? "<0.1%" : `${share.toFixed(share < 10 ? 1 : 0)}%`;
}

export function duration(ms: number | null): string {
  if (ms === null) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export function formatDateTime(text: string | null): string {
  return text === null ? "–" : dateTime.format(new Date(text));
}

export function formatMinute(text: string | null): string {
  return text === null ? "–" : minute.format(new Date(text));
}

export function formatDate(text: string | null): string {
  return text === null ? "–" : date.format(new Date(text));
}

export function formatClock(text: string): string {
  return clock.format(new Date(text));
}

/** The exact nano-dollars of a typed amount, or null if the text is not an amount. */
export function parseMoney(text: string): number | null {
  const found = /^\$?\s*(\d{1,7})(?:\.(\d{1,9}))?$/.exec(text.trim());
  if (found === null) return null;
  const nano = Number(found[1]) * NANO + Number((found[2] ?? "").padEnd(9, "0"));
  return Number.isSafeInteger(nano) ? nano : null;
}

/** The text that `parseMoney` parses back into the same amount. */
export function typedMoney(nano: number): string {
  const units = Math.floor(nano / NANO);
  const places = String(nano % NANO).padStart(9, "0");
  return trimmed(`${units}.${places}`).replace(/\.00$/, "");
}

/** A positive integer, or null if the text is not one. */
export function parseCount(text: string): number | null {
  return /^[1-9]\d{0,11}$/.test(text.trim()) ? Number(text.trim()) : null;
}
