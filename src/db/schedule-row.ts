/** Rows of the `schedules` table ↔ schedules as the house knows them. */
import type { DstPolicy } from '../schedules/cron-times.ts';
import type {
  CatchUpPolicy,
  Exclusions,
  OverlapPolicy,
  ScheduleSpec,
  ScheduleStatus,
  Timing,
  Trigger,
} from '../schedules/schedule.ts';
import { getTableColumns } from './drizzle.ts';
import type { StoredSchedule } from './schedule-store.ts';
import { type scheduleStates, schedules } from './schema.ts';

type ScheduleRow = typeof schedules.$inferSelect;

export function toColumns(spec: ScheduleSpec) {
  const { trigger, startAtMs, endAtMs, exclusions } = spec.timing;
  return {
    name: spec.name,
    description: spec.description,
    labels: { ...spec.labels },
    trigger: storedTrigger(trigger),
    timezone: spec.timezone,
    dst: spec.dst,
    startAt: startAtMs === null ? null : new Date(startAtMs),
    endAt: endAtMs === null ? null : new Date(endAtMs),
    exclusions: storedExclusions(exclusions),
    maxRuns: spec.maxRuns,
    jitterMs: spec.jitterMs,
    overlap: spec.overlap,
    catchUp: spec.catchUp,
    catchUpWindowMs: spec.catchUpWindowMs,
    pauseAfterFailures: spec.pauseAfterFailures,
    deleteAfterMs: spec.deleteAfterMs,
    notify: spec.notify ?? null,
    lateAfterMs: spec.lateAfterMs ?? null,
    written: spec.written ?? {},
    jobType: spec.job.type,
    jobInput: spec.job.input,
    taskQueue: spec.job.taskQueue,
    timeoutMs: spec.job.timeoutMs,
    retry: spec.job.retry,
  };
}

/** Zone and clock-change rules have columns of their own. */
function storedTrigger(trigger: Trigger): unknown {
  return trigger.kind === 'cron' ? { kind: 'cron', expressions: trigger.expressions } : trigger;
}

/** Their zone is the schedule's. */
function storedExclusions(exclusions: Exclusions | undefined): unknown {
  if (exclusions === undefined) return null;
  const { exclude, only, onExcluded } = exclusions;
  return { exclude, only, onExcluded };
}

type StoredTrigger =
  | { kind: 'cron'; expressions: string[] }
  | { kind: 'every'; everyMs: number; offsetMs: number }
  | { kind: 'at'; atMs: number[] }
  | { kind: 'delay'; delayMs: number };

/** The columns of a timing, as they are stored. */
export type TimingColumns = {
  trigger: unknown;
  timezone: string;
  dst: unknown;
  startAtMs: number | null;
  endAtMs: number | null;
  exclusions: unknown;
};

export function toTiming(stored: TimingColumns): Timing {
  const { trigger, timezone, dst, startAtMs, endAtMs, exclusions } = stored;
  const timing = { trigger: toTrigger(trigger, timezone, dst), startAtMs, endAtMs };
  if (exclusions === null) return timing;
  return { ...timing, exclusions: { ...(exclusions as Omit<Exclusions, 'timezone'>), timezone } };
}

/** The other direction of `storedTrigger`. */
function toTrigger(stored: unknown, timezone: string, dst: unknown): Trigger {
  const trigger = stored as StoredTrigger;
  // Whatever it is: this row's trouble must show where its times are computed, not where many rows are read.
  return trigger?.kind === 'cron' ? { ...trigger, timezone, dst: dst as DstPolicy } : trigger;
}

function toSpec(row: Omit<ScheduleRow, 'id'>): ScheduleSpec {
  return {
    name: row.name,
    description: row.description,
    labels: row.labels,
    timing: toTiming({
      ...row,
      startAtMs: row.startAt?.getTime() ?? null,
      endAtMs: row.endAt?.getTime() ?? null,
    }),
    timezone: row.timezone,
    dst: row.dst as DstPolicy,
    maxRuns: row.maxRuns,
    jitterMs: row.jitterMs,
    overlap: row.overlap as OverlapPolicy,
    catchUp: row.catchUp as CatchUpPolicy,
    catchUpWindowMs: row.catchUpWindowMs,
    pauseAfterFailures: row.pauseAfterFailures,
    deleteAfterMs: row.deleteAfterMs,
    ...(row.notify !== null && { notify: row.notify }),
    ...(row.lateAfterMs !== null && { lateAfterMs: row.lateAfterMs }),
    job: {
      type: row.jobType,
      input: row.jobInput,
      taskQueue: row.taskQueue,
      timeoutMs: row.timeoutMs,
      retry: row.retry,
    },
    ...(Object.keys(row.written).length > 0 && { written: row.written }),
  };
}

export function toSchedule({
  schedule: row,
  state,
}: {
  schedule: ScheduleRow;
  state: typeof scheduleStates.$inferSelect;
}): StoredSchedule {
  return {
    id: row.id,
    spec: toSpec(row),
    status: row.status as ScheduleStatus,
    note: row.note,
    version: row.version,
    createdAtMs: row.createdAt.getTime(),
    updatedAtMs: row.updatedAt.getTime(),
    pausedAtMs: row.pausedAt?.getTime() ?? null,
    pauses: row.pauses,
    nextRunAtMs: state.nextRunAt?.getTime() ?? null,
    counts: {
      fired: state.fired,
      succeeded: state.succeeded,
      failed: state.failed,
      skipped: state.skipped,
      missed: state.missed,
    },
    activeRuns: state.activeRuns,
    held: { all: state.heldRuns, backfills: state.heldBackfills },
    fault: state.fault,
    lastRunId: state.lastRunId,
  };
}

/** A definition as a version keeps it: columns by their names, instants as texts. Those that were not there yet are null. */
export function specOfDefinition(definition: Readonly<Record<string, unknown>>): ScheduleSpec {
  const row = Object.entries(getTableColumns(schedules)).map(
    ([key, { name, dataType, default: initial }]) => {
      const value = definition[name] ?? initial ?? null;
      return [key, dataType === 'date' && typeof value === 'string' ? new Date(value) : value];
    },
  );
  return toSpec(Object.fromEntries(row) as ScheduleRow);
}
