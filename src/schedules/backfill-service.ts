/**
 * Asking for the fires of a past range, looking how far they are, and calling the rest off. A backfill is written in one
 * transaction, so a kill -9 leaves all of it in the queue, or nothing.
 */
import {
  cancelBackfillRuns,
  findBackfill,
  insertBackfill,
  listBackfills,
  readProgress,
} from '../db/backfill-store.ts';
import type { Db, Tx } from '../db/client.ts';
import { recordFires } from '../db/fire-store.ts';
import { lockSchedule, type StoredSchedule } from '../db/schedule-store.ts';
import { conflict, invalid, messageOf, notFound } from '../errors.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { isUuid, newId } from '../runs/run-id.ts';
import { scheduleIdOf } from '../runs/schedule-id.ts';
import {
  type Backfill,
  type BackfillView,
  backfillTimesMax,
  planBackfill,
  statusOfBackfill,
} from './backfill.ts';
import { createBreath } from './breath.ts';
import type { PlannedFire } from './fire-plan.ts';
import { type HoldParts, hold } from './hold.ts';
import { anyone } from './precondition.ts';
import type { OverlapPolicy } from './schedule.ts';
import { stoppedIsFinal } from './schedule-refusals.ts';
import { type Calendars, nextAfter } from './trigger.ts';

export type BackfillRequest = {
  /** Both included, epoch milliseconds. */
  startMs: number;
  endMs: number;
  /** Absent: the schedule's. */
  overlap?: OverlapPolicy;
  /** Only says what it would do. */
  dryRun?: boolean;
};

/** `backfill` is null for a dry run, and for a range without a nominal time. */
export type BackfillResult = {
  schedule: { id: string; name: string };
  overlap: OverlapPolicy;
  fires: readonly PlannedFire[];
  backfill: BackfillView | null;
};

/** Every `ref` is a schedule's id or name. Unknown: DomainError `not_found`. */
export interface BackfillService {
  /** DomainError `invalid` for a range that is none, or of too many times; `conflict` where the schedule is stopped. */
  start(ref: string, request: BackfillRequest): Promise<BackfillResult>;
  get(id: string): Promise<BackfillView>;
  /** Newest first. */
  list(filter: { schedule?: string }, page: PageRequest): Promise<Page<BackfillView>>;
  /** Ends what waits, and tells what runs. Calling it off twice is no error; one that is completed is `conflict`. */
  cancel(id: string): Promise<BackfillView>;
}

export type BackfillServiceParts = HoldParts & { db: Db };

/** Runs of one statement. */
const insertBatchMax = 1000;
/** Times beyond the limit are counted up to so many, to say how many there are. */
const countedMax = 200_000;
/** At most so long is computed, milliseconds. */
const computeMsMax = 10_000;

export function createBackfillService(parts: BackfillServiceParts): BackfillService {
  const { db, clock, served } = parts;

  /** The nominal times of the range, or why it is refused. */
  async function timesIn(
    schedule: StoredSchedule,
    { startMs, endMs }: BackfillRequest,
    calendars: Calendars,
  ): Promise<number[]> {
    const { timing, name } = schedule.spec;
    const breath = createBreath(clock);
    const timesMs: number[] = [];
    let count = 0;
    let at: number | null = startMs - 1;
    for (;;) {
      try {
        at = nextAfter(timing, name, at, calendars);
      } catch (error) {
        throw conflict(
          `The times of schedule "${name}" cannot be computed (${messageOf(error)}). Reschedule it first.`,
        );
      }
      if (at === null || at > endMs || count === countedMax) break;
      count += 1;
      if (count <= backfillTimesMax) timesMs.push(at);
      await breath.take();
      if (breath.elapsedMs > computeMsMax) {
        throw invalid('/end', 'It takes too long to compute the times of this range; ask for a shorter one.');
      }
    }
    if (count > backfillTimesMax) {
      const times = count === countedMax ? `${countedMax} times or more` : `${count} times`;
      throw invalid(
        '/end',
        `The range has ${times}; a backfill may have up to ${backfillTimesMax}. Ask for shorter ranges, one after the other.`,
      );
    }
    return timesMs;
  }

  function checkRange({ startMs, endMs }: BackfillRequest, nowMs: number): void {
    if (startMs > endMs) throw invalid('/end', '`end` must not lie before `start`.');
    if (endMs > nowMs) {
      throw invalid('/end', '`end` lies in the future; a backfill is for times that have passed.');
    }
  }

  async function viewsOf(on: Db | Tx, found: readonly Backfill[]): Promise<BackfillView[]> {
    if (found.length === 0) return [];
    const progress = await readProgress(
      on,
      found.map(({ id }) => id),
    );
    return found.map((backfill, n) => ({
      ...backfill,
      status: statusOfBackfill(backfill, progress[n]!),
      progress: progress[n]!,
    }));
  }

  async function view(on: Db | Tx, id: string): Promise<BackfillView> {
    const found = isUuid(id) ? await findBackfill(on, id) : null;
    if (found === null) throw notFound(`There is no backfill "${id}". GET /backfills lists them.`);
    return (await viewsOf(on, [found]))[0]!;
  }

  return {
    async start(ref, request) {
      return await db.transaction(async (tx) => {
        const { schedule, deed } = await hold(tx, parts, ref, anyone);
        if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
        const { timing, name } = schedule.spec;
        if (timing.trigger.kind === 'delay') {
          throw conflict(
            `Schedule "${name}" has a \`delay\`: its times hang on its runs, so a past range has none. Trigger it instead.`,
          );
        }
        const { nowMs, calendars } = deed;
        checkRange(request, nowMs);
        const timesMs = await timesIn(schedule, request, calendars);
        const id = newId(nowMs);
        const overlap = request.overlap ?? schedule.spec.overlap;
        const { fires, replacing } = planBackfill(schedule, timesMs, { id, overlap, nowMs });
        const result = { schedule: { id: schedule.id, name }, overlap, fires };
        if (request.dryRun === true || fires.length === 0) return { ...result, backfill: null };
        await insertBackfill(tx, {
          id,
          scheduleId: schedule.id,
          scheduleName: name,
          startMs: request.startMs,
          endMs: request.endMs,
          overlap,
          total: fires.length,
          createdAtMs: nowMs,
          cancelledAtMs: null,
        });
        for (let done = 0; done < fires.length; done += insertBatchMax) {
          const batch = fires.slice(done, done + insertBatchMax).map((fire) => ({ ...fire, backfillId: id }));
          await recordFires(tx, { fires: batch, states: [], replacing }, nowMs, deed.served);
        }
        return { ...result, backfill: await view(tx, id) };
      });
    },

    get: (id) => view(db, id),

    async list({ schedule }, page) {
      const filter =
        schedule === undefined ? {} : { scheduleId: await scheduleIdOf(db, schedule, 'backfills') };
      const { items, next } = await listBackfills(db, filter, page);
      return { items: await viewsOf(db, items), next };
    },

    async cancel(id) {
      return await db.transaction(async (tx) => {
        const { scheduleId } = await view(tx, id);
        // The schedule first, then its runs: the lock order of the house.
        await lockSchedule(tx, scheduleId);
        const found = await view(tx, id);
        if (found.status === 'cancelled') return found;
        if (found.status === 'completed') {
          throw conflict(
            `Backfill ${id} is completed: all its runs have ended, so there is nothing to cancel.`,
          );
        }
        await cancelBackfillRuns(tx, found, { nowMs: clock.now(), served: served() });
        return await view(tx, id);
      });
    },
  };
}
