/**
 * The tasks of queues as drains move them, and their counts. How they come and how they are read: queue-store.ts.
 *
 * Locks: tasks first, then the counters in `queue_drains` and `queues`. Claims pass over locked tasks, and a drain writes
 * only tasks that it holds, so that nobody waits in a circle.
 */
import { toIso } from '../clock.ts';
import type { ClaimedTask } from '../queues/queue-task.ts';
import type { TaskEnd } from '../queues/task-end.ts';
import { arrayParam } from './array-literal.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { type SQL, sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { toJsonb } from './json.ts';

/** A `queue` run at one attempt. Its tasks are its own as long as it is running at that attempt. */
export type Drain = { runId: string; attempt: number; queue: string };

/** Tasks whose wait is over go with the next claim, so that priority orders them together with the others. */
const wokenMax = 1_000;
/** Of inputs as they are stored: what a drain holds in memory is bounded, however large they are. */
const claimBytesMax = 16 * 1024 * 1024;

/**
 * Up to `limit` pending tasks, by priority, then by time, for this drain. `woken`: how many became pending just now.
 * Nothing for a drain whose run is not running at this attempt any more.
 */
export async function claimTasks(
  db: Db | Tx,
  drain: Drain,
  limit: number,
  nowMs: number,
): Promise<{ tasks: ClaimedTask[]; woken: number }> {
  const { rows } = await executePrepared<{ woken: number } & ClaimedTask>(
    db,
    'claim_tasks',
    sql`
    with mine as materialized (
      select 1 from runs where id = ${drain.runId} and attempt = ${drain.attempt} and status = 'running'
    ),
    due as materialized (
      select id from queue_tasks
      where queue = ${drain.queue} and status = 'waiting' and due_at <= ${toIso(nowMs)} and exists (select from mine)
      order by due_at limit ${wokenMax} for update skip locked
    ),
    woken as (update queue_tasks t set status = 'pending' from due where t.id = due.id returning t.id),
    next as materialized (
      select id, priority, due_at, pg_column_size(input) as bytes from queue_tasks
      where queue = ${drain.queue} and status = 'pending' and exists (select from mine)
      order by priority desc nulls last, due_at, id limit ${limit} for update skip locked
    ),
    summed as (select id, bytes, sum(bytes) over (order by priority desc, due_at, id) as sum from next),
    taken as (
      update queue_tasks t set status = 'running', attempt = t.attempt + 1, run_id = ${drain.runId},
        run_attempt = ${drain.attempt}, started_at = ${toIso(nowMs)}
      from summed where t.id = summed.id and summed.sum - summed.bytes < ${claimBytesMax}
      returning t.id, t.attempt, t.failures, t.max_attempts, t.priority, t.due_at, t.input
    )
    select (select count(*)::int from woken) as woken, id, attempt, failures::int as failures,
      max_attempts::int as "maxAttempts", priority::int as priority,
      ${epochMs('due_at')} as "dueAtMs", input
    from (select) as once left join taken on true
    order by priority desc, due_at, id`,
  );
  const { woken } = rows[0]!;
  return { tasks: rows.filter((row) => row.id !== null), woken };
}

/** When a waiting task of the queue may be taken next, epoch milliseconds. */
export async function nextDueMs(db: Db | Tx, queue: string): Promise<number | null> {
  const { rows } = await db.execute<{ ms: number | null }>(sql`
    select ${epochMs('min(due_at)')} as ms from queue_tasks
    where queue = ${queue} and status = 'waiting'`);
  return rows[0]!.ms;
}

export type TaskResult = { id: string; attempt: number; startedAtMs: number; finishedAtMs: number } & TaskEnd;

/**
 * running → what became of them, with the counts of the queue and of the drain, in one statement. Answers the ids that
 * moved: a task that was cancelled, or taken from a drain that was thought dead, does not.
 */
