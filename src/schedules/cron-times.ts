/**
 * When a cron expression fires: the next and the previous instant, as a pure function over its sets of days,
 * hours, minutes and seconds and a zone's spans of constant offset.
 *
 * Within a span the wall clock runs like UTC, so the next match is a jump to the next matching day, hour,
 * minute and second. What is left is the edge of two spans, a transition at instant T:
 *
 * Gap (clock set forward; the times from `T + offset before` up to `T + offset after` do not exist)
 * - gap "run", fixed: if any of the times that do not exist would have matched, the expression fires at T, the gap's
 *   end, once: however many of them matched, and also when T's own wall-clock time matches as well. The
 *   length of the gap does not matter: the day that Apia skipped is a gap of 24 hours, and a daily
 *   job of that day runs once, at the midnight after it.
 * - gap "skip", or wildcard: what does not exist does not match.
 *
 * Repeat (clock set back by d; the times of the d before T come again in the d after T)
 * - "first" fires before T only, "last" after T only, "both" at both; "auto" is "first" for a fixed
 *   expression and "both" for a wildcard one. Times outside the repeated stretch are not concerned.
 *
 * Sources: crontab(5), cron(8) of Debian. Debian's rules hold for shifts of less than three hours; here for all.
 */
import type { CronExpression } from './cron-expression.ts';
import { localAtOrAfter, localAtOrBefore, yearOf } from './cron-wall-clock.ts';
import { INSTANT_MAX_MS, offsetSpanAt } from './zone.ts';

export type DstPolicy = {
  readonly gap: 'run' | 'skip';
  readonly repeat: 'auto' | 'first' | 'both' | 'last';
};

/** DESIGN §5: what a schedule gets that does not say. */
export const DST_DEFAULT: DstPolicy = { gap: 'run', repeat: 'auto' };

const SECOND_MS = 1_000;
/** Two days: more than any offset and any shift, less than the distance of two transitions (see zone.ts). */
const EDGE_MS = 2 * 86_400_000;
/** 29 February falls on a given weekday every 28 years, and every 40 around a year such as 2100. */
const HORIZON_YEARS = 40;

/**
 * The first fire strictly after an instant; both in epoch ms, the result on a whole second. Null when there
 * is none up to the end of the 40th calendar year after it, or before the last instant that a Date can hold.
 * @throws RangeError for an unknown zone, or an instant that a Date cannot hold.
 */
export function nextCron(
  expression: CronExpression,
  zone: string,
  dst: DstPolicy,
  afterMs: number,
): number | null {
  if (!(Math.abs(afterMs) <= INSTANT_MAX_MS)) throw new RangeError(`no such instant: ${afterMs}`);
  const after = Math.floor(afterMs / SECOND_MS) * SECOND_MS;
  const { firesAtGapEnd, repeat } = rulesFor(expression, dst);
  let span = offsetSpanAt(zone, after);
  // Local times, as ms of a clock set to UTC. None in searchedFrom ≤ t < match matches.
  let from = after + SECOND_MS + span.offset;
  let searchedFrom = Infinity;
  let match = -Infinity;
  const lastYear = yearOf(from) + HORIZON_YEARS;
  for (;;) {
    if (repeat === 'first') from = Math.max(from, span.start + span.offsetBefore);
    if (from < searchedFrom || from > match) {
      match = localAtOrAfter(expression.sets, from, lastYear);
      searchedFrom = from;
    }
    const lastOffset = repeat === 'last' ? Math.min(span.offset, span.offsetAfter) : span.offset;
    if (match < span.end + lastOffset) return withinDates(match - span.offset);

    const resumeAt = span.end + span.offsetAfter;
    if (firesAtGapEnd && match < resumeAt) return withinDates(span.end);
    if (match === Infinity) return null;
    const comesAgain = resumeAt < from;
    if (match - EDGE_MS > span.end && !comesAgain) {
      // No need to look at the transitions before it: nothing matches around them.
      span = offsetSpanAt(zone, Math.min(match - EDGE_MS, INSTANT_MAX_MS));
      if (span.end <= match - EDGE_MS) return null; // beyond the last instant
      from = match;
    } else {
      if (span.end > INSTANT_MAX_MS) return null;
      span = offsetSpanAt(zone, span.end);
      from = resumeAt;
    }
  }
}

/**
 * The last fire strictly before an instant: the mirror image of nextCron, which names the units and errors.
 */
export function previousCron(
  expression: CronExpression,
  zone: string,
  dst: DstPolicy,
  beforeMs: number,
): number | null {
  if (!(Math.abs(beforeMs) <= INSTANT_MAX_MS)) throw new RangeError(`no such instant: ${beforeMs}`);
  const before = (Math.ceil(beforeMs / SECOND_MS) - 1) * SECOND_MS;
  const { firesAtGapEnd, repeat } = rulesFor(expression, dst);
  let span = offsetSpanAt(zone, Math.max(before, -INSTANT_MAX_MS));
  // None in match < t ≤ searchedTo matches.
  let to = before + span.offset;
  let searchedTo = -Infinity;
  let match = Infinity;
  const firstYear = yearOf(to) - HORIZON_YEARS;
  for (;;) {
    if (repeat === 'last') to = Math.min(to, span.end + span.offsetAfter - SECOND_MS);
    if (to > searchedTo || to < match) {
      match = localAtOrBefore(expression.sets, to, firstYear);
      searchedTo = to;
    }
    const firstOffset = repeat === 'first' ? Math.max(span.offset, span.offsetBefore) : span.offset;
    if (match >= span.start + firstOffset) return withinDates(match - span.offset);

    const stoppedAt = span.start + span.offsetBefore;
    if (firesAtGapEnd && match >= stoppedAt) return withinDates(span.start);
    if (match === -Infinity) return null;
    const comesAgain = stoppedAt - SECOND_MS > to;
    if (match + EDGE_MS < span.start && !comesAgain) {
      span = offsetSpanAt(zone, Math.max(match + EDGE_MS, -INSTANT_MAX_MS));
      to = match;
    } else {
      if (span.start <= -INSTANT_MAX_MS) return null;
      span = offsetSpanAt(zone, span.start - SECOND_MS);
      to = stoppedAt - SECOND_MS;
    }
  }
}

function rulesFor(expression: CronExpression, dst: DstPolicy) {
  return {
    firesAtGapEnd: dst.gap === 'run' && !expression.wildcard,
    repeat: dst.repeat !== 'auto' ? dst.repeat : expression.wildcard ? 'both' : 'first',
  } as const;
}

function withinDates(instant: number): number | null {
  return Math.abs(instant) <= INSTANT_MAX_MS ? instant : null;
}
