/**
 * Everything a person may do to a schedule. Each command is one transaction: lock the schedule, settle what is due
 * until now under its present definition, then change it. So a fire that was due before a pause, a reschedule or a
 * stop has its disposition before the command takes effect, and no nominal time falls between two definitions.
 * A kill -9 anywhere leaves either all of it or nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import { linkCalendars } from '../db/calendar-store.ts';
import type { Db, Tx } from '../db/client.ts';
import { recordFires } from '../db/fire-store.ts';
import { setLateAfter } from '../db/lateness-store.ts';
import { tellPaused } from '../db/notify-event-store.ts';
import { withdrawWaiting } from '../db/run-end-store.ts';
import { findRun } from '../db/run-history-store.ts';
import { lockActiveRuns, signalRunning } from '../db/run-store.ts';
import { insertState, resetFailures, setNext, setWatch } from '../db/schedule-state-store.ts';
import {
  deleteSchedule,
  findSchedule,
  insertSchedule,
  listSchedules,
  lockSchedule,
  type ScheduleListFilter,
  type StoredSchedule,
  updateSchedule,
} from '../db/schedule-store.ts';
import { messageOf } from '../errors.ts';
import { applyMergePatch } from '../merge-patch.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { Run } from '../runs/run.ts';
import { newId } from '../runs/run-id.ts';
import type { RunSignal } from '../runs/run-state.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import { createBreath } from './breath.ts';
import { type CalendarBook, namedCalendars } from './calendar-book.ts';
import { computed, createDefinitionChecks, noTime, secretsNamed } from './definition-checks.ts';
import type { JobCatalog } from './job-catalog.ts';
import { kindsOf } from './notify.ts';
import { decideOverlap } from './overlap.ts';
import type { CatchUpPolicy, OverlapPolicy, Schedule, ScheduleSpec, ScheduleView } from './schedule.ts';
import {
  firstTime,
  haveSameTimes,
  type NextTime,
  nextTime,
  roomForRuns,
  statusAfter,
  timeFromNow,
} from './schedule-next.ts';
import {
  completedIsOver,
  isNotFound,
  nameTaken,
  notComputable,
  stoppedIsFinal,
  unknownSchedule,
} from './schedule-refusals.ts';
import { viewOf, viewsOf } from './schedule-view.ts';
import { catchUpPause, dropPending, type Moment, settle } from './settle.ts';
import { upcomingTimes } from './upcoming.ts';

export type ScheduleFilter = ScheduleListFilter;

/** Every `ref` is an id or a name. Unknown: DomainError `not_found`. Not allowed in its state: `conflict`. */
export interface ScheduleService {
  /** DomainError `invalid` (pointers as in the POST body), `conflict` when the name is taken. */
  create(spec: ScheduleSpec): Promise<ScheduleView>;
  /** Creates or replaces by name; history and counts are kept. */
  put(spec: ScheduleSpec): Promise<{ created: boolean; schedule: ScheduleView }>;
  get(ref: string): Promise<ScheduleView>;
  list(filter: ScheduleFilter, page: PageRequest): Promise<Page<ScheduleView>>;
  /** Reads the schedule, asks `change` for its new definition, and stores that, as one atomic step. */
  update(ref: string, change: (current: Schedule) => ScheduleSpec): Promise<ScheduleView>;
  /** Its unstarted runs are cancelled, running ones are told to cancel, its history stays. */
  remove(ref: string): Promise<void>;
  pause(ref: string, note: string | null): Promise<ScheduleView>;
  resume(ref: string, options: { catchUp: CatchUpPolicy }): Promise<ScheduleView>;
  stop(ref: string, note: string | null): Promise<ScheduleView>;
  reschedule(
    ref: string,
    change: (current: Schedule) => Pick<ScheduleSpec, 'timing' | 'timezone' | 'dst' | 'written'>,
  ): Promise<ScheduleView>;
  /** Runs it now. `input` is a merge patch (RFC 7396) on the schedule's input. */
  trigger(ref: string, options: { input?: unknown; overlap?: OverlapPolicy }): Promise<Run>;
  /** The next nominal times of a schedule, as if it stayed active; at most `count`. */
  upcoming(ref: string, count: number): Promise<{ schedule: Schedule; timesMs: number[] }>;
}

