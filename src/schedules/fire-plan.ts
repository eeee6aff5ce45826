/**
 * What becomes of the nominal times of a schedule that are due: the whole decision, as a pure function.
 *
 * 1. List the nominal times whose due instant has come (`due-times.ts`), oldest first, up to a limit; the rest waits for
 *    the next pass.
 * 2. Those that fell into an outage (nobody dispatched) belong to the catch-up policy, the others are live.
 * 3. Each becomes a run or a `skipped` record by the overlap policy, or a `missed` record by the catch-up policy.
 * 4. The first nominal time that is not due yet is the next.
 *
 * A `delay` has one time at once: it fires when no run is active, and its next time is set when that run ends.
 */
import { messageOf } from '../errors.ts';
import { scheduledRunId } from '../runs/run-id.ts';
import type { RunCause } from '../runs/run-state.ts';
import { type DueOptions, type DueSchedule, type DueTime, dueAt, dueTimes, inOutage } from './due-times.ts';
import { heldLive } from './overlap.ts';
import { createOverlapTurn } from './overlap-turn.ts';
import type { Trigger } from './schedule.ts';
import { filterOf, nextAfter } from './trigger.ts';

export type PlannedFire = {
  runId: string;
  scheduleId: string;
  cause: RunCause;
  scheduledForMs: number;
  dueAtMs: number;
  /** `held`: queued, and not to be claimed before the active runs have ended. */
  status: 'queued' | 'held' | 'skipped' | 'missed';
  reason: string | null;
  /** For a `missed` or `skipped` record that stands for a range: how many nominal times, and the last one. */
  missedCount: number | null;
  missedUntilMs: number | null;
};

export type PlannedState = {
  scheduleId: string;
  /** Null: nothing will fire, or the end of the run of a `delay` will say when. */
  nextRunAtMs: number | null;
  dueAtMs: number | null;
  /** Why the next time could not be computed. */
  fault: string | null;
  /** Nothing will ever fire again. */
  completed: boolean;
};

export type FirePlan = {
  fires: PlannedFire[];
  state: PlannedState;
  /** The run that takes the place of all of the schedule that are active or held (`overlap-turn.ts`); or empty. */
  replacing: readonly string[];
  /** How many nominal times were looked at. */
  looked: number;
};

/** Missed and skipped times of an outage are recorded one by one where a pass finds up to this many. */
export const inVainRecordsMax = 100;
/** Of more than those so many of the newest. */
export const newestInVain = 10;
/** Those of a pass that is followed by another are a backlog from so many on, and one range. */
const backlogFrom = 10;
/** A schedule whose next time cannot be computed is looked at again after this long. */
export const faultRetryMs = 60_000;

/** What becomes of a time. */
type Disposition = { time: DueTime; status: PlannedFire['status']; reason: string | null };

/** Never throws: a fault of one schedule is told in its state, and the pass goes on. */
export function planFires(schedule: DueSchedule, options: DueOptions): FirePlan {
  try {
    if (schedule.timing.trigger.kind === 'delay')
      return planDelayed(schedule, schedule.timing.trigger, options);
    const { due, nextMs, moreCaught, fault } = dueTimes(schedule, options);
    const reasons = missedReasons(schedule, due, moreCaught, options.nowMs);
    const runsMax = schedule.maxRuns === null ? Number.POSITIVE_INFINITY : schedule.maxRuns - schedule.fired;
    const { overlap, activeRuns, held } = schedule;
    const turn = createOverlapTurn<Disposition>({ overlap, activeRuns, heldRuns: heldLive(held) });
    const dispositions: Disposition[] = [];
    for (const time of due) {
      // After its last run a schedule has no nominal times, so none is missed or skipped either.
      if (turn.became >= runsMax) break;
      const reason = reasons.get(time);
      const disposition: Disposition =
        reason === undefined ? { time, status: 'queued', reason: null } : { time, status: 'missed', reason };
      if (reason === undefined) turn.add(disposition);
      dispositions.push(disposition);
    }
    const fires = recordsOf(schedule, dispositions, moreCaught);
    const replacing = turn.replacing.map(({ time }) => scheduledRunId(schedule.id, time.atMs));
    if (turn.became >= runsMax)
      return { fires, state: stateWith(schedule, null), replacing, looked: due.length };
    const state =
      fault === null ? stateWith(schedule, nextMs) : faultState(schedule, nextMs!, fault, options.nowMs);
    return { fires, state, replacing, looked: due.length };
  } catch (error) {
    return only(faultState(schedule, schedule.nextRunAtMs, error, options.nowMs));
  }
}

/** No fire, or one that nothing overlaps. */
function only(state: PlannedState, ...fires: PlannedFire[]): FirePlan {
  return { fires, state, replacing: [], looked: 1 };
}

/** `nextMs`: the last nominal time that is known; it has its disposition already, or the fault is about itself. */
function faultState(schedule: DueSchedule, nextMs: number, error: unknown, nowMs: number): PlannedState {
  return {
    scheduleId: schedule.id,
    nextRunAtMs: nextMs,
    dueAtMs: Math.max(nextMs, nowMs + faultRetryMs),
    fault: `The next time could not be computed (${messageOf(error)}); it is tried again every minute. Reschedule it to mend it.`,
    completed: false,
  };
}

