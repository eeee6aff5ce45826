/**
 * The worker of this process: doorbells in, outcomes out.
 *
 *   doorbell ─ claim (batched compare-and-set) ─ run-job ─ record (batched compare-and-set)
 *
 * What happens on kill -9:
 * - before the claim is committed: the run is queued, its doorbell is unlocked by the rescuer, another worker takes it;
 * - after it, until the outcome is committed: the run is running under a worker that is lost; the rescuer queues it
 *   again under the next attempt number;
 * - after that: all is done; the doorbell, if it is still there, finds nothing to claim.
 *
 * A slot is held from the claim to the end of the job. Recording happens outside of it: the lease covers the run
 * until its outcome is committed, so the next run need not wait for that.
 *
 * What this process executes (`live`) and what the database says that it executes may come apart: a claim was
 * committed and its answer lost, a run was given up with the lease and the lease came back. So after each such doubt,
 * and once a minute without one, the runs that the database counts as ours and nobody here has go on elsewhere.
 */

import type pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { type Db, isTransient, sqlState } from '../db/client.ts';
import { type Doorbell, forceUnlock } from '../db/queue.ts';
import { endRuns, type RunEnd } from '../db/run-end-store.ts';
import {
  type ClaimedRun,
  type RunRetry,
  readSignals,
  requeueFromWorker,
  retryRuns,
  startRuns,
} from '../db/run-store.ts';
import { markGone } from '../db/worker-store.ts';
import { messageOf } from '../errors.ts';
import { type Batcher, createBatcher } from '../runs/batcher.ts';
import type { AttemptStatus } from '../runs/run-state.ts';
import { createLease } from './lease.ts';
import type { JobRegistry } from './registry.ts';
import { type AttemptEnd, abort, clean, type LiveAttempt, runJob } from './run-job.ts';
import { type AttemptLog, createRunLog } from './run-log.ts';
import { createRunPool } from './run-pool.ts';

export type Worker = {
  start(): Promise<void>;
  /**
   * Takes no new runs, gives running ones `graceMs` to end, hands back what is left, and leaves. Safe to call twice.
   */
  stop(graceMs: number): Promise<void>;
  readonly id: string;
  /** Whether the lease is good; a worker without it executes nothing. */
  readonly healthy: boolean;
  /** Attempts being executed or recorded. */
  readonly live: number;
};

/** What a watcher (the metrics) is told. */
export type WorkerEvents = {
  started(run: ClaimedRun, startedAtMs: number): void;
  ended(run: ClaimedRun, status: AttemptStatus, durationMs: number): void;
};

export type WorkerParts = {
  db: Db;
  /** For graphile-worker's own statements. */
  pgPool: pg.Pool;
  clock: Clock;
  logger: Logger;
  jobs: JobRegistry;
  /** Task queue → concurrency. */
  workers: ReadonlyMap<string, number>;
  /** Task queues that some worker serves by name. */
  served(): readonly string[];
  events: WorkerEvents;
};

type Live = LiveAttempt & {
  run: ClaimedRun;
  log: AttemptLog;
  /** Resolves when the attempt is not live any more. */
  left: Promise<void>;
};

/** What became of an outcome: `not_ours` was moved by someone else; `refused` will never be taken as it is. */
type Written = { kind: 'written' } | { kind: 'not_ours' } | { kind: 'refused'; why: string };

const startBatchMax = 500;
const endBatchMax = 500;
/** Outcomes that may wait to be written before new runs have to wait for them. */
const unrecordedMax = 2000;
const signalsEveryMs = 500;
const databasePauseMsMin = 50;
const databasePauseMsMax = 2000;
const flushLimitMs = 5000;
const sweepEveryMs = 60_000;
/** An end that the database refuses even without its output is tried again this often. */
const refusedPauseMs = 10_000;
/** Ids that this worker had before it was declared lost; a late claim may still be committed under them. */
const formerIdsMax = 3;

