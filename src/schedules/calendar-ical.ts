/**
 * The events of an iCalendar text as stretches of time.
 *
 * ical.js reads the content lines: parameters, escapes, types of values, RRULE (ical-text.ts). The tree of
 * components, the zones and the expansion of rules are ours, because of its own the first takes any END for
 * any BEGIN, and the others give wrong dates and may never return (recurrence.ts has the figures).
 *
 * - All events count, also those marked TRANSPARENT: public holiday calendars mark their days so, because
 *   nobody is busy on them. Events with STATUS:CANCELLED do not count.
 * - An all-day event covers whole days in the calendar's zone, whatever zone its author had in mind; DTEND is
 *   not included. A timed event covers its start and not its end; without an end it covers the very instant.
 * - A TZID of the IANA list is the platform's zone, also when the text brings a VTIMEZONE, which is often cut
 *   short. Other TZIDs need their VTIMEZONE. Times without a zone are the calendar's.
 * - Recurrences: RRULE (daily to yearly), RDATE, EXDATE, RECURRENCE-ID. Those that go on for ever are
 *   expanded up to the horizon. A start that its own rule does not match does not occur; the RFC leaves that
 *   open.
 * - What cannot be expanded exactly is refused: EXRULE, RANGE=THISANDFUTURE, RSCALE, rules by the hour or
 *   finer.
 */
import {
  calendarDaysLookedAtMax,
  calendarIntervalsMax,
  calendarYearsAhead,
  InvalidCalendar,
} from './calendar-limits.ts';
import { eventIntervals, first, label, textOf } from './ical-event.ts';
import { type IcalComponent, readIcal } from './ical-text.ts';
import { readWhen, type When } from './ical-values.ts';
import { createClocks } from './ical-vtimezone.ts';
import type { Interval } from './intervals.ts';
import { type DayBudget, TooManyDays } from './recurrence.ts';
import { isTimeZone } from './zone.ts';

export type IcalEvents = {
  intervals: Interval[];
  /** Events that count; a series and each of its overrides are one each. */
  events: number;
};

/**
 * The zone that a text names for itself (X-WR-TIMEZONE), when it is one of the IANA list. Throws
 * InvalidCalendar.
 */
export function icalTimezone(text: string): string | null {
  const named = readIcal(text).map((calendar) => textOf(calendar, 'x-wr-timezone'));
  return named.find((zone) => zone !== null && isTimeZone(zone)) ?? null;
}

/**
 * Everything up to `untilMs` (epoch ms). `timezone`: where whole days and times without a zone are. Throws
 * InvalidCalendar.
 */
export function icalEvents(text: string, timezone: string, untilMs: number): IcalEvents {
  const calendars = readIcal(text);
  for (const calendar of calendars) {
    if (textOf(calendar, 'method')?.toUpperCase() === 'CANCEL') {
      throw new InvalidCalendar(
        'METHOD:CANCEL withdraws events; send the calendar that is in force instead.',
      );
    }
  }
  const components = calendars.flatMap((calendar) => calendar.components);
  const budget: DayBudget = { daysLeft: calendarDaysLookedAtMax };
  const clocks = createClocks(components, timezone, untilMs, budget);
  const events = components.filter((component) => component.name === 'VEVENT');
  const replaced = replacedInstances(events);
  const found: IcalEvents = { intervals: [], events: 0 };
  for (const event of events) {
    if (textOf(event, 'status')?.toUpperCase() === 'CANCELLED') continue;
    found.events += 1;
    try {
      for (const interval of eventIntervals(event, { timezone, untilMs, clocks, budget, replaced })) {
        found.intervals.push(interval);
        if (found.intervals.length > calendarIntervalsMax) throw tooMany(event);
      }
    } catch (error) {
      if (!(error instanceof TooManyDays)) throw error;
      throw new InvalidCalendar(`${label(event)}: its rule, or all rules together, take too long to expand.`);
    }
  }
  return found;
}

/** RECURRENCE-ID: what an override replaces, or cancels, in the series of its UID. */
function replacedInstances(events: readonly IcalComponent[]): Map<string, When[]> {
  const replaced = new Map<string, When[]>();
  for (const event of events) {
    const id = first(event, 'recurrence-id');
    const uid = textOf(event, 'uid');
    if (id === null || uid === null) continue;
    if (id.params.range !== undefined) {
      throw new InvalidCalendar(
        `${label(event)}: RANGE=THISANDFUTURE is not supported; end the series and begin another.`,
      );
    }
    const known = replaced.get(uid);
    if (known === undefined) replaced.set(uid, [readWhen(id)]);
    else known.push(readWhen(id));
  }
  return replaced;
}

function tooMany(event: IcalComponent): InvalidCalendar {
  return new InvalidCalendar(
    `${label(event)}: with it the calendar has more than ${calendarIntervalsMax} times within ${calendarYearsAhead} years; end the series (UNTIL) or leave events out.`,
  );
}
