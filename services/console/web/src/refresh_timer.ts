// When to load sums again after an event of the live stream.

// The stream reports a request as soon as it is in the log; the sums include it within a second or so.
export const REFRESH_DELAYS_MS = [250, 700, 1500, 3000] as const;
export const MIN_INTERVAL_MS = 2000;

/** Calls `refresh` a few times after each event, and under steady traffic once per `MIN_INTERVAL_MS`. */
export class RefreshTimer {
  private first: number | null = null;
  private later: number[] = [];
  private refreshedAt = 0;

  constructor(private readonly refresh: () => void) {}

  schedule = (): void => {
    const wait = Math.max(0, this.refreshedAt + MIN_INTERVAL_MS - Date.now());
    const [first, ...later] = REFRESH_DELAYS_MS.map((ms) => ms + wait);
    // Later events do not postpone the first refresh. Otherwise a busy account would never see one.
    this.first ??= setTimeout(() => {
      this.first = null;
      this.refreshedAt = Date.now();
      this.refresh();
    }, first);
    this.later.forEach(clearTimeout);
    this.later = later.map((ms) => setTimeout(this.refresh, ms));
  };

  stop(): void {
    if (this.first !== null) clearTimeout(this.first);
    this.later.forEach(clearTimeout);
  }
}
