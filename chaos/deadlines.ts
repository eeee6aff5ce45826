/** By when something must have happened, with all that was done to the service. Pure. */
import type { FaultWindow } from './evidence.ts';

export type Deadlines = {
  /** The latest instant for what has `withinMs` from `fromMs` on while all is well: faults on the way move it. */
  of(fromMs: number, withinMs: number): number;
  /** Whether no fault, and no recovery from one, touches the stretch. */
  isHealthy(fromMs: number, untilMs: number): boolean;
};

export function createDeadlines(faults: readonly FaultWindow[]): Deadlines {
  const windows = faults
    .map(({ fromMs, healedMs, recoveryMs }) => ({ fromMs, untilMs: healedMs + recoveryMs }))
    .toSorted((a, b) => a.fromMs - b.fromMs);
  return {
    of(fromMs, withinMs) {
      let untilMs = fromMs + withinMs;
      // Sorted by their beginnings: one pass reaches all that hang together.
      for (const window of windows) {
        if (window.fromMs <= untilMs && window.untilMs >= fromMs) untilMs = Math.max(untilMs, window.untilMs);
      }
      return untilMs;
    },
    isHealthy: (fromMs, untilMs) =>
      !windows.some((window) => window.fromMs <= untilMs && window.untilMs >= fromMs),
  };
}
