/**
 * The lease of this process on the runs it executes: one row in `workers`, renewed every 5 s. Other nodes take the
 * runs away after 30 s without a renewal (`dispatcher/rescuer.ts`). A process that could not renew for 20 s (frozen,
 * cut off from the database) stops its runs by itself before that, so that two attempts of a run overlap only while
 * it is deaf.
 */
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { insertWorker, renewLease } from '../db/worker-store.ts';
import { messageOf } from '../errors.ts';
import { newId } from '../runs/run-id.ts';

export const renewEveryMs = 5000;
export const heldWithoutRenewalMs = 20_000;
const tickMs = 1000;
const renewTimeoutMs = 5000;

export type Lease = {
  /** The worker's id; a new one after the old was declared lost. */
  readonly workerId: string;
  /** Judged by the monotonic clock at the moment of asking, so it is right the instant a frozen process wakes. */
  readonly held: boolean;
  start(): Promise<void>;
  /** Renews now, whatever the time; for tests and for what must be told at once. */
  renew(): Promise<void>;
  stop(): void;
};

export type LeaseParts = {
  db: Db;
  clock: Clock;
  logger: Logger;
  taskQueues: readonly string[];
  poolIds(): readonly string[];
  /** The runs are not ours any more. */
  onLost(why: string): void;
  /** After each renewal. */
  onRenewed(): Promise<void>;
};

export function createLease(parts: LeaseParts): Lease {
  const { db, clock, logger } = parts;
  let workerId = '';
  let renewedAtMs = Number.NEGATIVE_INFINITY;
  let lostTold = false;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let renewing: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;

  const held = () => clock.monotonic() - renewedAtMs < heldWithoutRenewalMs;

  async function register(): Promise<void> {
    const sentAtMs = clock.monotonic();
    const id = newId(clock.now());
    await insertWorker(db, {
      id,
      host: hostname(),
      pid: process.pid,
      taskQueues: parts.taskQueues,
      nowMs: clock.now(),
    });
    workerId = id;
    renewedAtMs = sentAtMs;
    lostTold = false;
  }

  async function renewOnce(): Promise<void> {
    const sentAtMs = clock.monotonic();
    triedAtMs = sentAtMs;
    try {
      const renewed = await within(renewTimeoutMs, renewLease(db, workerId, parts.poolIds(), clock.now()));
      if (!renewed) {
        tellLost('it was declared lost by another node');
        await register();
      } else {
        // From when it was sent: the answer may have taken its time.
        renewedAtMs = sentAtMs;
        lostTold = false;
      }
    } catch (error) {
      logger.warn(
        { err: error },
        `could not renew the lease of worker ${workerId}: ${messageOf(error)}; tried again in a second`,
      );
      return;
    }
    await parts
      .onRenewed()
      .catch((error) =>
        logger.warn(
          { err: error },
          `could not tidy up after a renewal of the lease: ${messageOf(error)}; tried again with the next`,
        ),
      );
  }

  function renew(): Promise<void> {
    renewing ??= renewOnce().finally(() => {
      renewing = null;
    });
    return renewing;
  }

  function tellLost(why: string): void {
    if (lostTold) return;
    lostTold = true;
    renewedAtMs = Number.NEGATIVE_INFINITY;
    parts.onLost(why);
  }

  function tick(): void {
    if (!held()) tellLost(`it could not be renewed for ${heldWithoutRenewalMs / 1000} s`);
    const nowMs = clock.monotonic();
    const due = nowMs - renewedAtMs >= renewEveryMs && nowMs - triedAtMs >= tickMs;
    if (due) void renew();
  }

  return {
    get workerId() {
      return workerId;
    },
    get held() {
      return held();
    },
    async start() {
      await register();
      timer = setInterval(tick, tickMs);
    },
    renew,
    stop() {
      clearInterval(timer);
    },
  };
}

async function within<T>(limitMs: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer from the database within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
    answer.catch(() => {});
  }
}
