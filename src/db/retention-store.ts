/**
 * What may go of `runs`. History is walked by schedule, some hundred in a slice, and the place where the walk is stands
 * in `retention_state`. So what is kept for good (the last runs of a million schedules that seldom fire) is not met
 * again by every pass, as it would be at the old end of an order by age; and a slice costs the same however many
 * schedules and runs there are: more of them only make a round longer.
 *
 * A look at a schedule reads its index entries alone: the oldest one, and as many of the newest as may be kept. Runs
 * themselves are read only where one is old or too many.
 */
import { toIso } from '../clock.ts';
import { keptRunsMin, type Retention } from '../runs/retention.ts';
import { leastId } from '../runs/run-id.ts';
import type { Db, Tx } from './client.ts';
import { type SQL, sql } from './drizzle.ts';

export type PrunedSlice = {
  runs: number;
  /** `again`: a full batch went, so there may be more of the same schedules; `on`: others come next; `over`: a round is. */
  next: 'again' | 'on' | 'over';
};

const firstId = '00000000-0000-0000-0000-000000000000';

/**
 * Deletes up to `runsMax` ended runs of the next `schedulesMax` schedules that have any, with all that belongs to them.
 * One transaction: killed, the walk is where it was. Null when another node is at it.
 */
export async function pruneSlice(
  db: Db,
  retention: Retention,
  nowMs: number,
  limits: { schedulesMax: number; runsMax: number },
): Promise<PrunedSlice | null> {
  return await db.transaction(async (tx) => {
    const { rows } = await tx.execute<{ at: string | null }>(
      sql`select next_schedule_id as at from retention_state where id = 1 for update skip locked`,
    );
    const [place] = rows;
    if (place === undefined) return null;
    const deleted = await tx.execute<{
      runs: number;
      found: number;
      last: string | null;
      next: string | null;
    }>(sliceStatement(retention, place.at, nowMs, limits));
    const { runs, found, last, next } = deleted.rows[0]!;
    // What somebody has locked just now is left for the next round; a batch of nothing else must not hold up the walk.
    const isFull = found === limits.runsMax && runs > 0;
    await moveTo(tx, isFull ? last : next);
    return { runs, next: isFull ? 'again' : next === null ? 'over' : 'on' };
  });
}

async function moveTo(tx: Tx, scheduleId: string | null): Promise<void> {
  await tx.execute(
    sql`update retention_state set next_schedule_id = ${scheduleId}
      where id = 1 and next_schedule_id is distinct from ${scheduleId}::uuid`,
  );
}

/** The statement of a slice; apart for those who look at its plan. */
export function sliceStatement(
  retention: Retention,
  fromScheduleId: string | null,
  nowMs: number,
  limits: { schedulesMax: number; runsMax: number },
): SQL {
  const beforeMs = retention.ageMsMax === null ? null : nowMs - retention.ageMsMax;
  const oldBelow = sql`${beforeMs === null ? null : leastId(beforeMs)}::uuid`;
  const before = sql`${beforeMs === null ? null : toIso(beforeMs)}::timestamptz`;
  // Each is a question about one schedule, asked for one after the other: "offset 0" keeps the planner from making a
  // join with all of a table of them.
  return sql`
    with recursive place as (
      select (select schedule_id from runs where schedule_id >= ${fromScheduleId ?? firstId} order by schedule_id limit 1)
        as schedule_id, 1 as n
      union all
      select (select r.schedule_id from runs r where r.schedule_id > p.schedule_id order by r.schedule_id limit 1), p.n + 1
      from place p where p.schedule_id is not null and p.n <= ${limits.schedulesMax}::int
    ),
    -- By the index alone. spare: the newest run that could go at all; surplus: the newest that is too many.
    looked as (
      select p.schedule_id, h.last_run_id, h.schedule_id is not null as living,
        (select r.id from runs r where r.schedule_id = p.schedule_id order by r.id limit 1) as oldest,
        (select r.id from runs r where r.schedule_id = p.schedule_id
          order by r.id desc offset ${keptRunsMin}::int limit 1) as spare,
        ${
          retention.runsMax === null
            ? sql`null::uuid`
            : sql`case when h.schedule_id is not null then (select r.id from runs r where r.schedule_id = p.schedule_id
                order by r.id desc offset ${retention.runsMax}::int limit 1) end`
        } as surplus
      from place p left join lateral (
        select schedule_id, last_run_id from schedule_states h where h.schedule_id = p.schedule_id offset 0
      ) h on true
      where p.schedule_id is not null and p.n <= ${limits.schedulesMax}::int offset 0
    ),
    bound as (
      select l.*, kept.id as kept_from, failure.id as last_failure
      from looked l
      left join lateral (
        select r.id from runs r where l.living and r.schedule_id = l.schedule_id and r.finished_at is not null
        order by r.id desc offset ${keptRunsMin - 1}::int limit 1
      ) kept on true
      left join lateral (
        select r.id from runs r where l.living and r.schedule_id = l.schedule_id and r.finished_at is not null
          and r.error is not null and r.status in ('failed', 'timed_out')
        order by r.id desc limit 1
      ) failure on true
      where (l.surplus is not null or l.oldest < ${oldBelow}) and (not l.living or l.spare is not null) offset 0
    ),
    gone as materialized (
      select b.schedule_id, r.id from bound b, lateral (
        select r.id from runs r
        where r.schedule_id = b.schedule_id and r.id <= least(greatest(b.surplus, ${oldBelow}), b.kept_from)
          and (not b.living or r.id < b.kept_from) and r.finished_at is not null
          and ((r.id <= b.surplus and r.cause <> 'backfill') or (r.id < ${oldBelow} and r.finished_at < ${before}))
          and r.id is distinct from b.last_failure and r.id is distinct from b.last_run_id
        order by r.id limit ${limits.runsMax}::int
      ) r limit ${limits.runsMax}::int
    ),
    -- Who writes a late line of a log holds its run for a moment, in an order of its own.
    free as materialized (
      select r.id from runs r where r.id in (select id from gone) for update skip locked
    ),
    deleted as (delete from runs where id in (select id from free) returning id)
    select (select count(*)::int from deleted) as runs, (select count(*)::int from gone) as found,
      (select schedule_id from gone order by schedule_id desc limit 1) as last,
      -- A full batch has not come to the end of the slice, and need not find it.
      case when (select count(*) from gone) < ${limits.runsMax}::int
        then (select schedule_id from place where n = ${limits.schedulesMax}::int + 1) end as next`;
}
