/** The `schedules` table, and the reading of it together with its hot row. */
import { toIso } from '../clock.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { isUuid } from '../runs/run-id.ts';
import type { RunStatus } from '../runs/run-state.ts';
import type { Pause, Schedule, ScheduleSpec, ScheduleStatus } from '../schedules/schedule.ts';
import type { Told } from '../schedules/schedule-version.ts';
import { arrayParam } from './array-literal.ts';
import { brokenConstraint, type Db, type Tx } from './client.ts';
import { and, asc, desc, eq, getTableColumns, lt, type SQL, sql } from './drizzle.ts';
import { lastLooked } from './looked-page.ts';
import { columnsOf, prepareRows } from './prepared-rows.ts';
import { toColumns, toSchedule } from './schedule-row.ts';
import { recordDeletion, tell } from './schedule-version-store.ts';
import { scheduleStates, schedules } from './schema.ts';

/** A schedule and the id of the run that ended last. */
export type StoredSchedule = Schedule & { lastRunId: string | null };

const selection = { schedule: schedules, state: scheduleStates };

const whole = sql`select ${columnsOf(schedules, 's')}, ${columnsOf(scheduleStates, 'h')}
  from schedules s join schedule_states h on h.schedule_id = s.id`;
const byId = prepareRows('schedule_by_id', selection, sql`${whole} where s.id = ${sql.placeholder('ref')}`);
const byName = prepareRows(
  'schedule_by_name',
  selection,
  sql`${whole} where s.name = ${sql.placeholder('ref')}`,
);

/** Null when there is none. `ref` is an id or a name. */
export async function findSchedule(db: Db | Tx, ref: string): Promise<StoredSchedule | null> {
  const [row] = await (isUuid(ref) ? byId : byName)(db, { ref });
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
    select schedule_id as id from schedule_states where schedule_id = any(${arrayParam(ids)}::uuid[])
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
    .where(sql`${schedules.id} = any(${arrayParam(ids)}::uuid[])`)
    .orderBy(asc(schedules.id));
  return rows.map(toSchedule);
}

/** What a new schedule says of itself; the other columns begin with their defaults. */
const given = Object.entries(getTableColumns(schedules)).filter(
  ([key, column]) => !column.hasDefault || key === 'written',
);
const givenNames = given.map(([, { name }]) => name);

/**
 * The schedule and its hot row in one statement, since every one more is a way to the server and back with a connection held.
 * Who did it is told to the trigger before the row is there, which is why it is selected from that.
 */
const inserted = prepareRows(
  'schedule_insert',
  selection,
  sql`with told as materialized (select ${tell(sql.placeholder('told'))}),
    s as (
      insert into schedules (${sql.raw(givenNames.join(', '))})
      select ${sql.raw(givenNames.map((name) => `r.${name}`).join(', '))}
      from told, jsonb_populate_record(null::schedules, ${sql.placeholder('row')}::jsonb) r
      on conflict (name) do nothing returning *
    ),
    h as (
      insert into schedule_states (schedule_id, next_run_at, due_at)
      select s.id, ${sql.placeholder('nextRunAt')}::timestamptz, ${sql.placeholder('dueAt')}::timestamptz from s returning *
    )
    select ${columnsOf(schedules, 's')}, ${columnsOf(scheduleStates, 'h')} from s, h`,
);

export type NewSchedule = {
  id: string;
  spec: ScheduleSpec;
  atMs: number;
  /** Null: it has none yet. */
  next: { atMs: number; dueAtMs: number } | null;
};

/** Active, as version 1. Null when the name is taken. */
export async function insertSchedule(
  db: Db | Tx,
  { id, spec, atMs, next }: NewSchedule,
  told: Told,
): Promise<StoredSchedule | null> {
  const at = new Date(atMs);
  const row: Record<string, unknown> = {
    id,
    ...toColumns(spec),
    status: 'active',
    version: 1,
    createdAt: at,
    updatedAt: at,
  };
  const [stored] = await inserted(db, {
    told: JSON.stringify(told),
    row: JSON.stringify(Object.fromEntries(given.map(([key, { name }]) => [name, row[key]]))),
    nextRunAt: next === null ? null : toIso(next.atMs),
    dueAt: next === null ? null : toIso(next.dueAtMs),
  });
  return stored === undefined ? null : toSchedule(stored);
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
      and s.updated_at + s.delete_after_ms * interval '1 millisecond' <= ${toIso(nowMs)}
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

/** Schedules that are looked at for one page. */
export const schedulesLookedMax = 50_000;

/**
 * Newest first. Of what no index tells apart (`q`, `lastStatus`), `lookedMax` schedules are looked at for one page; the
 * page ends there then, with fewer of them or none, and the next goes on.
 */
export async function listSchedules(
  db: Db | Tx,
  filter: ScheduleListFilter,
  page: PageRequest,
  lookedMax = schedulesLookedMax,
): Promise<Page<StoredSchedule>> {
  const walked: SQL[] = [];
  if (page.after !== null) walked.push(lt(schedules.id, page.after));
  if (filter.status === 'active') walked.push(eq(schedules.status, 'active'));
  else if (filter.status !== undefined) {
    // Said in the words of schedules_inactive_idx, so that the planner may use it.
    walked.push(eq(schedules.status, filter.status), sql`${schedules.status} <> 'active'`);
  }
  if (filter.jobType !== undefined) walked.push(eq(schedules.jobType, filter.jobType));
  if (filter.label !== undefined) {
    walked.push(
      sql`${schedules.labels} @> ${JSON.stringify({ [filter.label.key]: filter.label.value })}::jsonb`,
    );
  }
  if (filter.lastStatus === 'failed' || filter.lastStatus === 'timed_out') {
    // In the words of schedule_states_failed_idx.
    walked.push(sql`${schedules.id} in (select schedule_id from schedule_states where last_failed)`);
  }
  const isTold = filter.q !== undefined || filter.lastStatus !== undefined;
  const looked = db
    .select({ id: schedules.id, name: schedules.name, description: schedules.description })
    .from(schedules)
    .where(and(...walked))
    .orderBy(desc(schedules.id))
    .limit(isTold ? lookedMax : page.limit + 1)
    .as('looked');
  const told: SQL[] = [];
  if (filter.q !== undefined) {
    const needle = filter.q.toLowerCase();
    told.push(
      sql`(strpos(lower(${looked.name}), ${needle}) > 0 or strpos(lower(${looked.description}), ${needle}) > 0)`,
    );
  }
  if (filter.lastStatus !== undefined) {
    told.push(
      sql`(select last_status from schedule_states where schedule_id = ${looked.id}) = ${filter.lastStatus}`,
    );
  }
  const ids = await db
    .select({ id: looked.id })
    .from(looked)
    .where(and(...told))
    .orderBy(desc(looked.id))
    .limit(page.limit + 1);
  const shown = ids.slice(0, page.limit).map(({ id }) => id);
  const items = (await findSchedules(db, shown)).reverse();
  if (ids.length > page.limit) return { items, next: shown.at(-1)! };
  return { items, next: isTold ? await lastLooked(db, schedules, walked, lookedMax) : null };
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
    sql`select id from schedules where name = any(${arrayParam(names)}::text[])`,
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
