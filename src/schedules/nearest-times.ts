/**
 * The time before an instant. Triggers only know what comes next, so it is searched for: steps back that double until one
 * leads to a time before the instant, then halving between the two.
 */
import type { Breath } from './breath.ts';

/** The search ends after this long, milliseconds. */
const searchMsMax = 2_000;
const firstStepMs = 1_000;

/** The last time t with after < t < before; null when there is none, or when it took too long to find. */
export async function lastBefore(
  next: (afterMs: number) => number | null,
  beforeMs: number,
  afterMs: number,
  breath: Breath,
): Promise<number | null> {
  let low: number | null = null;
  let high = beforeMs - 1;
  for (let stepMs = firstStepMs; low === null && high > afterMs; stepMs *= 2) {
    await breath.take();
    if (breath.elapsedMs > searchMsMax) return null;
    const from = Math.max(afterMs, beforeMs - 1 - stepMs);
    const found = next(from);
    if (found !== null && found < beforeMs) low = found;
    else high = from;
  }
  if (low === null) return null;
  // `low` is such a time, and behind `high` there is none.
  while (low < high) {
    await breath.take();
    if (breath.elapsedMs > searchMsMax) return null;
    const middle: number = Math.floor((low + high) / 2);
    const found = next(middle);
    if (found !== null && found < beforeMs) low = found;
    else high = middle;
  }
  return low;
}
