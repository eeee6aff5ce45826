/**
 * The only source of time. `now()` is the database's wall clock as this process reckons it (so that nodes agree
 * whatever their own clocks say); `monotonic()` never jumps and is for durations and timeouts.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, with a fraction. */
  now(): number;
  /** Milliseconds from an arbitrary origin; never goes back, goes on while the process is stopped. */
  monotonic(): number;
}

/** A clock that is corrected by `sync`; before the first sync it is the machine's. */
export interface CorrectedClock extends Clock {
  /**
   * Asks `readRemoteMs` (the database's clock, epoch milliseconds) and corrects this clock by the middle of the round
   * trip. Returns the step in milliseconds that the clock made.
   */
  sync(readRemoteMs: () => Promise<number>): Promise<number>;
}

export function createClock(): CorrectedClock {
  let offsetMs = performance.timeOrigin;
  const monotonic = (): number => performance.now();
  return {
    now: () => monotonic() + offsetMs,
    monotonic,
    async sync(readRemoteMs) {
      const sentAt = monotonic();
      const remoteMs = await readRemoteMs();
      const middle = (sentAt + monotonic()) / 2;
      const stepMs = remoteMs - middle - offsetMs;
      offsetMs += stepMs;
      return stepMs;
    },
  };
}

/** RFC 3339 in UTC with milliseconds, the form of every time on the wire. */
export function toIso(ms: number): string {
  return new Date(ms).toISOString();
}

/** A Date for the database driver; whole milliseconds, as they are stored. */
export function toDate(ms: number): Date {
  return new Date(Math.floor(ms));
}
