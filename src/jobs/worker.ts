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
 * What this process executes (`live`) and what the database says that it executes may come apart: see `strays.ts`.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { type Doorbell, forceUnlock, ringAgain } from '../db/queue.ts';
import { type ClaimedRun, readSignals, requeueFromWorker } from '../db/run-store.ts';
import { markGone } from '../db/worker-store.ts';
import { messageOf } from '../errors.ts';
import { type Batcher, createBatcher } from '../runs/batcher.ts';
import type { AttemptStatus } from '../runs/run-state.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import { statusOf, tellEnd } from './attempt-words.ts';
import type { JobModule } from './isolated-protocol.ts';
import { runIsolated } from './isolated-run.ts';
import type { LogLevel } from './job.ts';
import { createLease } from './lease.ts';
import { LiveAttempt } from './live-attempt.ts';
import { createOutcomeRecorder } from './outcome-recorder.ts';
import type { JobRegistry } from './registry.ts';
import { createRunClaims } from './run-claims.ts';
import { type AttemptEnd, runJob } from './run-job.ts';
import { type AttemptLog, createRunLog } from './run-log.ts';
import { createRunPool } from './run-pool.ts';
import { openSecrets } from './run-secrets.ts';
import { AttemptJournal } from './step-journal.ts';
import { createStrays } from './strays.ts';

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
  secrets: Pick<SecretService, 'resolve'>;
  /** Where processes of isolated runs find their job types; null: they run in this one. */
  jobModule: JobModule | null;
};

type Live = {
  run: ClaimedRun;
  attempt: LiveAttempt;
  log: AttemptLog;
  /** For those who wait until the attempt is not live any more. */
  left: PromiseWithResolvers<void> | null;
};

const ringBatchMax = 500;
/** Outcomes that may wait to be written before new runs have to wait for them. */
const unrecordedMax = 2000;
const signalsEveryMs = 500;
const flushLimitMs = 5000;

export function createWorker(parts: WorkerParts): Worker {
  const { db, clock, logger, jobs } = parts;
  const live = new Map<string, Live>();
  const starting = new Map<string, Doorbell>();
  let draining: Promise<void> | null = null;
  let signalTimer: NodeJS.Timeout | undefined;
  let readingSignals = false;

  const pools = [...parts.workers].map(([taskQueue, concurrency]) =>
    createRunPool({
      taskQueue,
      concurrency,
      pgPool: parts.pgPool,
      logger,
      answer,
      ringAgain: (doorbell) => rings.add(doorbell),
    }),
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
      strays.suspect();
      for (const { attempt } of live.values()) attempt.abort('lease_lost', 'The worker lost its lease.');
    },
    async onRenewed() {
      strays.weAre(lease.workerId);
      // What is left at the end of a drain is handed back there, all at once.
      if (draining !== null) return;
      await Promise.all(pools.map((pool) => pool.freeRetired((poolIds) => forceUnlock(db, poolIds))));
      await strays.sweepIfDue();
    },
  });

  const strays = createStrays({
    db,
    clock,
    logger,
    served: parts.served,
    executed: () => [...live.keys(), ...[...starting.values()].map((doorbell) => doorbell.runId)],
  });

  const runLog = createRunLog({
    db,
    clock,
    onFault: (error) =>
      logger.warn({ err: error }, `could not write log lines of a run: ${messageOf(error)}`),
  });

  const claims = createRunClaims({ db, clock, logger, lease, strays, draining: () => draining !== null });

  const rings: Batcher<Doorbell, void> = createBatcher({
    batchSizeMax: ringBatchMax,
    inFlightMax: 1,
    async write(doorbells) {
      await ringAgain(db, doorbells, parts.served());
      return [];
    },
  });

  const outcomes = createOutcomeRecorder({
    db,
    logger,
    lease,
    draining: () => draining !== null,
    served: parts.served,
  });

  async function answer(doorbell: Doorbell): Promise<void> {
    const older = live.get(doorbell.runId);
    if (older !== undefined && older.run.attempt < doorbell.attempt) {
      // The run was taken back while this process was deaf, and has come to us again.
      older.attempt.abort('lease_lost', 'The run went on without this attempt.');
      older.left ??= Promise.withResolvers();
      await older.left.promise;
    }
    const key = `${doorbell.runId} ${doorbell.attempt}`;
    // Rung twice: the other one is at it.
    if (live.has(doorbell.runId) || starting.has(key)) return;
    starting.set(key, doorbell);
    let run: ClaimedRun | null;
    try {
      run = await claims.add(doorbell);
    } finally {
      starting.delete(key);
    }
    // Someone else's, or over.
    if (run === null) return;
    await execute(run);
    if (outcomes.pending > unrecordedMax) await outcomes.drained();
  }

  async function execute(run: ClaimedRun): Promise<void> {
    const startedAtMs = clock.now();
    const attempt = new LiveAttempt();
    attempt.stopRequested = run.signal === 'stop';
    const log = runLog.open(run);
    const mine: Live = { run, attempt, log, left: null };
    live.set(run.id, mine);
    parts.events.started(run, startedAtMs);
    if (run.signal === 'cancel') attempt.abort('cancel', 'The run was cancelled.');
    if (!lease.held) attempt.abort('lease_lost', 'The worker lost its lease.');
    const end = await perform(mine);
    // Whole, as it is stored, so that the wait before a retry is exact.
    const finishedAtMs = Math.floor(clock.now());
    parts.events.ended(run, statusOf(end), finishedAtMs - startedAtMs);
    tellEnd(run, end, log, logger);
    void outcomes.record(mine, end, finishedAtMs).then((settled) => {
      live.delete(run.id);
      if (!settled) strays.suspect();
      mine.left?.resolve();
    });
  }

  const journalParts = { db, clock, logger, held: () => lease.held };

  /** With the secrets of its input, which nobody else gets to see. */
  async function perform({ run: claimed, attempt, log }: Live): Promise<AttemptEnd> {
    const opened = await openSecrets(parts.secrets, claimed, attempt);
    if ('kind' in opened) return opened;
    const { run, redact, values } = opened;
    const inside = {
      clock,
      log: (level: LogLevel, message: string) => log.log(level, message),
      journal: new AttemptJournal(journalParts, run, attempt),
      redact,
    };
    const job = jobs.find(run.jobType);
    return job?.isolated === true && parts.jobModule !== null
      ? await runIsolated(run, parts.jobModule, attempt, { ...inside, secrets: values })
      : await runJob(run, job, attempt, inside);
  }

  async function heedSignals(): Promise<void> {
    if (live.size === 0 || readingSignals) return;
    readingSignals = true;
    try {
      for (const { id, attempt, signal } of await readSignals(db, lease.workerId)) {
        const told = live.get(id);
        if (told === undefined || told.run.attempt !== attempt) continue;
        if (signal === 'cancel') told.attempt.abort('cancel', 'The run was cancelled.');
        else told.attempt.stopRequested = true;
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
    for (const { attempt } of live.values()) attempt.abort('shutdown', 'The worker process shuts down.');
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

async function until(limitMs: number, isTrue: () => boolean): Promise<void> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
  }, limitMs);
  while (!late && !isTrue()) await pause(20);
  clearTimeout(timer);
}
