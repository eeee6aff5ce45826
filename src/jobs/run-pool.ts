/**
 * A pool of graphile-worker for one task queue: it hears the doorbells. What graphile does that a reader must know
 * (DESIGN §7), and what is done about it here:
 *
 * - A pool shuts itself down on a database error while completing jobs, and its promise *resolves*. So whenever a
 *   pool begins to shut down and nobody asked for it, a new one is started; runs in flight go on, and `slots` keeps the
 *   old pool's and the new one's together within the concurrency.
 * - What the old pool could not complete, fail or return to the database for that error, it leaves locked. So its
 *   doorbells are unlocked (`freeRetired`); those that are being answered ring twice then, which is harmless.
 * - A pool that loses its LISTEN connection waits up to a minute before it connects again, and hears of doorbells only
 *   every 2 s meanwhile. So it is replaced too.
 * - The first thing that a pool asks the database for, the number of its task, it asks once: when that fails (a database that
 *   takes no changes for a moment) it fetches nothing for as long as it lives, without ending. So a pool is replaced
 *   that meets a fault before it has fetched.
 * - A shutdown aborts all tasks of the pool after 5 s. Nothing here listens to graphile's signal; a run has its own.
 * - A killed pool's jobs stay locked for 4 hours. So the ids of all pools are told to the lease's row, and the rescuer
 *   unlocks those of dead workers.
 */
import { EventEmitter } from 'node:events';
import { Logger as GraphileLogger, type Runner, run, type WorkerEvents } from 'graphile-worker';
import type pg from 'pg';
import type { Logger } from 'pino';
import { type Doorbell, taskIdentifier } from '../db/queue.ts';
import { messageOf } from '../errors.ts';
import { createDoorbellHandler, doorbellTtlMs } from './doorbells.ts';
import { createSlots } from './slots.ts';

export type RunPool = {
  readonly taskQueue: string;
  /** The graphile pools that may hold locks: the present one, and those before it that were not freed yet. */
  poolIds(): readonly string[];
  /** Calls `unlock` with the pools that were replaced, if any, and forgets those that had ended. */
  freeRetired(unlock: (poolIds: readonly string[]) => Promise<void>): Promise<void>;
  start(): Promise<void>;
  /** No new doorbells; resolves when those being answered are. */
  stop(): Promise<void>;
};

export type RunPoolParts = {
  taskQueue: string;
  concurrency: number;
  pgPool: pg.Pool;
  logger: Logger;
  /** Rejecting leaves the doorbell to ring again later. */
  answer(doorbell: Doorbell): Promise<void>;
  ringAgain(doorbell: Doorbell): Promise<void>;
};

/** From this concurrency on doorbells are fetched many at a time; below, a fetched one could wait behind a long run. */
const localQueueFrom = 20;
/** Jobs per fetch: each fetch steps over what earlier ones have taken, so few large ones cost far less than many. */
const localQueueSize = 100;
/** Completed doorbells are deleted together; nothing waits for it, since the run row is the truth. */
const completeDelayMs = 20;
const restartPauseMsMin = 100;
const restartPauseMsMax = 5000;
/** Longer than any grace that the house itself gives. */
const neverMs = 2 ** 31 - 1;

