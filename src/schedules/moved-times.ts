/**
 * Where excluded times move to (`next_allowed`, `previous_allowed`), found from where they land.
 *
 * The next landing may stem from a time of the trigger long before it (moved on) or after it (moved back),
 * and walking the trigger finds neither: a job of every second under a month's holiday has millions of
 * excluded times. Instead:
 *
 * 1. `nextLanding`: where a moved time can land at all: an instant that is allowed while the same time of day
 *    is excluded on the day that it would come from. Between holidays there is none, and the search ends.
 * 2. `earliestMovedInto`: that landing stretch, at most a day of it, is shifted back by one day, two days, …
 *    as long as some of it is excluded there; a time of the trigger in what remains has its landing here.
 *
 * Local times are placed by the rules for fixed times: in a gap at the gap's end, of two at the first. Pure.
 */
import type { Filter } from './exclusion.ts';
import type { Interval } from './intervals.ts';
import { DAY_MS, instantsWithin, placeLocal } from './local-time.ts';
import { OFFSET_MAX_MS, offsetSpanAt, toInstants, toLocal } from './zone.ts';

/**
 * The trigger without its filter: the first time strictly after an instant, null when there is none. Epoch
 * ms.
 */
export type BaseTimes = { next(afterMs: number): number | null };

export type AllowedTime = {
  atMs: number;
  /** The excluded time that stands behind it; null when it is a time of the trigger itself. */
  movedFromMs: number | null;
};

/**
 * Questions that may still be asked of trigger and filter. After an answer of null, 0 or less says that it
 * gave up.
 */
export type LookBudget = {
  looksLeft: number;
  /** How far the trigger's own times were looked at. */
  reachedMs?: number;
};

/** What a question to the filter alone costs of a look. */
const filterLook = 1 / 2;

/** An excluded time moves over at most so many days. */
export const moveDaysMax = 366;

/** A day more on both sides, for clocks that were changed on the way. */
const reachMs = (moveDaysMax + 2) * DAY_MS;

/**
 * A landing stretch is kept in at most so many pieces; beyond, the rest is kept whole. Each find is checked
 * anyway.
 */
const piecesMax = 16;

/** `sign`: 1 moves to later days, -1 to earlier ones. */
export type Search = { base: BaseTimes; filter: Filter; zone: string; sign: 1 | -1; budget: LookBudget };

/** There is nothing before the limit; there may be something from it on, or there is nothing ever. */
export type Nothing = 'not_yet' | 'never';

/** The first landing of a moved time with afterMs < landing < beforeMs. */
export function nextMoved(search: Search, afterMs: number, beforeMs: number): AllowedTime | Nothing {
  const { base, sign, budget } = search;
  let from = Math.floor(afterMs) + 1;
  while (budget.looksLeft > 0 && from < beforeMs) {
    // Only times within reach can land at `from` or soon after; when there are none, go on where the next one
    // may land.
    const origin = base.next(sign === 1 ? from - reachMs : from - 1);
    if (origin === null) return 'never';
    from = Math.max(from, sign === 1 ? origin : origin - reachMs);
    const landing = nextLanding(search, from, beforeMs);
    if (typeof landing === 'string') return landing;
    const until = Math.min(beforeMs, landing + DAY_MS);
    const found = earliestMovedInto(search, landing, until);
    if (found !== null) return found;
    from = until;
  }
  return 'not_yet';
}

/**
 * The first instant from ≤ t < before that is allowed and whose local time is excluded a day before (after).
 */
function nextLanding({ filter, zone, sign, budget }: Search, from: number, before: number): number | Nothing {
  let at = from;
  while (budget.looksLeft > 0 && at < before) {
    budget.looksLeft -= 1;
    const allowed = filter.excludedUntil(at);
    if (allowed === null) return 'never';
    if (allowed > at) {
      at = allowed;
      continue;
    }
    // Whatever was skipped by the clock lands at the end of the gap.
    const span = offsetSpanAt(zone, at);
    if (at === span.start && span.offset > span.offsetBefore) return at;
    const origins = toInstants(zone, at + span.offset - sign * DAY_MS);
    // None: that day's clock skipped it. Two: either may be excluded. Both are looked at closely.
    if (origins.length !== 1 || !filter.allows(origins[0]!)) return at;
    const until = filter.allowedUntil(origins[0]!) ?? Infinity;
    const step = Math.min(until, steadyUntil(zone, origins[0]!)) - origins[0]!;
    at = Math.min(at + step, span.end);
  }
  return 'not_yet';
}

/** From an instant on, local times are told apart by one instant each up to here. */
function steadyUntil(zone: string, atMs: number): number {
  const { start, end, offset, offsetBefore, offsetAfter } = offsetSpanAt(zone, atMs);
  const secondPassEnds = start + offsetBefore - offset;
  if (atMs < secondPassEnds) return secondPassEnds;
  const firstPassBegins = end - Math.max(0, offset - offsetAfter);
  return atMs < firstPassBegins ? firstPassBegins : end;
}

