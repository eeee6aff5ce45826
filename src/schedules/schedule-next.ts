/** What the present state of a schedule, or a change of it, means for its next time. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { type DueSchedule, dueAt } from './fire-plan.ts';
import type { Schedule, ScheduleSpec, ScheduleStatus, Timing } from './schedule.ts';
import { nextAfter, nextTimes } from './trigger.ts';

/**
 * An instant before the newest time that is due by `nowMs`, and not long before it: found by doubling steps back, so
 * that the newest of a year of seconds costs no more than that of a minute. `fromMs` when there is none after that.
 */
export function shortlyBeforeLatest(due: DueSchedule, fromMs: number, nowMs: number): number {
  for (let backMs = 1000; nowMs - backMs > fromMs; backMs *= 2) {
    const first = nextAfter(due.timing, due.name, nowMs - backMs);
    if (first !== null && dueAt(due, first) <= nowMs) return nowMs - backMs;
  }
  return fromMs;
}

export function asDue(schedule: Schedule): DueSchedule {
  const { spec } = schedule;
  return {
    id: schedule.id,
    name: spec.name,
    timing: spec.timing,
    jitterMs: spec.jitterMs,
    maxRuns: spec.maxRuns,
    overlap: spec.overlap,
    catchUp: spec.catchUp,
    catchUpWindowMs: spec.catchUpWindowMs,
    nextRunAtMs: schedule.nextRunAtMs ?? 0,
    activeRuns: schedule.activeRuns,
    fired: schedule.counts.fired,
  };
}

/** A change that is not about time keeps the next one, and what is paused needs none. */
export function nextTime(schedule: Schedule, spec: ScheduleSpec, retimed: boolean, nowMs: number) {
  if (!retimed && schedule.status === 'paused') return null;
  const kept = retimed || schedule.status !== 'active' ? null : schedule.nextRunAtMs;
  return kept === null ? firstTime(schedule.id, spec, nowMs) : withDue(schedule.id, spec, kept);
}

export function firstTime(
  id: string,
  spec: ScheduleSpec,
  nowMs: number,
): { atMs: number; dueAtMs: number } | null {
  const atMs = nextAfter(spec.timing, spec.name, nowMs);
  return atMs === null ? null : withDue(id, spec, atMs);
}

export function withDue(id: string, spec: ScheduleSpec, atMs: number): { atMs: number; dueAtMs: number } {
  return {
    atMs,
    dueAtMs: dueAtOrNominal({ id, name: spec.name, timing: spec.timing, jitterMs: spec.jitterMs }, atMs),
  };
}

export function roomForRuns(schedule: Schedule, spec: ScheduleSpec, more = 0): boolean {
  return spec.maxRuns === null || schedule.counts.fired + more < spec.maxRuns;
}

/** A change may give a completed schedule new times, or take the last ones from an active one. */
export function statusAfter(schedule: Schedule, spec: ScheduleSpec, hasNext: boolean): ScheduleStatus {
  if (schedule.status !== 'active' && schedule.status !== 'completed') return schedule.status;
  return hasNext && roomForRuns(schedule, spec) ? 'active' : 'completed';
}

export function isOverdue(schedule: Schedule, nowMs: number): boolean {
  if (schedule.status !== 'active' || schedule.nextRunAtMs === null || schedule.fault !== null) return false;
  return dueAtOrNominal(asDue(schedule), schedule.nextRunAtMs) <= nowMs;
}

/**
 * The nominal time itself where the trigger cannot be computed: then the next look at it tells the fault, and no
 * command that might mend it fails.
 */
export function dueAtOrNominal(schedule: Parameters<typeof dueAt>[0], atMs: number): number {
  try {
    return dueAt(schedule, atMs);
  } catch {
    return atMs;
  }
}

/** By value: what comes back from jsonb has its keys in another order. */
export function haveSameTimes(a: ScheduleSpec, b: ScheduleSpec): boolean {
  return isDeepStrictEqual(a.timing, b.timing) && (a.name === b.name || !hangsOnName(a.timing));
}

/** `H` in a cron expression is a hash of the name. No name of a day or month begins with it. */
export function hangsOnName({ trigger }: Timing): boolean {
  return trigger.kind === 'cron' && trigger.expressions.some((text) => /(^|[\s,])h/i.test(text));
}

/** The next `count` nominal times of a schedule, as if it stayed active; none where nothing will fire. */
export function upcomingTimes(schedule: Schedule, nowMs: number, count: number): number[] {
  if (schedule.status === 'stopped' || schedule.status === 'completed') return [];
  const { timing, name } = schedule.spec;
  try {
    if (schedule.nextRunAtMs === null) return nextTimes(timing, name, nowMs, count);
    return [schedule.nextRunAtMs, ...nextTimes(timing, name, schedule.nextRunAtMs, count - 1)];
  } catch {
    // Told in `fault`.
    return [];
  }
}