export type ScheduleServiceParts = {
  db: Db;
  clock: Clock;
  jobs: JobCatalog;
  book: CalendarBook;
  secrets: Pick<SecretService, 'check'>;
  /** Whether mail can be sent. */
  canMail?: boolean;
  /** Task queues that some worker serves by name. */
  served(): readonly string[];
  /** Called after a commit that may have brought the next fire nearer. */
  onChange(): void;
};

export function createScheduleService({
  db,
  clock,
  jobs,
  book,
  secrets,
  canMail = false,
  served,
  onChange,
}: ScheduleServiceParts): ScheduleService {
  const viewed = { book, clock };
  const checks = createDefinitionChecks({ jobs, book, secrets, canMail });

  async function locked(tx: Tx, ref: string): Promise<StoredSchedule> {
    const schedule = await lockSchedule(tx, ref);
    if (schedule === null) throw unknownSchedule(ref);
    return schedule;
  }

  async function momentOf(tx: Tx, { spec }: Schedule): Promise<Moment> {
    const calendars = await book.read(tx, [spec.timing]);
    return { nowMs: clock.now(), served: served(), calendars };
  }

  /** Ends the runs that wait, and tells those that run. None slips through between the two. */
  async function endOrTell(
    tx: Tx,
    id: string,
    reason: string,
    signal: RunSignal,
    nowMs: number,
  ): Promise<void> {
    await lockActiveRuns(tx, id);
    await withdrawWaiting(tx, id, { reason, retrying: true, fresh: false, nowMs });
    await signalRunning(tx, id, signal);
  }

  async function command(
    ref: string,
    act: (tx: Tx, schedule: StoredSchedule, moment: Moment) => Promise<void>,
  ): Promise<ScheduleView> {
    const view = await db.transaction(async (tx) => {
      const found = await locked(tx, ref);
      const moment = await momentOf(tx, found);
      await act(tx, await settle(tx, found, moment), moment);
      return await viewOf(tx, viewed, (await findSchedule(tx, found.id))!, moment.nowMs);
    });
    onChange();
    return view;
  }

  async function replaceSpec(
    tx: Tx,
    schedule: StoredSchedule,
    spec: ScheduleSpec,
    moment: Moment,
  ): Promise<void> {
    const { nowMs } = moment;
    await checks.job(tx, spec);
    await checks.notify(tx, spec);
    if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
    // Schedules as code are put again and again; only what differs is a change.
    if (isDeepStrictEqual(schedule.spec, spec)) return;
    const retimed = !haveSameTimes(schedule.spec, spec);
    const calendars = await checks.calendars(tx, spec);
    const next = computed(spec, () => nextTime(schedule, spec, retimed, nowMs, calendars));
    // What was true when it was stored need not be so now; only a new timing must still have a time to come.
    if (retimed && next === null) throw noTime(spec, nowMs);
    const status = statusAfter(schedule, spec, next !== null);
    if (retimed) {
      await dropPending(tx, schedule, 'rescheduled', moment);
      await withdrawWaiting(tx, schedule.id, { reason: 'rescheduled', retrying: false, fresh: true, nowMs });
    }
    // What a resume may catch up are the times of this timing, and it had none before.
    const pausedAtMs = retimed && status === 'paused' ? { pausedAtMs: nowMs } : {};
    const stored = await updateSchedule(tx, schedule.id, { spec, status, ...pausedAtMs }, nowMs);
    if (stored === 'name_taken') throw nameTaken(spec.name, 'active');
    if (schedule.spec.timing.exclusions !== undefined || spec.timing.exclusions !== undefined) {
      await linkCalendars(tx, schedule.id, namedCalendars(spec.timing));
    }
    if (!isDeepStrictEqual(secretsNamed(schedule.spec), secretsNamed(spec))) {
      await checks.link(tx, schedule.id, spec);
    }
    if (schedule.spec.lateAfterMs !== spec.lateAfterMs) {
      await setLateAfter(tx, schedule.id, spec.lateAfterMs ?? null);
    }
    if (!isDeepStrictEqual(watchOf(schedule.spec), watchOf(spec)))
      await setWatch(tx, schedule.id, watchOf(spec));
    await setNext(tx, schedule.id, status === 'active' ? known(next) : null);
  }

  async function create(tx: Tx, spec: ScheduleSpec): Promise<ScheduleView | 'name_taken'> {
    await checks.job(tx, spec);
    await checks.notify(tx, spec);
    const nowMs = clock.now();
    const id = newId(nowMs);
    const calendars = await checks.calendars(tx, spec);
    const next = computed(spec, () => firstTime(id, spec, nowMs, calendars));
    if (next === null) throw noTime(spec, nowMs);
    const inserted = await insertSchedule(tx, { id, spec, status: 'active', atMs: nowMs });
    if (!inserted) return 'name_taken';
    await insertState(tx, id, known(next));
    if (calendars.size > 0) await linkCalendars(tx, id, namedCalendars(spec.timing));
    if (secretsNamed(spec).length > 0) await checks.link(tx, id, spec);
    const watch = watchOf(spec);
    if (watch.notifyOn !== null || watch.lateAfterMs !== null) await setWatch(tx, id, watch);
    return await viewOf(tx, viewed, (await findSchedule(tx, id))!, nowMs);
  }

  return {
    async create(spec) {
      const view = await db.transaction(async (tx) => await create(tx, spec));
      if (view === 'name_taken') {
        throw nameTaken(spec.name, (await findSchedule(db, spec.name))?.status ?? 'active');
      }
      onChange();
      return view;
    },

    async put(spec) {
      // Two may create the same name at once: the one that finds it taken replaces.
      for (;;) {
        const created = await db.transaction(async (tx) => {
          const found = await lockSchedule(tx, spec.name);
          return found === null ? await create(tx, spec) : null;
        });
        if (created !== null && created !== 'name_taken') {
          onChange();
          return { created: true, schedule: created };
        }
        try {
          const schedule = await command(spec.name, (tx, found, moment) =>
            replaceSpec(tx, found, spec, moment),
          );
          return { created: false, schedule };
        } catch (error) {
          // Deleted between the two: create it after all.
          if (!isNotFound(error)) throw error;
        }
      }
    },

    async get(ref) {
      const found = await findSchedule(db, ref);
      if (found === null) throw unknownSchedule(ref);
      return await viewOf(db, viewed, found, clock.now());
    },

    async list(filter, page) {
      const { items, next } = await listSchedules(db, filter, page);
      return { items: await viewsOf(db, viewed, items, clock.now()), next };
    },

    update: (ref, change) =>
      command(ref, (tx, schedule, moment) => replaceSpec(tx, schedule, change(schedule), moment)),

    async remove(ref) {
      await db.transaction(async (tx) => {
        const found = await locked(tx, ref);
        const moment = await momentOf(tx, found);
        const schedule = await settle(tx, found, moment);
        await dropPending(tx, schedule, 'schedule_deleted', moment);
        await endOrTell(tx, schedule.id, 'schedule_deleted', 'cancel', moment.nowMs);
        await deleteSchedule(tx, schedule.id);
      });
    },

    pause: (ref, note) =>
      command(ref, async (tx, schedule, moment) => {
        const { nowMs } = moment;
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        if (schedule.status === 'completed') throw completedIsOver(schedule, 'paused');
        if (schedule.status === 'paused') {
          if (note !== null && note !== schedule.note) await updateSchedule(tx, schedule.id, { note }, nowMs);
          return;
        }
        await dropPending(tx, schedule, 'paused', moment);
        await updateSchedule(tx, schedule.id, { status: 'paused', note, pausedAtMs: nowMs }, nowMs);
        await tellPaused(tx, schedule.id, { key: newId(nowMs), note, atMs: nowMs });
        await setNext(tx, schedule.id, null);
      }),

    resume: (ref, { catchUp }) =>
      command(ref, async (tx, schedule, moment) => {
        const { nowMs } = moment;
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        if (schedule.status === 'completed') throw completedIsOver(schedule, 'resumed');
        if (schedule.status === 'active') return;
        // No dispatcher has looked at it during the pause: what cannot be computed is found here.
        const first = firstTimeOrRefusal(schedule, moment);
        const caught = catchUp === 'none' ? 0 : await catchUpPause(tx, schedule, catchUp, moment);
        const next = roomForRuns(schedule, schedule.spec, caught) ? first : null;
        const status = next === null ? 'completed' : 'active';
        await updateSchedule(tx, schedule.id, { status, note: null, pausedAtMs: null }, nowMs);
        await resetFailures(tx, schedule.id);
        await setNext(tx, schedule.id, known(next));
      }),

    stop: (ref, note) =>
      command(ref, async (tx, schedule, moment) => {
        const { nowMs } = moment;
        if (schedule.status === 'stopped') {
          if (note !== null && note !== schedule.note) await updateSchedule(tx, schedule.id, { note }, nowMs);
          return;
        }
        await dropPending(tx, schedule, 'stopped', moment);
        await updateSchedule(tx, schedule.id, { status: 'stopped', note, pausedAtMs: null }, nowMs);
        await setNext(tx, schedule.id, null);
        await endOrTell(tx, schedule.id, 'stopped', 'stop', nowMs);
      }),

    reschedule: (ref, change) =>
      command(ref, (tx, schedule, moment) =>
        replaceSpec(tx, schedule, { ...schedule.spec, ...change(schedule) }, moment),
      ),

    async trigger(ref, options) {
      return await db.transaction(async (tx) => {
        const found = await locked(tx, ref);
        const moment = await momentOf(tx, found);
        const { nowMs } = moment;
        const schedule = await settle(tx, found, moment);
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        const input =
          options.input === undefined ? undefined : applyMergePatch(schedule.spec.job.input, options.input);
        if (input !== undefined) await checks.input(tx, schedule.spec.job.type, input, '/input');
        const starts =
          decideOverlap(options.overlap ?? schedule.spec.overlap, schedule.activeRuns) === 'start';
        const atMs = Math.floor(nowMs);
        const runId = newId(atMs);
        const fire = {
          runId,
          scheduleId: schedule.id,
          cause: 'manual' as const,
          scheduledForMs: atMs,
          dueAtMs: atMs,
          status: starts ? ('queued' as const) : ('skipped' as const),
          reason: starts ? null : 'overlap',
          missedCount: null,
          missedUntilMs: null,
          input,
        };
        await recordFires(tx, { fires: [fire], states: [] }, nowMs, served());
        return (await findRun(tx, runId))!;
      });
    },

    async upcoming(ref, count) {
      const schedule = await findSchedule(db, ref);
      if (schedule === null) throw unknownSchedule(ref);
      const calendars = await book.read(db, [schedule.spec.timing]);
      return {
        schedule,
        timesMs: await upcomingTimes(schedule, clock.now(), count, calendars, createBreath(clock)),
      };
    },
  };
}

/** What the hot row has of it. */
function watchOf(spec: ScheduleSpec) {
  return { notifyOn: kindsOf(spec.notify), lateAfterMs: spec.lateAfterMs ?? null };
}

/** What is stored of a next time. */
function known(next: NextTime): { atMs: number; dueAtMs: number } | null {
  return next === 'awaits_end' ? null : next;
}

function firstTimeOrRefusal(schedule: Schedule, { nowMs, calendars }: Moment): NextTime {
  try {
    return timeFromNow(schedule, schedule.spec, nowMs, calendars);
  } catch (error) {
    throw notComputable(schedule, messageOf(error));
  }
}
