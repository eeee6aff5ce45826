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
   * Asks `readRemoteMs` (the database's clock, epoch milliseconds) a few times and corrects this clock by the middle of
   * the shortest round trip. One that took long says little, as nobody knows where the time went: then the clock stays
   * as it is, unless it has never been corrected. Returns the step in milliseconds that the clock made.
   */
  sync(readRemoteMs: () => Promise<number>): Promise<number>;
}

const samples = 3;
/** A round trip on the same continent; more is waiting, for a connection or a turn. */
const roundTripMsMax = 100;

/** `monotonic` is for tests. */
export function createClock(monotonic: () => number = () => performance.now()): CorrectedClock {
  let offsetMs = performance.timeOrigin;
  let isCorrected = false;
  return {
    now: () => monotonic() + offsetMs,
    monotonic,
    async sync(readRemoteMs) {
      let best = { tripMs: Number.POSITIVE_INFINITY, stepMs: 0 };
      for (let sample = 0; sample < samples; sample += 1) {
        const sentAt = monotonic();
        const remoteMs = await readRemoteMs();
        const tripMs = monotonic() - sentAt;
        if (tripMs < best.tripMs) best = { tripMs, stepMs: remoteMs - (sentAt + tripMs / 2) - offsetMs };
      }
      if (isCorrected && best.tripMs > roundTripMsMax) return 0;
      isCorrected = true;
      offsetMs += best.stepMs;
      return best.stepMs;
    },
  };
}

/** Milliseconds since the machine was started, with a fraction: the same in all of its processes. Never goes back. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** RFC 3339 in UTC with milliseconds, the form of every time on the wire. */
export function toIso(ms: number): string {
  return new Date(ms).toISOString();
}

/** A Date for the database driver; whole milliseconds, as they are stored. */
export function toDate(ms: number): Date {
  return new Date(Math.floor(ms));
}
