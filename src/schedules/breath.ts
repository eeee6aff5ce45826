/**
 * Long computations in between which the rest of the process gets its turn: a fire that is due while somebody asks for a
 * thousand times must not wait for them.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../clock.ts';

export type Breath = {
  /** Lets others have their turn when this has computed for long enough. */
  take(): Promise<void>;
  /** How long it has computed, turns of others included, milliseconds. */
  readonly elapsedMs: number;
};

const betweenMs = 10;

export function createBreath(clock: Pick<Clock, 'monotonic'>): Breath {
  const startedAt = clock.monotonic();
  let lastAt = startedAt;
  return {
    async take() {
      if (clock.monotonic() - lastAt < betweenMs) return;
      await turn();
      lastAt = clock.monotonic();
    },
    get elapsedMs() {
      return clock.monotonic() - startedAt;
    },
  };
}

/** At most so long for one answer, milliseconds. */
const listingMsMax = 2_000;

export type Listing = {
  timesMs: number[];
  /** Why there are fewer than were asked for, though there are more: a fault, or it took too long. */
  cut: Error | null;
};

/** Up to `count` times, each the first after the one before it. */
export async function listTimes(
  next: (afterMs: number) => number | null,
  afterMs: number,
  count: number,
  breath: Breath,
): Promise<Listing> {
  const timesMs: number[] = [];
  let at: number | null = afterMs;
  while (timesMs.length < count) {
    await breath.take();
    try {
      at = next(at);
    } catch (error) {
      return { timesMs, cut: error as Error };
    }
    if (at === null) break;
    timesMs.push(at);
    if (breath.elapsedMs > listingMsMax && timesMs.length < count) {
      return { timesMs, cut: new RangeError('it took too long to compute them') };
    }
  }
  return { timesMs, cut: null };
}
