/**
 * A slow oracle for recurrence rules (RFC 5545): it looks at every day, asks whether each BY part names it,
 * groups what is left by period for BYSETPOS, and counts. It shares nothing with src and works on dates of
 * Temporal.
 */
export type OracleRule = {
  freq: string;
  interval: number;
  count: number | null;
  weekStart: number;
  byMonth: number[];
  byMonthDay: number[];
  byYearDay: number[];
  byWeekNo: number[];
  byDay: { nth: number; weekday: number }[];
  bySetPos: number[];
};

const names = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];

export function ruleText(rule: OracleRule): string {
  const parts = [`FREQ=${rule.freq}`, `INTERVAL=${rule.interval}`, `WKST=${names[rule.weekStart]}`];
  if (rule.count !== null) parts.push(`COUNT=${rule.count}`);
  const lists: [string, (string | number)[]][] = [
    ['BYMONTH', rule.byMonth],
    ['BYMONTHDAY', rule.byMonthDay],
    ['BYYEARDAY', rule.byYearDay],
    ['BYWEEKNO', rule.byWeekNo],
    ['BYDAY', rule.byDay.map(({ nth, weekday }) => `${nth === 0 ? '' : nth}${names[weekday]}`)],
    ['BYSETPOS', rule.bySetPos],
  ];
  for (const [name, values] of lists) if (values.length > 0) parts.push(`${name}=${values.join(',')}`);
  return parts.join(';');
}

/** The days (since 1970) with start ≤ day < end on which an all-day event that starts on `start` occurs. */
export function oracleDays(rule: OracleRule, start: number, end: number): number[] {
  const first = dateOf(start);
  const periods = new Map<number, number[]>();
  // The period of the start may begin a year before it, and BYSETPOS counts from its beginning.
  for (let day = start - 370; day < end + 370; day++) {
    const period = periodOf(rule, dateOf(day)) - periodOf(rule, first);
    if (period < 0 || period % rule.interval !== 0 || !isNamed(rule, dateOf(day), first)) continue;
    periods.set(period, [...(periods.get(period) ?? []), day]);
  }
  const chosen = [...periods.values()].flatMap((days) =>
    days.filter((_, index) => {
      const { bySetPos } = rule;
      return bySetPos.length === 0 || bySetPos.includes(index + 1) || bySetPos.includes(index - days.length);
    }),
  );
  return chosen
    .filter((day) => day >= start)
    .slice(0, rule.count ?? Infinity)
    .filter((day) => day < end);
}

function dateOf(day: number): Temporal.PlainDate {
  return Temporal.PlainDate.from('1970-01-01').add({ days: day });
}

function dayNumber(date: Temporal.PlainDate): number {
  return Temporal.PlainDate.from('1970-01-01').until(date).days;
}

/** 0 is Sunday. */
function weekdayOf(date: Temporal.PlainDate): number {
  return date.dayOfWeek % 7;
}

function periodOf({ freq, weekStart }: OracleRule, date: Temporal.PlainDate): number {
  if (freq === 'YEARLY') return date.year;
  if (freq === 'MONTHLY') return date.year * 12 + date.month;
  if (freq === 'DAILY') return dayNumber(date);
  // 1970-01-04 was a Sunday.
  return Math.floor((dayNumber(date) - 3 - weekStart) / 7);
}

function isNamed(rule: OracleRule, date: Temporal.PlainDate, start: Temporal.PlainDate): boolean {
  const { freq, byMonth, byMonthDay, byYearDay, byWeekNo, byDay } = rule;
  const names = (list: number[], place: number, of: number) =>
    list.includes(place) || list.includes(place - of - 1);
  if (byMonth.length > 0 && !byMonth.includes(date.month)) return false;
  if (byMonthDay.length > 0 && !names(byMonthDay, date.day, date.daysInMonth)) return false;
  if (byYearDay.length > 0 && !names(byYearDay, date.dayOfYear, date.daysInYear)) return false;
  if (byWeekNo.length > 0) {
    const { week, weeks } = weekOf(date, rule.weekStart);
    if (!names(byWeekNo, week, weeks)) return false;
  }
  if (byDay.length > 0) {
    const scope = freq === 'MONTHLY' || (freq === 'YEARLY' && byMonth.length > 0) ? 'month' : 'year';
    return byDay.some(({ nth, weekday }) => {
      if (weekdayOf(date) !== weekday) return false;
      return nth === 0 || dayNumber(nthOf(date, scope, weekday, nth)) === dayNumber(date);
    });
  }
  if (byMonthDay.length + byYearDay.length > 0 || freq === 'DAILY') return true;
  if (freq === 'WEEKLY' || byWeekNo.length > 0) return weekdayOf(date) === weekdayOf(start);
  if (freq === 'YEARLY' && byMonth.length === 0 && date.month !== start.month) return false;
  return date.day === start.day;
}

/** The nth weekday of the month or year of a date, found by walking from its end. */
function nthOf(date: Temporal.PlainDate, scope: 'month' | 'year', weekday: number, nth: number) {
  const begin = scope === 'month' ? date.with({ day: 1 }) : date.with({ month: 1, day: 1 });
  const last = scope === 'month' ? date.daysInMonth : date.daysInYear;
  let at = nth > 0 ? begin : begin.add({ days: last - 1 });
  let left = Math.abs(nth);
  for (;;) {
    if (weekdayOf(at) === weekday) left -= 1;
    if (left === 0) return at;
    at = at.add({ days: Math.sign(nth) });
  }
}

/** The week that has a date, by the year that has most of its days. */
function weekOf(date: Temporal.PlainDate, weekStart: number): { week: number; weeks: number } {
  const first = (inWeek: Temporal.PlainDate) =>
    inWeek.subtract({ days: (weekdayOf(inWeek) - weekStart + 7) % 7 });
  const majority = first(date).add({ days: 3 }).year;
  // 4 January is always in week 1, 28 December in the last.
  const one = first(Temporal.PlainDate.from({ year: majority, month: 1, day: 4 }));
  const last = first(Temporal.PlainDate.from({ year: majority, month: 12, day: 28 }));
  const number = (week: Temporal.PlainDate) => one.until(week).days / 7 + 1;
  return { week: number(first(date)), weeks: number(last) };
}
