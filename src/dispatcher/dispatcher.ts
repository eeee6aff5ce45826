/**
 * The dispatcher: turns due schedules and due retries into queued runs. One pass:
 *
 * 1. Make sure that our pulse is fresh at the instant that is judged, so that an outage is known before.
 * 2. In one transaction: claim up to 500 due schedules (locked rows are passed over: another dispatcher got there
 *    first), plan their fires, insert the runs, ring for them, move the schedules on. All or nothing.
 * 3. In one statement: put runs whose retry is due back into the queue.
 * 4. Answer what was done and when the next thing is due.
 *
 * A batch that only starts runs commits without waiting for the disk: if Postgres crashes before it is written, the
 * schedules are due as they were, and none of these runs can have started, as a start waits for the disk.
 *
 * Any number of dispatchers may run this at once; none leads. On kill -9 before the commit nothing has happened, and
 * the locks are gone with the connection; after it everything has.
 */
import type { Clock } from '../clock.ts';
import { commitWithoutWaiting, type Db } from '../db/client.ts';
import { claimDue, nextDue, recordFires } from '../db/fire-store.ts';
import { requeueDueRetries } from '../db/run-store.ts';
import { createBreath } from '../schedules/breath.ts';
import type { CalendarBook } from '../schedules/calendar-book.ts';
import { type FirePlan, planFires } from '../schedules/fire-plan.ts';
import type { Pulse } from './pulse.ts';

export const claimBatchMax = 500;
const retryBatchMax = 500;
/** Nominal times that become a row each in one transaction, all its schedules together. */
const timesPerPassMax = 2000;
/**
 * Times that are looked at in one transaction: those that are missed too, many of which make one row. What is not
 * reached stays due. A backlog is so taken schedule by schedule, in few rows for each.
 */
const lookedPerPassMax = 20_000;
/** Of one schedule with exclusions, whose times may be dear. */
const excludedTimesMax = 50;

export type DispatchCounts = {
  /** Schedules that were claimed. */
  claimed: number;
  started: number;
  /** Runs that wait until others of their schedule have ended. */
  held: number;
  skipped: number;
  missed: number;
  /** Runs that went from retrying to queued. */
  retried: number;
  /** Schedules whose next time could not be computed. */
  faults: number;
  /** When the next schedule or retry is due, epoch milliseconds; null when nothing waits. */
  nextDueMs: number | null;
};

export type DispatcherParts = {
  db: Db;
  clock: Clock;
  pulse: Pulse;
  book: CalendarBook;
  served(): readonly string[];
};

export async function dispatchPass(
  { db, clock, pulse, book, served }: DispatcherParts,
  first: 'oldest' | 'newest' = 'oldest',
): Promise<DispatchCounts> {
  const counts: DispatchCounts = {
    claimed: 0,
    started: 0,
    held: 0,
    skipped: 0,
    missed: 0,
    retried: 0,
    faults: 0,
    nextDueMs: null,
  };
  const due = await nextDue(db);
  // Nothing is awaited between these two: a process that is frozen there would judge by an old pulse what it slept through.
  await pulse.ensureFresh();
  const nowMs = clock.now();
  if (due.scheduleMs !== null && due.scheduleMs <= nowMs) {
    Object.assign(counts, await db.transaction((tx) => dispatchDue(tx, nowMs)));
  }
  if (due.retryMs !== null && due.retryMs <= nowMs) {
    counts.retried = await requeueDueRetries(db, nowMs, retryBatchMax, served());
  }
  const next = counts.claimed + counts.retried === 0 ? due : await nextDue(db);
  counts.nextDueMs = Math.min(
    next.scheduleMs ?? Number.POSITIVE_INFINITY,
    next.retryMs ?? Number.POSITIVE_INFINITY,
  );
  if (counts.nextDueMs === Number.POSITIVE_INFINITY) counts.nextDueMs = null;
  return counts;

  async function dispatchDue(tx: Parameters<typeof claimDue>[0], atMs: number) {
    const claimed = await claimDue(tx, atMs, claimBatchMax, first);
    if (claimed.length === 0) return { claimed: 0 };
    const timesMax = Math.max(1, Math.floor(timesPerPassMax / claimed.length));
    let lookedLeft = lookedPerPassMax;
    // Asked while the schedules are locked: who changes a calendar computes them again after us.
    const calendars = await book.read(
      tx,
      claimed.map(({ timing }) => timing),
    );
    const outages = pulse.outages();
    const breath = createBreath(clock);
    const plans: FirePlan[] = [];
    for (const schedule of claimed) {
      const most = schedule.timing.exclusions === undefined ? Number.POSITIVE_INFINITY : excludedTimesMax;
      plans.push(
        planFires(
          { ...schedule, calendars },
          {
            nowMs: atMs,
            outages,
            timesMax: Math.min(timesMax, most),
            missedTimesMax: Math.min(lookedLeft, most),
          },
        ),
      );
      lookedLeft -= plans.at(-1)!.looked;
      if (lookedLeft <= 0) break;
      await breath.take();
    }
    const fires = plans.flatMap((plan) => plan.fires);
    if (fires.every((fire) => fire.status === 'queued')) await commitWithoutWaiting(tx);
    const states = plans.map((plan) => plan.state);
    const replacing = plans.flatMap((plan) => plan.replacing);
    const recorded = await recordFires(tx, { fires, states, replacing }, atMs, served());
    return {
      claimed: claimed.length,
      ...recorded,
      faults: states.filter((state) => state.fault !== null).length,
    };
  }
}

/**
 * Passes at once while a herd is due: while one computes, the other's transaction is written. One begins with what came
 * due last, so that a backlog of hours keeps no live schedule waiting for longer than a batch takes.
 */
const lanes = ['oldest', 'newest'] as const;

/** A pass; and where that found a full batch, as many more as it takes, side by side, until no full one is left. */
export async function dispatchHerd(parts: DispatcherParts): Promise<DispatchCounts> {
  const total = await dispatchPass(parts);
  if (total.claimed < claimBatchMax) return total;
  const lane = async (first: (typeof lanes)[number]) => {
    for (;;) {
      const counts = await dispatchPass(parts, first);
      total.claimed += counts.claimed;
      total.started += counts.started;
      total.held += counts.held;
      total.skipped += counts.skipped;
      total.missed += counts.missed;
      total.retried += counts.retried;
      total.faults += counts.faults;
      total.nextDueMs = counts.nextDueMs;
      if (counts.claimed < claimBatchMax) return;
    }
  };
  await Promise.all(lanes.map(lane));
  return total;
}

/** At most so long between two looks, so that a new schedule or another node's change is seen. */
export const idleSleepMsMax = 250;
/** Where everything due is held by others, they are given a moment. */
const contendedSleepMs = 5;

/** How long to sleep after a pass. */
export function sleepAfter(counts: DispatchCounts, nowMs: number): number {
  if (counts.nextDueMs === null) return idleSleepMsMax;
  const untilDueMs = counts.nextDueMs - nowMs;
  if (untilDueMs <= 0) return counts.claimed + counts.retried > 0 ? 0 : contendedSleepMs;
  return Math.min(untilDueMs, idleSleepMsMax);
}