export function createWorker(parts: WorkerParts): Worker {
  const { db, clock, logger, jobs } = parts;
  const live = new Map<string, Live>();
  const starting = new Map<string, Doorbell>();
  /** The database may count runs as ours that nobody here executes. */
  let inDoubt = false;
  let sweptAtMs = clock.monotonic();
  let sweeping: Promise<void> | null = null;
  /** The present id last. */
  const ids: string[] = [];
  let draining: Promise<void> | null = null;
  let signalTimer: NodeJS.Timeout | undefined;
  let readingSignals = false;

  const pools = [...parts.workers].map(([taskQueue, concurrency]) =>
    createRunPool({ taskQueue, concurrency, pgPool: parts.pgPool, logger, answer }),
  );
  const poolIds = () => pools.flatMap((pool) => pool.poolIds());

  const lease = createLease({
    db,
    clock,
    logger,
    taskQueues: [...parts.workers.keys()],
    poolIds,
    onLost(why) {
      logger.error(
        `the lease of worker ${lease.workerId} is lost: ${why}; its ${live.size} runs are aborted here and go on elsewhere`,
      );
      inDoubt = true;
      for (const each of live.values()) abort(each, 'lease_lost', 'The worker lost its lease.');
    },
    async onRenewed() {
      if (ids.at(-1) !== lease.workerId) {
        inDoubt ||= ids.length > 0;
        ids.push(lease.workerId);
        ids.splice(0, ids.length - 1 - formerIdsMax);
      }
      // What is left at the end of a drain is handed back there, all at once.
      if (draining !== null) return;
      await Promise.all(pools.map((pool) => pool.freeRetired((poolIds) => forceUnlock(db, poolIds))));
      if (inDoubt || clock.monotonic() - sweptAtMs >= sweepEveryMs) await sweep();
    },
  });

  const runLog = createRunLog({
    db,
    clock,
    onFault: (error) =>
      logger.warn({ err: error }, `could not write log lines of a run: ${messageOf(error)}`),
  });

  const starts: Batcher<Doorbell, ClaimedRun | null> = createBatcher({
    batchSizeMax: startBatchMax,
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

  const ends: Batcher<RunEnd, Written> = createBatcher({
    batchSizeMax: endBatchMax,
    inFlightMax: 1,
    write: (items) => persist(items, (batch) => endRuns(db, batch)),
  });

  const retries: Batcher<RunRetry, Written> = createBatcher({
    batchSizeMax: endBatchMax,
    inFlightMax: 1,
    write: (items) => persist(items, (batch) => retryRuns(db, batch)),
  });

  async function answer(doorbell: Doorbell): Promise<void> {
    const older = live.get(doorbell.runId);
    if (older !== undefined && older.run.attempt < doorbell.attempt) {
      // The run was taken back while this process was deaf, and has come to us again.
      abort(older, 'lease_lost', 'The run went on without this attempt.');
      await older.left;
    }
    const key = `${doorbell.runId} ${doorbell.attempt}`;
    // Rung twice: the other one is at it.
    if (live.has(doorbell.runId) || starting.has(key)) return;
    starting.set(key, doorbell);
    let run: ClaimedRun | null;
    try {
      run = await starts.add(doorbell);
    } finally {
      starting.delete(key);
    }
    // Someone else's, or over.
    if (run === null) return;
    await execute(run);
    if (ends.pending > unrecordedMax) await ends.drained();
  }

  /**
   * Tries until the lease is good and the database answers, since a doorbell that is given back to graphile rings
   * seconds later, and one that cannot even be given back stays locked. If that takes too long, this worker is declared
   * lost and its doorbells ring elsewhere. Claiming again what was claimed before the answer was lost is no harm.
   */
  async function claim(doorbells: readonly Doorbell[]): Promise<ClaimedRun[]> {
    for (let pauseMs = databasePauseMsMin; ; pauseMs = Math.min(pauseMs * 2, databasePauseMsMax)) {
      // A run that is claimed while strays are looked for would look like one.
      while (sweeping !== null || (!lease.held && draining === null))
        await (sweeping ?? pause(databasePauseMsMin));
      if (draining !== null) throw new Error('this worker takes no runs now');
      const { workerId } = lease;
      try {
        const claimed = await startRuns(db, workerId, doorbells, clock.now());
        if (workerId === lease.workerId) return claimed;
        // This worker was declared lost meanwhile: what it claimed under its old name goes on as strays do.
        inDoubt = true;
        return [];
      } catch (error) {
        inDoubt = true;
        if (isRefusal(error)) throw error;
        logger.warn(
          `could not claim ${doorbells.length} runs: ${messageOf(error)}; tried again in ${pauseMs} ms`,
        );
        await pause(pauseMs);
      }
    }
  }

  async function execute(run: ClaimedRun): Promise<void> {
    const startedAtMs = clock.now();
    const log = runLog.open(run);
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    const mine: Live = {
      run,
      log,
      left,
      abort: new AbortController(),
      stopRequested: run.signal === 'stop',
    };
    live.set(run.id, mine);
    parts.events.started(run, startedAtMs);
    if (run.signal === 'cancel') abort(mine, 'cancel', 'The run was cancelled.');
    if (!lease.held) abort(mine, 'lease_lost', 'The worker lost its lease.');
    const end = await runJob(run, jobs.find(run.jobType), mine, { clock, log: log.log });
    // Whole, as it is stored, so that the wait before a retry is exact.
    const finishedAtMs = Math.floor(clock.now());
    parts.events.ended(run, end.kind === 'given_up' ? 'handed_back' : end.status, finishedAtMs - startedAtMs);
    void record(mine, end, finishedAtMs).then((settled) => {
      live.delete(run.id);
      if (!settled) inDoubt = true;
      leave();
    });
  }

  /** Never rejects. False: the run has no outcome, and must go on. */
  async function record({ run, log }: Live, end: AttemptEnd, finishedAtMs: number): Promise<boolean> {
    try {
      await log
        .flush()
        .catch((error) =>
          logger.warn({ err: error, runId: run.id }, `could not write the run's log: ${messageOf(error)}`),
        );
      if (end.kind === 'given_up') return false;
      const key = { runId: run.id, attempt: run.attempt };
      const ofRun = { ...key, scheduleId: run.scheduleId, finishedAtMs };
      let written: Written;
      if (end.kind === 'retry') {
        const { status, error } = end;
        const nextAttemptAtMs = finishedAtMs + end.retryInMs;
        written = await retries.add({ ...key, status, error, finishedAtMs, nextAttemptAtMs });
        if (written.kind === 'not_ours') {
          // It was told to cancel or stop meanwhile (or is really not ours): no retry.
          const told = (await readSignals(db, lease.workerId)).find((each) => each.id === run.id);
          const cancelled = told?.signal === 'cancel';
          written = await ends.add({
            ...ofRun,
            status: cancelled ? 'cancelled' : status,
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
        if (draining !== null || !lease.held) return false;
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

  async function sweep(): Promise<void> {
    inDoubt = false;
    sweptAtMs = clock.monotonic();
    sweeping = requeueStrays().catch((error) => {
      inDoubt = true;
      logger.warn(
        { err: error },
        `could not look for runs that nobody executes: ${messageOf(error)}; looked again soon`,
      );
    });
    await sweeping;
    sweeping = null;
  }

  /** Runs that the database counts as ours and nobody here executes go on under a new attempt. */
  async function requeueStrays(): Promise<void> {
    const except = [...live.keys(), ...[...starting.values()].map((doorbell) => doorbell.runId)];
    for (const workerId of ids) {
      const { requeued } = await db.transaction(
        async (tx) =>
          await requeueFromWorker(tx, {
            workerId,
            except,
            cause: 'worker_lost',
            nowMs: clock.now(),
            served: parts.served(),
          }),
      );
      if (requeued > 0)
        logger.warn(`${requeued} runs of this worker that it did not execute were queued again`);
    }
  }

  async function heedSignals(): Promise<void> {
    if (live.size === 0 || readingSignals) return;
    readingSignals = true;
    try {
      for (const { id, attempt, signal } of await readSignals(db, lease.workerId)) {
        const told = live.get(id);
        if (told === undefined || told.run.attempt !== attempt) continue;
        if (signal === 'cancel') abort(told, 'cancel', 'The run was cancelled.');
        else told.stopRequested = true;
      }
    } catch (error) {
      logger.warn(
        `could not look for cancelled runs: ${messageOf(error)}; looked again in ${signalsEveryMs} ms`,
      );
    } finally {
      readingSignals = false;
    }
  }

  async function drain(graceMs: number): Promise<void> {
    // Not awaited: a pool waits for its runs.
    const stopped = Promise.all(pools.map((pool) => pool.stop()));
    await until(graceMs, () => live.size === 0 && starting.size === 0);
    for (const each of live.values()) abort(each, 'shutdown', 'The worker process shuts down.');
    await until(flushLimitMs, () => live.size === 0 && starting.size === 0);
    await Promise.race([stopped, pause(flushLimitMs)]);
    clearInterval(signalTimer);
    lease.stop();
    await db.transaction(async (tx) => {
      const options = { workerId: lease.workerId, except: [], cause: 'worker_shutdown' as const };
      const { requeued } = await requeueFromWorker(tx, {
        ...options,
        nowMs: clock.now(),
        served: parts.served(),
      });
      await forceUnlock(tx, poolIds());
      await markGone(tx, lease.workerId, clock.now());
      if (requeued > 0) logger.info(`${requeued} runs that did not end within the grace were handed back`);
    });
  }

  return {
    async start() {
      await lease.start();
      await Promise.all(pools.map((pool) => pool.start()));
      // The ids of the pools must be known before they can be lost.
      await lease.renew();
      signalTimer = setInterval(() => void heedSignals(), signalsEveryMs);
    },
    stop(graceMs) {
      draining ??= drain(graceMs);
      return draining;
    },
    get id() {
      return lease.workerId;
    },
    get healthy() {
      return lease.held;
    },
    get live() {
      return live.size;
    },
  };
}

/** The database understood and will never take it: bad data (22), a broken constraint (23), beyond its limits (54). */
function isRefusal(error: unknown): boolean {
  return /^(22|23|54)/.test(sqlState(error) ?? '');
}

/** In Postgres' words; drizzle's own message repeats the whole statement. */
function refusalOf(error: unknown): string {
  let at = error;
  while (at instanceof Error && at.cause instanceof Error) at = at.cause;
  return messageOf(at);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(limitMs: number, isTrue: () => boolean): Promise<void> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
  }, limitMs);
  while (!late && !isTrue()) await pause(20);
  clearTimeout(timer);
}
