/** What an instant is to a timing: a nominal time of it, one that is left out, or none at all. Pure. */
import { looksMax, nextAllowed } from './allowed-times.ts';
import type { ExclusionRule } from './exclusion.ts';
import { landingOf } from './moved-times.ts';
import type { Timing } from './schedule.ts';
import { type Calendars, filterOf, nextAfter } from './trigger.ts';

export type Place =
  /** `movedFromMs`: the excluded time that moved here; null when the trigger itself names it. */
  | { kind: 'nominal'; movedFromMs: number | null }
  /** The trigger names it, a rule leaves it out. `movedToMs`: where `onExcluded` moves it; null: nowhere. */
  | { kind: 'excluded'; rule: ExclusionRule; movedToMs: number | null }
  | { kind: 'outside_window' }
  | { kind: 'none' };

/**
 * Of every trigger but `delay`, whose times hang on its runs. Throws as `nextAfter` does for what cannot be computed.
 */
export function placeOf(timing: Timing, seedName: string, atMs: number, calendars: Calendars): Place {
  const { startAtMs, endAtMs, exclusions, trigger } = timing;
  if (atMs < (startAtMs ?? atMs) || atMs > (endAtMs ?? atMs)) return { kind: 'outside_window' };
  const plain: Timing = { trigger, startAtMs, endAtMs };
  const next = (afterMs: number) => nextAfter(plain, seedName, afterMs);
  const isNamed = next(atMs - 1) === atMs;
  const filter = filterOf(timing, seedName, calendars);
  if (filter === null || exclusions === undefined) {
    return isNamed ? { kind: 'nominal', movedFromMs: null } : { kind: 'none' };
  }
  const { onExcluded, timezone } = exclusions;
  const rule = filter.rule(atMs);
  if (rule === null) {
    if (isNamed) return { kind: 'nominal', movedFromMs: null };
    if (onExcluded === 'skip') return { kind: 'none' };
    const moved = nextAllowed({ next }, filter, onExcluded, timezone, atMs - 1);
    return moved?.atMs === atMs ? { kind: 'nominal', movedFromMs: moved.movedFromMs } : { kind: 'none' };
  }
  if (!isNamed) return { kind: 'none' };
  if (onExcluded === 'skip') return { kind: 'excluded', rule, movedToMs: null };
  const sign = onExcluded === 'next_allowed' ? 1 : -1;
  const landing = landingOf({ filter, zone: timezone, sign, budget: { looksLeft: looksMax } }, atMs);
  // Out of the window it does not fire.
  const isInside =
    landing !== null &&
    landing.atMs >= (startAtMs ?? landing.atMs) &&
    landing.atMs <= (endAtMs ?? landing.atMs);
  return { kind: 'excluded', rule, movedToMs: isInside ? landing.atMs : null };
}
