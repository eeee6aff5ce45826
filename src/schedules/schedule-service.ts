/**
 * Everything a person may do to a schedule. Each command is one transaction: lock the schedule, settle what is due
 * until now under its present definition, then change it (`commands.ts`). So a fire that was due before a pause, a
 * reschedule or a stop has its disposition before the command takes effect, and no nominal time falls between two
 * definitions. A kill -9 anywhere leaves either all of it or nothing.
 */
import type { Clock } from '../clock.ts';
import type { Db, Tx } from '../db/client.ts';
import { type RecordableFire, recordFires } from '../db/fire-store.ts';
import { findRun } from '../db/run-history-store.ts';
import {
  findSchedule,
  listSchedules,
  lockSchedule,
  type ScheduleListFilter,
  type StoredSchedule,
} from '../db/schedule-store.ts';
import { findVersion } from '../db/schedule-version-store.ts';
import { applyMergePatch } from '../merge-patch.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { Run } from '../runs/run.ts';
import { newId } from '../runs/run-id.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import { createBreath } from './breath.ts';
import type { CalendarBook } from './calendar-book.ts';
import {
  createLoneSchedule,
  createSchedule,
  type Deed,
  pauseSchedule,
  removeSchedule,
  replaceSchedule,
  resumeSchedule,
  standsAlone,
  stopSchedule,
} from './commands.ts';
import { createDefinitionChecks } from './definition-checks.ts';
import { hold } from './hold.ts';
import type { JobCatalog } from './job-catalog.ts';
import { heldLive } from './overlap.ts';
import { createOverlapTurn } from './overlap-turn.ts';
import { anyone, type Caller, checkPrecondition } from './precondition.ts';
import type { CatchUpPolicy, OverlapPolicy, Schedule, ScheduleSpec, ScheduleView } from './schedule.ts';
import {
  isNotFound,
  nameTaken,
  notRestorable,
  stoppedIsFinal,
  unknownSchedule,
  unknownVersion,
} from './schedule-refusals.ts';
import type { ChangeAction } from './schedule-version.ts';
import { viewOf, viewsOf } from './schedule-view.ts';
import { upcomingTimes } from './upcoming.ts';

export type ScheduleFilter = ScheduleListFilter;

/**
 * Every `ref` is an id or a name. Unknown: DomainError `not_found`. Not allowed in its state: `conflict`. Not at a
 * version that the caller wants: `precondition_failed`. Without a caller it is somebody who wants none.
 */
export interface ScheduleService {
  /** DomainError `invalid` (pointers as in the POST body), `conflict` when the name is taken. */
  create(spec: ScheduleSpec, caller?: Caller): Promise<ScheduleView>;
  /** Creates or replaces by name; history and counts are kept. */
  put(spec: ScheduleSpec, caller?: Caller): Promise<{ created: boolean; schedule: ScheduleView }>;
  get(ref: string): Promise<ScheduleView>;
  list(filter: ScheduleFilter, page: PageRequest): Promise<Page<ScheduleView>>;
  /** Reads the schedule, asks `change` for its new definition, and stores that, as one atomic step. */
  update(ref: string, change: (current: Schedule) => ScheduleSpec, caller?: Caller): Promise<ScheduleView>;
  /** Its unstarted runs are cancelled, running ones are told to cancel; its runs and versions stay. */
  remove(ref: string, caller?: Caller): Promise<void>;
  /** A pause of its own. */
  pause(ref: string, note: string | null, caller?: Caller): Promise<ScheduleView>;
  /** Lifts all pauses, those of groups too. */
  resume(ref: string, options: { catchUp: CatchUpPolicy }, caller?: Caller): Promise<ScheduleView>;
  stop(ref: string, note: string | null, caller?: Caller): Promise<ScheduleView>;
  reschedule(
    ref: string,
    change: (current: Schedule) => Pick<ScheduleSpec, 'timing' | 'timezone' | 'dst' | 'written'>,
    caller?: Caller,
  ): Promise<ScheduleView>;
  /** The definition of that version is the present one again, as a new version; the status stays. */
  rollback(ref: string, version: number, caller?: Caller): Promise<ScheduleView>;
  /** Runs it now. `input` is a merge patch (RFC 7396) on the schedule's input. */
  trigger(ref: string, options: { input?: unknown; overlap?: OverlapPolicy }, caller?: Caller): Promise<Run>;
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
  canMail: boolean;
  /** Task queues that some worker serves by name. */
  served(): readonly string[];
  /** Called after a commit that may have brought the next fire nearer. */
  onChange(): void;
};

