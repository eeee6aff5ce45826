/**
 * Calendars: named sets of time that schedules exclude (`exclude: ["calendar:cn-holidays"]`) or keep to
 * (`only`).
 *
 * What is stored is the source, dates and iCalendar text, and an instant (`untilMs`) up to which endless
 * recurrences are expanded: 40 years after the calendar was written. So compiling is a function of the stored
 * value alone: every node agrees, a calendar that was taken once is always taken, and what was sent can be
 * given back. Past times stay in, so a backfill sees the holidays of its own year. Writing it again moves the
 * horizon.
 *
 * Whether a calendar is for excluding or for allowing is said where it is used.
 */
import { icalEvents, icalTimezone } from './calendar-ical.ts';
import { calendarEntriesMax, calendarYearsAhead, InvalidCalendar } from './calendar-limits.ts';
import { type Cover, type Interval, intervalCover, toIntervalSet } from './intervals.ts';
import { DAY_MS, type DayRange, formatDayRange, instantsWithin, readDayRange } from './local-time.ts';
import { isTimeZone } from './zone.ts';

export { InvalidCalendar };

/** As stored; plain JSON. */
export type CalendarSpec = {
  /** Where its days are, and times that name no zone. */
  timezone: string;
  /** `"2026-12-25"` or `"2026-10-01..2026-10-07"`, both ends included. */
  entries: readonly string[];
  /** iCalendar text (RFC 5545), or null. It adds to the entries. */
  ical: string | null;
  /** Epoch ms; recurrences count up to here. */
  untilMs: number;
};

export type CalendarInput = {
  /** Null: the zone that the iCalendar text names for itself, else UTC. */
  timezone: string | null;
  entries: readonly string[];
  ical: string | null;
};

/** Ready for questions. Costs up to 16 bytes per stretch of time, 3.2 MB at most. */
export type CompiledCalendar = {
  cover: Cover;
  /** Stretches of time, neighbours merged. */
  intervals: number;
  /** Events of the iCalendar text that count. */
  events: number;
  /** When the first stretch begins and the last one ends; null for an empty calendar. */
  firstMs: number | null;
  lastMs: number | null;
};

/**
 * Checks what a caller wrote, in full, and gives it the form in which it is stored.
 * Throws InvalidCalendar, whose `entry` is the index of a wrong entry.
 */
export function readCalendar(
  input: CalendarInput,
  nowMs: number,
): { spec: CalendarSpec; compiled: CompiledCalendar } {
  const { ical } = input;
  const timezone = input.timezone ?? (ical === null ? null : icalTimezone(ical)) ?? 'UTC';
  if (!isTimeZone(timezone)) {
    throw new InvalidCalendar(`${JSON.stringify(timezone)} is not a time zone of the IANA list.`);
  }
  if (input.entries.length > calendarEntriesMax) {
    throw new InvalidCalendar(`A calendar may have ${calendarEntriesMax} entries at most.`);
  }
  const entries = input.entries.map((text, index) => formatDayRange(toDayRange(text, index)));
  const horizon = new Date(nowMs);
  horizon.setUTCFullYear(horizon.getUTCFullYear() + calendarYearsAhead);
  const spec = { timezone, entries, ical, untilMs: Math.floor(horizon.getTime()) };
  return { spec, compiled: compileCalendar(spec) };
}

/** Throws InvalidCalendar only for what readCalendar would not have let pass. */
export function compileCalendar(spec: CalendarSpec): CompiledCalendar {
  const intervals: Interval[] = spec.entries.flatMap((text, index) => {
    const { fromDay, toDay } = toDayRange(text, index);
    return instantsWithin(spec.timezone, fromDay * DAY_MS, (toDay + 1) * DAY_MS);
  });
  const read = spec.ical === null ? null : icalEvents(spec.ical, spec.timezone, spec.untilMs);
  const set = toIntervalSet(read === null ? intervals : [...intervals, ...read.intervals]);
  return {
    cover: intervalCover(set),
    intervals: set.starts.length,
    events: read?.events ?? 0,
    firstMs: set.starts[0] ?? null,
    lastMs: set.ends.at(-1) ?? null,
  };
}

/** Whether an instant lies in a calendar. */
export function covers(calendar: CompiledCalendar, atMs: number): boolean {
  return calendar.cover.covers(atMs);
}

function toDayRange(text: string, index: number): DayRange {
  const range = readDayRange(text.trim());
  if (range === null) {
    throw new InvalidCalendar(
      `${JSON.stringify(text.slice(0, 40))} is neither a date ("2026-12-25") nor a range of dates ("2026-12-24..2026-12-31").`,
      index,
    );
  }
  if ('reason' in range) throw new InvalidCalendar(`${JSON.stringify(text)}: ${range.reason}.`, index);
  return range;
}
