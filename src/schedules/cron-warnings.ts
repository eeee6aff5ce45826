/**
 * The traps of cron expressions: of their syntax, of short months, and of the clock changes to come. Pure.
 */
import { lengthsOfMonth, shapeOf } from './cron-days.ts';
import type { CronExpression } from './cron-expression.ts';
import { parsed } from './cron-memory.ts';
import { nextCron } from './cron-times.ts';
import { localAtOrAfter, yearOf } from './cron-wall-clock.ts';
import type { Filter } from './exclusion.ts';
import { DAY_MS, formatDay, formatTimeOfDay } from './local-time.ts';
import type { Locale } from './locale.ts';
import type { Timing, Trigger } from './schedule.ts';
import { fill, warningParts } from './warning-words.ts';
import type { Warn } from './warnings.ts';
import { type Transition, toLocal, transitionsBetween } from './zone.ts';

export type CronWarningInput = {
  timing: Timing;
  trigger: Trigger & { kind: 'cron' };
  seedName: string;
  fromMs: number;
  untilMs: number;
  filter: Filter | null;
  locale: Locale;
};

export function cronWarnings(input: CronWarningInput, warn: Warn): void {
  const { trigger, seedName, fromMs, untilMs, locale } = input;
  const expressions = trigger.expressions.map((text) => parsed(text, seedName));
  for (const transition of transitionsBetween(trigger.timezone, fromMs, untilMs)) {
    for (const expression of expressions) clockChange(expression, transition, input, warn);
  }
  for (const expression of expressions) {
    frequency(expression, warn);
    days(expression, warn);
    months(expression, trigger, fromMs, warn);
    steps(expression, locale, warn);
  }
}

/** An expression of all hours follows the clock anyway; what is said of a change would surprise nobody. */
function followsTheClock(expression: CronExpression): boolean {
  return expression.wildcard && expression.hours.length === 24;
}

function clockChange(
  expression: CronExpression,
  { at, offsetBefore, offsetAfter }: Transition,
  { timing, trigger, filter }: CronWarningInput,
  warn: Warn,
): void {
  if (followsTheClock(expression)) return;
  const low = at + Math.min(offsetBefore, offsetAfter);
  const high = at + Math.max(offsetBefore, offsetAfter);
  const local = localAtOrAfter(expression.sets, low, yearOf(low) + 1);
  if (local >= high) return;
  const parts = { date: formatDay(Math.floor(local / DAY_MS)), time: formatTimeOfDay(local) };
  const counts = (atMs: number) =>
    atMs >= (timing.startAtMs ?? atMs) && atMs <= (timing.endAtMs ?? atMs) && (filter?.allows(atMs) ?? true);
  if (offsetAfter > offsetBefore) {
    if (!counts(at)) return;
    const moves = trigger.dst.gap === 'run' && !expression.wildcard;
    const sameDay = Math.floor(local / DAY_MS) === Math.floor(high / DAY_MS);
    const instead = `${sameDay ? '' : `${formatDay(Math.floor(high / DAY_MS))} `}${formatTimeOfDay(high)}`;
    if (moves) warn('dst_gap_moved', { ...parts, instead }, at);
    else warn('dst_gap_skipped', parts, at);
    return;
  }
  const { repeat } = trigger.dst;
  const once = repeat === 'auto' ? !expression.wildcard : repeat !== 'both';
  const [firstAt, lastAt] = [local - offsetBefore, local - offsetAfter];
  if (!once) {
    if (counts(firstAt) && counts(lastAt)) warn('dst_repeat_twice', parts, firstAt);
  } else if (repeat === 'last') {
    if (counts(lastAt)) warn('dst_repeat_last', parts, lastAt);
  } else if (counts(firstAt)) {
    warn('dst_repeat_first', parts, firstAt);
  }
}

function frequency({ source, hasSeconds, seconds, minutes, hours }: CronExpression, warn: Warn): void {
  if (hasSeconds && seconds.length === 60) warn('every_second', { text: source });
  else if (minutes.length === 60 && hours.length < 24) warn('every_minute_of_hour', { text: source });
}

function days({ source, dayOfMonth, dayOfWeek }: CronExpression, warn: Warn): void {
  if (!dayOfMonth.star && !dayOfWeek.star) {
    warn('days_ored', { text: source });
  } else if (dayOfMonth.days.length !== 31 && dayOfWeek.weekdays.length !== 7) {
    warn('days_anded', { text: source });
  }
  const { nth, last, weekdays } = dayOfWeek;
  const fifths = nth.length > 0 && nth.every((one) => one.nth === 5) && last.length + weekdays.length === 0;
  if (fifths && dayOfMonth.star) warn('fifth_weekday_only', { text: source });
}

/** Which of its months an expression cannot fire in, because they are too short. */
function months(
  expression: CronExpression,
  trigger: Trigger & { kind: 'cron' },
  fromMs: number,
  warn: Warn,
): void {
  const { source, sets, dayOfMonth } = expression;
  // Without a say in the day of the month it is a fifth weekday that is lacking.
  if (dayOfMonth.days.length === 31) return;
  const firesIn = (length: number) =>
    [0, 1, 2, 3, 4, 5, 6].some((firstWeekday) => sets.days[shapeOf(length, firstWeekday)] !== 0);
  const lacks = (month: number) => !lengthsOfMonth(month).some(firesIn);
  const inFebruary = expression.months.includes(2);
  if (expression.months.some((month) => month !== 2 && lacks(month))) {
    warn('only_31_day_months', { text: source });
  } else if (inFebruary && lacks(2)) {
    warn('never_in_february', { text: source });
  } else if (inFebruary && !firesIn(28)) {
    if (expression.months.length > 1) {
      warn('february_in_leap_years', { text: source });
    } else {
      const next = nextCron(expression, trigger.timezone, trigger.dst, fromMs);
      const date = next === null ? '' : formatDay(Math.floor(toLocal(trigger.timezone, next) / DAY_MS));
      warn('leap_day_only', { text: source, date }, next ?? undefined);
    }
  }
}

/** A step that does not divide its field, such as every 7th minute, and every second day of a month. */
function steps({ source, hasSeconds }: CronExpression, locale: Locale, warn: Warn): void {
  if (source.startsWith('@')) return;
  const fields = source.split(/[ \t]+/);
  if (!hasSeconds) fields.unshift('0');
  const sizes = [60, 60, 24, 31, 12];
  const periods = ['each_minute', 'each_hour', 'each_day', 'each_month', 'each_year'] as const;
  for (const [index, size] of sizes.entries()) {
    const match = /^(?:\*|H)\/(\d+)$/i.exec(fields[index] ?? '');
    const step = Number(match?.[1] ?? 1);
    // Months have 28 to 31 days, so no step divides them all.
    if (match === null || step === 1 || step > size / 2 || (size !== 31 && size % step === 0)) continue;
    const period = fill(warningParts[periods[index]!][locale], {});
    warn('step_restarts', { item: match[0], period });
  }
}