type LocalPiece = readonly [fromLocal: number, untilLocal: number];

/** The moved time that lands first in from ≤ t < until, which is a day at most. */
function earliestMovedInto(search: Search, from: number, until: number): AllowedTime | null {
  const { base, zone, sign, budget } = search;
  let best: AllowedTime | null = null;
  let pieces = narrowed(search, [localRange(zone, from, until)], 0, true);
  for (let days = 1; days <= moveDaysMax && pieces.length > 0 && budget.looksLeft > 0; days++) {
    const shift = sign * days * DAY_MS;
    // What would land after the best one known need not be looked at.
    const [, limit] = localRange(zone, from, best?.atMs ?? until);
    const open = pieces.filter(([fromLocal]) => fromLocal < limit);
    pieces = narrowed(
      search,
      open.map(([fromLocal, untilLocal]) => [fromLocal, Math.min(untilLocal, limit)]),
      shift,
      false,
    );
    for (const [fromLocal, untilLocal] of pieces) {
      for (const [first, end] of ofOneOffset(
        zone,
        instantsWithin(zone, fromLocal - shift, untilLocal - shift),
      )) {
        for (let at = base.next(first - 1); at !== null && at < end; at = base.next(at)) {
          budget.looksLeft -= 1;
          if (budget.looksLeft <= 0) return best;
          const landing = landingOf(search, at);
          if (landing === null || landing.atMs < from || landing.atMs >= until) continue;
          if (best === null || landing.atMs < best.atMs) best = { atMs: landing.atMs, movedFromMs: at };
          // The later ones of this stretch land later.
          if (landing.days === days) break;
        }
      }
    }
  }
  return best;
}

/** Cut where the offset changes, so that in each the wall clock only goes forward. */
function ofOneOffset(zone: string, intervals: readonly Interval[]): Interval[] {
  return intervals.flatMap(([from, until]) => {
    const cut: Interval[] = [];
    for (let start = from; start < until; ) {
      const end = Math.min(until, offsetSpanAt(zone, start).end);
      cut.push([start, end]);
      start = end;
    }
    return cut;
  });
}

/** Where a time of the trigger moves to; null when it is allowed, or no day within reach is. */
export function landingOf(
  { filter, zone, sign, budget }: Omit<Search, 'base'>,
  atMs: number,
): { atMs: number; days: number } | null {
  if (filter.allows(atMs)) return null;
  const local = toLocal(zone, atMs);
  for (let days = 1; days <= moveDaysMax; days++) {
    budget.looksLeft -= filterLook;
    const landing = placeLocal(zone, local + sign * days * DAY_MS);
    if (filter.allows(landing)) return { atMs: landing, days };
  }
  return null;
}

/**
 * All local times that may be placed in from ≤ t < until: what the clock shows then, and what it skips then.
 */
function localRange(zone: string, from: number, until: number): LocalPiece {
  let span = offsetSpanAt(zone, from);
  let low = from + Math.min(span.offset, from === span.start ? span.offsetBefore : span.offset);
  let high = until + span.offset;
  while (span.end < until) {
    high = Math.max(high, span.end + span.offset, until + span.offsetAfter);
    low = Math.min(low, span.end + span.offsetAfter);
    span = offsetSpanAt(zone, span.end);
  }
  return [low, high];
}

/**
 * Of some local times those that, `shift` earlier, are excluded (or allowed, as `allowed` says): once for
 * each pass of a repeated time, and a skipped one as the end of its gap is. When the pieces become too many
 * the rest is kept unseen: more than there is, never less.
 */
function narrowed(
  search: Search,
  pieces: readonly LocalPiece[],
  shift: number,
  allowed: boolean,
): LocalPiece[] {
  const { filter, zone, budget } = search;
  const kept: LocalPiece[] = [];
  for (const [fromLocal, untilLocal] of pieces) {
    const [first, last] = [fromLocal - shift, untilLocal - shift];
    let span = offsetSpanAt(zone, first - OFFSET_MAX_MS);
    for (; ; span = offsetSpanAt(zone, span.end)) {
      const skippedFrom = Math.max(first, span.start + span.offsetBefore);
      const skippedUntil = Math.min(last, span.start + span.offset);
      if (skippedFrom < skippedUntil && filter.allows(span.start) === allowed) {
        kept.push([skippedFrom + shift, skippedUntil + shift]);
      }
      const until = Math.min(span.end, last - span.offset);
      for (let at = Math.max(span.start, first - span.offset); at < until; ) {
        budget.looksLeft -= filterLook;
        const isFull = kept.length >= piecesMax || budget.looksLeft <= 0;
        const isAllowed = filter.allows(at);
        const change = isAllowed ? filter.allowedUntil(at) : filter.excludedUntil(at);
        const end = isFull ? until : Math.min(until, change ?? Infinity);
        if (isFull || isAllowed === allowed) kept.push([at + span.offset + shift, end + span.offset + shift]);
        at = end;
      }
      if (span.end > last + OFFSET_MAX_MS) break;
    }
  }
  return kept;
}
