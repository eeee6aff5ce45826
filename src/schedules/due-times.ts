/**
 * Which nominal times of a schedule have come: when each is due, and which of them an outage caught. Pure.
 */
import { jitterOf } from './jitter.ts';
import type { CatchUpPolicy, HeldRuns, OverlapPolicy, Timing } from './schedule.ts';
import { type Calendars, nextAfter } from './trigger.ts';

/** A schedule whose time has come, as it was claimed. */
export type DueSchedule = {
  id: string;
  name: string;
  timing: Timing;
  jitterMs: number | null;
  maxRuns: number | null;
  overlap: OverlapPolicy;
  catchUp: CatchUpPolicy;
  catchUpWindowMs: number;
  nextRunAtMs: number;
  activeRuns: number;
  held: HeldRuns;
  fired: number;
  /** Those that its exclusions name. */
  calendars?: Calendars;
};

/** From and until, both epoch milliseconds and both included. */
export type Outage = { fromMs: number; untilMs: number };

export type DueOptions = {
  nowMs: number;
  outages: readonly Outage[];
  /** At most so many nominal times are looked at that become a row each; at least 1. */
  timesMax: number;
  /** At most so many are looked at in all; the others are missed, and many of those make one row. Default: timesMax. */
  missedTimesMax?: number;
};

export type DueTime = { atMs: number; dueAtMs: number; caught: boolean };

export type DueTimes = {
  due: DueTime[];
  /** The first that is not due yet; with a fault the last that is; null: there is none. */
  nextMs: number | null;
  /** Whether the next one fell into an outage as well. */
  moreCaught: boolean;
  /** Why the one after `nextMs` could not be computed. */
  fault: unknown;
};

/** Oldest first, up to the limits; where a time cannot be computed, those before it count all the same. */
export function dueTimes(schedule: DueSchedule, options: DueOptions): DueTimes {
  const { outages, nowMs, timesMax, missedTimesMax = timesMax } = options;
  const due: DueTime[] = [];
  // What overlap keeps from running makes few rows.
  const manyRun =
    schedule.catchUp === 'all' && (schedule.overlap === 'allow' || schedule.overlap === 'queue_all');
  let rows = 0;
  let at: number | null = schedule.nextRunAtMs;
  while (at !== null) {
    const dueAtMs = dueAt(schedule, at);
    if (dueAtMs > nowMs) return { due, nextMs: at, moreCaught: false, fault: null };
    const caught = inOutage(outages, dueAtMs);
    const isRow = !caught || manyRun;
    const isFull = due.length >= Math.max(timesMax, missedTimesMax) || (isRow && rows >= timesMax);
    if (isFull && due.length > 0) {
      return { due, nextMs: at, moreCaught: caught, fault: null };
    }
    if (isRow) rows += 1;
    due.push({ atMs: at, dueAtMs, caught });
    try {
      at = following(schedule, at);
    } catch (error) {
      // A trigger that cannot be read has named nothing; one whose exclusions leave nothing more has named this.
      if (schedule.timing.exclusions === undefined) throw error;
      return { due, nextMs: at, moreCaught: false, fault: error };
    }
  }
  return { due, nextMs: null, moreCaught: false, fault: null };
}

export function inOutage(outages: readonly Outage[], atMs: number): boolean {
  return outages.some((outage) => outage.fromMs <= atMs && atMs <= outage.untilMs);
}

/** When a nominal time is due: its jitter later. */
export function dueAt(
  schedule: Pick<DueSchedule, 'id' | 'name' | 'timing' | 'jitterMs' | 'calendars'>,
  atMs: number,
): number {
  if (schedule.jitterMs === null) return atMs;
  return atMs + jitterOf(schedule.id, atMs, schedule.jitterMs, followingOrNull(schedule, atMs));
}

/** A time that has come is due, whatever becomes of the one after it. */
function followingOrNull(schedule: Parameters<typeof following>[0], atMs: number): number | null {
  try {
    return following(schedule, atMs);
  } catch (error) {
    if (schedule.timing.exclusions === undefined) throw error;
    return null;
  }
}

function following(
  { timing, name, calendars }: Pick<DueSchedule, 'name' | 'timing' | 'calendars'>,
  atMs: number,
): number | null {
  return nextAfter(timing, name, atMs, calendars);
}
