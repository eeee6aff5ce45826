/** The `schedules` table, and the reading of it together with its hot row. */

import type { Page, PageRequest } from '../runs/page.ts';
import { isUuid } from '../runs/run-id.ts';
import type { RunStatus } from '../runs/run-state.ts';
import type { Pause, Schedule, ScheduleSpec, ScheduleStatus } from '../schedules/schedule.ts';
import type { Told } from '../schedules/schedule-version.ts';
import { brokenConstraint, type Db, type Tx } from './client.ts';
import { and, asc, desc, eq, lt, type SQL, sql } from './drizzle.ts';
import { toColumns, toSchedule } from './schedule-row.ts';
import { recordDeletion, tell, tellNext } from './schedule-version-store.ts';
import { scheduleStates, schedules } from './schema.ts';

/** A schedule and the id of the run that ended last. */
export type StoredSchedule = Schedule & { lastRunId: string | null };

const selection = { schedule: schedules, state: scheduleStates };

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

/** Locks these as `lockSchedule` does, in the order of their ids, and reads them in it; one that is gone is left out. */
export async function lockSchedules(tx: Tx, ids: readonly string[]): Promise<StoredSchedule[]> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select schedule_id as id from schedule_states where schedule_id = any(${sql.param([...ids])}::uuid[])
    order by schedule_id for update`);
  return await findSchedules(
    tx,
    rows.map(({ id }) => id),
  );
}

/** In the order of their ids; one that is gone is left out. */
export async function findSchedules(db: Db | Tx, ids: readonly string[]): Promise<StoredSchedule[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .select(selection)
    .from(schedules)
    .innerJoin(scheduleStates, eq(scheduleStates.scheduleId, schedules.id))
    .where(sql`${schedules.id} = any(${sql.param([...ids])}::uuid[])`)
    .orderBy(asc(schedules.id));
  return rows.map(toSchedule);
}

/** False when the name is taken. */
export async function insertSchedule(
  tx: Tx,
  schedule: { id: string; spec: ScheduleSpec; status: ScheduleStatus; atMs: number },
  told: Told,
): Promise<boolean> {
  const at = new Date(schedule.atMs);
  await tellNext(tx, told);
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
  pauses?: readonly Pause[];
};

/**
 * Writes a change of a locked schedule as its next version. `name_taken` when another has the new name. `told` null: it
 * is Carillon's own doing.
 */
export async function updateSchedule(
  tx: Tx,
  id: string,
  change: ScheduleChange,
  atMs: number,
  told: Told | null,
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
        ...(change.pauses === undefined ? {} : { pauses: [...change.pauses] }),
        version: sql`${schedules.version} + 1`,
        updatedAt: new Date(atMs),
      })
      .where(and(eq(schedules.id, id), told === null ? undefined : tell(told)));
    return 'done';
  } catch (error) {
    if (brokenConstraint(error) === 'schedules_name_key') return 'name_taken';
    throw error;
  }
}

/** Its versions stay, with this as the last one. */
export async function deleteSchedule(
  tx: Tx,
  id: string,
  { actor, note }: Omit<Told, 'action'>,
  atMs: number,
): Promise<void> {
  await recordDeletion(tx, id, { actor, note: note ?? null, atMs });
  await tx.delete(schedules).where(eq(schedules.id, id));
}

/** Completed schedules whose `deleteAfterCompletion` is over and that have no active run, at most `limit`. */
export async function listExpired(db: Db | Tx, nowMs: number, limit: number): Promise<string[]> {
  const { rows } = await db.execute<{ id: string }>(sql`
    select s.id from schedules s join schedule_states h on h.schedule_id = s.id
    where s.status = 'completed' and s.delete_after_ms is not null and h.active_runs = 0
      and s.updated_at + s.delete_after_ms * interval '1 millisecond' <= ${new Date(nowMs).toISOString()}
    order by s.updated_at limit ${limit}`);
  return rows.map(({ id }) => id);
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

/**
 * Ids of the schedules that have all these labels, ascending, after `afterId` (null: from the first). With `paused` also
 * of those that a pause of the group with these labels holds, whatever labels they have now.
 */
export async function listLabelled(
  db: Db | Tx,
  labels: Readonly<Record<string, string>>,
  options: { paused: readonly string[] | null; afterId: string | null; limit: number },
): Promise<string[]> {
  const { paused, afterId, limit } = options;
  const group = paused === null ? null : JSON.stringify([{ labels: paused }]);
  // Found by the indexes on labels and status first: in the order of ids every schedule would be looked at.
  const { rows } = await db.execute<{ id: string }>(sql`
    with found as materialized (
      select id from schedules where labels @> ${JSON.stringify(labels)}::jsonb
      union
      select id from schedules where status <> 'active' and status = 'paused' and pauses @> ${group}::jsonb
    )
    select id from found where ${afterId === null ? sql`true` : sql`id > ${afterId}`} order by id limit ${limit}`);
  return rows.map(({ id }) => id);
}

/** Ids of the schedules with these names. */
export async function findIds(db: Db | Tx, names: readonly string[]): Promise<string[]> {
  const { rows } = await db.execute<{ id: string }>(
    sql`select id from schedules where name = any(${sql.param([...names])}::text[])`,
  );
  return rows.map(({ id }) => id);
}

/** Ids of schedules that have not ended and have all these labels (none: of all such), by name; at most `limit`. */
export async function listLivingIds(
  db: Db | Tx,
  labels: Readonly<Record<string, string>>,
  limit: number,
): Promise<string[]> {
  const living = sql`select id, name from schedules where status in ('active', 'paused')`;
  // With labels those that have them are found first; without any, the index on names has what is asked for.
  const statement =
    Object.keys(labels).length === 0
      ? sql`${living} order by name limit ${limit}`
      : sql`with found as materialized (${living} and labels @> ${JSON.stringify(labels)}::jsonb)
          select id from found order by name limit ${limit}`;
  const { rows } = await db.execute<{ id: string }>(statement);
  return rows.map(({ id }) => id);
}
