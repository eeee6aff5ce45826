/** The `calendars` table, and which schedules use which calendar. */
import { toIso } from '../clock.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { CalendarSpec } from '../schedules/calendar.ts';
import { arrayParam } from './array-literal.ts';
import { brokenConstraint, type Db, type Tx } from './client.ts';
import { asc, desc, eq, lt, sql } from './drizzle.ts';
import { pageOf } from './keyset-page.ts';
import { calendars, scheduleCalendars } from './schema.ts';

export type StoredCalendar = {
  id: string;
  name: string;
  description: string;
  spec: CalendarSpec;
  version: number;
  createdAtMs: number;
  updatedAtMs: number;
};

/** What identifies the contents of a calendar. */
export type CalendarVersion = { id: string; name: string; version: number };

export async function findCalendar(db: Db | Tx, name: string): Promise<StoredCalendar | null> {
  const [row] = await db.select().from(calendars).where(eq(calendars.name, name)).limit(1);
  return row === undefined ? null : toCalendar(row);
}

/** Newest first. */
export async function listCalendars(db: Db | Tx, page: PageRequest): Promise<Page<StoredCalendar>> {
  const rows = await db
    .select()
    .from(calendars)
    .where(page.after === null ? undefined : lt(calendars.id, page.after))
    .orderBy(desc(calendars.id))
    .limit(page.limit + 1);
  return pageOf(rows, page, toCalendar);
}

/**
 * The present versions of these calendars; one that is missing is left out. `held`: they cannot change or be deleted
 * until the transaction ends.
 */
export async function readVersions(
  db: Db | Tx,
  names: readonly string[],
  held: boolean,
): Promise<CalendarVersion[]> {
  const { rows } = await db.execute<CalendarVersion>(sql`
    select id, name, version from calendars where name = any(${arrayParam(names)}::text[])
    order by id ${held ? sql`for share` : sql``}`);
  return rows;
}

export async function readSpecs(
  db: Db | Tx,
  ids: readonly string[],
): Promise<{ id: string; version: number; spec: CalendarSpec }[]> {
  const { rows } = await db.execute<{ id: string; version: number; spec: CalendarSpec }>(
    sql`select id, version, spec from calendars where id = any(${arrayParam(ids)}::uuid[])`,
  );
  return rows;
}

export type CalendarContents = { description: string; spec: CalendarSpec };

/** Creates it, or replaces what it has and counts its version up. */
export async function putCalendar(
  tx: Tx,
  calendar: { id: string; name: string } & CalendarContents,
  atMs: number,
): Promise<{ created: boolean }> {
  const at = toIso(atMs);
  const { rows } = await tx.execute<{ created: boolean }>(sql`
    insert into calendars (id, name, description, spec, version, applied_version, created_at, updated_at)
    values (${calendar.id}, ${calendar.name}, ${calendar.description}, ${JSON.stringify(calendar.spec)}::jsonb, 1, 1, ${at}, ${at})
    on conflict (name) do update set description = excluded.description, spec = excluded.spec,
      version = calendars.version + 1, updated_at = excluded.updated_at
    returning version = 1 as created`);
  return { created: rows[0]!.created };
}

/** `in_use` when a schedule names it. */
export async function deleteCalendar(db: Db | Tx, name: string): Promise<'done' | 'unknown' | 'in_use'> {
  try {
    const deleted = await db
      .delete(calendars)
      .where(eq(calendars.name, name))
      .returning({ id: calendars.id });
    return deleted.length === 1 ? 'done' : 'unknown';
  } catch (error) {
    if (brokenConstraint(error) === 'schedule_calendars_calendar_fk') return 'in_use';
    throw error;
  }
}

/** The calendars that a schedule's exclusions name are these from now on. They must be held. */
export async function linkCalendars(tx: Tx, scheduleId: string, names: readonly string[]): Promise<void> {
  const named = arrayParam(names);
  await tx.execute(sql`
    with named as (select id from calendars where name = any(${named}::text[])),
    gone as (
      delete from schedule_calendars where schedule_id = ${scheduleId} and calendar_id not in (select id from named)
    )
    insert into schedule_calendars (calendar_id, schedule_id) select id, ${scheduleId} from named
    on conflict do nothing`);
}

/** How many schedules use each of these calendars. */
export async function countUsers(db: Db | Tx, ids: readonly string[]): Promise<Map<string, number>> {
  const { rows } = await db.execute<{ id: string; n: number }>(sql`
    select calendar_id as id, count(*)::int as n from schedule_calendars
    where calendar_id = any(${arrayParam(ids)}::uuid[]) group by calendar_id`);
  return new Map(rows.map((row) => [row.id, row.n]));
}

/** Names of schedules that use a calendar, at most `limit`. */
export async function nameUsers(db: Db | Tx, name: string, limit: number): Promise<string[]> {
  const { rows } = await db.execute<{ name: string }>(sql`
    select s.name from calendars c join schedule_calendars u on u.calendar_id = c.id join schedules s on s.id = u.schedule_id
    where c.name = ${name} order by s.name limit ${limit}`);
  return rows.map((row) => row.name);
}

/** Calendars that were written and whose schedules have not all been looked at since. */
export async function unappliedCalendars(db: Db | Tx): Promise<CalendarVersion[]> {
  const { rows } = await db.execute<CalendarVersion>(
    sql`select id, name, version from calendars where applied_version < version order by id`,
  );
  return rows;
}

/** Unless it was written again meanwhile. */
export async function markApplied(db: Db | Tx, { id, version }: CalendarVersion): Promise<void> {
  await db
    .update(calendars)
    .set({ appliedVersion: version })
    .where(sql`${calendars.id} = ${id} and ${calendars.version} = ${version}`);
}

/** Ids of the schedules that use a calendar, ascending, after `afterId` (null: from the first). */
export async function listUsers(
  db: Db | Tx,
  calendarId: string,
  afterId: string | null,
  limit: number,
): Promise<string[]> {
  const rows = await db
    .select({ id: scheduleCalendars.scheduleId })
    .from(scheduleCalendars)
    .where(
      sql`${scheduleCalendars.calendarId} = ${calendarId} ${afterId === null ? sql`` : sql`and ${scheduleCalendars.scheduleId} > ${afterId}`}`,
    )
    .orderBy(asc(scheduleCalendars.scheduleId))
    .limit(limit);
  return rows.map((row) => row.id);
}

function toCalendar(row: typeof calendars.$inferSelect): StoredCalendar {
  const { id, name, description, spec, version } = row;
  return {
    id,
    name,
    description,
    spec,
    version,
    createdAtMs: row.createdAt.getTime(),
    updatedAtMs: row.updatedAt.getTime(),
  };
}
