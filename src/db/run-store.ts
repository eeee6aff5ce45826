/**
 * The `runs` table: the moves of the state machine (`runs/run-state.ts`) that do not end a run, each a compare-and-set on (id, attempt,
 * status), many at once. Zero rows is an answer, not an error: someone else moved the run first.
 *
 * Lock order, here and everywhere: the hot rows of the schedules first, sorted, then the runs.
 */
import { toIso as iso } from '../clock.ts';
import type { RetryPolicy } from '../runs/retry-policy.ts';
import type { RunError } from '../runs/run.ts';
import type { RunSignal } from '../runs/run-state.ts';
import { arrayParam as array } from './array-literal.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { toJsonb } from './json.ts';
import { ring } from './queue.ts';
import { endRunsFrom } from './run-end-store.ts';

/** What a worker needs to execute a run. */
export type ClaimedRun = {
  id: string;
  attempt: number;
  scheduleId: string;
  scheduleName: string;
  jobType: string;
  input: unknown;
  scheduledForMs: number;
  timeoutMs: number;
  retry: RetryPolicy;
  failures: number;
  /** Attempts that were lost with their worker or their process. */
  lost: number;
  signal: RunSignal | null;
};

/**
 * queued → running. Answers the runs that this worker now owns; the rest of what was asked for is someone else's or
 * over. A run that this worker owns already is answered again: its first claim was committed but the answer was lost.
 */
export async function startRuns(
  db: Db | Tx,
  workerId: string,
  doorbells: readonly { runId: string; attempt: number }[],
  nowMs: number,
): Promise<ClaimedRun[]> {
  // Rows are locked in this order, the one in which commands lock a schedule's runs.
  const sorted = doorbells.toSorted((a, b) => (a.runId < b.runId ? -1 : 1));
  const { rows } = await executePrepared<ClaimedRun>(
    db,
    'start_runs',
    sql`
    update runs r set status = 'running', worker_id = ${workerId}, attempt_started_at = ${iso(nowMs)},
      started_at = coalesce(r.started_at, ${iso(nowMs)})
    from unnest(${array(sorted.map((d) => d.runId))}::uuid[], ${array(sorted.map((d) => d.attempt))}::int[]) as d(id, attempt)
    where r.id = d.id and r.attempt = d.attempt
      and not r.held and (r.status = 'queued' or (r.status = 'running' and r.worker_id = ${workerId}))
    returning r.id, r.attempt, r.schedule_id as "scheduleId", r.schedule_name as "scheduleName",
      r.job_type as "jobType", r.input, (extract(epoch from r.scheduled_for) * 1000)::float8 as "scheduledForMs",
      r.timeout_ms::float8 as "timeoutMs", r.retry, r.failures::int as failures, r.lost::int as lost,
      r.signal`,
  );
  return rows;
}

export type RunRetry = {
  runId: string;
  attempt: number;
  /**
   * `waiting`: a step sleeps or is tried again later; `lost`: the attempt's own process died. Neither is a failure of
   * the run.
   */
  status: 'failed' | 'timed_out' | 'waiting' | 'lost';
  error: RunError | null;
  /** Why it waits, for readers. */
  reason?: string;
  /** Keeps the attempt out of the history: one of the waits of a job that waits without end. */
  quiet?: boolean;
  finishedAtMs: number;
  nextAttemptAtMs: number;
};

/**
 * running → retrying, and the attempt goes into the history. Answers the ids that moved; a run that was told to
 * cancel or stop does not, and must be ended.
 */
export async function retryRuns(db: Db | Tx, retries: readonly RunRetry[]): Promise<Set<string>> {
  const { rows } = await db.execute<{ id: string }>(sql`
    with asked as (
      select * from unnest(
        ${array(retries.map((r) => r.runId))}::uuid[], ${array(retries.map((r) => r.attempt))}::int[],
        ${array(retries.map((r) => r.status))}::text[], ${array(retries.map((r) => toJsonb(r.error)))}::jsonb[],
        ${array(retries.map((r) => iso(r.finishedAtMs)))}::timestamptz[],
        ${array(retries.map((r) => iso(r.nextAttemptAtMs)))}::timestamptz[], ${array(retries.map((r) => r.reason ?? null))}::text[],
        ${array(retries.map((r) => r.quiet ?? false))}::bool[]
      ) as a(id, attempt, status, error, finished_at, next_attempt_at, reason, quiet)
    ),
    owned as (
      select r.id, r.attempt, r.attempt_started_at, r.worker_id from runs r join asked a on a.id = r.id
      where r.attempt = a.attempt and r.status = 'running' and r.signal is null
      order by r.id for update of r
    ),
    moved as (
      update runs r set status = 'retrying', next_attempt_at = a.next_attempt_at, error = a.error, reason = a.reason,
        failures = r.failures + case when a.status in ('waiting', 'lost') then 0 else 1 end,
        lost = least(r.lost + case when a.status = 'lost' then 1 else 0 end, 32767), worker_id = null,
        attempt_started_at = case when a.quiet then null else r.attempt_started_at end
      from asked a, owned o where r.id = a.id and o.id = a.id
      returning r.id
    ),
    kept as (
      insert into run_attempts (run_id, number, started_at, finished_at, status, error, worker_id)
      select o.id, o.attempt, o.attempt_started_at, a.finished_at, a.status, a.error, o.worker_id
      from owned o join asked a on a.id = o.id
      where not a.quiet
    )
    select id from moved`);
  return new Set(rows.map((row) => row.id));
}

