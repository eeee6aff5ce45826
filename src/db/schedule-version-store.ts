/**
 * The `schedule_versions` table. Its rows are written by the trigger on `schedules` (see the migration): one for each
 * insert, and for each update that counts `version` up. Who is behind a change is told to that trigger just before it;
 * what is not told of is Carillon's own doing.
 */
import { toIso } from '../clock.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { ScheduleStatus } from '../schedules/schedule.ts';
import type { ChangeAction, ScheduleVersion, Told } from '../schedules/schedule-version.ts';
import type { Db, Tx } from './client.ts';
import {
  and,
  asc,
  desc,
  eq,
  is,
  lt,
  lte,
  Placeholder,
  type PlaceholderOf,
  type SQL,
  sql,
} from './drizzle.ts';
import { pageBy } from './keyset-page.ts';
import { specOfDefinition } from './schedule-row.ts';
import { scheduleVersions } from './schema.ts';

const newestFirst = desc(scheduleVersions.version);

/**
 * For the `where` of an update of one schedule, or what an insert selects from: always true, and the version that it makes is
 * told of so. `told` may stand in as a placeholder for its JSON.
 */
export function tell(told: Told | PlaceholderOf): SQL {
  const json = is(told, Placeholder) ? told : JSON.stringify(told);
  return sql`set_config('carillon.change', ${json}, true) is not null`;
}

/** The last version of a schedule that is about to be deleted. */
export async function recordDeletion(
  tx: Tx,
  scheduleId: string,
  { actor, note, atMs }: { actor: string; note: string | null; atMs: number },
): Promise<void> {
  const at = toIso(atMs);
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
    .orderBy(newestFirst)
    .limit(page.limit + 1);
  return pageBy(rows, page, toVersion, ({ version }) => String(version));
}

/** Null when there is none on record, as with the others below. */
export async function findVersion(
  db: Db | Tx,
  scheduleId: string,
  version: number,
): Promise<ScheduleVersion | null> {
  return await findFirst(db, scheduleId, newestFirst, eq(scheduleVersions.version, version));
}

export async function findNewestVersion(db: Db | Tx, scheduleId: string): Promise<ScheduleVersion | null> {
  return await findFirst(db, scheduleId, newestFirst);
}

export async function findOldestVersion(db: Db | Tx, scheduleId: string): Promise<ScheduleVersion | null> {
  return await findFirst(db, scheduleId, asc(scheduleVersions.version));
}

/**
 * The version by which a nominal time is judged: the last one from before that instant, as a change settles what is due
 * until then, itself included, by what was before it.
 */
export async function findVersionBefore(
  db: Db | Tx,
  scheduleId: string,
  atMs: number,
): Promise<ScheduleVersion | null> {
  return await findFirst(db, scheduleId, newestFirst, lt(scheduleVersions.at, new Date(atMs)));
}

/** The version in force at an instant, with the pauses that held then. */
export async function findVersionAt(
  db: Db | Tx,
  scheduleId: string,
  atMs: number,
): Promise<ScheduleVersion | null> {
  return await findFirst(db, scheduleId, newestFirst, lte(scheduleVersions.at, new Date(atMs)));
}

async function findFirst(
  db: Db | Tx,
  scheduleId: string,
  order: SQL,
  which?: SQL,
): Promise<ScheduleVersion | null> {
  const [row] = await db
    .select()
    .from(scheduleVersions)
    .where(and(eq(scheduleVersions.scheduleId, scheduleId), which))
    .orderBy(order)
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
      select schedule_id, version from schedule_versions where superseded_at < ${toIso(beforeMs)}
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