export async function settleTasks(
  db: Db | Tx,
  drain: Drain,
  results: readonly TaskResult[],
): Promise<Set<string>> {
  const due = results.map((r) => (r.status === 'waiting' ? toIso(r.dueAtMs) : null));
  const { rows } = await executePrepared<{ id: string }>(
    db,
    'settle_tasks',
    sql`
    with given as (
      select * from unnest(
        ${arrayParam(results.map((r) => r.id))}::uuid[], ${arrayParam(results.map((r) => r.attempt))}::int[],
        ${arrayParam(results.map((r) => r.status))}::text[], ${arrayParam(due)}::timestamptz[],
        ${arrayParam(results.map((r) => toIso(r.startedAtMs)))}::timestamptz[],
        ${arrayParam(results.map((r) => toIso(r.finishedAtMs)))}::timestamptz[],
        ${arrayParam(results.map((r) => toJsonb(r.output)))}::jsonb[], ${arrayParam(results.map((r) => toJsonb(r.error)))}::jsonb[]
      ) as g(id, attempt, status, due_at, started_at, finished_at, output, error)
    ),
    moved as (
      update queue_tasks t set status = g.status, due_at = coalesce(g.due_at, t.due_at), output = g.output,
        error = g.error, failures = t.failures + case when g.status = 'succeeded' then 0 else 1 end,
        started_at = g.started_at, finished_at = case when g.status = 'waiting' then null else g.finished_at end
      from given g
      where t.id = g.id and t.attempt = g.attempt and t.status = 'running' and t.run_id = ${drain.runId}
      returning t.id, t.status
    ),
    tally as (
      select count(*) filter (where status = 'succeeded') as succeeded, count(*) filter (where status = 'waiting') as failed,
        count(*) filter (where status = 'dead') as dead
      from moved having count(*) > 0
    ),
    drained as (
      insert into queue_drains as d (run_id, processed, failed, dead)
      select ${drain.runId}::uuid, succeeded, failed, dead from tally
      on conflict (run_id) do update set processed = d.processed + excluded.processed,
        failed = d.failed + excluded.failed, dead = d.dead + excluded.dead
    ),
    counted as (
      update queues q set succeeded = q.succeeded + tally.succeeded from tally
      where q.name = ${drain.queue} and tally.succeeded > 0
    )
    select id from moved`,
  );
  return new Set(rows.map((row) => row.id));
}

/** running → pending for what the drain has and does not execute. What was not begun counts as no try. */
export async function handBackTasks(
  db: Db | Tx,
  drain: Drain,
  tasks: readonly { id: string; attempt: number; begun: boolean }[],
): Promise<void> {
  if (tasks.length === 0) return;
  await db.execute(sql`
    update queue_tasks t set status = 'pending', attempt = t.attempt - case when g.begun then 0 else 1 end
    from unnest(
      ${arrayParam(tasks.map((task) => task.id))}::uuid[], ${arrayParam(tasks.map((task) => task.attempt))}::int[],
      ${arrayParam(tasks.map((task) => task.begun))}::bool[]
    ) as g(id, attempt, begun)
    where t.id = g.id and t.attempt = g.attempt and t.status = 'running' and t.run_id = ${drain.runId}
      and t.run_attempt = ${drain.attempt}`);
}

/**
 * running → pending for tasks of drains that are over: whose run ended, was taken back, or is gone. Returns how many.
 * The lease of a task is that of its run (jobs/lease.ts, dispatcher/rescuer.ts).
 */
export async function reclaimTasks(db: Db | Tx, queue: string): Promise<number> {
  const result = await db.execute(sql`
    with lost as materialized (
      select t.id from queue_tasks t
      where t.queue = ${queue} and t.status = 'running' and not exists (
        select from runs r where r.id = t.run_id and r.attempt = t.run_attempt and r.status = 'running')
      for update of t skip locked
    )
    update queue_tasks t set status = 'pending' from lost where t.id = lost.id`);
  return result.rowCount ?? 0;
}

export type DrainTotals = { processed: number; failed: number; dead: number };

/** Of the run, all its attempts together. */
export async function drainTotals(db: Db | Tx, runId: string): Promise<DrainTotals> {
  const { rows } = await db.execute<DrainTotals>(sql`
    select processed::float8 as processed, failed::float8 as failed, dead::float8 as dead
    from queue_drains where run_id = ${runId}`);
  return rows[0] ?? { processed: 0, failed: 0, dead: 0 };
}

export type PrunedTasks = { tasks: number /** True when there may be more to prune. */; more: boolean };

/** Deletes up to `limit` tasks that ended before, the oldest first. */
export async function pruneTasks(db: Db | Tx, beforeMs: number, limit: number): Promise<PrunedTasks> {
  const oldest: SQL = sql`
    select id from queue_tasks where finished_at < ${toIso(beforeMs)} order by finished_at limit ${limit}
    for update skip locked`;
  const result = await db.execute(sql`delete from queue_tasks where id in (${oldest})`);
  const tasks = result.rowCount ?? 0;
  return { tasks, more: tasks === limit };
}