/** Without a next time there is nothing left to fire. */
function stateWith(schedule: DueSchedule, nextMs: number | null): PlannedState {
  return {
    scheduleId: schedule.id,
    nextRunAtMs: nextMs,
    dueAtMs: nextMs === null ? null : dueAt(schedule, nextMs),
    fault: null,
    completed: nextMs === null,
  };
}

/**
 * The end of a run sets the next time of a `delay` without looking at jitter and exclusions (it is one statement for
 * many runs), so that is made up for here before anything fires.
 */
function planDelayed(
  schedule: DueSchedule,
  trigger: Trigger & { kind: 'delay' },
  { nowMs, outages }: DueOptions,
): FirePlan {
  const { timing, name, calendars, nextRunAtMs } = schedule;
  const awaiting: PlannedState = { ...stateWith(schedule, null), completed: false };
  if (schedule.maxRuns !== null && schedule.fired >= schedule.maxRuns) {
    return only(stateWith(schedule, null));
  }
  const isAllowed = filterOf(timing, name, calendars)?.allows(nextRunAtMs) ?? true;
  const atMs = isAllowed ? nextRunAtMs : nextAfter(timing, name, nextRunAtMs - trigger.delayMs, calendars);
  if (atMs === null || atMs > (timing.endAtMs ?? atMs)) return only(stateWith(schedule, null));
  const dueAtMs = dueAt(schedule, atMs);
  if (dueAtMs > nowMs) return only(stateWith(schedule, atMs));
  // Whatever `overlap` says: the end of the run that is active will set the next time.
  if (schedule.activeRuns > 0) return only(awaiting);
  const time: DueTime = { atMs, dueAtMs, caught: inOutage(outages, dueAtMs) };
  const reason = missedReasons(schedule, [time], false, nowMs).get(time);
  if (reason !== undefined) {
    const nextMs = nextAfter(timing, name, nowMs, calendars);
    return only(stateWith(schedule, nextMs), fire(schedule, time, 'missed', reason));
  }
  const isLast = schedule.maxRuns !== null && schedule.fired + 1 >= schedule.maxRuns;
  return only(isLast ? stateWith(schedule, null) : awaiting, fire(schedule, time, 'queued', null));
}

/** Which of the caught times are missed, and why. `moreCaught`: another follows those that were listed. */
function missedReasons(
  schedule: DueSchedule,
  due: readonly DueTime[],
  moreCaught: boolean,
  nowMs: number,
): Map<DueTime, string> {
  const missed = new Map<DueTime, string>();
  const caught = due.filter((time) => time.caught);
  const latest = moreCaught ? undefined : caught.at(-1);
  for (const time of caught) {
    if (schedule.catchUp === 'none') missed.set(time, 'catch_up_none');
    else if (time.atMs < nowMs - schedule.catchUpWindowMs) missed.set(time, 'outside_catch_up_window');
    else if (schedule.catchUp === 'latest' && time !== latest) missed.set(time, 'not_latest');
  }
  return missed;
}

/**
 * The records of the dispositions. Of times that an outage caught and that came to nothing only the newest get one each;
 * of the older ones each stretch with one end and nothing else in it gets one together.
 */
function recordsOf(
  schedule: DueSchedule,
  dispositions: readonly Disposition[],
  moreCaught: boolean,
): PlannedFire[] {
  const cameToNothing = dispositions.filter(isCaughtInVain).length;
  // Where more of them follow in the next pass, these are not the newest.
  const isBacklog = moreCaught && cameToNothing > backlogFrom;
  const singles = isBacklog ? 0 : cameToNothing > inVainRecordsMax ? newestInVain : inVainRecordsMax;
  let older = cameToNothing - singles;
  const fires: PlannedFire[] = [];
  // `as`, since the checker does not follow the assignments round the loop.
  let range = null as PlannedFire | null;
  for (const disposition of dispositions) {
    const { time, status, reason } = disposition;
    const isOlder = isCaughtInVain(disposition) && older-- > 0;
    if (!isOlder) {
      range = null;
      fires.push(fire(schedule, time, status, reason));
    } else if (range?.status === status && range.reason === reason && range.missedCount !== null) {
      range.missedCount += 1;
      range.missedUntilMs = time.atMs;
    } else {
      range = { ...fire(schedule, time, status, reason), missedCount: 1, missedUntilMs: time.atMs };
      fires.push(range);
    }
  }
  return fires;
}

function isCaughtInVain({ time, status }: Disposition): boolean {
  return time.caught && (status === 'missed' || status === 'skipped');
}

function fire(
  schedule: DueSchedule,
  time: DueTime,
  status: PlannedFire['status'],
  reason: string | null,
): PlannedFire {
  return {
    runId: scheduledRunId(schedule.id, time.atMs),
    scheduleId: schedule.id,
    cause: time.caught ? 'catch_up' : 'schedule',
    scheduledForMs: time.atMs,
    dueAtMs: time.dueAtMs,
    status,
    reason,
    missedCount: null,
    missedUntilMs: null,
  };
}
