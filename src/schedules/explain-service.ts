/**
 * Why a schedule ran, or did not, at an instant: gathers what is on record in one snapshot, so that what is dispatched
 * meanwhile is not taken for lost, and lets `explanation.ts` say what it means. It only reads.
 */
import type { Clock } from '../clock.ts';
import { type Db, inSnapshot, type Tx } from '../db/client.ts';
import {
  findBlocker,
  findNeighbours,
  findRangeAt,
  findSuccessor,
  hasFireWithin,
} from '../db/disposition-store.ts';
import { findOutage, outageHoleMs } from '../db/outage-store.ts';
import { findRun, listActiveRuns, listRuns } from '../db/run-history-store.ts';
import { findSchedule, type StoredSchedule } from '../db/schedule-store.ts';
import {
  findNewestVersion,
  findOldestVersion,
  findVersion,
  findVersionAt,
  findVersionBefore,
} from '../db/schedule-version-store.ts';
import { messageOf } from '../errors.ts';
import type { Run } from '../runs/run.ts';
import { isUuid, scheduledRunId } from '../runs/run-id.ts';
import { createBreath, listTimes } from './breath.ts';
import type { CalendarBook } from './calendar-book.ts';
import { type Explanation, type ExplanationFacts, explain } from './explanation.ts';
import { lastBefore } from './nearest-times.ts';
import { placeOf } from './nominal-time.ts';
import { heldReason } from './overlap-turn.ts';
import type { ScheduleSpec } from './schedule.ts';
import { dueAtOrNominal } from './schedule-next.ts';
import { unknownSchedule } from './schedule-refusals.ts';
import type { ScheduleVersion } from './schedule-version.ts';
import { type Calendars, nextAfter } from './trigger.ts';

export type ExplainedInstant = Explanation & {
  atMs: number;
  scheduleId: string;
  scheduleName: string;
  timezone: string;
  /** In force then. */
  version: ScheduleVersion | null;
  /** The schedule's own disposition of this time. */
  run: Run | null;
  byRun: Run | null;
  /** Runs by hand and of backfills that are of this instant too; at most 20, newest first. */
  otherRuns: Run[];
  previousMs: number | null;
  nextMs: number | null;
};

export interface ExplainService {
  /**
   * `atMs` null: the last nominal time until now, without one now. Of a deleted schedule by its id, as long as a version of
   * it is on record. DomainError `not_found`.
   */
  explain(ref: string, atMs: number | null): Promise<ExplainedInstant>;
}

const otherRunsMax = 20;
/** Up to so many runs that `maxRuns` leaves it is computed whether a time to come is one of them. */
const runsLeftMax = 1_000;

type Known = {
  tx: Tx;
  scheduleId: string;
  present: StoredSchedule | null;
  first: ScheduleVersion;
  nowMs: number;
};

