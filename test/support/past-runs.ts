/** Runs of the past, written straight into the table: what became of them, without all that led there. */
import { sql } from 'drizzle-orm';
import type { Db } from '../../src/db/client.ts';
import { newId } from '../../src/runs/run-id.ts';
import type { RunCause, RunStatus } from '../../src/runs/run-state.ts';

export type PastRun = {
  id: string;
  scheduleId: string;
  status: RunStatus;
  cause: RunCause;
  scheduledForMs: number;
  /** Null for those that are active still. */
  finishedAtMs: number | null;
};

export function pastRun(
  scheduleId: string,
  scheduledForMs: number,
  more: Partial<Omit<PastRun, 'id'>> = {},
): PastRun {
  return {
    id: newId(scheduledForMs),
    scheduleId,
    status: 'succeeded',
    cause: 'schedule',
    scheduledForMs,
    finishedAtMs: scheduledForMs,
    ...more,
  };
}

export async function insertPastRuns(db: Db, runs: readonly PastRun[]): Promise<void> {
  await db.execute(sql`
    insert into runs (id, schedule_id, schedule_name, schedule_version, job_type, task_queue, cause, scheduled_for, due_at,
      created_at, started_at, attempt_started_at, finished_at, next_attempt_at, status, reason, attempt, failures, lost,
      worker_id, backfill_id, timeout_ms, retry, input, error)
    select r.id, r.schedule_id, 'past', 1, 'noop', 'default', r.cause, r.at, r.at, r.at, ran, ran, r.finished_at,
      case when status = 'retrying' then r.at end, status, case when ran is null then 'as the test wanted' end, 1, 0, 0,
      case when status = 'running' then r.id end, case when r.cause = 'backfill' then r.id end, 1000,
      '{"maxAttempts":1,"initialIntervalMs":1000,"maxIntervalMs":1000,"backoffCoefficient":1,"nonRetryableErrorTypes":[]}', '{}',
      case when status in ('failed', 'timed_out', 'retrying') then '{"type":"Broken","message":"as the test wanted"}'::jsonb end
    from (
      select *, to_timestamp(scheduled_for / 1000) as at, to_timestamp(finished / 1000) as finished_at,
        case when status not in ('queued', 'skipped', 'missed') then to_timestamp(scheduled_for / 1000) end as ran
      from jsonb_to_recordset(${JSON.stringify(
        runs.map(({ scheduleId, scheduledForMs, finishedAtMs, ...run }) => ({
          ...run,
          schedule_id: scheduleId,
          scheduled_for: scheduledForMs,
          finished: finishedAtMs,
        })),
      )}::jsonb)
        as g(id uuid, schedule_id uuid, status text, cause text, scheduled_for float8, finished float8)
    ) r`);
}

export async function runIds(db: Db): Promise<Set<string>> {
  const { rows } = await db.execute<{ id: string }>(sql`select id from runs`);
  return new Set(rows.map((row) => row.id));
}
