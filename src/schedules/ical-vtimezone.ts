/** Which clock a time of an iCalendar text is on, by its TZID. Pure. */
import { InvalidCalendar } from './calendar-limits.ts';
import { type IcalComponent, shown } from './ical-text.ts';
import { readOffset, readRule, readWhen, readWhens, type When } from './ical-values.ts';
import { type EventClock, type Onset, onsetClock, utcClock, zoneClock } from './ical-zone.ts';
import { DAY_MS } from './local-time.ts';
import { type DayBudget, occurrences } from './recurrence.ts';
import { spend } from './recurrence-days.ts';
import { isTimeZone } from './zone.ts';

/**
 * A VTIMEZONE with more changes, or more different offsets, than these describes no zone: the IANA list has
 * none with more than eight offsets. Each time on its clock is held against all of them.
 */
const onsetsMax = 10_000;
const offsetsMax = 32;

/**
 * The clocks of a text. The function that is returned throws InvalidCalendar for a TZID that is neither of
 * the IANA list nor described by a VTIMEZONE, and TooManyDays. `timezone`: the clock of times without a zone.
 */
export function createClocks(
  components: readonly IcalComponent[],
  timezone: string,
  untilMs: number,
  budget: DayBudget,
): (when: When & { kind: 'time' }) => EventClock {
  const floating = zoneClock(timezone);
  const known = new Map<string, EventClock>();
  const described = new Map<unknown, IcalComponent>(
    components
      .filter((component) => component.name === 'VTIMEZONE')
      .map((component) => [component.properties.get('tzid')?.[0]?.values[0], component]),
  );
  function clockFor(tzid: string, line: number): EventClock {
    if (isTimeZone(tzid)) return zoneClock(tzid);
    const component = described.get(tzid);
    const location = component?.properties.get('x-lic-location')?.[0]?.values[0];
    if (typeof location === 'string' && isTimeZone(location)) return zoneClock(location);
    if (component !== undefined) return onsetClock(onsetsOf(component, untilMs, budget));
    throw new InvalidCalendar(
      `Line ${line}: the time zone ${shown(tzid)} is not of the IANA list, and no VTIMEZONE describes it.`,
    );
  }
  return ({ utc, tzid, line }) => {
    if (utc) return utcClock;
    if (tzid === null) return floating;
    let clock = known.get(tzid);
    if (clock === undefined) {
      clock = clockFor(tzid, line);
      known.set(tzid, clock);
    }
    return clock;
  };
}

/** RFC 5545, 3.6.5: each STANDARD and DAYLIGHT begins at its times, told by the clock that it ends. */
function onsetsOf(zone: IcalComponent, untilMs: number, budget: DayBudget): Onset[] {
  const onsets: Onset[] = [];
  for (const part of zone.components) {
    const [start] = part.properties.get('dtstart') ?? [];
    const [from] = part.properties.get('tzoffsetfrom') ?? [];
    const [to] = part.properties.get('tzoffsetto') ?? [];
    if (start === undefined || from === undefined || to === undefined) {
      throw new InvalidCalendar(
        `The ${part.name} on line ${part.line} needs DTSTART, TZOFFSETFROM and TZOFFSETTO.`,
      );
    }
    const offsetBefore = readOffset(from);
    const offset = readOffset(to);
    const first = localOf(readWhen(start));
    const locals = new Set([first]);
    for (const rdate of part.properties.get('rdate') ?? []) {
      for (const when of readWhens(rdate)) locals.add(localOf(when.from));
    }
    for (const property of part.properties.get('rrule') ?? []) {
      const { recurrence, until } = readRule(property);
      const last = until === null ? Infinity : localOf(until) + offsetBefore;
      for (const local of occurrences(recurrence, first, Math.min(last, untilMs + DAY_MS), false, budget)) {
        locals.add(local);
        if (locals.size > onsetsMax) throw tooOften(zone);
      }
    }
    // An onset takes as long to sort and to keep as several days take to look at.
    spend(budget, 5 * locals.size);
    for (const local of locals) onsets.push({ atMs: local - offsetBefore, offsetBefore, offset });
  }
  const offsets = new Set(onsets.flatMap(({ offset, offsetBefore }) => [offset, offsetBefore]));
  if (onsets.length > onsetsMax || offsets.size > offsetsMax) throw tooOften(zone);
  if (onsets.length > 0) return onsets;
  throw new InvalidCalendar(`The VTIMEZONE on line ${zone.line} has neither STANDARD nor DAYLIGHT.`);
}

function tooOften(zone: IcalComponent): InvalidCalendar {
  return new InvalidCalendar(`The VTIMEZONE on line ${zone.line} changes the clock too often.`);
}

function localOf(when: When): number {
  return when.kind === 'day' ? when.day * DAY_MS : when.local;
}
