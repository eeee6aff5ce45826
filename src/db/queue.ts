/**
 * Everything that is said to graphile-worker in SQL. A job there is a doorbell: it carries a run's id and attempt and
 * nothing that matters, so losing, doubling or delaying one loses, doubles and delays no run (the run row decides).
 */
import { type SQL, sql } from 'drizzle-orm';
import type { Db, Tx } from './client.ts';

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

/**
 * A scalar subquery that rings for each row of `rows` (columns id, attempt, task_queue, cause) and counts the rings.
 * One `add_jobs` call whatever the number of rows, since each call is a NOTIFY, and NOTIFY serialises commits.
 * No keys, no queue names, nothing future-dated: each of these slows every poll. `served` are the task queues that
 * some worker serves by name.
 */
export function ring(rows: SQL, served: readonly string[]): SQL {
  return sql`(
    select count(*)::int from (
      select array_agg((
        'run/' || case when r.task_queue = any(${sql.param([...served])}::text[]) then r.task_queue else ${defaultTaskQueue} end,
        json_build_object('runId', r.id, 'attempt', r.attempt),
        null, null, null, null,
        case when r.cause in ('catch_up', 'backfill') then ${laterPriority} else ${livePriority} end,
        null
      )::graphile_worker.job_spec) as specs
      from (${rows}) r
    ) s, lateral graphile_worker.add_jobs(s.specs)
    where s.specs is not null
  )`;
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
      where finished_at is null and status = 'queued' and greatest(created_at, due_at) < ${queuedBefore.toISOString()}
        and not exists (
          select from graphile_worker._private_jobs j
          where j.payload->>'runId' = r.id::text and j.payload->>'attempt' = r.attempt::text
        )
      limit ${limit}
    )
    select ${ring(sql`select * from forgotten`, served)} as rung`);
  return rows[0]!.rung;
}

/** Doorbells that wait or are being answered, at most `limit`; tells whether looking through all of them is cheap. */
export async function countDoorbells(db: Db | Tx, limit: number): Promise<number> {
  const { rows } = await db.execute<{ n: number }>(
    sql`select count(*)::int as n from (select from graphile_worker._private_jobs limit ${limit}) j`,
  );
  return rows[0]!.n;
}

/** A killed pool's doorbells stay locked for 4 hours; this frees them at once. */
export async function forceUnlock(db: Db | Tx, poolIds: readonly string[]): Promise<void> {
  if (poolIds.length === 0) return;
  await db.execute(sql`select graphile_worker.force_unlock_workers(${sql.param([...poolIds])}::text[])`);
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
      and away.identifier like 'run/%' and away.identifier <> all(${sql.param(known)}::text[]) and j.locked_at is null`);
  return result.rowCount ?? 0;
}
