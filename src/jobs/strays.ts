/**
 * Strays: runs that the database counts as this worker's and that nobody here executes. They come about when a claim
 * was committed and its answer lost, or a run was given up with the lease and the lease came back. So after each such
 * doubt, and once a minute without one, they go on elsewhere under a new attempt.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { requeueFromWorker } from '../db/run-store.ts';
import { messageOf } from '../errors.ts';

export type Strays = {
  /** There may be some. */
  suspect(): void;
  /** The id under which this worker claims from now on. A change of it is a doubt too. */
  weAre(workerId: string): void;
  /** Queues them again when there is a doubt, or there was no look for long. Never rejects. */
  sweepIfDue(): Promise<void>;
  /** The look that is going on. A run that is claimed meanwhile would be taken for a stray. */
  readonly sweeping: Promise<void> | null;
};

export type StraysParts = {
  db: Db;
  clock: Clock;
  logger: Logger;
  served(): readonly string[];
  /** The runs that somebody here does execute, or is about to. */
  executed(): readonly string[];
};

const sweepEveryMs = 60_000;
/** Ids that this worker had before it was declared lost; a late claim may still be committed under them. */
const formerIdsMax = 3;

export function createStrays({ db, clock, logger, served, executed }: StraysParts): Strays {
  let inDoubt = false;
  let sweptAtMs = clock.monotonic();
  let sweeping: Promise<void> | null = null;
  /** The present id last. */
  const ids: string[] = [];

  async function sweep(): Promise<void> {
    inDoubt = false;
    sweptAtMs = clock.monotonic();
    sweeping = requeue().catch((error) => {
      inDoubt = true;
      logger.warn(
        { err: error },
        `could not look for runs that nobody executes: ${messageOf(error)}; looked again soon`,
      );
    });
    await sweeping;
    sweeping = null;
  }

  async function requeue(): Promise<void> {
    const except = executed();
    for (const workerId of ids) {
      const options = {
        workerId,
        except,
        cause: 'worker_lost' as const,
        nowMs: clock.now(),
        served: served(),
      };
      const { requeued } = await db.transaction((tx) => requeueFromWorker(tx, options));
      if (requeued > 0)
        logger.warn(`${requeued} runs of this worker that it did not execute were queued again`);
    }
  }

  return {
    suspect() {
      inDoubt = true;
    },
    weAre(workerId) {
      if (ids.at(-1) === workerId) return;
      inDoubt ||= ids.length > 0;
      ids.push(workerId);
      ids.splice(0, ids.length - 1 - formerIdsMax);
    },
    async sweepIfDue() {
      if (inDoubt || clock.monotonic() - sweptAtMs >= sweepEveryMs) await sweep();
    },
    get sweeping() {
      return sweeping;
    },
  };
}
