/**
 * The days of one period (a year, month, week or day) that a recurrence rule names: each day is held against
 * every BY part. Days are counted from 1970-01-01, weekdays from 0, Sunday. Pure.
 */
import { DAY_MS } from './local-time.ts';

/** Lists are empty where the rule says nothing. Weekdays count from 0, Sunday. */
export type RecurrenceRule = {
  freq: 'YEARLY' | 'MONTHLY' | 'WEEKLY' | 'DAILY';
  /** 1 or more. */
  interval: number;
  /** 1 or more. */
  count: number | null;
  byMonth: readonly number[];
  byWeekNo: readonly number[];
  byYearDay: readonly number[];
  byMonthDay: readonly number[];
  /** `nth` is 0 for every such weekday, 2 for the second, -1 for the last of its month or year. */
  byDay: readonly { nth: number; weekday: number }[];
  byHour: readonly number[];
  byMinute: readonly number[];
  bySecond: readonly number[];
  bySetPos: readonly number[];
  weekStart: number;
};

/** How many days may still be looked at. One budget may serve many rules. */
export type DayBudget = { daysLeft: number };

/** The budget is used up. */
export class TooManyDays extends Error {}

export type CivilDate = { day: number; year: number; month: number; dayOfMonth: number };

export function dateOf(day: number): CivilDate {
  const date = new Date(day * DAY_MS);
  return { day, year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, dayOfMonth: date.getUTCDate() };
}

/** A day of the Gregorian calendar; a month of 13 is the next January. */
export function dayOf(year: number, month: number, dayOfMonth: number): number {
  return Date.UTC(year, month - 1, dayOfMonth) / DAY_MS;
}

export function weekdayOf(day: number): number {
  return (((day + 4) % 7) + 7) % 7; // 1970-01-01 was a Thursday
}

/**
 * `first` is the period's first day; the rule says its day or has got a default for it. Throws TooManyDays.
 */
export function daysOf(rule: RecurrenceRule, first: number, budget: DayBudget): number[] {
  const { year, month } = dateOf(first);
  switch (rule.freq) {
    case 'DAILY':
      return matching(rule, [first], budget);
    case 'WEEKLY':
      return matching(rule, upTo(first, 7), budget);
    case 'MONTHLY':
      return matching(rule, candidates(rule, year, month), budget);
    case 'YEARLY': {
      const months = rule.byMonth.length > 0 ? rule.byMonth : [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
      return [...months]
        .sort((a, b) => a - b)
        .flatMap((inYear) => matching(rule, candidates(rule, year, inYear), budget));
    }
  }
}

/** The days of a month that BYMONTHDAY allows. */
function candidates({ byMonth, byMonthDay }: RecurrenceRule, year: number, month: number): number[] {
  if (byMonth.length > 0 && !byMonth.includes(month)) return [];
  const first = dayOf(year, month, 1);
  const length = dayOf(year, month + 1, 1) - first;
  if (byMonthDay.length === 0) return upTo(first, length);
  const days = new Set<number>();
  for (const n of byMonthDay) {
    const dayOfMonth = n > 0 ? n : length + 1 + n;
    // The 31st of a month of 30 days is left out, and not moved.
    if (n !== 0 && dayOfMonth >= 1 && dayOfMonth <= length) days.add(first + dayOfMonth - 1);
  }
  return [...days].sort((a, b) => a - b);
}

function upTo(first: number, length: number): number[] {
  return Array.from({ length }, (_, index) => first + index);
}

/** Those of some days of one week or month that every BY part matches. */
function matching(rule: RecurrenceRule, days: readonly number[], budget: DayBudget): number[] {
  const { byMonth, byMonthDay, byYearDay, byWeekNo, byDay } = rule;
  const filters = byMonth.length + byMonthDay.length + byYearDay.length + byWeekNo.length + byDay.length;
  if (filters === 0) return [...days];
  // A rule may list hundreds of things, and each day is held against all of them.
  spend(budget, days.length * (1 + Math.floor(filters / 32)));
  const weekdays = new Set(byDay.map(({ weekday }) => weekday));
  const found: number[] = [];
  let month: Month | null = null;
  for (const day of days) {
    if (weekdays.size > 0 && !weekdays.has(weekdayOf(day))) continue;
    if (month === null || day >= month.first + month.length) month = monthOf(day);
    if (matches(rule, day, month)) found.push(day);
  }
  return found;
}

/** Throws TooManyDays. */
export function spend(budget: DayBudget, days: number): void {
  budget.daysLeft -= days;
  if (budget.daysLeft < 0) throw new TooManyDays();
}

type Month = { number: number; first: number; length: number; yearFirst: number; yearLength: number };

function monthOf(day: number): Month {
  const { year, month, dayOfMonth } = dateOf(day);
  const first = day - dayOfMonth + 1;
  const yearFirst = dayOf(year, 1, 1);
  return {
    number: month,
    first,
    length: dayOf(year, month + 1, 1) - first,
    yearFirst,
    yearLength: dayOf(year + 1, 1, 1) - yearFirst,
  };
}

function matches(rule: RecurrenceRule, day: number, month: Month): boolean {
  if (rule.byMonth.length > 0 && !rule.byMonth.includes(month.number)) return false;
  const dayOfMonth = day - month.first + 1;
  if (!isAmong(rule.byMonthDay, dayOfMonth, month.length)) return false;
  const dayOfYear = day - month.yearFirst + 1;
  if (!isAmong(rule.byYearDay, dayOfYear, month.yearLength)) return false;
  if (rule.byWeekNo.length > 0) {
    const { week, weeks } = weekOf(day, rule.weekStart);
    if (!isAmong(rule.byWeekNo, week, weeks)) return false;
  }
  if (rule.byDay.length === 0) return true;
  const inMonth = rule.freq === 'MONTHLY' || rule.byMonth.length > 0;
  const place = inMonth ? dayOfMonth : dayOfYear;
  const length = inMonth ? month.length : month.yearLength;
  return rule.byDay.some(({ nth, weekday }) => {
    if (weekday !== weekdayOf(day)) return false;
    return nth === 0 || nth === Math.ceil(place / 7) || nth === -Math.ceil((length - place + 1) / 7);
  });
}

/** Whether a list is empty or has a place (1 is the first), also counted from the end (-1 is the last). */
export function isAmong(list: readonly number[], place: number, length: number): boolean {
  return list.length === 0 || list.includes(place) || list.includes(place - length - 1);
}

export function startOfWeek(day: number, weekStart: number): number {
  return day - ((weekdayOf(day) - weekStart + 7) % 7);
}

/** ISO 8601 for any first day of the week: week 1 is the first with four days of its year. */
function weekOf(day: number, weekStart: number): { week: number; weeks: number } {
  const middle = startOfWeek(day, weekStart) + 3;
  const { year } = dateOf(middle);
  const weekAt = (inWeek: number) => Math.floor((inWeek - dayOf(year, 1, 1)) / 7) + 1;
  return { week: weekAt(middle), weeks: weekAt(startOfWeek(dayOf(year, 12, 28), weekStart) + 3) };
}
