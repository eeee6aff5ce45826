/**
 * Calendars as a resource. Writing one that schedules use is two things: its contents change in one small transaction,
 * then the next times of its schedules are computed again, some at a time, so that no fire waits for it.
 *
 * What happens on kill -9: before the first commit nothing has changed; after it the calendar counts as not applied, and
 * a background pass (`applyPass`) goes on with its schedules, from the first on, since doing one twice is the same as
 * once. A schedule that fires in between goes on by the new contents anyway.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import {
  type CalendarVersion,
  countUsers,
  deleteCalendar,
  findCalendar,
  listCalendars,
  listUsers,
  markApplied,
  nameUsers,
  putCalendar,
  readVersions,
  type StoredCalendar,
  unappliedCalendars,
} from '../db/calendar-store.ts';
import type { Db, Tx } from '../db/client.ts';
import { setNext } from '../db/schedule-state-store.ts';
import { lockSchedule, updateSchedule } from '../db/schedule-store.ts';
import { invalid } from '../errors.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { newId } from '../runs/run-id.ts';
import { createBreath } from './breath.ts';
import { type CalendarSpec, type CompiledCalendar, InvalidCalendar, readCalendar } from './calendar.ts';
import type { CalendarBook } from './calendar-book.ts';
import { statusAfter, timeFromNow } from './schedule-next.ts';
import { calendarInUse, unknownCalendar } from './schedule-refusals.ts';

export type CalendarDefinition = {
  name: string;
  description: string;
  /** Null: the zone that the iCalendar text names for itself, else UTC. */
  timezone: string | null;
  dates: readonly string[];
  ical: string | null;
};

export type CalendarView = StoredCalendar & {
  /** How many schedules name it. */
  usedBy: number;
} & Pick<CompiledCalendar, 'events' | 'intervals' | 'firstMs' | 'lastMs'>;

/** Unknown name: DomainError `not_found`. */
export interface CalendarService {
  /** DomainError `invalid`. Answers when every schedule that uses it goes by it. */
  put(definition: CalendarDefinition): Promise<{ created: boolean; calendar: CalendarView }>;
  get(name: string): Promise<CalendarView>;
  list(page: PageRequest): Promise<Page<CalendarView>>;
  /** DomainError `conflict` when a schedule names it. */
  remove(name: string): Promise<void>;
  /** Finishes what an earlier writer could not. Returns how many schedules it looked at. */
  applyPass(): Promise<number>;
}

export type CalendarServiceParts = {
  db: Db;
  clock: Clock;
  book: CalendarBook;
  /** Called after a commit that may have brought the next fire nearer. */
  onChange(): void;
};

/** Schedules whose rows one transaction holds. */
const applyBatchMax = 100;
const usersTold = 5;

export function createCalendarService({ db, clock, book, onChange }: CalendarServiceParts): CalendarService {
  async function viewsOf(stored: readonly StoredCalendar[]): Promise<CalendarView[]> {
    const users = await countUsers(
      db,
      stored.map(({ id }) => id),
    );
    const breath = createBreath(clock);
    const views: CalendarView[] = [];
    for (const calendar of stored) {
      await breath.take();
      const { events, intervals, firstMs, lastMs } = book.compiled(calendar);
      views.push({ ...calendar, usedBy: users.get(calendar.id) ?? 0, events, intervals, firstMs, lastMs });
    }
    return views;
  }

  async function viewOf(name: string): Promise<CalendarView> {
    const found = await findCalendar(db, name);
    if (found === null) throw unknownCalendar(name);
    return (await viewsOf([found]))[0]!;
  }

  async function apply(calendar: CalendarVersion): Promise<number> {
    let looked = 0;
    for (let after: string | null = null; ; ) {
      const ids = await listUsers(db, calendar.id, after, applyBatchMax);
      if (ids.length === 0) break;
      await db.transaction(async (tx) => {
        for (const id of ids) await recompute(tx, id);
      });
      onChange();
      looked += ids.length;
      after = ids.at(-1)!;
    }
    await markApplied(db, calendar);
    return looked;
  }

  /** What is due already, or waits out its jitter, fires as it is; what follows goes by the new contents anyway. */
  async function recompute(tx: Tx, id: string): Promise<void> {
    const schedule = await lockSchedule(tx, id);
    if (schedule === null || (schedule.status !== 'active' && schedule.status !== 'completed')) return;
    const nowMs = clock.now();
    if (schedule.nextRunAtMs !== null && schedule.nextRunAtMs <= nowMs) return;
    const { spec } = schedule;
    // A delay waits for its run or for its time, and heeds exclusions when that has come.
    if (spec.timing.trigger.kind === 'delay') return;
    const calendars = await book.read(tx, [spec.timing]);
    let next: ReturnType<typeof timeFromNow>;
    try {
      next = timeFromNow(schedule, spec, nowMs, calendars);
    } catch {
      // The dispatcher finds it too, and tells it as the schedule's fault.
      return;
    }
    const status = statusAfter(schedule, spec, next !== null);
    if (status !== schedule.status) await updateSchedule(tx, id, { status }, nowMs, null);
    await setNext(tx, id, status === 'active' && next !== 'awaits_end' ? next : null);
  }

  return {
    async put({ name, description, timezone, dates, ical }) {
      const nowMs = clock.now();
      const { spec } = checked({ timezone, entries: dates, ical }, nowMs);
      const id = newId(nowMs);
      const { created, version } = await db.transaction(async (tx) => {
        const known = await findCalendar(tx, name);
        if (known?.description === description && isSame(known.spec, spec))
          return { created: false, version: null };
        const answer = await putCalendar(tx, { id, name, description, spec }, nowMs);
        const [stored] = await readVersions(tx, [name], false);
        return { ...answer, version: stored! };
      });
      if (version !== null && !created) await apply(version);
      return { created, calendar: await viewOf(name) };
    },

    get: viewOf,

    async list(page) {
      const { items, next } = await listCalendars(db, page);
      return { items: await viewsOf(items), next };
    },

    async remove(name) {
      const outcome = await deleteCalendar(db, name);
      if (outcome === 'unknown') throw unknownCalendar(name);
      if (outcome === 'in_use') {
        const users = await nameUsers(db, name, usersTold + 1);
        throw calendarInUse(name, users.slice(0, usersTold), users.length > usersTold);
      }
    },

    async applyPass() {
      let looked = 0;
      for (const calendar of await unappliedCalendars(db)) looked += await apply(calendar);
      return looked;
    },
  };
}

const horizonAgeMs = 365 * 86_400_000;

/** Calendars as code are put again and again; the same contents are no change until the horizon is a year old. */
function isSame(known: CalendarSpec, put: CalendarSpec): boolean {
  return (
    put.untilMs - known.untilMs < horizonAgeMs &&
    isDeepStrictEqual({ ...known, untilMs: 0 }, { ...put, untilMs: 0 })
  );
}

/** readCalendar, with its faults as those of the request. */
function checked(input: Parameters<typeof readCalendar>[0], nowMs: number): ReturnType<typeof readCalendar> {
  try {
    return readCalendar(input, nowMs);
  } catch (error) {
    if (!(error instanceof InvalidCalendar)) throw error;
    if (error.entry !== null) throw invalid(`/dates/${error.entry}`, error.message);
    throw invalid(input.ical === null ? '/dates' : '/ical', error.message);
  }
}
