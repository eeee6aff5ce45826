/**
 * The rescuer: brings back what a dead process left. One pass, every 5 s on every dispatcher:
 *
 * 1. Workers without a heartbeat for 30 s are declared gone; their runs are queued again under the next attempt
 *    number (or ended, where they had been told to cancel), and their graphile pools are unlocked: one transaction.
 * 2. Doorbells locked by a pool that no living worker owns up to are unlocked.
 * 3. Once a minute: doorbells of task queues that nobody serves go to the default queue, and runs that wait without a
 *    doorbell are rung for again.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import {
  countDoorbells,
  defaultTaskQueue,
  forceUnlock,
  orphanedPools,
  rehome,
  ringForgotten,
} from '../db/queue.ts';
import { requeueFromWorker } from '../db/run-store.ts';
import { pruneWorkers, servedTaskQueues, takeLostWorkers } from '../db/worker-store.ts';

export const rescueEveryMs = 5000;
export const lostAfterMs = 30_000;
const lostWorkersMax = 20;
const orphanedAfterMs = 45_000;
const tidyEveryMs = 60_000;
/** A queue whose last worker may just be restarting is left alone for so long. */
const unservedGraceMs = 60_000;
/** A run that waits longer than this and has no doorbell has lost it. */
const forgottenAfterMs = 60_000;
const forgottenBatchMax = 500;
/** With more doorbells than this nothing looks forgotten, and looking would be dear. */
const doorbellsSearchedMax = 10_000;
const workersKeptMs = 30 * 86_400_000;

export type RescueCounts = {
  lostWorkers: number;
  requeued: number;
  cancelled: number;
  unlockedPools: number;
  rung: number;
  rehomed: number;
};

export type Rescuer = { pass(): Promise<RescueCounts> };

export type RescuerParts = { db: Db; clock: Clock; logger: Logger; served(): readonly string[] };

export function createRescuer({ db, clock, logger, served }: RescuerParts): Rescuer {
  let tidiedAtMs = clock.monotonic();

  return {
    async pass() {
      const nowMs = clock.now();
      const counts: RescueCounts = {
        lostWorkers: 0,
        requeued: 0,
        cancelled: 0,
        unlockedPools: 0,
        rung: 0,
        rehomed: 0,
      };
      await db.transaction(async (tx) => {
        for (const worker of await takeLostWorkers(tx, nowMs - lostAfterMs, nowMs, lostWorkersMax)) {
          const options = {
            workerId: worker.id,
            except: [],
            cause: 'worker_lost' as const,
            nowMs,
            served: served(),
          };
          const taken = await requeueFromWorker(tx, options);
          await forceUnlock(tx, worker.poolIds);
          counts.lostWorkers += 1;
          counts.requeued += taken.requeued;
          counts.cancelled += taken.cancelled;
          logger.warn(
            `worker ${worker.host}:${worker.pid} (${worker.id}) is lost: ${taken.requeued} of its runs are queued again, ${taken.cancelled} cancelled`,
          );
        }
      });
      const orphans = await orphanedPools(db, new Date(nowMs - orphanedAfterMs));
      await forceUnlock(db, orphans);
      counts.unlockedPools = orphans.length;
      if (clock.monotonic() - tidiedAtMs >= tidyEveryMs) {
        tidiedAtMs = clock.monotonic();
        await tidy(nowMs, counts);
      }
      return counts;
    },
  };

  async function tidy(nowMs: number, counts: RescueCounts): Promise<void> {
    const living = await servedTaskQueues(db);
    const defaultSince = living.get(defaultTaskQueue);
    if (defaultSince !== undefined && defaultSince < nowMs - unservedGraceMs)
      counts.rehomed = await rehome(db, [...living.keys()]);
    if ((await countDoorbells(db, doorbellsSearchedMax)) < doorbellsSearchedMax) {
      counts.rung = await ringForgotten(db, new Date(nowMs - forgottenAfterMs), served(), forgottenBatchMax);
    }
    await pruneWorkers(db, nowMs - workersKeptMs);
  }
}
