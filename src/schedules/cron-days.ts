/**
 * The days of a month on which a cron expression fires.
 *
 * A month has one of 28 shapes: 28 to 31 days, beginning on one of seven weekdays. Everything that the two
 * day fields can say (lists, L, nL, n#k, nW, LW, OR or AND) depends on the shape alone, so it is worked out
 * once per expression, as 28 sets of days, and the evaluator only looks sets up. For the same reason it is
 * quickly known that an expression never fires: when none of the shapes of its months has a day.
 */

export type DayOfMonthField = {
  /** Begins with `*` (or is `?`): crontab(5) then ANDs the two day fields. */
  readonly star: boolean;
  readonly days: readonly number[];
  /** `L` is 0, `L-3` is 3: days before the last of the month. */
  readonly beforeLast: readonly number[];
  /** `15W`: the weekday (Monday to Friday) nearest to the 15th, within the month. */
  readonly weekdayNearest: readonly number[];
  /** `LW` is 0, `L-3W` is 3: the weekday nearest to that day. */
  readonly weekdayNearestBeforeLast: readonly number[];
};

export type DayOfWeekField = {
  readonly star: boolean;
  /** 0 is Sunday, 6 Saturday. */
  readonly weekdays: readonly number[];
  /** `5L`: the month's last Friday. */
  readonly last: readonly number[];
  /** `1#2`: the month's second Monday. */
  readonly nth: readonly { readonly weekday: number; readonly nth: number }[];
};

/** One set per shape (see shapeOf); bit d-1 stands for day d, so 31 bits at most. */
export type DaysByShape = Int32Array;

/** The index of a shape. `firstWeekday` is the weekday of the month's first day, 0 is Sunday. */
export function shapeOf(length: number, firstWeekday: number): number {
  return (length - 28) * 7 + firstWeekday;
}

/** The days of each shape on which the two day fields match, OR-ed or AND-ed as in crontab(5). */
export function daysByShape(dayOfMonth: DayOfMonthField, dayOfWeek: DayOfWeekField): DaysByShape {
  const either = !dayOfMonth.star && !dayOfWeek.star;
  const sets = new Int32Array(28);
  for (let length = 28; length <= 31; length++) {
    for (let firstWeekday = 0; firstWeekday < 7; firstWeekday++) {
      const byDate = datesOf(dayOfMonth, length, firstWeekday);
      const byWeekday = weekdaysOf(dayOfWeek, length, firstWeekday);
      sets[shapeOf(length, firstWeekday)] = either ? byDate | byWeekday : byDate & byWeekday;
    }
  }
  return sets;
}

/** The lengths that a month can have; 1 is January. Every length occurs with every first weekday. */
export function lengthsOfMonth(month: number): readonly number[] {
  if (month === 2) return [28, 29];
  return month === 4 || month === 6 || month === 9 || month === 11 ? [30] : [31];
}

function datesOf(field: DayOfMonthField, length: number, firstWeekday: number): number {
  let set = 0;
  for (const day of field.days) set |= bit(day, length);
  for (const n of field.beforeLast) set |= bit(length - n, length);
  for (const day of field.weekdayNearest) set |= nearestWeekday(day, length, firstWeekday);
  for (const n of field.weekdayNearestBeforeLast) set |= nearestWeekday(length - n, length, firstWeekday);
  return set;
}

function weekdaysOf(field: DayOfWeekField, length: number, firstWeekday: number): number {
  let week = 0; // the month's first seven days
  for (const weekday of field.weekdays) week |= bit(firstOf(weekday, firstWeekday), length);
  let set = (week | (week << 7) | (week << 14) | (week << 21) | (week << 28)) & (2 ** length - 1);
  for (const weekday of field.last) {
    const first = firstOf(weekday, firstWeekday);
    set |= bit(first + (first + 28 <= length ? 28 : 21), length);
  }
  for (const { weekday, nth } of field.nth)
    set |= bit(firstOf(weekday, firstWeekday) + 7 * (nth - 1), length);
  return set;
}

/** Quartz: a Saturday moves to Friday, a Sunday to Monday, but never into another month. */
function nearestWeekday(day: number, length: number, firstWeekday: number): number {
  if (day < 1 || day > length) return 0; // 31W means nothing in a month of 30 days
  const weekday = (firstWeekday + day - 1) % 7;
  if (weekday === 6) return bit(day === 1 ? 3 : day - 1, length);
  if (weekday === 0) return bit(day === length ? day - 2 : day + 1, length);
  return bit(day, length);
}

function firstOf(weekday: number, firstWeekday: number): number {
  return ((weekday - firstWeekday + 7) % 7) + 1;
}

function bit(day: number, length: number): number {
  return day >= 1 && day <= length ? 1 << (day - 1) : 0;
}
