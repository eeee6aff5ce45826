/** Dates, durations and rules of iCalendar, as ical.js leaves them (jCal, RFC 7265), checked. Pure. */
import ICAL from 'ical.js';
import { InvalidCalendar } from './calendar-limits.ts';
import { type IcalProperty, shown } from './ical-text.ts';
import type { EventClock } from './ical-zone.ts';
import { DAY_MS } from './local-time.ts';
import type { RecurrenceRule } from './recurrence.ts';

/**
 * A day, or a time on the clock of a TZID, on UTC's, or (neither) on the calendar's. `local` as in zone.ts.
 */
export type When =
  | { kind: 'day'; day: number }
  | { kind: 'time'; local: number; utc: boolean; tzid: string | null; line: number };

/** `2026-12-25`, `2026-12-25T10:00:00`, `…Z`. `…T::` is what ical.js makes of a date where a time was due. */
const form = /^(\d{4})-(\d{2})-(\d{2})(?:T(?:::|(\d{2}):(\d{2}):(\d{2})(Z)?))?$/;

/** Before this year there are no IANA zones, and Outlook begins its VTIMEZONEs in it. */
const yearMin = 1601;

/** The first value of a property. */
export function readWhen(property: IcalProperty): When {
  return toWhen(property.values[0], property);
}

/** The values of an RDATE or EXDATE; a PERIOD has an end or a duration. */
export function readWhens(
  property: IcalProperty,
): { from: When; until: (When & { kind: 'time' }) | null; duration: Duration | null }[] {
  return property.values.map((value) => {
    if (!Array.isArray(value)) return { from: toWhen(value, property), until: null, duration: null };
    const [start, end] = value as unknown[];
    const from = toWhen(start, property);
    if (/^[+-]?P/.test(String(end))) return { from, until: null, duration: toDuration(end, property) };
    const until = toWhen(end, property);
    if (from.kind !== 'time' || until.kind !== 'time' || until.local < from.local) throw unreadable(property);
    return { from, until, duration: null };
  });
}

function toWhen(value: unknown, property: IcalProperty): When {
  // VALUE=RECUR makes an object of it, which has not even a toString.
  const match = typeof value === 'string' ? form.exec(value) : null;
  if (match === null) throw unreadable(property, 'names no date (20261225) or time (20261225T180000Z)');
  const [year = 0, month = 0, dayOfMonth = 0] = match.slice(1, 4).map(Number);
  const day = Date.UTC(year, month - 1, dayOfMonth) / DAY_MS;
  const date = new Date(day * DAY_MS);
  if (year < yearMin || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== dayOfMonth) {
    throw unreadable(property, 'names a day that is not in the calendar, or is before 1601');
  }
  if (match[4] === undefined) return { kind: 'day', day };
  const [hour = 0, minute = 0, second = 0] = match.slice(4, 7).map(Number);
  if (hour > 23 || minute > 59 || second > 60) throw unreadable(property, 'names a time of day that is none');
  // A leap second is the last one that computers count.
  const local = day * DAY_MS + ((hour * 60 + minute) * 60 + Math.min(second, 59)) * 1_000;
  const { tzid } = property.params;
  return {
    kind: 'time',
    local,
    utc: match[7] !== undefined,
    tzid: typeof tzid === 'string' ? tzid : null,
    line: property.line,
  };
}

/** Days of the calendar, and exact time beyond them. */
export type Duration = { days: number; restMs: number };

export function readDuration(property: IcalProperty): Duration {
  return toDuration(property.values[0], property);
}

/** The instant so much after a local time. */
export function addDuration(clock: EventClock, local: number, { days, restMs }: Duration): number {
  return clock.toInstant(local + days * DAY_MS) + restMs;
}

function toDuration(value: unknown, property: IcalProperty): Duration {
  try {
    const read = ICAL.Duration.fromString(String(value));
    const restMs = ((read.hours * 60 + read.minutes) * 60 + read.seconds) * 1_000;
    const days = read.weeks * 7 + read.days;
    if (!read.isNegative && days <= daysMax && restMs <= daysMax * DAY_MS) return { days, restMs };
  } catch {
    // Said below.
  }
  throw unreadable(property, 'names no duration (PT1H, P1D) of at most ten years');
}

const daysMax = 3_660;