export function createRunPool(parts: RunPoolParts): RunPool {
  const { taskQueue, concurrency, logger } = parts;
  const identifier = taskIdentifier(taskQueue);
  const hasLocalQueue = concurrency >= localQueueFrom;
  const ids = new Map<string, 'open' | 'closing' | 'ended'>();
  const runners = new Set<Runner>();
  let stopping = false;
  let restartPauseMs = restartPauseMsMin;
  let restart: NodeJS.Timeout | undefined;

  const handle = createDoorbellHandler({
    taskQueue,
    slots: createSlots(concurrency),
    logger,
    answer: parts.answer,
    ringAgain: parts.ringAgain,
    stopping: () => stopping,
  });

  async function open(): Promise<void> {
    const events: WorkerEvents = new EventEmitter();
    let replaced = false;
    let hasFetched = false;
    let runner: Runner | undefined;
    let id: string | undefined;
    const replace = (why: string) => {
      if (id !== undefined) ids.set(id, 'closing');
      if (replaced || stopping) return;
      replaced = true;
      logger.warn(
        { taskQueue },
        `graphile pool of ${taskQueue} ended (${why}); a new one starts in ${restartPauseMs} ms`,
      );
      restart = setTimeout(() => void reopen(), restartPauseMs);
      restartPauseMs = Math.min(restartPauseMs * 2, restartPauseMsMax);
    };
    events.on('pool:create', ({ workerPool }) => {
      id = workerPool.id;
      ids.set(id, 'open');
    });
    events.on('pool:gracefulShutdown', ({ message }) => replace(message));
    const giveUp = (why: string) => {
      replace(why);
      // Not within the event: graphile is just setting the timer that stopping it clears.
      setImmediate(() => runner !== undefined && void stopRunner(runner));
    };
    const fetched = () => {
      hasFetched = true;
      restartPauseMs = restartPauseMsMin;
    };
    const faulted = (why: string) => {
      if (!hasFetched) giveUp(`it could not begin: ${why}`);
    };
    events.on('pool:listen:error', ({ error }) =>
      giveUp(`it lost its LISTEN connection: ${messageOf(error)}`),
    );
    // The first with a local queue, which tells of its faults by the log alone; the others without one.
    events.on('localQueue:getJobs:complete', fetched);
    if (!hasLocalQueue) {
      events.on('job:start', fetched);
      events.on('worker:getJob:empty', fetched);
      events.on('worker:getJob:error', ({ error }) => faulted(messageOf(error)));
    }
    const started = await run({
      pgPool: parts.pgPool,
      events,
      logger: heard(logger, faulted),
      noHandleSignals: true,
      parsedCronItems: [],
      taskList: { [identifier]: handle },
      preset: {
        worker: {
          concurrentJobs: concurrency,
          ...(hasLocalQueue ? { localQueue: { size: localQueueSize, ttl: doorbellTtlMs } } : {}),
          completeJobBatchDelay: completeDelayMs,
          failJobBatchDelay: 0,
          gracefulShutdownAbortTimeout: neverMs,
        },
      },
    });
    runner = started;
    runners.add(started);
    started.promise
      .then(
        () => replace('its promise resolved'),
        (error) => replace(messageOf(error)),
      )
      .finally(() => {
        runners.delete(started);
        if (id !== undefined) ids.set(id, 'ended');
      });
    // Not awaited where it was given up before it was there: it has nothing.
    if (replaced && !stopping) void stopRunner(started);
    if (stopping) await stopRunner(started);
  }

  async function reopen(): Promise<void> {
    if (stopping) return;
    try {
      await open();
    } catch (error) {
      logger.warn(
        { taskQueue },
        `could not start a graphile pool of ${taskQueue}: ${messageOf(error)}; tried again in ${restartPauseMs} ms`,
      );
      restart = setTimeout(() => void reopen(), restartPauseMs);
      restartPauseMs = Math.min(restartPauseMs * 2, restartPauseMsMax);
    }
  }

  return {
    taskQueue,
    poolIds: () => [...ids.keys()],
    async freeRetired(unlock) {
      const retired = [...ids].filter(([, state]) => state !== 'open');
      if (retired.length === 0) return;
      await unlock(retired.map(([id]) => id));
      for (const [id, state] of retired) {
        if (state === 'ended') ids.delete(id);
      }
    },
    start: open,
    async stop() {
      stopping = true;
      clearTimeout(restart);
      await Promise.all([...runners].map(stopRunner));
    },
  };
}

/** A runner that is stopped already, or whose pool has gone, says so by rejecting. */
async function stopRunner(runner: Runner): Promise<void> {
  await runner.stop().catch(() => {});
  await runner.promise.catch(() => {});
}

/** graphile tells every job it completes; only its warnings and errors are for our log, and errors for `onError` too. */
function heard(logger: Logger, onError: (message: string) => void): GraphileLogger {
  return new GraphileLogger(() => (level, message) => {
    if (level === 'error') {
      logger.warn({ from: 'graphile-worker' }, message);
      onError(message);
    } else if (level === 'warning') logger.debug({ from: 'graphile-worker' }, message);
    else logger.trace({ from: 'graphile-worker' }, message);
  });
}
