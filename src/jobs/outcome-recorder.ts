/**
 * Records what became of attempts: batched, compare-and-set, and for as long as it takes. The lease covers a run until
 * its outcome is committed, so recording needs no slot.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Db, isRefusal, isTransient, refusalOf } from '../db/client.ts';
import { endRuns, type RunEnd } from '../db/run-end-store.ts';
import { type ClaimedRun, type RunRetry, readSignals, retryRuns } from '../db/run-store.ts';
import { messageOf } from '../errors.ts';
import { type Batcher, createBatcher } from '../runs/batcher.ts';
import { clean } from './job-answer.ts';
import type { Lease } from './lease.ts';
import type { AttemptEnd } from './run-job.ts';
import type { AttemptLog } from './run-log.ts';

export type OutcomeRecorder = {
  /** Never rejects. False: the run has no outcome, and must go on. */
  record(attempt: EndedAttempt, end: AttemptEnd, finishedAtMs: number): Promise<boolean>;
  /** Ends that wait to be written, or are being written. */
  readonly pending: number;
  /** Resolves when nothing is pending. */
  drained(): Promise<void>;
};

export type EndedAttempt = { run: ClaimedRun; log: AttemptLog };

export type OutcomeRecorderParts = {
  db: Db;
  logger: Logger;
  lease: Pick<Lease, 'workerId' | 'held'>;
  /** Whether the worker hands back what it has. */
  draining(): boolean;
  /** Task queues that some worker serves by name; the end of a run may release another. */
  served(): readonly string[];
};

/** What became of an outcome: `not_ours` was moved by someone else; `refused` will never be taken as it is. */
type Written = { kind: 'written' } | { kind: 'not_ours' } | { kind: 'refused'; why: string };

const batchMax = 500;
const databasePauseMsMin = 50;
const databasePauseMsMax = 2000;
/** An end that the database refuses even without its output is tried again this often. */
const refusedPauseMs = 10_000;

export function createOutcomeRecorder(parts: OutcomeRecorderParts): OutcomeRecorder {
  const { db, logger, lease } = parts;

  const ends: Batcher<RunEnd, Written> = createBatcher({
    batchSizeMax: batchMax,
    inFlightMax: 1,
    write: (items) => persist(items, (batch) => endRuns(db, batch, parts.served())),
  });

  const retries: Batcher<RunRetry, Written> = createBatcher({
    batchSizeMax: batchMax,
    inFlightMax: 1,
    write: (items) => persist(items, (batch) => retryRuns(db, batch)),
  });

  async function record({ run, log }: EndedAttempt, end: AttemptEnd, finishedAtMs: number): Promise<boolean> {
    try {
      if (log.unwritten) {
        await log
          .flush()
          .catch((error) =>
            logger.warn({ err: error, runId: run.id }, `could not write the run's log: ${messageOf(error)}`),
          );
      }
      if (end.kind === 'given_up') return false;
      const key = { runId: run.id, attempt: run.attempt };
      const ofRun = { ...key, scheduleId: run.scheduleId, finishedAtMs };
      let written: Written;
      if (end.kind !== 'ended') {
        const retry = retryOf(end, finishedAtMs);
        const { status, error } = retry;
        written = await retries.add({ ...key, ...retry });
        if (written.kind === 'not_ours') {
          // It was told to cancel or stop meanwhile (or is really not ours): no retry.
          const told = (await readSignals(db, lease.workerId)).find((each) => each.id === run.id);
          const cancelled = told?.signal === 'cancel';
          written = await ends.add({
            ...ofRun,
            status: !cancelled && (status === 'failed' || status === 'timed_out') ? status : 'cancelled',
            reason: cancelled ? 'cancelled_by_hand' : 'stopped',
            output: null,
            error,
          });
        }
      } else {
        const { status, reason, output, error } = end;
        written = await ends.add({ ...ofRun, status, reason, output, error });
      }
      while (written.kind === 'refused') {
        const { why } = written;
        const message = `The run came to an end that the database does not take: ${why}`;
        logger.error({ runId: run.id }, `run ${run.id} is recorded as failed. ${message}`);
        written = await ends.add({
          ...ofRun,
          status: 'failed',
          reason: null,
          output: null,
          error: { type: 'OutcomeRefused', message: clean(message) },
        });
        if (written.kind !== 'refused') break;
        // Then it is not the outcome. Running it again would not help, so it waits here until somebody does.
        await pause(refusedPauseMs);
        if (parts.draining() || !lease.held) return false;
      }
      return true;
    } catch (error) {
      logger.error(
        { err: error, runId: run.id },
        `the outcome of run ${run.id} could not be recorded: ${messageOf(error)}; the run will be tried again`,
      );
      return false;
    }
  }

  /**
   * Writes until it is written or the lease is lost, since an outcome that is not written is work done twice. A batch
   * that the database refuses for what is in it is written one by one, so that one bad outcome stops no other.
   */
  async function persist<T extends { runId: string }>(
    items: readonly T[],
    write: (batch: readonly T[]) => Promise<Set<string>>,
  ): Promise<Written[]> {
    for (let pauseMs = databasePauseMsMin; ; pauseMs = Math.min(pauseMs * 2, databasePauseMsMax)) {
      try {
        const moved = await write(items);
        return items.map(({ runId }) => ({ kind: moved.has(runId) ? 'written' : 'not_ours' }));
      } catch (error) {
        if (isRefusal(error)) {
          if (items.length === 1) return [{ kind: 'refused', why: refusalOf(error) }];
          const answers: Written[] = [];
          for (const item of items) answers.push(...(await persist([item], write)));
          return answers;
        }
        if (!isTransient(error) && !lease.held) throw error;
        logger.warn(
          `could not record ${items.length} outcomes: ${messageOf(error)}; tried again in ${pauseMs} ms`,
        );
        await pause(pauseMs);
      }
    }
  }

  return {
    record,
    get pending() {
      return ends.pending;
    },
    drained: () => ends.drained(),
  };
}

function retryOf(
  end: AttemptEnd & { kind: 'retry' | 'waiting' | 'lost' },
  finishedAtMs: number,
): Omit<RunRetry, 'runId' | 'attempt'> {
  if (end.kind === 'waiting') {
    const nextAttemptAtMs = Math.max(finishedAtMs, end.untilMs);
    const { reason, quiet = false } = end;
    return { status: 'waiting', error: null, reason, quiet, finishedAtMs, nextAttemptAtMs };
  }
  if (end.kind === 'lost') {
    return {
      status: 'lost',
      error: end.error,
      finishedAtMs,
      nextAttemptAtMs: Math.max(finishedAtMs, end.untilMs),
    };
  }
  const { status, error, retryInMs } = end;
  return { status, error, finishedAtMs, nextAttemptAtMs: finishedAtMs + retryInMs };
}
