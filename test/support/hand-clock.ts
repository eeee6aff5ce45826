/** A clock that stands still until a test moves it. */
import type { Clock } from '../../src/clock.ts';

export type HandClock = Clock & {
  /** Time passes; both readings move. */
  advance(ms: number): void;
  /** Time passes until `now()` is `ms`. Set back, only the wall clock moves, as a correction of it would. */
  set(ms: number): void;
};

export function createHandClock(startMs: number): HandClock {
  let nowMs = startMs;
  // An origin of its own: whoever mixes up the two readings notices.
  let monotonicMs = 1_000_000;
  const advance = (ms: number) => {
    nowMs += ms;
    monotonicMs += Math.max(0, ms);
  };
  return {
    now: () => nowMs,
    monotonic: () => monotonicMs,
    advance,
    set: (ms) => advance(ms - nowMs),
  };
}
