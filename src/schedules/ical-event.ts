/**
 * One event of an iCalendar text as stretches of time; what counts as one is said in calendar-ical.ts. Pure.
 */
import { InvalidCalendar } from './calendar-limits.ts';
import { type IcalComponent, type IcalProperty, shown } from './ical-text.ts';
import { addDuration, readDuration, readRule, readWhen, readWhens, type When } from './ical-values.ts';
import type { EventClock } from './ical-zone.ts';
import type { Interval } from './intervals.ts';
import { DAY_MS, instantsWithin } from './local-time.ts';
import { type DayBudget, occurrences } from './recurrence.ts';
import { spend } from './recurrence-days.ts';

export type EventContext = {
  timezone: string;
  untilMs: number;
  clocks: (when: When & { kind: 'time' }) => EventClock;
  budget: DayBudget;
  replaced: ReadonlyMap<string, readonly When[]>;
};

/** Throws InvalidCalendar, and TooManyDays when the budget is used up. */
export function* eventIntervals(event: IcalComponent, context: EventContext): Generator<Interval> {
  const property = first(event, 'dtstart');
  if (property === null) throw new InvalidCalendar(`${label(event)}: it has no DTSTART.`);
  const exrule = first(event, 'exrule');
  if (exrule !== null) {
    throw new InvalidCalendar(`${label(event)}: EXRULE is not supported; write EXDATE instead.`);
  }
  const start = readWhen(property);
  if (start.kind === 'day') yield* wholeDays(event, start, context);
  else yield* timed(event, start, context);
}

function* wholeDays(
  event: IcalComponent,
  start: When & { kind: 'day' },
  context: EventContext,
): Generator<Interval> {
  const length = lengthInDays(event, start.day);
  const without = new Set(withoutOf(event, context).map(dayOf));
  const days = function* (): Generator<number> {
    const rules = event.properties.get('rrule') ?? [];
    if (rules.length === 0) yield start.day;
    for (const rule of rules) {
      const { recurrence, until } = readRule(rule);
      const last = until === null ? Infinity : dayOf(until) * DAY_MS;
      const horizon = Math.min(last, context.untilMs);
      for (const local of occurrences(recurrence, start.day * DAY_MS, horizon, true, context.budget)) {
        yield local / DAY_MS;
      }
    }
    for (const rdate of event.properties.get('rdate') ?? []) {
      for (const { from } of readWhens(rdate)) yield dayOf(from);
    }
  };
  for (const day of days()) {
    if (without.has(day)) continue;
    yield* instantsWithin(context.timezone, day * DAY_MS, (day + length) * DAY_MS);
  }
}

function lengthInDays(event: IcalComponent, startDay: number): number {
  const end = first(event, 'dtend');
  const duration = first(event, 'duration');
  if (end !== null) {
    const when = readWhen(end);
    if (when.kind !== 'day') {
      throw new InvalidCalendar(`${label(event)}: DTSTART is a date, so DTEND must be one too.`);
    }
    if (when.day < startDay) throw new InvalidCalendar(`${label(event)}: it ends before it begins.`);
    // Some programs write the day itself for an event of one day.
    return Math.max(1, when.day - startDay);
  }
  if (duration === null) return 1;
  const { days, restMs } = readDuration(duration);
  return Math.max(1, days + Math.ceil(restMs / DAY_MS));
}

