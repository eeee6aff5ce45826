/**
 * The tasks of a queue in the database, for one drain.
 *
 * What happens on kill -9:
 * - after a claim: the tasks are running under a drain whose run is taken back within 45 s (or ends); the next drain of
 *   the queue reclaims them, and a task that was begun is begun again with the same idempotency key;
 * - after a call, until its result is written: the same; what the call did is done twice, and recorded once;
 * - after that: the task has ended.
 */
import type { Clock } from '../../clock.ts';
import { type Db, isRefusal, refusalOf } from '../../db/client.ts';
import {
  claimTasks,
  type Drain,
  handBackTasks,
  reclaimTasks,
  settleTasks,
  type TaskResult,
} from '../../db/queue-task-store.ts';
import { messageOf } from '../../errors.ts';
import { createBatcher } from '../../runs/batcher.ts';
import { pause } from '../abortable.ts';
import type { LogLevel } from '../job.ts';
import { clean } from '../job-answer.ts';
import type { TaskSource } from './drain.ts';

export type TaskSourceParts = {
  db: Db;
  clock: Clock;
  drain: Drain;
  signal: AbortSignal;
  log(message: string, level: LogLevel): void;
};

const settleBatchMax = 500;
const reclaimEveryMs = 5_000;
const databasePauseMsMin = 50;
const databasePauseMsMax = 2_000;

export function createTaskSource(parts: TaskSourceParts): TaskSource<TaskResult> {
  const { db, clock, drain, signal } = parts;
  let reclaimedAtMs = Number.NEGATIVE_INFINITY;

  const results = createBatcher<TaskResult, undefined>({
    batchSizeMax: settleBatchMax,
    // While one waits for the disk.
    inFlightMax: 2,
    async write(items) {
      await persist(items);
      return [];
    },
  });

  /** Until it is written, since a result that is not written is work done twice. */
  async function persist(items: readonly TaskResult[]): Promise<void> {
    for (let pauseMs = databasePauseMsMin; ; pauseMs = Math.min(pauseMs * 2, databasePauseMsMax)) {
      try {
        await settleTasks(db, drain, items);
        return;
      } catch (error) {
        if (isRefusal(error)) return await persistSingly(items, refusalOf(error));
        // A drain that was told to end hands back, or leaves it to others.
        if (signal.aborted) throw error;
        parts.log(`could not write ${items.length} results: ${messageOf(error)}; tried again`, 'warn');
        await pause(pauseMs, signal);
      }
    }
  }

  /** One bad result stops no other. */
  async function persistSingly(items: readonly TaskResult[], why: string): Promise<void> {
    if (items.length > 1) {
      for (const item of items) await persist([item]);
      return;
    }
    const [item] = items as [TaskResult];
    const message = clean(`The task came to an end that the database does not take: ${why}`);
    parts.log(`task ${item.id}: ${message}`, 'error');
    const error = { type: 'OutcomeRefused', message };
    await settleTasks(db, drain, [{ ...item, status: 'dead', output: null, error }]);
  }

  return {
    async claim(limit) {
      if (clock.monotonic() - reclaimedAtMs >= reclaimEveryMs) {
        reclaimedAtMs = clock.monotonic();
        const reclaimed = await reclaimTasks(db, drain.queue);
        if (reclaimed > 0) parts.log(`${reclaimed} tasks of a drain that is over are taken up again`, 'warn');
      }
      return await claimTasks(db, drain, limit, clock.now());
    },
    settle: async (result) => await results.add(result),
    handBack: (tasks) => handBackTasks(db, drain, tasks),
  };
}
