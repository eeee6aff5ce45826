/**
 * Everything a person may do to a schedule. Each command is one transaction: lock the schedule, settle what is due
 * until now under its present definition, then change it. So a fire that was due before a pause, a reschedule or a
 * stop has its disposition before the command takes effect, and no nominal time falls between two definitions.
 * A kill -9 anywhere leaves either all of it or nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import type { Db, Tx } from '../db/client.ts';
import { recordFires } from '../db/fire-store.ts';
import { outageHoleMs, readOutages } from '../db/outage-store.ts';
import { findRun, findRuns, listActiveRuns } from '../db/run-history-store.ts';
import { lockActiveRuns, signalRunning, withdrawWaiting } from '../db/run-store.ts';
import { insertState, resetFailures, setNext } from '../db/schedule-state-store.ts';
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
import { conflict, type DomainError, invalid, invalidAll, notFound } from '../errors.ts';
import { applyMergePatch } from '../merge-patch.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { Run } from '../runs/run.ts';
import { newId, scheduledRunId } from '../runs/run-id.ts';
import type { RunSignal } from '../runs/run-state.ts';
import { type DueSchedule, dueAt, type Outage, type PlannedFire, planFires } from './fire-plan.ts';
import type { JobCatalog } from './job-catalog.ts';
import { decideOverlap } from './overlap.ts';
import type {
  CatchUpPolicy,
  OverlapPolicy,
  Schedule,
  ScheduleSpec,
  ScheduleStatus,
  ScheduleView,
  Timing,
} from './schedule.ts';
import { nextAfter, nextTimes } from './trigger.ts';

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
    change: (current: Schedule) => Pick<ScheduleSpec, 'timing' | 'timezone' | 'dst'>,
  ): Promise<ScheduleView>;
  /** Runs it now. `input` is a merge patch (RFC 7396) on the schedule's input. */
  trigger(ref: string, options: { input?: unknown; overlap?: OverlapPolicy }): Promise<Run>;
  /** The next nominal times of a schedule, as if it stayed active; at most `count`. */
  upcoming(ref: string, count: number): Promise<{ schedule: Schedule; timesMs: number[] }>;
  /** The next nominal times of a trigger that is not stored, strictly after `fromMs` (null: now). */
  preview(timing: Timing, seedName: string, fromMs: number | null, count: number): number[];
}

export type ScheduleServiceParts = {
  db: Db;
  clock: Clock;
  jobs: JobCatalog;
  /** Task queues that some worker serves by name. */
  served(): readonly string[];
  /** Called after a commit that may have brought the next fire nearer. */
  onChange(): void;
};

/** How many nominal times a command settles or catches up at once; a backlog beyond it is the dispatcher's. */
const settleTimesMax = 1000;
/** A resume that is to run more nominal times than this at once is refused. */
const resumeTimesMax = 10_000;
const upcomingShown = 5;
const runningShown = 20;