function* timed(
  event: IcalComponent,
  start: When & { kind: 'time' },
  context: EventContext,
): Generator<Interval> {
  const clock = context.clocks(start);
  const startMs = clock.toInstant(start.local);
  const endOf = timedEnd(event, startMs, context);
  const withoutDays = new Set<number>();
  const withoutInstants = new Set<number>();
  for (const when of withoutOf(event, context)) {
    // A date alone, as some programs write it, means whatever happens on it.
    if (when.kind === 'day') withoutDays.add(when.day);
    else withoutInstants.add(context.clocks(when).toInstant(when.local));
  }
  const counts = (atMs: number, local: number) =>
    !withoutInstants.has(atMs) && !withoutDays.has(Math.floor(local / DAY_MS));
  const rules = event.properties.get('rrule') ?? [];
  if (rules.length === 0 && counts(startMs, start.local)) yield [startMs, endOf(clock, start.local)];
  for (const rule of rules) {
    const { recurrence, until } = readRule(rule);
    const horizon = Math.min(
      clock.toLocal(context.untilMs),
      until === null ? Infinity : lastLocal(until, clock),
    );
    for (const local of occurrences(recurrence, start.local, horizon, false, context.budget)) {
      const atMs = clock.toInstant(local);
      if (counts(atMs, local)) yield [atMs, endOf(clock, local)];
    }
  }
  for (const rdate of event.properties.get('rdate') ?? []) {
    for (const { from, until, duration } of readWhens(rdate)) {
      const timeOfDay = start.local - dayOf(start) * DAY_MS;
      const local = from.kind === 'day' ? from.day * DAY_MS + timeOfDay : from.local;
      const own = from.kind === 'day' ? clock : context.clocks(from);
      const atMs = own.toInstant(local);
      if (!counts(atMs, local)) continue;
      if (until !== null) yield [atMs, context.clocks(until).toInstant(until.local)];
      else yield [atMs, duration === null ? endOf(own, local) : addDuration(own, local, duration)];
    }
  }
}

/**
 * RFC 5545, 3.8.5.3: with DTEND all instances take equally long; with DURATION its days are days of the
 * calendar.
 */
function timedEnd(
  event: IcalComponent,
  startMs: number,
  context: EventContext,
): (clock: EventClock, local: number) => number {
  const end = first(event, 'dtend');
  const duration = first(event, 'duration');
  if (end !== null) {
    const when = readWhen(end);
    if (when.kind !== 'time') {
      throw new InvalidCalendar(`${label(event)}: DTSTART has a time of day, so DTEND must have one too.`);
    }
    const lengthMs = context.clocks(when).toInstant(when.local) - startMs;
    if (lengthMs < 0) throw new InvalidCalendar(`${label(event)}: it ends before it begins.`);
    return (clock, local) => clock.toInstant(local) + Math.max(1, lengthMs);
  }
  if (duration === null) return (clock, local) => clock.toInstant(local) + 1;
  const length = readDuration(duration);
  return (clock, local) => Math.max(clock.toInstant(local) + 1, addDuration(clock, local, length));
}

/** What a series has no instance at: its EXDATEs, and what overrides stand for. */
function withoutOf(event: IcalComponent, { replaced, budget }: EventContext): When[] {
  const exdates = (event.properties.get('exdate') ?? []).flatMap(readWhens).map(({ from }) => from);
  if (event.properties.has('recurrence-id')) return exdates;
  const overridden = replaced.get(textOf(event, 'uid') ?? '') ?? [];
  // Many events with one UID and many overrides would be quadratic.
  spend(budget, overridden.length);
  return [...exdates, ...overridden];
}

function dayOf(when: When): number {
  return when.kind === 'day' ? when.day : Math.floor(when.local / DAY_MS);
}

/** UNTIL is included: an instant, or a whole day when it is a date. */
function lastLocal(until: When, clock: EventClock): number {
  if (until.kind === 'day') return (until.day + 1) * DAY_MS - 1;
  return until.utc ? clock.toLocal(until.local) : until.local;
}

export function first(component: IcalComponent, name: string): IcalProperty | null {
  return component.properties.get(name)?.[0] ?? null;
}

/** The text of a component's first such property; null when it has none, or an empty one. */
export function textOf(component: IcalComponent, name: string): string | null {
  const value = first(component, name)?.values[0];
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
}

/** The event as messages name it. */
export function label(event: IcalComponent): string {
  const summary = textOf(event, 'summary');
  return `${summary === null ? 'The event' : `The event ${shown(summary)}`} on line ${event.line}`;
}
