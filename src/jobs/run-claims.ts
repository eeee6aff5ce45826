/** Claims runs for this worker: many doorbells in one compare-and-set. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { type Db, isRefusal } from '../db/client.ts';
import type { Doorbell } from '../db/queue.ts';
import { type ClaimedRun, startRuns } from '../db/run-store.ts';
import { messageOf } from '../errors.ts';
import { type Batcher, createBatcher } from '../runs/batcher.ts';
import type { Lease } from './lease.ts';
import type { Strays } from './strays.ts';

export type RunClaimsParts = {
  db: Db;
  clock: Clock;
  logger: Logger;
  lease: Pick<Lease, 'workerId' | 'held'>;
  strays: Pick<Strays, 'sweeping' | 'suspect'>;
  /** Whether the worker takes no runs any more. */
  draining(): boolean;
};

const batchMax = 500;
const pauseMsMin = 50;
const pauseMsMax = 2000;

/** Answers null for a run that is someone else's, or over. */
export function createRunClaims(parts: RunClaimsParts): Batcher<Doorbell, ClaimedRun | null> {
  const { db, clock, logger, lease, strays } = parts;

  /**
   * Tries until the lease is good and the database answers, since a doorbell that is given back to graphile rings
   * seconds later, and one that cannot even be given back stays locked. If that takes too long, this worker is declared
   * lost and its doorbells ring elsewhere. Claiming again what was claimed before the answer was lost is no harm.
   */
  async function claim(doorbells: readonly Doorbell[]): Promise<ClaimedRun[]> {
    for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
      // A run that is claimed while strays are looked for would look like one.
      while (strays.sweeping !== null || (!lease.held && !parts.draining()))
        await (strays.sweeping ?? pause(pauseMsMin));
      if (parts.draining()) throw new Error('this worker takes no runs now');
      const { workerId } = lease;
      try {
        const claimed = await startRuns(db, workerId, doorbells, clock.now());
        if (workerId === lease.workerId) return claimed;
        // This worker was declared lost meanwhile: what it claimed under its old name goes on as strays do.
        strays.suspect();
        return [];
      } catch (error) {
        strays.suspect();
        if (isRefusal(error)) throw error;
        logger.warn(
          `could not claim ${doorbells.length} runs: ${messageOf(error)}; tried again in ${pauseMs} ms`,
        );
        await pause(pauseMs);
      }
    }
  }

  return createBatcher({
    batchSizeMax: batchMax,
    inFlightMax: 1,
    async write(doorbells) {
      const claimed = await claim(doorbells);
      const byId = new Map(claimed.map((run) => [run.id, run]));
      return doorbells.map(({ runId, attempt }) => {
        const run = byId.get(runId);
        // Doorbells of two attempts of a run may be in one batch.
        return run !== undefined && run.attempt === attempt ? run : null;
      });
    },
  });
}