export function createExplainService({
  db,
  clock,
  book,
}: {
  db: Db;
  clock: Clock;
  book: CalendarBook;
}): ExplainService {
  async function gather(known: Known, askedMs: number | null): Promise<ExplainedInstant> {
    const { tx, scheduleId, present, first, nowMs } = known;
    const newest = (await findNewestVersion(tx, scheduleId))!;
    const atMs = askedMs ?? (await lastTime(known, newest)) ?? Math.floor(nowMs);
    const here = { scheduleId, sinceMs: atMs, untilMs: atMs };
    const own = scheduledRunId(scheduleId, atMs);
    const record = await findRun(tx, own);
    const version =
      (await findVersionBefore(tx, scheduleId, atMs)) ??
      (record === null ? null : await findVersion(tx, scheduleId, record.scheduleVersion));
    const following = version && (await findVersion(tx, scheduleId, version.version + 1));
    const { spec } = version ?? first;
    const calendars = await book.read(tx, [spec.timing]);
    const place = placeIn(spec, present, atMs, calendars);
    // What lies between the times of a range is none of them.
    const isTime = place.kind === 'nominal' || place.kind === 'fault';
    const run = record ?? (isTime ? await findRangeAt(tx, scheduleId, atMs) : null);
    const timed = { id: scheduleId, ...spec, calendars };
    const dueAtMs = run !== null && run.missed === null ? run.dueAtMs : dueAtOrNominal(timed, atMs);
    const facts: ExplanationFacts = {
      atMs,
      nowMs,
      version,
      first,
      following,
      taking: run && (await takingVersion(tx, run)),
      present,
      place,
      dueAtMs,
      run,
      byRun: run && (await otherRunOf(tx, run)),
      outage: await findOutage(tx, dueAtMs, nowMs, outageHoleMs),
      laterOnRecord:
        run === null && following !== null && (await hasFireWithin(tx, scheduleId, atMs, following.atMs)),
      usedUpBefore: run === null && (await isUsedUpBefore(known, atMs, calendars)),
      ...(await nearest(known, spec, version, atMs, calendars)),
    };
    const others = (await listRuns(tx, here, { limit: otherRunsMax + 1, after: null })).items;
    return {
      ...explain(facts),
      atMs,
      scheduleId,
      scheduleName: newest.spec.name,
      timezone: spec.timezone,
      version,
      run,
      byRun: facts.byRun,
      otherRuns: others.filter(({ id }) => id !== own).slice(0, otherRunsMax),
      previousMs: facts.previousMs,
      nextMs: facts.nextMs,
    };
  }

  /** The last nominal time until now by the newest version. */
  async function lastTime({ tx, scheduleId, first, nowMs }: Known, newest: ScheduleVersion) {
    const { timing, name } = newest.spec;
    const untilMs = Math.floor(nowMs) + 1;
    if (timing.trigger.kind === 'delay') return (await findNeighbours(tx, scheduleId, untilMs)).beforeMs;
    const calendars = await book.read(tx, [timing]);
    const next = nextOrNone((after) => nextAfter(timing, name, after, calendars));
    return await lastBefore(next, untilMs, first.atMs, createBreath(clock));
  }

  async function nearest(
    { tx, scheduleId, first, present }: Known,
    spec: ScheduleSpec,
    version: ScheduleVersion | null,
    atMs: number,
    calendars: Calendars,
  ): Promise<{ previousMs: number | null; nextMs: number | null }> {
    if (spec.timing.trigger.kind === 'delay') {
      const { beforeMs, afterMs } = await findNeighbours(tx, scheduleId, atMs);
      const comesMs = present?.nextRunAtMs ?? null;
      return {
        previousMs: beforeMs,
        nextMs: afterMs ?? (comesMs !== null && comesMs > atMs ? comesMs : null),
      };
    }
    const next = nextOrNone((after) => nextAfter(spec.timing, spec.name, after, calendars));
    const fromMs = first.version === 1 ? first.atMs : 0;
    // What has ended has no more times.
    const isOver = version !== null && (version.action === 'deleted' || version.status === 'stopped');
    const beforeMs = isOver ? Math.min(atMs, version.atMs + 1) : atMs;
    return {
      previousMs: await lastBefore(next, beforeMs, fromMs, createBreath(clock)),
      nextMs: isOver ? null : next(Math.max(atMs, fromMs)),
    };
  }

  /** Whether the runs that `maxRuns` leaves are those before this time. */
  async function isUsedUpBefore(
    { present, nowMs }: Known,
    atMs: number,
    calendars: Calendars,
  ): Promise<boolean> {
    if (present?.status !== 'active' || present.nextRunAtMs === null || atMs <= nowMs) return false;
    const { maxRuns, timing, name } = present.spec;
    const left = maxRuns === null ? Number.POSITIVE_INFINITY : maxRuns - present.counts.fired;
    if (left > runsLeftMax || timing.trigger.kind === 'delay') return false;
    const next = (after: number) => nextAfter(timing, name, after, calendars);
    const { timesMs } = await listTimes(next, present.nextRunAtMs - 1, left, createBreath(clock));
    return timesMs.length >= left && (timesMs.at(-1) ?? 0) < atMs;
  }

  return {
    explain: async (ref, atMs) =>
      await inSnapshot(db, async (tx) => {
        const nowMs = clock.now();
        const present = await findSchedule(tx, ref);
        if (present === null && !isUuid(ref)) throw unknownSchedule(ref);
        const scheduleId = present?.id ?? ref.toLowerCase();
        const first = await findOldestVersion(tx, scheduleId);
        if (first === null) throw unknownSchedule(ref);
        return await gather({ tx, scheduleId, present, first, nowMs }, atMs);
      }),
  };
}

function placeIn(
  { timing, name }: ScheduleSpec,
  present: StoredSchedule | null,
  atMs: number,
  calendars: Calendars,
): ExplanationFacts['place'] {
  if (timing.trigger.kind === 'delay') {
    return present?.nextRunAtMs === atMs ? { kind: 'nominal', movedFromMs: null } : { kind: 'none' };
  }
  try {
    return placeOf(timing, name, atMs, calendars);
  } catch (error) {
    return { kind: 'fault', why: messageOf(error) };
  }
}

const takenAway = ['paused', 'rescheduled', 'stopped', 'schedule_deleted'];

/** The change of the schedule that kept a time from running, though it had come; several versions may lie between. */
async function takingVersion(tx: Tx, run: Run): Promise<ScheduleVersion | null> {
  if (run.finishedAtMs === null || !takenAway.includes(run.reason ?? '')) return null;
  const version = await findVersionAt(tx, run.scheduleId, run.finishedAtMs);
  return version?.atMs === run.finishedAtMs ? version : null;
}

/** What was in the way of a record, or took its place. */
async function otherRunOf(tx: Tx, run: Run): Promise<Run | null> {
  if (run.status === 'queued' && run.reason === heldReason) {
    const active = await listActiveRuns(tx, [run.scheduleId], otherRunsMax);
    return active.findLast(({ reason }) => reason !== heldReason) ?? null;
  }
  if (run.status === 'skipped' && run.reason === 'overlap') return await findBlocker(tx, run);
  const replaced = ['superseded', 'cancelled_by_overlap', 'not_latest'].includes(run.reason ?? '');
  return replaced ? await findSuccessor(tx, run) : null;
}

/** Where times cannot be computed there are none to tell. */
function nextOrNone(next: (afterMs: number) => number | null): (afterMs: number) => number | null {
  return (afterMs) => {
    try {
      return next(afterMs);
    } catch {
      return null;
    }
  };
}
