/**
 * The clocks that the times of an iCalendar text are told by: UTC, a zone of the IANA list, or a VTIMEZONE.
 * Pure.
 */
import { toLocal as localIn, OFFSET_MAX_MS, offsetSpanAt, toInstants } from './zone.ts';

export type EventClock = {
  /**
   * RFC 5545, 3.3.5: a time that comes twice is its first, one that was skipped is told by the offset before.
   */
  toInstant(local: number): number;
  toLocal(instantMs: number): number;
};

export const utcClock: EventClock = { toInstant: (local) => local, toLocal: (instantMs) => instantMs };

export function zoneClock(zone: string): EventClock {
  return {
    toInstant(local) {
      const [first] = toInstants(zone, local);
      return first ?? local - offsetSpanAt(zone, local - OFFSET_MAX_MS).offset;
    },
    toLocal: (instantMs) => localIn(zone, instantMs),
  };
}

/** From an instant on an offset (ms ahead of UTC) holds; before the first one `offsetBefore` does. */
export type Onset = { atMs: number; offsetBefore: number; offset: number };

/** A clock by the onsets of a VTIMEZONE; there is at least one. */
export function onsetClock(onsets: readonly Onset[]): EventClock {
  const sorted = [...onsets].sort((a, b) => a.atMs - b.atMs);
  const offsets = [...new Set(sorted.flatMap((onset) => [onset.offset, onset.offsetBefore]))];
  const offsetAt = (instantMs: number): number => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]!.atMs <= instantMs) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? sorted[0]!.offsetBefore : sorted[low - 1]!.offset;
  };
  return {
    toInstant(local) {
      let first = Infinity;
      for (const offset of offsets) {
        if (offsetAt(local - offset) === offset) first = Math.min(first, local - offset);
      }
      return first < Infinity ? first : local - offsetAt(local - OFFSET_MAX_MS);
    },
    toLocal: (instantMs) => instantMs + offsetAt(instantMs),
  };
}
