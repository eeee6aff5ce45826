/** The `schedules` table, and the reading of it together with its hot row. */
import { and, desc, eq, lt, type SQL, sql } from 'drizzle-orm';
import type { Page, PageRequest } from '../runs/page.ts';
import { isUuid } from '../runs/run-id.ts';
import type { RunStatus } from '../runs/run-state.ts';
import type { DstPolicy } from '../schedules/cron-times.ts';
import type {
  CatchUpPolicy,
  Exclusions,
  OverlapPolicy,
  Schedule,
  ScheduleSpec,
  ScheduleStatus,
  Timing,
  Trigger,
} from '../schedules/schedule.ts';
import { brokenConstraint, type Db, type Tx } from './client.ts';
import { scheduleStates, schedules } from './schema.ts';

/** A schedule and the id of the run that ended last. */
export type StoredSchedule = Schedule & { lastRunId: string | null };

const selection = { schedule: schedules, state: scheduleStates };
type Row = { schedule: typeof schedules.$inferSelect; state: typeof scheduleStates.$inferSelect };

/** Null when there is none. `ref` is an id or a name. */
export async function findSchedule(db: Db | Tx, ref: string): Promise<StoredSchedule | null> {
  const [row] = await db
    .select(selection)
    .from(schedules)
    .innerJoin(scheduleStates, eq(scheduleStates.scheduleId, schedules.id))
    .where(isUuid(ref) ? eq(schedules.id, ref) : eq(schedules.name, ref))
    .limit(1);
  return row === undefined ? null : toSchedule(row);
}

/**
 * Locks the schedule against everything that fires, ends or changes for it, then reads it. The hot row is locked
 * first, here and everywhere, before any run of the schedule: one order, no deadlocks.
 */
export async function lockSchedule(tx: Tx, ref: string): Promise<StoredSchedule | null> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select schedule_id as id from schedule_states
    where schedule_id = ${isUuid(ref) ? sql`${ref}` : sql`(select id from schedules where name = ${ref})`}
    for update`);
  const [locked] = rows;
  return locked === undefined ? null : findSchedule(tx, locked.id);
}

/** False when the name is taken. */
export async function insertSchedule(
  tx: Tx,
  schedule: { id: string; spec: ScheduleSpec; status: ScheduleStatus; atMs: number },
): Promise<boolean> {
  const at = new Date(schedule.atMs);
  const inserted = await tx
    .insert(schedules)
    .values({
      id: schedule.id,
      ...toColumns(schedule.spec),
      status: schedule.status,
      version: 1,
      createdAt: at,
      updatedAt: at,
    })
    .onConflictDoNothing({ target: schedules.name })
    .returning({ id: schedules.id });
  return inserted.length === 1;
}

export type ScheduleChange = {
  spec?: ScheduleSpec;
  status?: ScheduleStatus;
  note?: string | null;
  pausedAtMs?: number | null;
};

/** Writes a change of a locked schedule and counts its version up. `name_taken` when another has the new name. */
export async function updateSchedule(
  tx: Tx,
  id: string,
  change: ScheduleChange,
  atMs: number,
): Promise<'done' | 'name_taken'> {
  try {
    await tx
      .update(schedules)
      .set({
        ...(change.spec === undefined ? {} : toColumns(change.spec)),
        ...(change.status === undefined ? {} : { status: change.status }),
        ...(change.note === undefined ? {} : { note: change.note }),
        ...(change.pausedAtMs === undefined
          ? {}
          : { pausedAt: change.pausedAtMs === null ? null : new Date(change.pausedAtMs) }),
        version: sql`${schedules.version} + 1`,
        updatedAt: new Date(atMs),
      })
      .where(eq(schedules.id, id));
    return 'done';
  } catch (error) {
    if (brokenConstraint(error) === 'schedules_name_key') return 'name_taken';
    throw error;
  }
}

export async function deleteSchedule(tx: Tx, id: string): Promise<void> {
  await tx.delete(schedules).where(eq(schedules.id, id));
}

export type ScheduleListFilter = {
  status?: ScheduleStatus;
  jobType?: string;
  label?: { key: string; value: string };
  q?: string;
  lastStatus?: RunStatus;
};

/** Newest first. */
export async function listSchedules(
  db: Db | Tx,
  filter: ScheduleListFilter,
  page: PageRequest,
): Promise<Page<StoredSchedule>> {
  const conditions: SQL[] = [];
  if (page.after !== null) conditions.push(lt(schedules.id, page.after));
  if (filter.status === 'active') conditions.push(eq(schedules.status, 'active'));
  else if (filter.status !== undefined) {
    // Said in the words of schedules_inactive_idx, so that the planner may use it.
    conditions.push(eq(schedules.status, filter.status), sql`${schedules.status} <> 'active'`);
  }
  if (filter.jobType !== undefined) conditions.push(eq(schedules.jobType, filter.jobType));
  if (filter.label !== undefined) {
    conditions.push(
      sql`${schedules.labels} @> ${JSON.stringify({ [filter.label.key]: filter.label.value })}::jsonb`,
    );
  }
  if (filter.q !== undefined) {
    const needle = filter.q.toLowerCase();
    conditions.push(
      sql`(strpos(lower(${schedules.name}), ${needle}) > 0 or strpos(lower(${schedules.description}), ${needle}) > 0)`,
    );
  }
  if (filter.lastStatus !== undefined) conditions.push(eq(scheduleStates.lastStatus, filter.lastStatus));
  const rows = await db
    .select(selection)
    .from(schedules)
    .innerJoin(scheduleStates, eq(scheduleStates.scheduleId, schedules.id))
    .where(and(...conditions))
    .orderBy(desc(schedules.id))
    .limit(page.limit + 1);
  const items = rows.slice(0, page.limit).map(toSchedule);
  return { items, next: rows.length > page.limit ? items.at(-1)!.id : null };
}

function toColumns(spec: ScheduleSpec) {
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

function toSchedule({ schedule: row, state }: Row): StoredSchedule {
  return {
    id: row.id,
    spec: {
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
    },
    status: row.status as ScheduleStatus,
    note: row.note,
    version: row.version,
    createdAtMs: row.createdAt.getTime(),
    updatedAtMs: row.updatedAt.getTime(),
    pausedAtMs: row.pausedAt?.getTime() ?? null,
    nextRunAtMs: state.nextRunAt?.getTime() ?? null,
    counts: {
      fired: state.fired,
      succeeded: state.succeeded,
      failed: state.failed,
      skipped: state.skipped,
      missed: state.missed,
    },
    activeRuns: state.activeRuns,
    fault: state.fault,
    lastRunId: state.lastRunId,
  };
}
