/** Sets of instants as sorted stretches that neither overlap nor touch, for binary search. Pure. */

/** Epoch milliseconds; the first is included, the second is not. */
export type Interval = readonly [fromMs: number, untilMs: number];

export type IntervalSet = { readonly starts: Float64Array; readonly ends: Float64Array };

/**
 * A set of instants that can be asked where its stretches end. Calendars and lists of dates are interval
 * sets, cron expressions are computed; whoever filters times needs to know no more than this.
 */
export type Cover = {
  covers(atMs: number): boolean;
  /**
   * The first instant ≥ atMs that is not covered (atMs itself when it is not); Infinity when there is none.
   */
  uncoveredFrom(atMs: number): number;
  /** The first instant ≥ atMs that is covered (atMs itself when it is); Infinity when there is none. */
  coveredFrom(atMs: number): number;
};

/** In any order, with overlaps; empty ones are left out. */
export function toIntervalSet(intervals: readonly Interval[]): IntervalSet {
  const sorted = intervals.filter(([from, until]) => from < until).sort((a, b) => a[0] - b[0]);
  const starts = new Float64Array(sorted.length);
  const ends = new Float64Array(sorted.length);
  let count = 0;
  for (const [from, until] of sorted) {
    if (count > 0 && from <= ends[count - 1]!) {
      ends[count - 1] = Math.max(ends[count - 1]!, until);
    } else {
      starts[count] = from;
      ends[count] = until;
      count += 1;
    }
  }
  return { starts: starts.slice(0, count), ends: ends.slice(0, count) };
}

/** The set as a cover. A question costs one binary search. */
export function intervalCover(set: IntervalSet): Cover {
  return {
    covers: (atMs) => isIn(set, lastStartedBy(set, atMs), atMs),
    uncoveredFrom(atMs) {
      const index = lastStartedBy(set, atMs);
      return isIn(set, index, atMs) ? set.ends[index]! : atMs;
    },
    coveredFrom(atMs) {
      const index = lastStartedBy(set, atMs);
      return isIn(set, index, atMs) ? atMs : (set.starts[index + 1] ?? Infinity);
    },
  };
}

function isIn(set: IntervalSet, index: number, atMs: number): boolean {
  return index >= 0 && atMs < set.ends[index]!;
}

/** The index of the last stretch that begins at or before an instant; -1 when none does. */
function lastStartedBy({ starts }: IntervalSet, atMs: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= atMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
