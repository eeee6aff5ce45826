/**
 * The next and the previous wall-clock time that matches, on a clock that is never changed (UTC's). A time is
 * the ms that such a clock shows since 1970-01-01T00:00. Costs a few bit operations per month passed over:
 * nothing steps by the day or by the minute.
 */
import { shapeOf } from './cron-days.ts';
import type { CronSets, Set60 } from './cron-expression.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const LAST_OF_DAY_MS = DAY_MS - SECOND_MS;

/** The first match at or after `local` (a whole second); Infinity when there is none up to the end of lastYear. */
export function localAtOrAfter(sets: CronSets, local: number, lastYear: number): number {
  const day = Math.floor(local / DAY_MS);
  const date = dateOf(day);
  const dayOfMonth = date & 31;
  let month = (date >> 5) & 15;
  let year = date >> 9;
  let firstDay = day - dayOfMonth + 1;
  let length = lengthOf(year, month);
  let days = daysOf(sets, month, length, firstDay) >>> (dayOfMonth - 1);
  if ((days & 1) !== 0) {
    const time = timeAtOrAfter(sets, local - day * DAY_MS);
    if (time >= 0) return day * DAY_MS + time;
    days &= ~1;
  }
  if (days !== 0) return (day + lowest(days)) * DAY_MS + timeAtOrAfter(sets, 0);
  for (;;) {
    firstDay += length;
    month += 1;
    if (month === 13) {
      month = 1;
      year += 1;
      if (year > lastYear) return Infinity;
    }
    length = lengthOf(year, month);
    days = daysOf(sets, month, length, firstDay);
    if (days !== 0) return (firstDay + lowest(days)) * DAY_MS + timeAtOrAfter(sets, 0);
  }
}

/** The last match at or before `local` (a whole second); -Infinity when there is none from firstYear on. */
export function localAtOrBefore(sets: CronSets, local: number, firstYear: number): number {
  const day = Math.floor(local / DAY_MS);
  const date = dateOf(day);
  const dayOfMonth = date & 31;
  let month = (date >> 5) & 15;
  let year = date >> 9;
  let firstDay = day - dayOfMonth + 1;
  const today = 1 << (dayOfMonth - 1);
  let days = daysOf(sets, month, lengthOf(year, month), firstDay) & (today | (today - 1));
  if ((days & today) !== 0) {
    const time = timeAtOrBefore(sets, local - day * DAY_MS);
    if (time >= 0) return day * DAY_MS + time;
    days ^= today;
  }
  for (;;) {
    if (days !== 0) return (firstDay + highest(days)) * DAY_MS + timeAtOrBefore(sets, LAST_OF_DAY_MS);
    month -= 1;
    if (month === 0) {
      month = 12;
      year -= 1;
      if (year < firstYear) return -Infinity;
    }
    const length = lengthOf(year, month);
    firstDay -= length;
    days = daysOf(sets, month, length, firstDay);
  }
}

/** The year of a wall-clock time. */
export function yearOf(local: number): number {
  return dateOf(Math.floor(local / DAY_MS)) >> 9;
}

/** The matching days of a month as bits, none in a month that does not match. `firstDay` counts from 1970. */
function daysOf(sets: CronSets, month: number, length: number, firstDay: number): number {
  if ((sets.months & (1 << (month - 1))) === 0) return 0;
  const weekday = (((firstDay + 4) % 7) + 7) % 7; // 1970-01-01 was a Thursday
  return sets.days[shapeOf(length, weekday)]!;
}