/** The offset of TZOFFSETFROM and TZOFFSETTO, in ms. */
export function readOffset(property: IcalProperty): number {
  const [value] = property.values;
  const match = typeof value === 'string' ? /^([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(value) : null;
  if (match === null || Number(match[2]) > 15) throw unreadable(property, 'names no offset (+0100)');
  const [hours = 0, minutes = 0, seconds = 0] = match.slice(2, 5).map((part) => Number(part ?? 0));
  return ((hours * 60 + minutes) * 60 + seconds) * 1_000 * (match[1] === '-' ? -1 : 1);
}

const freqs = ['YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY'] as const;
const weekdays = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];
const numberParts = {
  bymonth: 'byMonth',
  byweekno: 'byWeekNo',
  byyearday: 'byYearDay',
  bymonthday: 'byMonthDay',
  byhour: 'byHour',
  byminute: 'byMinute',
  bysecond: 'bySecond',
  bysetpos: 'bySetPos',
} as const;
const knownParts = new Set([
  'freq',
  'interval',
  'count',
  'until',
  'wkst',
  'byday',
  ...Object.keys(numberParts),
]);

/** ical.js takes INTERVAL=0, INTERVAL=-5 and INTERVAL=1e9 for 1, and BYMONTH=5L for 5. */
const misread =
  /[:;](?:INTERVAL=(?!0*[1-9]\d*(?:;|$))|(?:COUNT|BY(?!DAY)\w+)=(?![+-]?\d+(?:, *[+-]?\d+)*(?:;|$)))/i;

/** An RRULE. UNTIL stands apart, since what it means depends on the clock of the event. */
export function readRule(property: IcalProperty): { recurrence: RecurrenceRule; until: When | null } {
  if (property.type !== 'recur') throw unreadable(property);
  const parts = property.values[0] as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(parts).find((name) => !knownParts.has(name));
  if (unknown !== undefined)
    throw unreadable(property, `has the part ${unknown.toUpperCase()}, which is not supported`);
  const freq = freqs.find((name) => name === parts.freq);
  if (freq === undefined) {
    throw unreadable(
      property,
      `must have one of FREQ=${freqs.join(', ')}; finer rules are written with BYHOUR and BYMINUTE`,
    );
  }
  if (typeof parts.count === 'number' && parts.count < 1) throw unreadable(property, 'has a COUNT below 1');
  const lists = Object.fromEntries(
    Object.entries(numberParts).map(([name, key]) => [key, [parts[name] ?? []].flat().map(Number)]),
  ) as Record<(typeof numberParts)[keyof typeof numberParts], number[]>;
  const recurrence: RecurrenceRule = {
    ...lists,
    freq,
    interval: typeof parts.interval === 'number' ? parts.interval : 1,
    count: typeof parts.count === 'number' ? parts.count : null,
    byDay: [parts.byday ?? []].flat().map((text) => toWeekday(String(text))),
    // ical.js counts weekdays from 1, Sunday; RFC 5545's default is Monday.
    weekStart: typeof parts.wkst === 'number' ? parts.wkst - 1 : 1,
  };
  const { byMonthDay, byYearDay, byWeekNo, bySetPos } = recurrence;
  if (misread.test(property.text) || [byMonthDay, byYearDay, byWeekNo, bySetPos].flat().includes(0)) {
    throw unreadable(property, 'has a number that RFC 5545 does not allow there');
  }
  const numbered = recurrence.byDay.some(({ nth }) => nth !== 0);
  if (numbered && (freq === 'DAILY' || freq === 'WEEKLY' || byWeekNo.length > 0)) {
    throw unreadable(property, 'has a numbered weekday in BYDAY, which goes with months and years only');
  }
  if (freq !== 'YEARLY' && byYearDay.length + byWeekNo.length > 0) {
    throw unreadable(property, 'has BYYEARDAY or BYWEEKNO, which go with FREQ=YEARLY only');
  }
  if (freq === 'WEEKLY' && byMonthDay.length > 0) {
    throw unreadable(property, 'has BYMONTHDAY, which does not go with FREQ=WEEKLY');
  }
  return { recurrence, until: parts.until === undefined ? null : toWhen(parts.until, property) };
}

function toWeekday(text: string): { nth: number; weekday: number } {
  return { nth: Number(text.slice(0, -2) || 0), weekday: weekdays.indexOf(text.slice(-2)) };
}

function unreadable(property: IcalProperty, why = 'cannot be read'): InvalidCalendar {
  return new InvalidCalendar(`Line ${property.line}: ${shown(property.text)} ${why}.`);
}
