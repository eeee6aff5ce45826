/**
 * What users of other schedulers only find out at night: the clock changes of the next 400 days, the days
 * that some months lack, the traps of the cron syntax, an interval that drifts, exclusions that leave
 * nothing. Pure, and bounded: it looks at the expressions, at the few clock changes ahead, and at twenty
 * coming times.
 */
import { type AllowedTime, nextAllowed, type OnExcluded } from './allowed-times.ts';
import { cronWarnings } from './cron-warnings.ts';
import { duration } from './describe.ts';
import type { Filter } from './exclusion.ts';
import { DAY_MS, formatDay } from './local-time.ts';
import type { Locale } from './locale.ts';
import type { Timing } from './schedule.ts';
import { lastMs, nextAfter, nextTimes } from './trigger.ts';
import { fill, type WarningCode, warningTexts } from './warning-words.ts';
import { toLocal, transitionsBetween } from './zone.ts';

export type Warning = {
  code: WarningCode;
  /** A sentence. */
  message: string;
  /** The instant that it is about, where there is one. */
  at?: number;
};

export type WarningInput = {
  timing: Timing;
  seedName: string;
  /** Epoch ms; what comes after it is looked at. */
  fromMs: number;
  /** How far ahead clock changes are looked for. */
  horizonMs?: number;
  locale?: Locale;
  /** The clock of the schedule, for `every` and for exclusions. Default: the one of the trigger, else UTC. */
  timezone?: string;
  filter?: Filter | null;
  onExcluded?: OnExcluded;
  jitterMs?: number | null;
};

/** How a rule reports; dates and times are told by the clock of the zone. */
export type Warn = (
  code: WarningCode,
  parts?: Readonly<Record<string, string | number>>,
  at?: number,
) => void;

export const warningsMax = 20;
export const horizonMsDefault = 400 * DAY_MS;

/** Coming times that are compared with the jitter. */
const timesLookedAt = 20;

/**
 * At most 20 warnings, the weightiest first. Throws what nextAfter throws, for a timing that was not checked.
 */
export function warningsFor(input: WarningInput): Warning[] {
  const { timing, seedName, fromMs, locale = 'en', filter = null, horizonMs = horizonMsDefault } = input;
  const { trigger } = timing;
  const timezone = trigger.kind === 'cron' ? trigger.timezone : (input.timezone ?? 'UTC');
  const warnings: Warning[] = [];
  const warn: Warn = (code, parts = {}, at) => {
    const message = fill(warningTexts[code][locale], { zone: timezone, ...parts });
    // Of several expressions one is enough for each clock change.
    const isKnown = (known: Warning) =>
      known.message === message || (code.startsWith('dst_') && known.code === code && known.at === at);
    if (warnings.some(isKnown)) return;
    warnings.push(at === undefined ? { code, message } : { code, message, at });
  };
  const times = nextTimes(timing, seedName, fromMs, timesLookedAt);
  const untilMs = Math.min(fromMs + horizonMs, lastMs);
  if (times[0] === undefined) warn('never_fires');
  else if (filter !== null && isExcludedForAYear(input, filter, timezone, times[0]))
    warn('excluded_all_year');
  switch (trigger.kind) {
    case 'cron':
      cronWarnings({ timing, trigger, seedName, fromMs, untilMs, filter, locale }, warn);
      warnLessThanYearly(times, timezone, warn, warnings);
      break;
    case 'every':
      everyWarnings(trigger.everyMs, timezone, fromMs, untilMs, locale, warn);
      break;
    case 'delay':
      warn('delay_from_end', { delay: duration(trigger.delayMs, locale) });
      break;
    case 'at': {
      const past = trigger.atMs.filter((at) => at <= fromMs).length;
      if (past > 0 && times.length > 0) warn('at_past', { past, all: trigger.atMs.length });
      break;
    }
  }
  warnJitter(input.jitterMs ?? null, times, locale, warn);
  return warnings.slice(0, warningsMax);
}

function isExcludedForAYear(input: WarningInput, filter: Filter, timezone: string, firstMs: number): boolean {
  const { timing, seedName, fromMs, onExcluded = 'skip' } = input;
  const yearEnds = fromMs + 366 * DAY_MS;
  if (firstMs > yearEnds) return false;
  const base = { next: (afterMs: number) => nextAfter(timing, seedName, afterMs) };
  const found: AllowedTime | null = nextAllowed(base, filter, onExcluded, timezone, fromMs);
  return found === null || found.atMs > yearEnds;
}

function warnLessThanYearly(
  [first, second]: readonly number[],
  timezone: string,
  warn: Warn,
  warnings: readonly Warning[],
): void {
  if (first === undefined || second === undefined || second - first <= 366 * DAY_MS) return;
  if (warnings.some(({ code }) => code === 'leap_day_only')) return;
  const day = (at: number) => formatDay(Math.floor(toLocal(timezone, at) / DAY_MS));
  warn('less_than_yearly', { date: day(first), next: day(second) }, first);
}

function everyWarnings(
  everyMs: number,
  timezone: string,
  fromMs: number,
  untilMs: number,
  locale: Locale,
  warn: Warn,
): void {
  const every = duration(everyMs, locale);
  if (everyMs < 1_000) warn('faster_than_a_second', { text: every });
  else if (everyMs === 1_000) warn('every_second', { text: every });
  if (DAY_MS % everyMs !== 0 && everyMs % DAY_MS !== 0) {
    warn('every_drifts', { every });
    return;
  }
  for (const { at, offsetBefore, offsetAfter } of transitionsBetween(timezone, fromMs, untilMs)) {
    const shift = Math.abs(offsetAfter - offsetBefore);
    if (shift === 0 || shift % everyMs === 0) continue;
    const date = formatDay(Math.floor((at + offsetAfter) / DAY_MS));
    warn('every_ignores_dst', { date, shift: duration(shift, locale) }, at);
    return;
  }
}

function warnJitter(jitterMs: number | null, times: readonly number[], locale: Locale, warn: Warn): void {
  if (jitterMs === null) return;
  let gapMs = Infinity;
  for (const [index, at] of times.entries()) {
    if (index > 0) gapMs = Math.min(gapMs, at - times[index - 1]!);
  }
  if (jitterMs > gapMs) {
    warn('jitter_cut', { jitter: duration(jitterMs, locale), gap: duration(gapMs, locale) });
  }
}
