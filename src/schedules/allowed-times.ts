/**
 * The next time of a trigger that a filter allows, and what becomes of the others (`onExcluded`).
 *
 * - skip: an excluded time is no time.
 * - next_allowed, previous_allowed: it moves to the same time of day on the next (previous) local day on
 *   which the filter allows that instant, at most 366 days away; it is dropped when there is none. The
 *   business-day rule.
 *
 * So the times of a schedule are its allowed times and its moved ones (moved-times.ts); two on one instant
 * fire once. Excluded stretches are jumped over, not walked. Pure.
 */
import type { Filter } from './exclusion.ts';
import { DAY_MS } from './local-time.ts';
import {
  type AllowedTime,
  type BaseTimes,
  type LookBudget,
  type Nothing,
  nextMoved,
  type Search,
} from './moved-times.ts';

export type { AllowedTime, BaseTimes, LookBudget };

export const onExcludedPolicies = ['skip', 'next_allowed', 'previous_allowed'] as const;
export type OnExcluded = (typeof onExcludedPolicies)[number];

/** An hourly job that is excluded for eleven months needs 8,000 looks; they take some 20 ms. */
export const looksMax = 10_000;

/**
 * The first time strictly after `afterMs` (epoch ms) that a schedule fires at. `timezone`: the clock on which
 * days are counted. Null when there is none, or none was found within the budget; the cost is bounded either
 * way.
 */
export function nextAllowed(
  base: BaseTimes,
  filter: Filter,
  onExcluded: OnExcluded,
  timezone: string,
  afterMs: number,
  budget: LookBudget = { looksLeft: looksMax },
): AllowedTime | null {
  const search: Search = {
    base,
    filter,
    zone: timezone,
    sign: onExcluded === 'previous_allowed' ? -1 : 1,
    budget,
  };
  if (onExcluded === 'skip') {
    const atMs = unmoved(search, afterMs, Infinity);
    return typeof atMs === 'number' ? { atMs, movedFromMs: null } : null;
  }
  // In stretches that double, since a trigger may have only excluded times, and then its moved ones are near.
  let after = afterMs;
  for (let stretchMs = 8 * DAY_MS; budget.looksLeft > 0; stretchMs *= 2) {
    const limit = after + stretchMs;
    const atMs = unmoved(search, after, limit);
    const moved = nextMoved(search, after, typeof atMs === 'number' ? atMs : limit);
    if (typeof moved === 'object') return moved;
    if (typeof atMs === 'number') return { atMs, movedFromMs: null };
    if (moved === 'never' && atMs === 'never') return null;
    after = limit - 1;
  }
  return null;
}

/** The first time of the trigger itself that is allowed, with afterMs < time < beforeMs. */
function unmoved({ base, filter, budget }: Search, afterMs: number, beforeMs: number): number | Nothing {
  let after = afterMs;
  while (budget.looksLeft > 0) {
    budget.looksLeft -= 1;
    const at = base.next(after);
    if (at === null) return 'never';
    budget.reachedMs = at;
    if (at >= beforeMs) return 'not_yet';
    const until = filter.excludedUntil(at);
    if (until === at) return at;
    if (until === null) return 'never';
    if (until >= beforeMs) return 'not_yet';
    after = until - 1;
  }
  return 'not_yet';
}
