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
 */

import type pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { type Db, isTransient, sqlState } from '../db/client.ts';
import { type Doorbell, forceUnlock } from '../db/queue.ts';
import {
  type ClaimedRun,
  endRuns,
  type RunEnd,
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
import { type AttemptEnd, abort, type LiveAttempt, runJob } from './run-job.ts';
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

type Live = LiveAttempt & { run: ClaimedRun; log: AttemptLog };

const startBatchMax = 500;
const endBatchMax = 500;
/** Outcomes that may wait to be written before new runs have to wait for them. */
const unrecordedMax = 2000;
const signalsEveryMs = 500;
const persistPauseMsMax = 2000;
const flushLimitMs = 5000;

export function createWorker(parts: WorkerParts): Worker {
  const { db, clock, logger, jobs } = parts;
  const live = new Map<string, Live>();
  const starting = new Set<string>();
  /** A claim may have been committed although its answer was lost. */
  let claimsInDoubt = false;
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
      claimsInDoubt = true;
      for (const each of live.values()) abort(each, 'lease_lost', 'The worker lost its lease.');
    },
    async onRenewed() {
      if (!claimsInDoubt) return;
      claimsInDoubt = false;
      await requeueStrays();
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
      const claimed = await startRuns(db, lease.workerId, doorbells, clock.now());
      const byId = new Map(claimed.map((run) => [run.id, run]));
      return doorbells.map((doorbell) => byId.get(doorbell.runId) ?? null);
    },
  });

  const ends: Batcher<RunEnd, boolean> = createBatcher({
    batchSizeMax: endBatchMax,
    inFlightMax: 1,
    write: (items) => persist(items, (batch) => endRuns(db, batch)),
  });

  const retries: Batcher<RunRetry, boolean> = createBatcher({
    batchSizeMax: endBatchMax,
    inFlightMax: 1,
    write: (items) => persist(items, (batch) => retryRuns(db, batch)),
  });

  async function answer(doorbell: Doorbell): Promise<void> {
    if (draining !== null || !lease.held) throw new Error('this worker takes no runs now');
    // Rung twice: the other one is at it.
    if (live.has(doorbell.runId) || starting.has(doorbell.runId)) return;
    starting.add(doorbell.runId);
    let run: ClaimedRun | null;
    try {
      run = await starts.add(doorbell);
    } catch (error) {
      claimsInDoubt = true;
      throw error;
    } finally {
      starting.delete(doorbell.runId);
    }
    // Someone else's, or over.
    if (run === null) return;
    await execute(run);
    if (ends.pending > unrecordedMax) await ends.drained();
  }

  async function execute(run: ClaimedRun): Promise<void> {
    const startedAtMs = clock.now();
    const log = runLog.open(run);
    const mine: Live = { run, log, abort: new AbortController(), stopRequested: run.signal === 'stop' };
    live.set(run.id, mine);
    parts.events.started(run, startedAtMs);
    if (run.signal === 'cancel') abort(mine, 'cancel', 'The run was cancelled.');
    if (!lease.held) abort(mine, 'lease_lost', 'The worker lost its lease.');
    const end = await runJob(run, jobs.find(run.jobType), mine, { clock, log: log.log });
    // Whole, as it is stored, so that the wait before a retry is exact.
    const finishedAtMs = Math.floor(clock.now());
    parts.events.ended(run, end.kind === 'given_up' ? 'handed_back' : end.status, finishedAtMs - startedAtMs);
    void record(mine, end, finishedAtMs).finally(() => live.delete(run.id));
  }

  /** Never rejects: what cannot be recorded is left to the rescuer, which sees a run without an outcome. */
  async function record({ run, log }: Live, end: AttemptEnd, finishedAtMs: number): Promise<void> {
    try {
      await log
        .flush()
        .catch((error) =>
          logger.warn({ err: error, runId: run.id }, `could not write the run's log: ${messageOf(error)}`),
        );
      if (end.kind === 'given_up') return;
      const key = { runId: run.id, attempt: run.attempt };
      if (end.kind === 'retry') {
        const { status, error } = end;
        const nextAttemptAtMs = finishedAtMs + end.retryInMs;
        if (await retries.add({ ...key, status, error, finishedAtMs, nextAttemptAtMs })) return;
        // It was told to cancel or stop meanwhile (or is not ours): no retry.
        const told = (await readSignals(db, lease.workerId)).find((each) => each.id === run.id);
        const ended = told?.signal === 'cancel' ? ('cancelled' as const) : status;
        const reason = told?.signal === 'cancel' ? 'cancelled_by_hand' : 'stopped';
        await ends.add({
          ...key,
          scheduleId: run.scheduleId,
          status: ended,
          reason,
          output: null,
          error,
          finishedAtMs,
        });
        return;
      }
      await ends.add({ ...key, scheduleId: run.scheduleId, ...end, finishedAtMs });
    } catch (error) {
      claimsInDoubt = true;
      logger.error(
        { err: error, runId: run.id },
        `the outcome of run ${run.id} could not be recorded: ${messageOf(error)}; the run will be tried again`,
      );
    }
  }

  /**
   * Writes until it is written or the lease is lost, since an outcome that is not written is work done twice. A batch
   * that the database refuses for what is in it is written one by one, so that one bad outcome stops no other.
   */
  async function persist<T extends { runId: string }>(
    items: readonly T[],
    write: (batch: readonly T[]) => Promise<Set<string>>,
  ): Promise<boolean[]> {
    for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, persistPauseMsMax)) {
      try {
        const moved = await write(items);
        return items.map((item) => moved.has(item.runId));
      } catch (error) {
        if (isRefusal(error)) {
          if (items.length === 1) throw error;
          const answers: boolean[] = [];
          for (const item of items) answers.push(...(await persist([item], write).catch(() => [false])));
          return answers;
        }
        if (!isTransient(error) && !lease.held) throw error;
        logger.warn(
          `could not record ${items.length} outcomes: ${messageOf(error)}; tried again in ${pauseMs} ms`,
        );
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** Runs that the database counts as ours and nobody here executes go on under a new attempt. */
  async function requeueStrays(): Promise<void> {
    const except = [...live.keys(), ...starting];
    const { requeued } = await db.transaction(
      async (tx) =>
        await requeueFromWorker(tx, {
          workerId: lease.workerId,
          except,
          cause: 'worker_lost',
          nowMs: clock.now(),
          served: parts.served(),
        }),
    );
    if (requeued > 0)
      logger.warn(`${requeued} runs of this worker that it did not execute were queued again`);
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

/** The database understood the statement and will never take it: bad data (22) or a broken constraint (23). */
function isRefusal(error: unknown): boolean {
  return /^(22|23)/.test(sqlState(error) ?? '');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(limitMs: number, isTrue: () => boolean): Promise<void> {
  for (let waitedMs = 0; waitedMs < limitMs && !isTrue(); waitedMs += 20) await pause(20);
}
