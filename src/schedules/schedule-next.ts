/** What the present state of a schedule, or a change of it, means for its next time. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { type DueSchedule, dueAt } from './due-times.ts';
import type { Exclusions, Schedule, ScheduleSpec, ScheduleStatus, Timing } from './schedule.ts';
import { type Calendars, firstFire, nextAfter } from './trigger.ts';

/**
 * An instant before the newest time that is due by `nowMs`, and not long before it: found by doubling steps back, so
 * that the newest of a year of seconds costs no more than that of a minute. `fromMs` when there is none after that.
 */
export function shortlyBeforeLatest(due: DueSchedule, fromMs: number, nowMs: number): number {
  for (let backMs = 1000; nowMs - backMs > fromMs; backMs *= 2) {
    const first = nextAfter(due.timing, due.name, nowMs - backMs, due.calendars);
    if (first !== null && dueAt(due, first) <= nowMs) return nowMs - backMs;
  }
  return fromMs;
}

export function asDue(schedule: Schedule, calendars: Calendars): DueSchedule {
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
    held: schedule.held,
    fired: schedule.counts.fired,
    calendars,
  };
}

/** A schedule's next time; `awaits_end`: a `delay` whose run is active, the end of which will say it; null: none. */
export type NextTime = { atMs: number; dueAtMs: number } | 'awaits_end' | null;

/** A change that is not about time keeps the next one, and what is paused needs none. */
export function nextTime(
  schedule: Schedule,
  spec: ScheduleSpec,
  retimed: boolean,
  nowMs: number,
  calendars: Calendars,
): NextTime {
  if (!retimed && schedule.status === 'paused') return null;
  const kept = retimed || schedule.status !== 'active' ? null : schedule.nextRunAtMs;
  return kept === null
    ? timeFromNow(schedule, spec, nowMs, calendars)
    : withDue(schedule.id, spec, kept, calendars);
}

/** Of a schedule that has been before: a `delay` counts from its active run's end, or without one from now. */
export function timeFromNow(
  schedule: Schedule,
  spec: ScheduleSpec,
  nowMs: number,
  calendars: Calendars,
): NextTime {
  if (spec.timing.trigger.kind === 'delay' && schedule.activeRuns > 0) return 'awaits_end';
  const atMs = nextAfter(spec.timing, spec.name, nowMs, calendars);
  return atMs === null ? null : withDue(schedule.id, spec, atMs, calendars);
}

/** Of a new schedule. */
export function firstTime(id: string, spec: ScheduleSpec, nowMs: number, calendars: Calendars): NextTime {
  const atMs = firstFire(spec.timing, spec.name, nowMs, calendars);
  return atMs === null ? null : withDue(id, spec, atMs, calendars);
}

function withDue(id: string, spec: ScheduleSpec, atMs: number, calendars: Calendars): NextTime {
  const { name, timing, jitterMs } = spec;
  return { atMs, dueAtMs: dueAtOrNominal({ id, name, timing, jitterMs, calendars }, atMs) };
}

export function roomForRuns(schedule: Schedule, spec: ScheduleSpec): boolean {
  return spec.maxRuns === null || schedule.counts.fired < spec.maxRuns;
}

/** A change may give a completed schedule new times, or take the last ones from an active one. */
export function statusAfter(schedule: Schedule, spec: ScheduleSpec, hasNext: boolean): ScheduleStatus {
  if (schedule.status !== 'active' && schedule.status !== 'completed') return schedule.status;
  return hasNext && roomForRuns(schedule, spec) ? 'active' : 'completed';
}

/** A change of a completed schedule counts anew: what somebody has just touched is not taken away from them. */
export function isExpired({ status, spec, activeRuns, updatedAtMs }: Schedule, nowMs: number): boolean {
  if (status !== 'completed' || spec.deleteAfterMs === null || activeRuns > 0) return false;
  return updatedAtMs + spec.deleteAfterMs <= nowMs;
}

export function isOverdue(schedule: Schedule, nowMs: number, calendars: Calendars): boolean {
  if (schedule.status !== 'active' || schedule.nextRunAtMs === null || schedule.fault !== null) return false;
  return dueAtOrNominal(asDue(schedule, calendars), schedule.nextRunAtMs) <= nowMs;
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
export function hangsOnName({ trigger, exclusions }: Timing): boolean {
  return (trigger.kind === 'cron' && trigger.expressions.some(hasHash)) || exclusionsHangOnName(exclusions);
}

export function exclusionsHangOnName(exclusions: Exclusions | undefined): boolean {
  return [...(exclusions?.exclude ?? []), ...(exclusions?.only ?? [])].some(hasHash);
}

const hasHash = (text: string) => /(^|[\s,])h/i.test(text);
