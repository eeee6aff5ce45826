/**
 * The steps of a run in the database, for an attempt in this process. A checkpoint is written for as long as it takes, as
 * outcomes are: a step whose record is given up is work done twice, and the attempt would fail for a fault that is not its own.
 * The signal of the attempt ends the trying: a lease that is lost, a timeout, a cancel.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { type Db, isRefusal, refusalOf } from '../db/client.ts';
import { listSteps, saveProgress, saveStep } from '../db/step-store.ts';
import { pause } from './abortable.ts';
import type { StepJournal } from './step-record.ts';

export type StepJournalParts = {
  db: Db;
  run: { id: string; attempt: number };
  clock: Pick<Clock, 'now'>;
  logger: Logger;
  /** The attempt's. */
  signal: AbortSignal;
  /**
   * Whether the lease is good at this instant. A process that was frozen finds the answer to its last write first when it
   * wakes, before any timer has told it how long it slept: it must not begin a step that others have done meanwhile.
   */
  held(): boolean;
};

const pauseMsMin = 50;
const pauseMsMax = 2000;

export function journalOf({ db, run, clock, logger, signal, held }: StepJournalParts): StepJournal {
  async function persist<T>(what: string, act: () => Promise<T>): Promise<T> {
    for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
      try {
        return await act();
      } catch (error) {
        if (isRefusal(error)) throw error;
        signal.throwIfAborted();
        logger.warn(
          { runId: run.id },
          `could not ${what} of run ${run.id}: ${refusalOf(error)}; tried again in ${pauseMs} ms`,
        );
        await pause(pauseMs, signal);
      }
    }
  }

  return {
    load: () => persist('read the steps', () => listSteps(db, run.id)),
    save: async (record) =>
      (await persist(`write the step "${record.name}"`, () => saveStep(db, run, record))) && held(),
    // Told again a second later anyhow.
    saveProgress: (progress) => saveProgress(db, run, { ...progress, atMs: clock.now() }),
  };
}