/** A time of day in ms, or -1 when nothing is left of the day. */
function timeAtOrAfter(sets: CronSets, time: number): number {
  const hour = (time / HOUR_MS) | 0;
  const minute = ((time % HOUR_MS) / MINUTE_MS) | 0;
  if ((sets.hours & (1 << hour)) !== 0) {
    if (has(sets.minutes, minute)) {
      const second = atOrAfter(sets.seconds, ((time % MINUTE_MS) / SECOND_MS) | 0);
      if (second < 60) return hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS;
    }
    const later = atOrAfter(sets.minutes, minute + 1);
    if (later < 60) return hour * HOUR_MS + later * MINUTE_MS + atOrAfter(sets.seconds, 0) * SECOND_MS;
  }
  const hours = sets.hours >>> (hour + 1);
  if (hours === 0) return -1;
  const later = hour + 1 + lowest(hours);
  return later * HOUR_MS + atOrAfter(sets.minutes, 0) * MINUTE_MS + atOrAfter(sets.seconds, 0) * SECOND_MS;
}

/** A time of day in ms, or -1 when the day had nothing before it. */
function timeAtOrBefore(sets: CronSets, time: number): number {
  const hour = (time / HOUR_MS) | 0;
  const minute = ((time % HOUR_MS) / MINUTE_MS) | 0;
  if ((sets.hours & (1 << hour)) !== 0) {
    if (has(sets.minutes, minute)) {
      const second = atOrBefore(sets.seconds, ((time % MINUTE_MS) / SECOND_MS) | 0);
      if (second >= 0) return hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS;
    }
    const earlier = atOrBefore(sets.minutes, minute - 1);
    if (earlier >= 0) return hour * HOUR_MS + earlier * MINUTE_MS + atOrBefore(sets.seconds, 59) * SECOND_MS;
  }
  const hours = sets.hours & ((1 << hour) - 1);
  if (hours === 0) return -1;
  const minutes = atOrBefore(sets.minutes, 59) * MINUTE_MS;
  return highest(hours) * HOUR_MS + minutes + atOrBefore(sets.seconds, 59) * SECOND_MS;
}

function has(set: Set60, value: number): boolean {
  return value < 30 ? (set.low & (1 << value)) !== 0 : (set.high & (1 << (value - 30))) !== 0;
}

/** The lowest member ≥ from (0 to 60), or 60. */
function atOrAfter(set: Set60, from: number): number {
  if (from < 30) {
    const low = set.low >>> from;
    if (low !== 0) return from + lowest(low);
    return set.high === 0 ? 60 : 30 + lowest(set.high);
  }
  const high = set.high >>> (from - 30);
  return high === 0 ? 60 : from + lowest(high);
}

/** The highest member ≤ to (-1 to 59), or -1. */
function atOrBefore(set: Set60, to: number): number {
  if (to >= 30) {
    const high = set.high & ((2 << (to - 30)) - 1);
    if (high !== 0) return 30 + highest(high);
    return set.low === 0 ? -1 : highest(set.low);
  }
  const low = set.low & ((2 << to) - 1);
  return to < 0 || low === 0 ? -1 : highest(low);
}

/** The place of the lowest bit of a set that is not empty. */
function lowest(set: number): number {
  return 31 - Math.clz32(set & -set);
}

function highest(set: number): number {
  return 31 - Math.clz32(set);
}

function lengthOf(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function isLeap(year: number): boolean {
  return (year & 3) === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/**
 * The Gregorian date of a day since 1970-01-01, packed as year << 9 | month << 5 | day so that the hottest path
 * allocates nothing. Counted in 400-year eras of 146,097 days from 0000-03-01, so that a leap day ends a year.
 */
function dateOf(day: number): number {
  const shifted = day + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const leapDays = ((dayOfEra / 1_460) | 0) - ((dayOfEra / 36_524) | 0) + ((dayOfEra / 146_096) | 0);
  const yearOfEra = ((dayOfEra - leapDays) / 365) | 0;
  const dayOfYear = dayOfEra - (365 * yearOfEra + (yearOfEra >> 2) - ((yearOfEra / 100) | 0));
  const fromMarch = ((5 * dayOfYear + 2) / 153) | 0;
  const dayOfMonth = dayOfYear - (((153 * fromMarch + 2) / 5) | 0) + 1;
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return (year << 9) | (month << 5) | dayOfMonth;
}