export function createScheduleService(parts: ScheduleServiceParts): ScheduleService {
  const { db, clock, book, served, onChange } = parts;
  const viewed = { book, clock };
  const checks = createDefinitionChecks(parts);

  const viewById = async (tx: Tx, id: string, nowMs: number) =>
    await viewOf(tx, viewed, (await findSchedule(tx, id))!, nowMs);

  async function command(
    ref: string,
    caller: Caller,
    act: (tx: Tx, schedule: StoredSchedule, deed: Deed) => Promise<unknown>,
  ): Promise<ScheduleView> {
    const view = await db.transaction(async (tx) => {
      const { schedule, deed } = await hold(tx, parts, ref, caller);
      await act(tx, schedule, deed);
      return await viewById(tx, schedule.id, deed.nowMs);
    });
    onChange();
    return view;
  }

  const replace = (
    ref: string,
    change: (current: Schedule) => ScheduleSpec,
    action: ChangeAction,
    caller: Caller,
  ) =>
    command(ref, caller, (tx, schedule, deed) =>
      replaceSchedule(tx, checks, schedule, change(schedule), { action }, deed),
    );

  async function create(tx: Tx, spec: ScheduleSpec, { actor }: Caller): Promise<ScheduleView | 'name_taken'> {
    const nowMs = clock.now();
    const created = await createSchedule(tx, checks, { spec, nowMs, actor });
    return created === 'name_taken' ? created : await viewOf(tx, viewed, created, nowMs);
  }

  async function createLone(spec: ScheduleSpec, { actor }: Caller): Promise<ScheduleView | 'name_taken'> {
    const nowMs = clock.now();
    const created = await createLoneSchedule(db, checks, { spec, nowMs, actor });
    return created === 'name_taken' ? created : await viewOf(db, viewed, created, nowMs);
  }

  return {
    async create(spec, caller = anyone) {
      const view = standsAlone(spec)
        ? await createLone(spec, caller)
        : await db.transaction(async (tx) => await create(tx, spec, caller));
      if (view === 'name_taken') {
        throw nameTaken(spec.name, (await findSchedule(db, spec.name))?.status ?? 'active');
      }
      onChange();
      return view;
    },

    async put(spec, caller = anyone) {
      // Two may create the same name at once: the one that finds it taken replaces.
      for (;;) {
        const created = await db.transaction(async (tx) => {
          const found = await lockSchedule(tx, spec.name);
          if (found !== null) return null;
          checkPrecondition(caller, spec.name, null);
          return await create(tx, spec, caller);
        });
        if (created !== null && created !== 'name_taken') {
          onChange();
          return { created: true, schedule: created };
        }
        try {
          const schedule = await replace(spec.name, () => spec, 'updated', caller);
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

    update: (ref, change, caller = anyone) => replace(ref, change, 'updated', caller),

    reschedule: (ref, change, caller = anyone) =>
      replace(ref, (schedule) => ({ ...schedule.spec, ...change(schedule) }), 'rescheduled', caller),

    rollback: (ref, version, caller = anyone) =>
      command(ref, caller, async (tx, schedule, deed) => {
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        const past = await findVersion(tx, schedule.id, version);
        if (past === null) throw unknownVersion(schedule, version);
        const told = { action: 'rolled_back', note: `to version ${version}` } as const;
        try {
          return await replaceSchedule(tx, checks, schedule, past.spec, told, deed);
        } catch (error) {
          throw notRestorable(schedule, version, error);
        }
      }),

    async remove(ref, caller = anyone) {
      await db.transaction(async (tx) => {
        const { schedule, deed } = await hold(tx, parts, ref, caller);
        await removeSchedule(tx, schedule, deed);
      });
    },

    pause: (ref, note, caller = anyone) =>
      command(ref, caller, (tx, schedule, deed) => pauseSchedule(tx, schedule, { labels: null, note }, deed)),

    resume: (ref, { catchUp }, caller = anyone) =>
      command(ref, caller, (tx, schedule, deed) =>
        resumeSchedule(tx, schedule, { lifted: 'all', catchUp }, deed),
      ),

    stop: (ref, note, caller = anyone) =>
      command(ref, caller, (tx, schedule, deed) => stopSchedule(tx, schedule, { note }, deed)),

    async trigger(ref, options, caller = anyone) {
      return await db.transaction(async (tx) => {
        const { schedule, deed } = await hold(tx, parts, ref, caller);
        const { nowMs } = deed;
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        const input =
          options.input === undefined ? undefined : applyMergePatch(schedule.spec.job.input, options.input);
        if (input !== undefined) await checks.input(tx, schedule.spec.job.type, input, '/input');
        const atMs = Math.floor(nowMs);
        const runId = newId(atMs);
        const turn = createOverlapTurn<RecordableFire>({
          overlap: options.overlap ?? schedule.spec.overlap,
          activeRuns: schedule.activeRuns,
          heldRuns: heldLive(schedule.held),
        });
        turn.add({
          runId,
          scheduleId: schedule.id,
          cause: 'manual',
          scheduledForMs: atMs,
          dueAtMs: atMs,
          status: 'queued',
          reason: null,
          missedCount: null,
          missedUntilMs: null,
          input,
        });
        const { fires } = turn;
        const replacing = turn.replacing.map((fire) => fire.runId);
        await recordFires(tx, { fires, states: [], replacing }, nowMs, served());
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
