/**
 * Everything that is said to graphile-worker in SQL. A job there is a doorbell: it carries a run's id and attempt and
 * nothing that matters, so losing, doubling or delaying one loses, doubles and delays no run (the run row decides).
 *
 * A herd's doorbells go several to a job, as a *bundle*: to insert, fetch and delete a job costs Postgres more than to
 * start its run. Payloads are `{runId, attempt}` and `{runs: [{runId, attempt}, …]}`.
 */
import { arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { type SQL, sql } from './drizzle.ts';

/** The payload of a doorbell. */
export type Doorbell = { runId: string; attempt: number };

/** graphile's name for the doorbells of a task queue. */
export function taskIdentifier(taskQueue: string): string {
  return `run/${taskQueue}`;
}

/** The queue that takes the runs of every queue that no worker serves by name. */
export const defaultTaskQueue = 'default';

/** Live fires overtake catch-up and backfill. graphile takes lower numbers first. */
const livePriority = 0;
const laterPriority = 10;

/** A job rings for as many runs as this goes into the runs of the statement: for two from 64 on, for three from 96. */
const runsPerBundleSize = 32;
/** What a worker fetches it has until it passes it on, so a bundle stays small. Larger ones were no cheaper. */
const bundleSizeMax = 8;

/**
 * A scalar subquery that rings for each row of `rows` (columns id, attempt, task_queue, cause) and counts the rows.
 * One `add_jobs` call whatever the number of rows, since each call is a NOTIFY, and NOTIFY serialises commits.
 * No keys, no queue names, nothing future-dated: each of these slows every poll. `served` are the task queues that
 * some worker serves by name. Few runs get a job each, so that they spread over the nodes; `sizeMax` limits how many
 * of many share one.
 */
export function ring(rows: SQL, served: readonly string[], sizeMax: number = bundleSizeMax): SQL {
  return sql`(
    select coalesce(max(s.runs), 0)::int from (
      select sum(b.runs) as runs, array_agg(
        (b.task, b.payload, null, null, null, null, b.priority, null)::graphile_worker.job_spec order by b.first
      ) as specs
      from (
        select task, priority, count(*) as runs, min(nth) as first,
          case count(*) when 1 then (array_agg(bell))[1] else json_build_object('runs', json_agg(bell order by nth)) end
            as payload
        from (
          select task, priority, bell, row_number() over (partition by task, priority order by id) - 1 as nth,
            least(greatest(count(*) over (partition by task, priority) / ${runsPerBundleSize}::int, 1), ${sizeMax}::int) as size
          from (
            select r.id, json_build_object('runId', r.id, 'attempt', r.attempt) as bell,
              'run/' || case when r.task_queue = any(${arrayParam(served)}::text[]) then r.task_queue else ${defaultTaskQueue} end as task,
              case when r.cause in ('catch_up', 'backfill') then ${laterPriority}::int else ${livePriority}::int end as priority
            from (${rows}) r
          ) addressed
        ) numbered
        group by task, priority, nth / size
      ) b
    ) s, lateral graphile_worker.add_jobs(s.specs)
    where s.specs is not null
  )`;
}

/**
 * Rings once more for what a worker has fetched and cannot take now, a job for each, so that any node may have it.
 * What is not queued any more needs no doorbell. The old doorbell stays where it is.
 */
export async function ringAgain(
  db: Db | Tx,
  doorbells: readonly Doorbell[],
  served: readonly string[],
): Promise<void> {
  const runIds = arrayParam(doorbells.map((doorbell) => doorbell.runId));
  const attempts = arrayParam(doorbells.map((doorbell) => doorbell.attempt));
  const waiting = sql`
    select r.id, r.attempt, r.task_queue, r.cause
    from runs r join unnest(${runIds}::uuid[], ${attempts}::int[]) as d(id, attempt) on d.id = r.id
    where r.attempt = d.attempt and r.status = 'queued' and not r.held`;
  await db.execute(sql`select ${ring(waiting, served, 1)}`);
}

/** Rings again for runs that are queued for long and have no doorbell left. Returns how many. */
export async function ringForgotten(
  db: Db | Tx,
  queuedBefore: Date,
  served: readonly string[],
  limit: number,
): Promise<number> {
  const { rows } = await db.execute<{ rung: number }>(sql`
    with forgotten as materialized (
      select id, attempt, task_queue, cause from runs r
      where finished_at is null and status = 'queued' and not held and greatest(created_at, due_at) < ${queuedBefore.toISOString()}
        and not exists (
          select from graphile_worker._private_jobs j, lateral json_array_elements(
            case json_typeof(j.payload->'runs') when 'array' then j.payload->'runs' else json_build_array(j.payload) end
          ) as bell
          where bell->>'runId' = r.id::text and bell->>'attempt' = r.attempt::text
        )
      limit ${limit}
    )
    select ${ring(sql`select * from forgotten`, served)} as rung`);
  return rows[0]!.rung;
}

/**
 * Doorbells that wait or are being answered, a bundle as one, at most `limit`; tells whether looking through all of
 * them is cheap.
 */
export async function countDoorbells(db: Db | Tx, limit: number): Promise<number> {
  const { rows } = await db.execute<{ n: number }>(
    sql`select count(*)::int as n from (select from graphile_worker._private_jobs limit ${limit}) j`,
  );
  return rows[0]!.n;
}

/** A killed pool's doorbells stay locked for 4 hours; this frees them at once. */
export async function forceUnlock(db: Db | Tx, poolIds: readonly string[]): Promise<void> {
  if (poolIds.length === 0) return;
  await db.execute(sql`select graphile_worker.force_unlock_workers(${arrayParam(poolIds)}::text[])`);
}

/**
 * Pools that hold doorbells, and that no living worker owns up to: of a worker that was killed before it could tell
 * its pool's name. `lockedBefore` spares pools that are just starting.
 */
export async function orphanedPools(db: Db | Tx, lockedBefore: Date): Promise<string[]> {
  const { rows } = await db.execute<{ pool: string }>(sql`
    select distinct j.locked_by as pool from graphile_worker._private_jobs j
    where j.locked_at < ${lockedBefore.toISOString()}
      and not exists (select from workers w where w.gone_at is null and j.locked_by = any(w.pool_ids))`);
  return rows.map((row) => row.pool);
}

/**
 * Moves waiting doorbells of queues that no worker serves any more to the default queue, so that a changed
 * `CARILLON_WORKERS` strands nothing. Returns how many.
 */
export async function rehome(db: Db | Tx, served: readonly string[]): Promise<number> {
  const known = [...new Set([...served, defaultTaskQueue])].map(taskIdentifier);
  const result = await db.execute(sql`
    update graphile_worker._private_jobs j set task_id = home.id
    from graphile_worker._private_tasks home, graphile_worker._private_tasks away
    where home.identifier = ${taskIdentifier(defaultTaskQueue)} and away.id = j.task_id
      and away.identifier like 'run/%' and away.identifier <> all(${arrayParam(known)}::text[]) and j.locked_at is null`);
  return result.rowCount ?? 0;
}
