/**
 * The calendars that timings name, ready for questions. What a calendar has is a function of its id and version, so
 * compiled ones are remembered; which version is in force is asked each time, in the transaction that it matters to.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { type CalendarVersion, readSpecs, readVersions } from '../db/calendar-store.ts';
import type { Db, Tx } from '../db/client.ts';
import { type CalendarSpec, type CompiledCalendar, compileCalendar } from './calendar.ts';
import { calendarsOf } from './exclusion.ts';
import type { Timing } from './schedule.ts';
import { type Calendars, noCalendars } from './trigger.ts';

export interface CalendarBook {
  /** Those that the timings name, as they are now; one that is missing is left out. */
  read(db: Db | Tx, timings: readonly Timing[]): Promise<Calendars>;
  /** As read, and they cannot change or be deleted until the transaction ends. */
  hold(tx: Tx, timing: Timing): Promise<Calendars>;
  /** Of one that was read whole. */
  compiled(calendar: { id: string; version: number; spec: CalendarSpec }): CompiledCalendar;
}

/** Stretches of time, 16 bytes each, of all remembered calendars together. */
const intervalsMax = 4_000_000;

export function createCalendarBook(): CalendarBook {
  /** By id; the one used last is the last. */
  const known = new Map<string, { version: number; compiled: CompiledCalendar }>();
  let intervals = 0;

  function remember(id: string, version: number, compiled: CompiledCalendar): void {
    forget(id);
    known.set(id, { version, compiled });
    intervals += compiled.intervals;
    for (const oldest of known.keys()) {
      if (intervals <= intervalsMax || oldest === id) break;
      forget(oldest);
    }
  }

  function compiled({
    id,
    version,
    spec,
  }: {
    id: string;
    version: number;
    spec: CalendarSpec;
  }): CompiledCalendar {
    const entry = known.get(id);
    if (entry?.version === version) return entry.compiled;
    const made = compileCalendar(spec);
    remember(id, version, made);
    return made;
  }

  function forget(id: string): void {
    intervals -= known.get(id)?.compiled.intervals ?? 0;
    known.delete(id);
  }

  async function load(db: Db | Tx, names: readonly string[], held: boolean): Promise<Calendars> {
    if (names.length === 0) return noCalendars;
    const versions = await readVersions(db, names, held);
    const found = new Map<string, CompiledCalendar>();
    const unknown: CalendarVersion[] = [];
    for (const each of versions) {
      const entry = known.get(each.id);
      if (entry?.version === each.version) found.set(each.name, entry.compiled);
      else unknown.push(each);
    }
    if (unknown.length === 0) return found;
    const nameOf = new Map(unknown.map(({ id, name }) => [id, name]));
    const specs = await readSpecs(
      db,
      unknown.map(({ id }) => id),
    );
    for (const each of specs) {
      // Compiling one takes up to some 50 ms.
      await turn();
      try {
        found.set(nameOf.get(each.id)!, compiled(each));
      } catch {
        // As if it were missing: a fault of the schedules that name it, and of no other.
      }
    }
    return found;
  }

  return {
    read: (db, timings) => load(db, [...new Set(timings.flatMap(namedCalendars))], false),
    hold: (tx, timing) => load(tx, namedCalendars(timing), true),
    compiled,
  };
}

/** The names of the calendars that a timing's exclusions refer to; none for exclusions that cannot be read. */
export function namedCalendars({ exclusions }: Timing): string[] {
  if (exclusions === undefined) return [];
  try {
    return calendarsOf([...exclusions.exclude, ...exclusions.only]);
  } catch {
    return [];
  }
}
