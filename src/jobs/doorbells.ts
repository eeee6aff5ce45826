/**
 * Answers what a graphile job rings for: one run or a bundle of them (`db/queue.ts`), each in a slot of its own.
 *
 * Nothing is lost by this rule: a job is done only when each of its doorbells has been answered or rings elsewhere.
 * Until then it stands locked in graphile's table, and whatever kills this process or its pool, it is unlocked and
 * rings for all its runs again. Those that were answered already find nothing to claim.
 *
 * Nobody is kept waiting by these:
 * - A doorbell that gets no slot in time is rung again, so that other nodes can take its run. It keeps its place here
 *   all the same: the first to claim the run has it. So the job goes on occupying graphile, which would only fetch
 *   more of what there is no slot for. While the line moves so fast that its turn is near, it is left alone: a herd
 *   of short runs would else be rung for twice.
 * - A doorbell of a bundle that cannot be answered (this worker drains, the database takes no claim) is rung again
 *   too, for the job cannot fail before the longest of its runs has ended. By then it is a job for itself, and those
 *   fail at once and ring again later, as graphile has it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Doorbell } from '../db/queue.ts';
import { messageOf } from '../errors.ts';
import { isUuid } from '../runs/run-id.ts';
import type { Slots } from './slots.ts';

/** How long a fetched doorbell may wait here before other nodes may have it too. */
export const doorbellTtlMs = 1000;
/** It may wait longer if its turn comes, at the pace of the last such while, within so many more. */
const turnNear = 3;

export type DoorbellParts = {
  taskQueue: string;
  slots: Slots;
  logger: Logger;
  answer(doorbell: Doorbell): Promise<void>;
  /** Puts a second doorbell for the run, if it is still queued, into a job of its own. */
  ringAgain(doorbell: Doorbell): Promise<void>;
  /** Whether no more doorbells are fetched here. */
  stopping(): boolean;
};

/** The handler of a task queue's graphile jobs. It rejects when a doorbell can neither be answered nor rung again. */
export function createDoorbellHandler(parts: DoorbellParts): (payload: unknown) => Promise<void> {
  const { taskQueue, slots, logger } = parts;

  async function answerInSlot(doorbell: Doorbell): Promise<void> {
    const give = slots.tryTake() ?? (await lined(doorbell));
    try {
      await parts.answer(doorbell);
    } finally {
      give();
    }
  }

  /** Waits for its turn. */
  async function lined(doorbell: Doorbell): Promise<() => void> {
    const place = slots.taken + slots.waiting;
    let takenBefore = slots.taken;
    // Tried until it rings once, so that a failure does not keep the run here.
    const late = setInterval(() => {
      const pace = slots.taken - takenBefore;
      takenBefore = slots.taken;
      if (place - slots.taken < pace * turnNear) return;
      parts.ringAgain(doorbell).then(
        () => clearInterval(late),
        (error) => logger.warn(`could not ring again for run ${doorbell.runId}: ${messageOf(error)}`),
      );
    }, doorbellTtlMs);
    const give = await slots.take();
    clearInterval(late);
    return give;
  }

  async function answerInBundle(doorbell: Doorbell): Promise<void> {
    try {
      await answerInSlot(doorbell);
    } catch (error) {
      // Not at once, lest this pool fetches it in a circle; but one that stops fetches nothing.
      if (!parts.stopping()) {
        logger.warn(`could not answer for run ${doorbell.runId}: ${messageOf(error)}; it is rung for again`);
        await pause(doorbellTtlMs);
      }
      await parts.ringAgain(doorbell);
    }
  }

  return async (payload) => {
    const rung = rungFor(payload);
    const doorbells = rung.map(parseDoorbell).filter((doorbell) => doorbell !== null);
    if (doorbells.length < rung.length) {
      logger.warn(
        { taskQueue, payload },
        'a doorbell that names no run was removed; somebody else put it there',
      );
    }
    if (rung.length === 1) {
      if (doorbells[0] !== undefined) await answerInSlot(doorbells[0]);
      return;
    }
    // All of them, whatever becomes of one: the job must not end while its runs go on.
    const answers = await Promise.allSettled(doorbells.map(answerInBundle));
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  };
}

/** What stands for each run of a payload: many in a bundle, else the payload itself. */
function rungFor(payload: unknown): unknown[] {
  if (typeof payload === 'object' && payload !== null && 'runs' in payload && Array.isArray(payload.runs))
    return payload.runs;
  return [payload];
}

/** Null when it is none of ours: anybody who reaches the database can add a job. */
function parseDoorbell(payload: unknown): Doorbell | null {
  if (typeof payload !== 'object' || payload === null) return null;
  const { runId, attempt } = payload as Record<string, unknown>;
  if (typeof runId !== 'string' || !isUuid(runId)) return null;
  if (typeof attempt !== 'number' || !Number.isInteger(attempt) || attempt < 1 || attempt >= 2 ** 31)
    return null;
  return { runId, attempt };
}
