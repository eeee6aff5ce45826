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
import type { Progress } from './step-progress.ts';
import type { StepJournal, StepRecord } from './step-record.ts';

export type StepJournalParts = {
  db: Db;
  clock: Pick<Clock, 'now'>;
  logger: Logger;
  /**
   * Whether the lease is good at this instant. A process that was frozen finds the answer to its last write first when it
   * wakes, before any timer has told it how long it slept: it must not begin a step that others have done meanwhile.
   */
  held(): boolean;
};

const pauseMsMin = 50;
const pauseMsMax = 2000;

export class AttemptJournal implements StepJournal {
  readonly #parts: StepJournalParts;
  readonly #run: { id: string; attempt: number };
  readonly #live: { readonly signal: AbortSignal };

  constructor(
    parts: StepJournalParts,
    run: { id: string; attempt: number },
    live: { readonly signal: AbortSignal },
  ) {
    this.#parts = parts;
    this.#run = run;
    this.#live = live;
  }

  load() {
    const { db } = this.#parts;
    return this.#persist('read the steps', () => listSteps(db, this.#run.id));
  }

  async save(record: StepRecord) {
    const { db, held } = this.#parts;
    const saved = await this.#persist(`write the step "${record.name}"`, () =>
      saveStep(db, this.#run, record),
    );
    return saved && held();
  }

  /** Told again a second later anyhow. */
  saveProgress(progress: Progress) {
    const { db, clock } = this.#parts;
    return saveProgress(db, this.#run, { ...progress, atMs: clock.now() });
  }

  async #persist<T>(what: string, act: () => Promise<T>): Promise<T> {
    const { id } = this.#run;
    const { signal } = this.#live;
    for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMs * 2, pauseMsMax)) {
      try {
        return await act();
      } catch (error) {
        if (isRefusal(error)) throw error;
        signal.throwIfAborted();
        this.#parts.logger.warn(
          { runId: id },
          `could not ${what} of run ${id}: ${refusalOf(error)}; tried again in ${pauseMs} ms`,
        );
        await pause(pauseMs, signal);
      }
    }
  }
}
