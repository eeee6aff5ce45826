/**
 * What a command does with time before it changes a schedule: nominal times that are due get their disposition, ones
 * that wait out their jitter are recorded, and on a resume those of the pause may be caught up. The schedule must be
 * locked by the transaction.
 */
import type { Tx } from '../db/client.ts';
import { recordFires } from '../db/fire-store.ts';
import { outageHoleMs, readOutages } from '../db/outage-store.ts';
import { findSchedule, type StoredSchedule } from '../db/schedule-store.ts';
import { scheduledRunId } from '../runs/run-id.ts';
import { type DueSchedule, dueAt, type Outage } from './due-times.ts';
import { type PlannedFire, planFires } from './fire-plan.ts';
import type { CatchUpPolicy } from './schedule.ts';
import { asDue, dueAtOrNominal, isOverdue, shortlyBeforeLatest } from './schedule-next.ts';
import { pauseTooLong } from './schedule-refusals.ts';
import { type Calendars, nextAfter } from './trigger.ts';

/** How many nominal times one turn settles or catches up; fewer where exclusions may make each one dear. */
const settleTimesMax = 1000;
const excludedTimesMax = 50;
const timesMaxOf = ({ timing }: DueSchedule) =>
  timing.exclusions === undefined ? settleTimesMax : excludedTimesMax;
/** A resume that is to run more nominal times than this at once is refused. */
const resumeTimesMax = 10_000;

/** What a command sees while it holds the schedule. */
export type Moment = {
  nowMs: number;
  /** Task queues that some worker serves by name. */
  served: readonly string[];
  /** Those that the schedule's exclusions name. */
  calendars: Calendars;
};

/** Gives every nominal time that is due by now its disposition, as the dispatcher would have in a moment. */
export async function settle(tx: Tx, schedule: StoredSchedule, moment: Moment): Promise<StoredSchedule> {
  const { nowMs, served, calendars } = moment;
  let current = schedule;
  // A backlog of more than that takes several turns; each one moves the next time on.
  while (isOverdue(current, nowMs, calendars)) {
    const outages = await readOutages(tx, nowMs, outageHoleMs);
    const due = asDue(current, calendars);
    const { fires, state, replacing } = planFires(due, { nowMs, outages, timesMax: timesMaxOf(due) });
    await recordFires(tx, { fires, states: [state], replacing }, nowMs, served);
    current = (await findSchedule(tx, schedule.id))!;
    if (state.fault !== null) break;
  }
  return current;
}

/** A nominal time that has passed but waits out its jitter is not forgotten by what takes it away. */
export async function dropPending(
  tx: Tx,
  schedule: StoredSchedule,
  reason: string,
  { nowMs, served, calendars }: Moment,
): Promise<void> {
  const atMs = schedule.nextRunAtMs;
  if (schedule.status !== 'active' || atMs === null || atMs > nowMs) return;
  const fire: PlannedFire = {
    runId: scheduledRunId(schedule.id, atMs),
    scheduleId: schedule.id,
    cause: 'schedule',
    scheduledForMs: atMs,
    dueAtMs: dueAtOrNominal(asDue(schedule, calendars), atMs),
    status: 'skipped',
    reason,
    missedCount: null,
    missedUntilMs: null,
  };
  await recordFires(tx, { fires: [fire], states: [] }, nowMs, served);
}

/**
 * Runs what a pause held back, in turns; what catch-up leaves out is nothing, since paused time is not missed.
 * Returns the schedule as it is then.
 */
export async function catchUpPause(
  tx: Tx,
  schedule: StoredSchedule,
  catchUp: CatchUpPolicy,
  { nowMs, served, calendars }: Moment,
): Promise<StoredSchedule> {
  const { timing, name, catchUpWindowMs } = schedule.spec;
  // It has no times while nothing runs.
  if (timing.trigger.kind === 'delay') return schedule;
  const pause: Outage = { fromMs: schedule.pausedAtMs!, untilMs: nowMs };
  const due: DueSchedule = { ...asDue(schedule, calendars), catchUp };
  // Older times than these are left out whatever the policy.
  let fromMs = Math.max(pause.fromMs, nowMs - catchUpWindowMs - 1);
  if (catchUp === 'latest') fromMs = Math.max(fromMs, shortlyBeforeLatest(due, fromMs, nowMs));
  let current = schedule;
  let times = 0;
  let next = nextAfter(timing, name, fromMs, calendars);
  while (next !== null && dueAt(due, next) <= nowMs) {
    if (times >= resumeTimesMax) throw pauseTooLong(schedule, resumeTimesMax);
    times += timesMaxOf(due);
    const turn = { ...asDue(current, calendars), catchUp, nextRunAtMs: next };
    const { fires, state, replacing } = planFires(turn, {
      nowMs,
      outages: [pause],
      timesMax: timesMaxOf(due),
    });
    const kept = fires.filter((fire) => fire.status !== 'missed');
    const ofPause = kept.map((each) => ({ ...each, inPause: true }));
    await recordFires(tx, { fires: ofPause, states: [], replacing }, nowMs, served);
    current = (await findSchedule(tx, schedule.id))!;
    if (state.fault !== null) break;
    next = state.nextRunAtMs;
  }
  return current;
}