export function createScheduleService({
  db,
  clock,
  jobs,
  served,
  onChange,
}: ScheduleServiceParts): ScheduleService {
  async function locked(tx: Tx, ref: string): Promise<StoredSchedule> {
    const schedule = await lockSchedule(tx, ref);
    if (schedule === null) throw unknownSchedule(ref);
    return schedule;
  }

  /** Gives every nominal time that is due by now its disposition, as the dispatcher would have in a moment. */
  async function settle(tx: Tx, schedule: StoredSchedule, nowMs: number): Promise<StoredSchedule> {
    let current = schedule;
    // A backlog of more than `settleTimesMax` takes several turns; each one moves the next time on.
    while (isOverdue(current, nowMs)) {
      const outages = await readOutages(tx, nowMs, outageHoleMs);
      const { fires, state } = planFires(asDue(current), { nowMs, outages, timesMax: settleTimesMax });
      await recordFires(tx, { fires, states: [state] }, nowMs, served());
      current = (await findSchedule(tx, schedule.id))!;
      if (state.fault !== null) break;
    }
    return current;
  }

  /** A nominal time that has passed but waits out its jitter is not forgotten by what takes it away. */
  async function dropPending(tx: Tx, schedule: StoredSchedule, reason: string, nowMs: number): Promise<void> {
    const atMs = schedule.nextRunAtMs;
    if (schedule.status !== 'active' || atMs === null || atMs > nowMs) return;
    const fire: PlannedFire = {
      runId: scheduledRunId(schedule.id, atMs),
      scheduleId: schedule.id,
      cause: 'schedule',
      scheduledForMs: atMs,
      dueAtMs: dueAtOrNominal(asDue(schedule), atMs),
      status: 'skipped',
      reason,
      missedCount: null,
      missedUntilMs: null,
    };
    await recordFires(tx, { fires: [fire], states: [] }, nowMs, served());
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
    act: (tx: Tx, schedule: StoredSchedule, nowMs: number) => Promise<void>,
  ): Promise<ScheduleView> {
    const view = await db.transaction(async (tx) => {
      const found = await locked(tx, ref);
      const nowMs = clock.now();
      const schedule = await settle(tx, found, nowMs);
      await act(tx, schedule, nowMs);
      return await viewOf(tx, (await findSchedule(tx, found.id))!);
    });
    onChange();
    return view;
  }

  async function replaceSpec(
    tx: Tx,
    schedule: StoredSchedule,
    spec: ScheduleSpec,
    nowMs: number,
  ): Promise<void> {
    checkJob(spec);
    if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
    // Schedules as code are put again and again; only what differs is a change.
    if (isDeepStrictEqual(schedule.spec, spec)) return;
    const retimed = !haveSameTimes(schedule.spec, spec);
    const next = nextTime(schedule, spec, retimed, nowMs);
    // What was true when it was stored need not be so now; only a new timing must still have a time to come.
    if (retimed && next === null) throw neverAgain(spec.timing);
    const status = statusAfter(schedule, spec, next !== null);
    if (retimed) {
      await dropPending(tx, schedule, 'rescheduled', nowMs);
      await withdrawWaiting(tx, schedule.id, { reason: 'rescheduled', retrying: false, fresh: true, nowMs });
    }
    const stored = await updateSchedule(tx, schedule.id, { spec, status }, nowMs);
    if (stored === 'name_taken') throw nameTaken(spec.name);
    await setNext(tx, schedule.id, status === 'active' ? next : null);
  }

  function checkJob(spec: ScheduleSpec): void {
    if (jobs.find(spec.job.type) === undefined) {
      const known = jobs.list().map((job) => job.type);
      throw invalid('/job/type', `There is no job type "${spec.job.type}"; there are: ${known.join(', ')}.`);
    }
    const issues = jobs.check(spec.job.type, spec.job.input);
    if (issues.length > 0) {
      throw invalidAll(
        issues.map((issue) => ({ pointer: `/job/input${issue.pointer}`, detail: issue.detail })),
      );
    }
  }

  async function viewsOf(tx: Db | Tx, found: readonly StoredSchedule[]): Promise<ScheduleView[]> {
    const lastRuns = await findRuns(
      tx,
      found.flatMap((schedule) => schedule.lastRunId ?? []),
    );
    const busy = found.filter((schedule) => schedule.activeRuns > 0).map((schedule) => schedule.id);
    const running = await listActiveRuns(tx, busy, runningShown);
    return found.map(({ lastRunId, ...schedule }) => ({
      ...schedule,
      upcomingMs: upcomingOf(schedule),
      lastRun: (lastRunId === null ? undefined : lastRuns.get(lastRunId)) ?? null,
      runningRuns: running.filter((run) => run.scheduleId === schedule.id),
    }));
  }

  async function viewOf(tx: Db | Tx, schedule: StoredSchedule): Promise<ScheduleView> {
    return (await viewsOf(tx, [schedule]))[0]!;
  }

  async function create(tx: Tx, spec: ScheduleSpec): Promise<ScheduleView | 'name_taken'> {
    checkJob(spec);
    const nowMs = clock.now();
    const id = newId(nowMs);
    const next = firstTime(id, spec, nowMs);
    if (next === null) throw neverAgain(spec.timing);
    const inserted = await insertSchedule(tx, { id, spec, status: 'active', atMs: nowMs });
    if (!inserted) return 'name_taken';
    await insertState(tx, id, next);
    return await viewOf(tx, (await findSchedule(tx, id))!);
  }

  return {
    async create(spec) {
      const view = await db.transaction(async (tx) => await create(tx, spec));
      if (view === 'name_taken') throw nameTaken(spec.name);
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
          const schedule = await command(spec.name, (tx, found, nowMs) =>
            replaceSpec(tx, found, spec, nowMs),
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
      return await viewOf(db, found);
    },

    async list(filter, page) {
      const { items, next } = await listSchedules(db, filter, page);
      return { items: await viewsOf(db, items), next };
    },

    update: (ref, change) =>
      command(ref, (tx, schedule, nowMs) => replaceSpec(tx, schedule, change(schedule), nowMs)),

    async remove(ref) {
      await db.transaction(async (tx) => {
        const found = await locked(tx, ref);
        const nowMs = clock.now();
        const schedule = await settle(tx, found, nowMs);
        await dropPending(tx, schedule, 'schedule_deleted', nowMs);
        await endOrTell(tx, schedule.id, 'schedule_deleted', 'cancel', nowMs);
        await deleteSchedule(tx, schedule.id);
      });
    },

    pause: (ref, note) =>
      command(ref, async (tx, schedule, nowMs) => {
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        if (schedule.status === 'completed') throw completedIsOver(schedule, 'paused');
        if (schedule.status === 'paused') {
          if (note !== null && note !== schedule.note) await updateSchedule(tx, schedule.id, { note }, nowMs);
          return;
        }
        await dropPending(tx, schedule, 'paused', nowMs);
        await updateSchedule(tx, schedule.id, { status: 'paused', note, pausedAtMs: nowMs }, nowMs);
        await setNext(tx, schedule.id, null);
      }),

    resume: (ref, { catchUp }) =>
      command(ref, async (tx, schedule, nowMs) => {
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        if (schedule.status === 'completed') throw completedIsOver(schedule, 'resumed');
        if (schedule.status === 'active') return;
        const caught = catchUp === 'none' ? 0 : await catchUpPause(tx, schedule, catchUp, nowMs);
        const next = roomForRuns(schedule, schedule.spec, caught)
          ? firstTime(schedule.id, schedule.spec, nowMs)
          : null;
        const status = next === null ? 'completed' : 'active';
        await updateSchedule(tx, schedule.id, { status, note: null, pausedAtMs: null }, nowMs);
        await resetFailures(tx, schedule.id);
        await setNext(tx, schedule.id, next);
      }),

    stop: (ref, note) =>
      command(ref, async (tx, schedule, nowMs) => {
        if (schedule.status === 'stopped') {
          if (note !== null && note !== schedule.note) await updateSchedule(tx, schedule.id, { note }, nowMs);
          return;
        }
        await dropPending(tx, schedule, 'stopped', nowMs);
        await updateSchedule(tx, schedule.id, { status: 'stopped', note, pausedAtMs: null }, nowMs);
        await setNext(tx, schedule.id, null);
        await endOrTell(tx, schedule.id, 'stopped', 'stop', nowMs);
      }),

    reschedule: (ref, change) =>
      command(ref, (tx, schedule, nowMs) =>
        replaceSpec(tx, schedule, { ...schedule.spec, ...change(schedule) }, nowMs),
      ),

    async trigger(ref, options) {
      return await db.transaction(async (tx) => {
        const found = await locked(tx, ref);
        const nowMs = clock.now();
        const schedule = await settle(tx, found, nowMs);
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        const input =
          options.input === undefined ? undefined : applyMergePatch(schedule.spec.job.input, options.input);
        if (input !== undefined) {
          const issues = jobs.check(schedule.spec.job.type, input);
          if (issues.length > 0) {
            throw invalidAll(
              issues.map((issue) => ({ pointer: `/input${issue.pointer}`, detail: issue.detail })),
            );
          }
        }
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
      return { schedule, timesMs: timesFrom(schedule, count) };
    },

    preview: (timing, seedName, fromMs, count) => nextTimes(timing, seedName, fromMs ?? clock.now(), count),
  };

  /**
   * Runs what a pause held back, in turns; what catch-up leaves out is nothing, since paused time is not missed.
   * Returns how many runs there are now.
   */
  async function catchUpPause(
    tx: Tx,
    schedule: StoredSchedule,
    catchUp: CatchUpPolicy,
    nowMs: number,
  ): Promise<number> {
    const { timing, name, catchUpWindowMs } = schedule.spec;
    const pause: Outage = { fromMs: schedule.pausedAtMs!, untilMs: nowMs };
    const due: DueSchedule = { ...asDue(schedule), catchUp };
    // Older times than these are left out whatever the policy.
    let fromMs = Math.max(pause.fromMs, nowMs - catchUpWindowMs - 1);
    if (catchUp === 'latest') fromMs = Math.max(fromMs, shortlyBeforeLatest(due, fromMs, nowMs));
    let started = 0;
    let times = 0;
    let next = nextAfter(timing, name, fromMs);
    while (next !== null && dueAt(due, next) <= nowMs) {
      if (times >= resumeTimesMax) throw pauseTooLong(schedule);
      times += settleTimesMax;
      const turn = {
        ...due,
        nextRunAtMs: next,
        activeRuns: due.activeRuns + started,
        fired: due.fired + started,
      };
      const { fires, state } = planFires(turn, { nowMs, outages: [pause], timesMax: settleTimesMax });
      const kept = fires.filter((fire) => fire.status !== 'missed');
      await recordFires(tx, { fires: kept, states: [] }, nowMs, served());
      started += kept.filter((fire) => fire.status === 'queued').length;
      if (state.fault !== null) break;
      next = state.nextRunAtMs;
    }
    return started;
  }

  function timesFrom(schedule: Schedule, count: number): number[] {
    if (schedule.status === 'stopped' || schedule.status === 'completed') return [];
    const { timing, name } = schedule.spec;
    try {
      if (schedule.nextRunAtMs === null) return nextTimes(timing, name, clock.now(), count);
      return [schedule.nextRunAtMs, ...nextTimes(timing, name, schedule.nextRunAtMs, count - 1)];
    } catch {
      // Told in `fault`.
      return [];
    }
  }

  function upcomingOf(schedule: Schedule): number[] {
    return schedule.status === 'active' ? timesFrom(schedule, upcomingShown) : [];
  }
}

/**
 * An instant before the newest time that is due by `nowMs`, and not long before it: found by doubling steps back, so
 * that the newest of a year of seconds costs no more than that of a minute. `fromMs` when there is none after that.
 */
function shortlyBeforeLatest(due: DueSchedule, fromMs: number, nowMs: number): number {
  for (let backMs = 1000; nowMs - backMs > fromMs; backMs *= 2) {
    const first = nextAfter(due.timing, due.name, nowMs - backMs);
    if (first !== null && dueAt(due, first) <= nowMs) return nowMs - backMs;
  }
  return fromMs;
}

function asDue(schedule: Schedule): DueSchedule {
  const { spec } = schedule;
  return {
    id: schedule.id,
    name: spec.name,
    timing: spec.timing,
    jitterMs: spec.jitterMs,
    maxRuns: spec.maxRuns,
    overlap: spec.overlap,
    catchUp: spec.catchUp,
    catchUpWindowMs: spec.catchUpWindowMs,
    nextRunAtMs: schedule.nextRunAtMs ?? 0,
    activeRuns: schedule.activeRuns,
    fired: schedule.counts.fired,
  };
}

/** A change that is not about time keeps the next one, and what is paused needs none. */
function nextTime(schedule: Schedule, spec: ScheduleSpec, retimed: boolean, nowMs: number) {
  if (!retimed && schedule.status === 'paused') return null;
  const kept = retimed || schedule.status !== 'active' ? null : schedule.nextRunAtMs;
  return kept === null ? firstTime(schedule.id, spec, nowMs) : withDue(schedule.id, spec, kept);
}

function firstTime(id: string, spec: ScheduleSpec, nowMs: number): { atMs: number; dueAtMs: number } | null {
  const atMs = nextAfter(spec.timing, spec.name, nowMs);
  return atMs === null ? null : withDue(id, spec, atMs);
}

function withDue(id: string, spec: ScheduleSpec, atMs: number): { atMs: number; dueAtMs: number } {
  return {
    atMs,
    dueAtMs: dueAtOrNominal({ id, name: spec.name, timing: spec.timing, jitterMs: spec.jitterMs }, atMs),
  };
}

function roomForRuns(schedule: Schedule, spec: ScheduleSpec, more = 0): boolean {
  return spec.maxRuns === null || schedule.counts.fired + more < spec.maxRuns;
}

/** A change may give a completed schedule new times, or take the last ones from an active one. */
function statusAfter(schedule: Schedule, spec: ScheduleSpec, hasNext: boolean): ScheduleStatus {
  if (schedule.status !== 'active' && schedule.status !== 'completed') return schedule.status;
  return hasNext && roomForRuns(schedule, spec) ? 'active' : 'completed';
}

function isOverdue(schedule: Schedule, nowMs: number): boolean {
  if (schedule.status !== 'active' || schedule.nextRunAtMs === null || schedule.fault !== null) return false;
  return dueAtOrNominal(asDue(schedule), schedule.nextRunAtMs) <= nowMs;
}

/**
 * The nominal time itself where the trigger cannot be computed: then the next look at it tells the fault, and no
 * command that might mend it fails.
 */
function dueAtOrNominal(schedule: Parameters<typeof dueAt>[0], atMs: number): number {
  try {
    return dueAt(schedule, atMs);
  } catch {
    return atMs;
  }
}

/** By value: what comes back from jsonb has its keys in another order. */
function haveSameTimes(a: ScheduleSpec, b: ScheduleSpec): boolean {
  return isDeepStrictEqual(a.timing, b.timing) && (a.name === b.name || !hangsOnName(a.timing));
}

/** `H` in a cron expression is a hash of the name. No name of a day or month begins with it. */
function hangsOnName({ trigger }: Timing): boolean {
  return trigger.kind === 'cron' && trigger.expressions.some((text) => /(^|[\s,])h/i.test(text));
}

function isNotFound(error: unknown): error is DomainError {
  return error instanceof Error && 'code' in error && error.code === 'not_found';
}

function unknownSchedule(ref: string): DomainError {
  return notFound(`There is no schedule "${ref}". GET /schedules lists them, POST /schedules creates one.`);
}

function nameTaken(name: string): DomainError {
  const detail = `The name "${name}" is taken. Choose another, or replace that schedule with PUT /schedules/${encodeURIComponent(name)}.`;
  return conflict(detail, [{ pointer: '/name', detail }]);
}

function stoppedIsFinal(schedule: Schedule): DomainError {
  return conflict(
    `Schedule "${schedule.spec.name}" is stopped, which is final. Create a new one, or delete this one to use its name again.`,
  );
}

function completedIsOver(schedule: Schedule, what: string): DomainError {
  return conflict(
    `Schedule "${schedule.spec.name}" is completed: it has no time left to fire, so it cannot be ${what}. Reschedule it first.`,
  );
}

function pauseTooLong(schedule: Schedule): DomainError {
  return conflict(
    `The pause of schedule "${schedule.spec.name}" held back more than ${resumeTimesMax} fires, too many to run at once. Resume it with catchUp "latest" or "none", or shorten its catchUpWindow first.`,
  );
}

function neverAgain(timing: Timing): DomainError {
  const { trigger, endAtMs } = timing;
  const inPast =
    trigger.kind === 'at'
      ? 'All its instants have passed or lie outside startAt and endAt'
      : 'It never fires';
  const window = endAtMs === null ? '' : ' before endAt';
  const pointer = { cron: '/cron', every: endAtMs === null ? '/every' : '/endAt', at: '/at' }[trigger.kind];
  return invalid(pointer, `${inPast}${window}; give it at least one time to come.`);
}
