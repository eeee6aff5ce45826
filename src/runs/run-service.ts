/** Reading runs, and what a person may ask of one: cancel, retry. */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { endUnstartedRuns } from '../db/run-end-store.ts';
import { findRun, findRunDetail, insertRetryOf, listRuns, lockRun } from '../db/run-history-store.ts';
import { listLogLines } from '../db/run-log-store.ts';
import { signalRun } from '../db/run-store.ts';
import { lockSchedule } from '../db/schedule-store.ts';
import { conflict, notFound } from '../errors.ts';
import type { Page, PageRequest } from './page.ts';
import type { Run, RunDetail, RunLogLine } from './run.ts';
import { newId } from './run-id.ts';
import { isActive, type RunStatus } from './run-state.ts';
import { scheduleIdOf } from './schedule-id.ts';

export type RunFilter = {
  statuses?: readonly RunStatus[];
  jobType?: string;
  /** A schedule's id or name; an id may be of one that was deleted. */
  schedule?: string;
  /** Nominal times, both ends included, epoch milliseconds. */
  sinceMs?: number;
  untilMs?: number;
};

/** Unknown ids: DomainError `not_found`. */
export interface RunService {
  get(id: string): Promise<RunDetail>;
  /** Newest nominal time first. */
  list(filter: RunFilter, page: PageRequest): Promise<Page<Run>>;
  /** Oldest first. */
  logs(id: string, page: PageRequest): Promise<Page<RunLogLine>>;
  /**
   * An unstarted run ends as `cancelled` at once; a running one is told and ends soon. Cancelling a cancelled run is
   * no error; cancelling another ended one is DomainError `conflict`.
   */
  cancel(id: string): Promise<Run>;
  /**
   * A new run (cause `retry`) with the input of an ended one. An active run, or one of a stopped schedule: DomainError
   * `conflict`.
   */
  retry(id: string): Promise<Run>;
}

export type RunServiceParts = {
  db: Db;
  clock: Clock;
  /** Task queues that some worker serves by name. */
  served(): readonly string[];
};

export function createRunService({ db, clock, served }: RunServiceParts): RunService {
  const unknown = (id: string) =>
    notFound(`There is no run ${id}. It may have been pruned; GET /runs lists what is kept.`);

  return {
    async get(id) {
      const run = await findRunDetail(db, id);
      if (run === null) throw unknown(id);
      return run;
    },

    async list({ schedule, ...filter }, page) {
      if (schedule === undefined) return await listRuns(db, filter, page);
      const scheduleId = await scheduleIdOf(db, schedule, 'runs');
      return await listRuns(db, { ...filter, scheduleId }, page);
    },

    async logs(id, page) {
      if ((await findRun(db, id)) === null) throw unknown(id);
      return await listLogLines(db, id, page);
    },

    async cancel(id) {
      return await db.transaction(async (tx) => {
        const seen = await findRun(tx, id);
        if (seen === null) throw unknown(id);
        // The schedule first, then its runs: the lock order of the house. Now no worker and no dispatcher moves it.
        await lockSchedule(tx, seen.scheduleId);
        const run = await lockRun(tx, id);
        if (run === null) throw unknown(id);
        if (run.status === 'queued' || run.status === 'retrying') {
          await endUnstartedRuns(
            tx,
            [
              {
                runId: id,
                attempt: run.attempt,
                scheduleId: run.scheduleId,
                status: 'cancelled',
                reason: 'cancelled_by_hand',
                output: null,
                error: null,
                finishedAtMs: clock.now(),
              },
            ],
            served(),
          );
        } else if (run.status === 'running') {
          await signalRun(tx, id, 'cancel', 'cancelled_by_hand');
        }
        const after = (await findRun(tx, id))!;
        if (!isActive(after.status) && after.status !== 'cancelled') {
          throw conflict(
            `Run ${id} has already ended as ${after.status}; only a run that has not ended can be cancelled.`,
          );
        }
        return after;
      });
    },

    async retry(id) {
      return await db.transaction(async (tx) => {
        const run = await findRun(tx, id);
        if (run === null) throw unknown(id);
        if (isActive(run.status)) {
          throw conflict(
            `Run ${id} is still ${run.status}; it can be retried by hand once it has ended. To end it: POST /runs/${id}/cancel.`,
          );
        }
        const schedule = await lockSchedule(tx, run.scheduleId);
        if (schedule?.status === 'stopped') {
          throw conflict(
            `Schedule "${schedule.spec.name}" is stopped, which is final: none of its runs can be retried.`,
          );
        }
        const freshId = newId(run.scheduledForMs);
        const inserted = await insertRetryOf(tx, run, { id: freshId, nowMs: clock.now() }, served());
        if (!inserted) throw unknown(id);
        return (await findRun(tx, freshId))!;
      });
    },
  };
}
