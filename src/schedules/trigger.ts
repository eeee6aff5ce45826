/**
 * When a schedule fires, as pure functions of values. `nextAfter` is the seam between "when" and everything else:
 * dispatcher, preview, catch-up and the API ask nothing else.
 *
 * A trigger names times; the window cuts them; exclusions leave some out, or move them. What `delay` names hangs on the
 * end of the last run, which the caller gives as the instant to count from.
 */
import { type LookBudget, looksMax, nextAllowed } from './allowed-times.ts';
import type { CompiledCalendar } from './calendar.ts';
import { nextCronTime } from './cron-memory.ts';
import { compileFilter, type Filter, parseExclusion } from './exclusion.ts';
import type { Exclusions, Timing, Trigger } from './schedule.ts';

/** Time ends with the year 9999: RFC 3339 has four digits for a year, and Postgres reads no more. */
export const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Calendars by name: at least those that the timing's exclusions name. */
export type Calendars = ReadonlyMap<string, CompiledCalendar>;
export const noCalendars: Calendars = new Map();

/**
 * The first nominal time strictly after `afterMs` (epoch milliseconds), inside the window and allowed, or null. For
 * `delay`: the time after a run that ended at `afterMs`.
 * `seedName` is the schedule's name: `H` in an expression is a hash of it.
 * Throws InvalidCron, RangeError or TypeError for a timing that was stored by a program that knew more than this one,
 * and RangeError where exclusions leave nothing that could be found.
 */
export function nextAfter(
  timing: Timing,
  seedName: string,
  afterMs: number,
  calendars: Calendars = noCalendars,
): number | null {
  const filter = filterOf(timing, seedName, calendars);
  if (filter === null) return nextNamed(timing, seedName, afterMs);
  const { trigger, startAtMs, endAtMs } = timing;
  const budget: LookBudget = { looksLeft: Math.ceil(looksMax / exclusionWeight(timing)) };
  const found =
    trigger.kind === 'delay'
      ? firstAllowed(nextNamed(timing, seedName, afterMs), filter, budget)
      : (nextAllowed(
          { next: (after) => nextNamed(timing, seedName, after) },
          filter,
          timing.exclusions!.onExcluded,
          timing.exclusions!.timezone,
          // A time may move out of the window; there it does not fire.
          startAtMs === null ? afterMs : Math.max(afterMs, startAtMs - 1),
          budget,
        )?.atMs ?? null);
  if (found === null && budget.looksLeft <= 0 && (budget.reachedMs ?? 0) - afterMs < neverAfterMs) {
    throw new RangeError('its exclusions leave none of the times that were looked at');
  }
  return found !== null && found > Math.min(endAtMs ?? lastMs, lastMs) ? null : found;
}

/** The next `count` nominal times, ascending; fewer when the trigger ends. */
export function nextTimes(
  timing: Timing,
  seedName: string,
  afterMs: number,
  count: number,
  calendars: Calendars = noCalendars,
): number[] {
  const times: number[] = [];
  let at: number | null = afterMs;
  while (times.length < count) {
    at = nextAfter(timing, seedName, at, calendars);
    if (at === null) break;
    times.push(at);
  }
  return times;
}

/**
 * When a new schedule fires first, strictly after `nowMs`; a `delay`, which has no run to count from, at once or with
 * its window.
 */
export function firstFire(
  timing: Timing,
  seedName: string,
  nowMs: number,
  calendars: Calendars = noCalendars,
): number | null {
  const { trigger } = timing;
  if (trigger.kind !== 'delay') return nextAfter(timing, seedName, nowMs, calendars);
  return nextAfter(timing, seedName, Math.floor(nowMs) - trigger.delayMs, calendars);
}

/**
 * What a look at a timing's exclusions costs, in looks at one with a few items: long lists are looked at less often, so
 * that no question takes longer than some 50 ms.
 */
export function exclusionWeight({ exclusions }: Timing): number {
  if (exclusions === undefined) return 1;
  return 1 + (exclusions.exclude.length + exclusions.only.length) / 10;
}

/** Where looks run out and nothing was allowed for so long, nothing ever will be. */
const neverAfterMs = 5 * 366 * 86_400_000;

/** What a timing's exclusions allow; null when it has none. Throws RangeError for a calendar that is not given. */
export function filterOf(
  { exclusions }: Timing,
  seedName: string,
  calendars: Calendars = noCalendars,
): Filter | null {
  if (exclusions === undefined || exclusions.exclude.length + exclusions.only.length === 0) return null;
  const known = filters.get(exclusions);
  if (known?.seedName === seedName && known.calendars === calendars) return known.filter;
  const read = (text: string) => parseExclusion(text, seedName);
  const { exclude, only, timezone } = exclusions;
  const filter = compileFilter({ exclude: exclude.map(read), only: only.map(read) }, timezone, calendars);
  filters.set(exclusions, { seedName, calendars, filter });
  return filter;
}

/** A loop over the times of one schedule compiles its exclusions once. */
const filters = new WeakMap<Exclusions, { seedName: string; calendars: Calendars; filter: Filter }>();

/** The first time that the trigger names strictly after an instant and inside the window, allowed or not. */
function nextNamed(timing: Timing, seedName: string, afterMs: number): number | null {
  const { trigger, startAtMs, endAtMs } = timing;
  // Both ends of the window are included, and fires are strictly after.
  const from = startAtMs === null ? afterMs : Math.max(afterMs, startAtMs - 1);
  const next =
    trigger.kind === 'delay'
      ? Math.max(Math.floor(afterMs) + trigger.delayMs, startAtMs ?? Number.NEGATIVE_INFINITY)
      : nextOf(trigger, seedName, from);
  if (next === null) return null;
  // An unknown kind or an interval of nothing must become a fault, and not a time that never moves on.
  if (!(typeof next === 'number' && next > afterMs)) {
    throw new RangeError(`the stored trigger names no time: ${JSON.stringify(trigger).slice(0, 200)}`);
  }
  return next > Math.min(endAtMs ?? lastMs, lastMs) ? null : next;
}

function nextOf(
  trigger: Exclude<Trigger, { kind: 'delay' }>,
  seedName: string,
  afterMs: number,
): number | null {
  switch (trigger.kind) {
    case 'cron':
      return earliest(
        trigger.expressions.map((text) =>
          nextCronTime(text, seedName, trigger.timezone, trigger.dst, afterMs),
        ),
      );
    case 'every': {
      const { everyMs, offsetMs } = trigger;
      return (Math.floor((afterMs - offsetMs) / everyMs) + 1) * everyMs + offsetMs;
    }
    case 'at':
      return trigger.atMs.find((at) => at > afterMs) ?? null;
  }
}

function earliest(times: readonly (number | null)[]): number | null {
  let least: number | null = null;
  for (const time of times) if (time !== null && (least === null || time < least)) least = time;
  return least;
}

/** An instant, or the end of the excluded stretch that it lies in. */
function firstAllowed(fromMs: number | null, filter: Filter, budget: LookBudget): number | null {
  let at = fromMs;
  while (at !== null && budget.looksLeft > 0) {
    budget.looksLeft -= 1;
    const until = filter.excludedUntil(at);
    if (until === at) return at;
    at = until;
  }
  return null;
}
