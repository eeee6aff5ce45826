/**
 * What became of a nominal time, and what was in its way: reading `runs` for one instant of one schedule. Each statement
 * goes by an index of the schedule's runs; where it must walk along one, so far and no further.
 */
import { toIso } from '../clock.ts';
import type { Run } from '../runs/run.ts';
import { leastId } from '../runs/run-id.ts';
import type { Db, Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { findRun } from './run-history-store.ts';

/** How many records of a schedule are looked at for the run that kept one from running. A long run may keep off more. */
export const blockersLookedMax = 20_000;
/** And for the neighbours of a record. */
const neighboursLookedMax = 1_000;

const notAFire = sql.raw(`(status in ('skipped', 'missed'))`);
const ofTrigger = sql.raw(`cause in ('schedule', 'catch_up')`);

async function one(db: Db | Tx, statement: ReturnType<typeof sql>): Promise<Run | null> {
  const { rows } = await db.execute<{ id: string }>(statement);
  const [row] = rows;
  return row === undefined ? null : await findRun(db, row.id);
}

/** The record of many nominal times that has this one among them; null when there is none. */
export async function findRangeAt(db: Db | Tx, scheduleId: string, atMs: number): Promise<Run | null> {
  const range = await one(
    db,
    sql`select id from runs where schedule_id = ${scheduleId} and missed_count is not null
      and id < ${leastId(atMs + 1)} order by id desc limit 1`,
  );
  return range !== null && range.missed!.untilMs >= atMs ? range : null;
}

/**
 * A run of the schedule that was active when this record was made, one that waited in the queue included. Those that are
 * active still are found however long ago they began. A command settles what is due and ends what waits at one instant:
 * what ended in that very millisecond is told when there is no other.
 */
export async function findBlocker(db: Db | Tx, record: Run): Promise<Run | null> {
  const at = toIso(record.createdAtMs);
  const isOther = sql`schedule_id = ${record.scheduleId} and id <> ${record.id}`;
  const endedAfter = (end: ReturnType<typeof sql>) =>
    one(
      db,
      sql`select id from (
          select * from runs where ${isOther} and id < ${leastId(record.createdAtMs + 1)}
          order by id desc limit ${blockersLookedMax}
        ) r where not ${notAFire} and not held and created_at <= ${at} and ${end} order by id desc limit 1`,
    );
  return (
    (await one(
      db,
      sql`select id from runs where ${isOther} and finished_at is null and not held and created_at <= ${at}
        order by started_at nulls last, id limit 1`,
    )) ??
    (await endedAfter(sql`finished_at > ${at}`)) ??
    (await endedAfter(sql`finished_at = ${at}`))
  );
}

/** The first run after this record that was not skipped or missed as well; what a backfill made does not count. */
export async function findSuccessor(db: Db | Tx, record: Run): Promise<Run | null> {
  const after = record.missed === null ? record.id : leastId(record.missed.untilMs + 1);
  return await one(
    db,
    sql`select id from (
        select * from runs where schedule_id = ${record.scheduleId} and id > ${after}
        order by id limit ${neighboursLookedMax}
      ) r where not ${notAFire} and cause <> 'backfill' order by id limit 1`,
  );
}

/** Whether any nominal time with after < time <= until is on record. */
export async function hasFireWithin(
  db: Db | Tx,
  scheduleId: string,
  afterMs: number,
  untilMs: number,
): Promise<boolean> {
  const { rows } = await db.execute(
    sql`select id from runs where schedule_id = ${scheduleId} and ${ofTrigger}
      and id >= ${leastId(afterMs + 1)} and id < ${leastId(untilMs + 1)} order by id limit 1`,
  );
  return rows.length > 0;
}

/** The nominal times on record next to an instant; null where there is none nearby. */
export async function findNeighbours(
  db: Db | Tx,
  scheduleId: string,
  atMs: number,
): Promise<{ beforeMs: number | null; afterMs: number | null }> {
  const near = (where: ReturnType<typeof sql>, order: 'asc' | 'desc') =>
    sql`select ${epochMs('scheduled_for')} from (
        select * from runs where schedule_id = ${scheduleId} and ${where}
        order by id ${sql.raw(order)} limit ${neighboursLookedMax}
      ) r where ${ofTrigger} order by id ${sql.raw(order)} limit 1`;
  const { rows } = await db.execute<{ beforeMs: number | null; afterMs: number | null }>(sql`
    select (${near(sql`id < ${leastId(atMs)}`, 'desc')}) as "beforeMs",
      (${near(sql`id >= ${leastId(atMs + 1)}`, 'asc')}) as "afterMs"`);
  return rows[0]!;
}
