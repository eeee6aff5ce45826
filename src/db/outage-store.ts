/** How far dispatching is known to have been alive, and the holes in that. */
import { toIso } from '../clock.ts';
import type { Outage } from '../schedules/due-times.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';

/** A silence of all dispatchers longer than this is an outage; shorter ones are lateness. */
export const outageHoleMs = 2000;

/** Known outages are asked for this far back; what is overdue for longer lies in the last of them. */
const outagesKeptMs = 7 * 86_400_000;

/** Forgets outages that nothing asks about any more. */
export async function pruneOutages(db: Db | Tx, nowMs: number): Promise<void> {
  await db.execute(sql`delete from outages where until_at < ${toIso(nowMs - 2 * outagesKeptMs)}`);
}

const fromMs = epochMs('from_at');
const untilMs = epochMs('until_at');

/** The outages up to `nowMs`, oldest first, with the one that still lasts, if no dispatcher has spoken lately. */
export async function readOutages(db: Db | Tx, nowMs: number, holeMs: number): Promise<Outage[]> {
  const now = toIso(nowMs);
  const { rows } = await db.execute<Outage>(sql`
    select ${fromMs} as "fromMs", ${untilMs} as "untilMs" from (
      select from_at, until_at from outages where until_at > ${toIso(nowMs - outagesKeptMs)}
      union all
      select alive_until, ${now}::timestamptz from dispatch_state
      where alive_until < ${now}::timestamptz - ${holeMs} * interval '1 millisecond'
    ) o order by 1`);
  return rows;
}

/** The outage that an instant lies in, one that still lasts included; null: none, or it is forgotten. */
export async function findOutage(
  db: Db | Tx,
  atMs: number,
  nowMs: number,
  holeMs: number,
): Promise<Outage | null> {
  const at = toIso(atMs);
  const now = toIso(nowMs);
  const { rows } = await db.execute<Outage>(sql`
    select ${fromMs} as "fromMs", ${untilMs} as "untilMs" from (
      (select from_at, until_at from outages where from_at <= ${at} order by from_at desc limit 1)
      union all
      select alive_until, ${now}::timestamptz from dispatch_state
      where alive_until < ${now}::timestamptz - ${holeMs} * interval '1 millisecond'
    ) o where from_at <= ${at} and until_at >= ${at} order by 1 limit 1`);
  return rows[0] ?? null;
}

/**
 * Says that a dispatcher is alive at `nowMs`. Where the last word of any dispatcher is longer ago than `holeMs`, the
 * time between is recorded as an outage. Returns the outages that matter still, oldest first.
 *
 * They are read in a statement of their own: when two dispatchers wake at once, the later one waits for the earlier one's
 * lock with a snapshot from before it, and would see neither the silence nor the outage that was just recorded.
 */
export async function recordAlive(db: Db, nowMs: number, holeMs: number): Promise<Outage[]> {
  const now = toIso(nowMs);
  await executePrepared(
    db,
    'record_alive',
    sql`
    with before as materialized (
      select alive_until from dispatch_state where id = 1 for update
    ),
    alive as (
      insert into dispatch_state (id, alive_until) values (1, ${now})
      on conflict (id) do update set alive_until = excluded.alive_until
        where dispatch_state.alive_until < excluded.alive_until
    )
    insert into outages (from_at, until_at)
    select alive_until, ${now} from before
    where alive_until < ${now}::timestamptz - ${holeMs} * interval '1 millisecond'
    on conflict (from_at) do nothing`,
  );
  const { rows } = await executePrepared<Outage>(
    db,
    'read_outages',
    sql`
    select ${fromMs} as "fromMs", ${untilMs} as "untilMs" from outages
    where until_at > ${toIso(nowMs - outagesKeptMs)} order by 1`,
  );
  return rows;
}
