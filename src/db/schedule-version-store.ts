/**
 * The `schedule_versions` table. Its rows are written by the trigger on `schedules` (see the migration): one for each
 * insert, and for each update that counts `version` up. Who is behind a change is told to that trigger just before it;
 * what is not told of is Carillon's own doing.
 */

import type { Page, PageRequest } from '../runs/page.ts';
import type { ScheduleStatus } from '../schedules/schedule.ts';
import type { ChangeAction, ScheduleVersion, Told } from '../schedules/schedule-version.ts';
import type { Db, Tx } from './client.ts';
import { and, asc, desc, eq, lt, lte, type SQL, sql } from './drizzle.ts';
import { specOfDefinition } from './schedule-row.ts';
import { scheduleVersions } from './schema.ts';

/** For the `where` of an update of one schedule: always true, and the version that it makes is told of so. */
export function tell(told: Told): SQL {
  return sql`set_config('carillon.change', ${JSON.stringify(told)}, true) is not null`;
}

/** The next version that this transaction makes is told of so. */
export async function tellNext(tx: Tx, told: Told): Promise<void> {
  await tx.execute(sql`select ${tell(told)}`);
}

/** The last version of a schedule that is about to be deleted. */
export async function recordDeletion(
  tx: Tx,
  scheduleId: string,
  { actor, note, atMs }: { actor: string; note: string | null; atMs: number },
): Promise<void> {
  const at = new Date(atMs).toISOString();
  await tx.execute(sql`
    with last as (
      update schedule_versions set superseded_at = ${at}
      where schedule_id = ${scheduleId} and version = (select version from schedules where id = ${scheduleId})
    )
    insert into schedule_versions
      (schedule_id, version, at, actor, action, note, status, pauses, definition, superseded_at)
    select s.id, s.version + 1, ${at}, ${actor}, 'deleted', ${note}, s.status, s.pauses, schedule_definition(s), ${at}
    from schedules s where s.id = ${scheduleId}`);
}

/** Newest first; `after` is a version. */
export async function listVersions(
  db: Db | Tx,
  scheduleId: string,
  page: PageRequest,
): Promise<Page<ScheduleVersion>> {
  const rows = await db
    .select()
    .from(scheduleVersions)
    .where(
      and(
        eq(scheduleVersions.scheduleId, scheduleId),
        page.after === null ? undefined : lt(scheduleVersions.version, Number(page.after)),
      ),
    )
    .orderBy(desc(scheduleVersions.version))
    .limit(page.limit + 1);
  const items = rows.slice(0, page.limit).map(toVersion);
  return { items, next: rows.length > page.limit ? String(items.at(-1)!.version) : null };
}

/** Null when there is none on record. */
export async function findVersion(
  db: Db | Tx,
  scheduleId: string,
  version: number,
): Promise<ScheduleVersion | null> {
  const [row] = await db
    .select()
    .from(scheduleVersions)
    .where(and(eq(scheduleVersions.scheduleId, scheduleId), eq(scheduleVersions.version, version)))
    .limit(1);
  return row === undefined ? null : toVersion(row);
}

/**
 * The version by which a nominal time is judged: the last one from before that instant, as a change settles what is due
 * until then, itself included, by what was before it. Null before the first one on record.
 */
export async function findVersionBefore(
  db: Db | Tx,
  scheduleId: string,
  atMs: number,
): Promise<ScheduleVersion | null> {
  const [row] = await db
    .select()
    .from(scheduleVersions)
    .where(and(eq(scheduleVersions.scheduleId, scheduleId), lt(scheduleVersions.at, new Date(atMs))))
    .orderBy(desc(scheduleVersions.version))
    .limit(1);
  return row === undefined ? null : toVersion(row);
}

/** The oldest on record; null when there is none. */
export async function findOldestVersion(db: Db | Tx, scheduleId: string): Promise<ScheduleVersion | null> {
  const [row] = await db
    .select()
    .from(scheduleVersions)
    .where(eq(scheduleVersions.scheduleId, scheduleId))
    .orderBy(asc(scheduleVersions.version))
    .limit(1);
  return row === undefined ? null : toVersion(row);
}

/** The version in force at an instant, with the pauses that held then; null before the first one on record. */
export async function findVersionAt(
  db: Db | Tx,
  scheduleId: string,
  atMs: number,
): Promise<ScheduleVersion | null> {
  const [row] = await db
    .select()
    .from(scheduleVersions)
    .where(and(eq(scheduleVersions.scheduleId, scheduleId), lte(scheduleVersions.at, new Date(atMs))))
    .orderBy(desc(scheduleVersions.version))
    .limit(1);
  return row === undefined ? null : toVersion(row);
}

/**
 * Deletes up to `limit` versions that were superseded before `beforeMs`: the one in force at that instant stays, unless
 * its schedule had been deleted by then.
 */
export async function pruneVersions(db: Db | Tx, beforeMs: number, limit: number): Promise<number> {
  const result = await db.execute(sql`
    delete from schedule_versions where (schedule_id, version) in (
      select schedule_id, version from schedule_versions where superseded_at < ${new Date(beforeMs).toISOString()}
      order by superseded_at limit ${limit} for update skip locked
    )`);
  return result.rowCount ?? 0;
}

function toVersion(row: typeof scheduleVersions.$inferSelect): ScheduleVersion {
  return {
    scheduleId: row.scheduleId,
    version: row.version,
    atMs: row.at.getTime(),
    actor: row.actor,
    action: row.action as ChangeAction,
    note: row.note,
    status: row.status as ScheduleStatus,
    pauses: row.pauses,
    spec: specOfDefinition(row.definition),
  };
}
