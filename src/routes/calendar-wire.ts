/** Calendars as callers write and read them. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { calendarEntriesMax } from '../schedules/calendar-limits.ts';
import type { CalendarDefinition, CalendarView } from '../schedules/calendar-service.ts';
import { presentInstant } from './instant-wire.ts';
import { timezoneField } from './trigger-wire.ts';
import { readOnlyFields } from './zod-validation.ts';

const time = z.string().meta({ format: 'date-time' });
const descriptionLengthMax = 2_000;

export const calendarInput = z
  .strictObject({
    description: z.string().max(descriptionLengthMax).default(''),
    timezone: timezoneField
      .nullable()
      .default(null)
      .describe(
        'Where its days are, and times that name no zone. Default: what the iCalendar text says of itself, else UTC.',
      ),
    dates: z
      .array(z.string().max(64))
      .max(calendarEntriesMax)
      .optional()
      .describe('Days and ranges of days, both ends included.'),
    ical: z
      .string()
      .nullable()
      .default(null)
      .describe('iCalendar text (RFC 5545); its events count beside `dates`.'),
  })
  .refine(({ dates, ical }) => dates !== undefined || ical !== null, {
    path: ['dates'],
    message: 'or `ical` is needed; an empty list makes a calendar without days',
  })
  .register(readOnlyFields, {
    names: [
      'id',
      'name',
      'version',
      'events',
      'intervals',
      'firstAt',
      'lastAt',
      'usedBy',
      'createdAt',
      'updatedAt',
    ],
  })
  .meta({
    id: 'CalendarDefinition',
    anyOf: [{ required: ['dates'] }, { required: ['ical'] }],
    description:
      'Days, or iCalendar text, or both. As `text/calendar` the body is the iCalendar text itself.',
    examples: [{ timezone: 'Asia/Shanghai', dates: ['2026-10-01..2026-10-07', '2027-01-01'] }],
  });

const summary = {
  name: z.string(),
  description: z.string(),
  timezone: z.string(),
  version: z.int().describe('Grows by one with each change.'),
  events: z.int().describe('Events of the iCalendar text that count.'),
  intervals: z.int().describe('Stretches of time, recurrences expanded and neighbours merged.'),
  firstAt: time.nullable().describe('When the first stretch begins.'),
  lastAt: time
    .nullable()
    .describe('When the last stretch ends, not included. Endless series count 40 years ahead.'),
  usedBy: z.int().describe('How many schedules name it.'),
  createdAt: time,
  updatedAt: time,
};

export const calendarSummary = z
  .object(summary)
  .meta({ id: 'CalendarSummary', description: 'A calendar without its contents.' });

export const calendarAnswer = z
  .object({ ...summary, dates: z.array(z.string()), ical: z.string().nullable() })
  .meta({ id: 'Calendar', description: 'A named set of time that schedules exclude or keep to.' });

export function toCalendarDefinition(
  name: string,
  { description, timezone, dates, ical }: z.output<typeof calendarInput>,
): CalendarDefinition {
  return { name, description, timezone, dates: dates ?? [], ical };
}

export function presentCalendarSummary(view: CalendarView): z.output<typeof calendarSummary> {
  return {
    name: view.name,
    description: view.description,
    timezone: view.spec.timezone,
    version: view.version,
    events: view.events,
    intervals: view.intervals,
    firstAt: presentInstant(view.firstMs),
    lastAt: presentInstant(view.lastMs),
    usedBy: view.usedBy,
    createdAt: toIso(view.createdAtMs),
    updatedAt: toIso(view.updatedAtMs),
  };
}

export function presentCalendar(view: CalendarView): z.output<typeof calendarAnswer> {
  return { ...presentCalendarSummary(view), dates: [...view.spec.entries], ical: view.spec.ical };
}