/** retrying → queued for up to `limit` runs whose wait is over, with their doorbells. Returns how many. */
export async function requeueDueRetries(
  db: Db | Tx,
  nowMs: number,
  limit: number,
  served: readonly string[],
): Promise<number> {
  const { rows } = await db.execute<{ rung: number }>(sql`
    with due as materialized (
      select id from runs where next_attempt_at <= ${iso(nowMs)} order by next_attempt_at limit ${limit}
      for update skip locked
    ),
    moved as (
      update runs r set status = 'queued', attempt = r.attempt + 1, next_attempt_at = null, attempt_started_at = null
      from due where r.id = due.id
      returning r.id, r.attempt, r.task_queue, r.cause
    )
    select ${ring(sql`select * from moved`, served)} as rung`);
  return rows[0]!.rung;
}

/**
 * running → queued for what a worker leaves behind, under a new attempt number, with doorbells. `except` are runs
 * that it still executes. Runs that were told to cancel or stop end instead. Returns how many went on.
 */
export async function requeueFromWorker(
  tx: Tx,
  options: {
    workerId: string;
    except: readonly string[];
    cause: 'worker_lost' | 'worker_shutdown';
    nowMs: number;
    served: readonly string[];
  },
): Promise<{ requeued: number; cancelled: number }> {
  const { workerId, nowMs } = options;
  const lost = options.cause === 'worker_lost';
  const error: RunError = lost
    ? {
        type: 'WorkerLost',
        message: 'The worker process gave no sign of life for 30 s; the run goes on elsewhere.',
      }
    : {
        type: 'WorkerShutdown',
        message: 'The worker process shut down before the run ended; the run goes on elsewhere.',
      };
  const told = await tx.execute<{ id: string; attempt: number; schedule_id: string; signal: RunSignal }>(sql`
    select id, attempt, schedule_id, signal from runs
    where finished_at is null and worker_id = ${workerId} and status = 'running' and signal is not null
      and id <> all(${array(options.except)}::uuid[])`);
  const cancelled =
    told.rows.length === 0
      ? new Set<string>()
      : await endRunsFrom(
          tx,
          told.rows.map((row) => ({
            runId: row.id,
            attempt: row.attempt,
            scheduleId: row.schedule_id,
            status: 'cancelled',
            reason: row.signal === 'cancel' ? 'cancelled_by_hand' : 'stopped',
            output: null,
            error,
            finishedAtMs: nowMs,
          })),
          ['running'],
          options.served,
        );
  const { rows } = await tx.execute<{ rung: number }>(sql`
    with owned as materialized (
      select id, attempt, attempt_started_at from runs
      where finished_at is null and worker_id = ${workerId} and status = 'running'
        and id <> all(${array(options.except)}::uuid[])
      order by id for update
    ),
    moved as (
      update runs r set status = 'queued', attempt = r.attempt + 1, lost = least(r.lost + ${lost ? 1 : 0}, 32767),
        worker_id = null, attempt_started_at = null, reason = ${options.cause}
      from owned o where r.id = o.id
      returning r.id, r.attempt, r.task_queue, r.cause
    ),
    kept as (
      insert into run_attempts (run_id, number, started_at, finished_at, status, error, worker_id)
      select id, attempt, attempt_started_at, ${iso(nowMs)}, ${lost ? 'lost' : 'handed_back'}, ${JSON.stringify(error)}::jsonb,
        ${workerId} from owned
    )
    select ${ring(sql`select * from moved`, options.served)} as rung`);
  return { requeued: rows[0]!.rung, cancelled: cancelled.size };
}

/**
 * Locks all runs of a locked schedule that have not ended, so that none passes from one state to another between the
 * statement that ends what waits and the one that tells what runs.
 */
export async function lockActiveRuns(tx: Tx, scheduleId: string): Promise<void> {
  await tx.execute(sql`
    with locked as materialized (
      select id from runs where schedule_id = ${scheduleId} and finished_at is null order by id for update
    )
    select count(*) from locked`);
}

/** Tells running runs of a schedule to cancel or stop, and why; their workers look every half second. */
export async function signalRunning(
  tx: Tx,
  scheduleId: string,
  signal: RunSignal,
  reason: string,
): Promise<number> {
  const result = await tx.execute(sql`
    update runs set signal = ${signal}, signal_reason = ${reason}
    where schedule_id = ${scheduleId} and finished_at is null and status = 'running' and signal is distinct from 'cancel'`);
  return result.rowCount ?? 0;
}

/** Tells one running run. False when it is not running any more. */
export async function signalRun(tx: Tx, runId: string, signal: RunSignal, reason: string): Promise<boolean> {
  const result = await tx.execute(
    sql`update runs set signal = ${signal}, signal_reason = ${reason} where id = ${runId} and status = 'running'`,
  );
  return result.rowCount === 1;
}

/** What the runs of a worker were told. */
export async function readSignals(
  db: Db | Tx,
  workerId: string,
): Promise<{ id: string; attempt: number; signal: RunSignal }[]> {
  const { rows } = await db.execute<{ id: string; attempt: number; signal: RunSignal }>(sql`
    select id, attempt, signal from runs where signal is not null and finished_at is null and worker_id = ${workerId}`);
  return rows;
}
