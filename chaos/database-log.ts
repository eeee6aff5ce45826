/** Reads what the database says at the end, and on the way, past every proxy. */
import pg from 'pg';
import type { AttemptRow, OutageRow, RunRow, ScheduleRow, SeenEnd, StepRow } from './evidence.ts';

const ms = (column: string, as: string) => `(extract(epoch from ${column}) * 1000)::float8 as "${as}"`;

export type DatabaseLog = {
  runs: RunRow[];
  attempts: AttemptRow[];
  steps: StepRow[];
  outages: OutageRow[];
  schedules: ScheduleRow[];
  doorbells: number;
};

async function ask<T>(url: string, texts: readonly string[]): Promise<T[][]> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'chaos',
    connectionTimeoutMillis: 5000,
  });
  client.on('error', () => {});
  await client.connect();
  try {
    const answers: T[][] = [];
    for (const text of texts) answers.push((await client.query(text)).rows as T[]);
    return answers;
  } finally {
    await client.end();
  }
}

export async function readDatabase(url: string): Promise<DatabaseLog> {
  const [runs, attempts, steps, outages, schedules, doorbells] = await ask<never>(url, [
    `select id, schedule_id as "scheduleId", schedule_name as "scheduleName", job_type as "jobType", cause,
      ${ms('scheduled_for', 'scheduledForMs')}, ${ms('due_at', 'dueAtMs')}, ${ms('created_at', 'createdAtMs')},
      ${ms('started_at', 'startedAtMs')}, ${ms('attempt_started_at', 'attemptStartedAtMs')},
      ${ms('finished_at', 'finishedAtMs')}, status, reason, attempt, failures::int as failures,
      missed_count as "missedCount", ${ms('missed_until', 'missedUntilMs')}, retry, output from runs`,
    `select run_id as "runId", number, ${ms('started_at', 'startedAtMs')}, ${ms('finished_at', 'finishedAtMs')}, status
      from run_attempts`,
    `select run_id as "runId", name, status, ${ms('finished_at', 'finishedAtMs')} from run_steps`,
    `select ${ms('from_at', 'fromMs')}, ${ms('until_at', 'untilMs')} from outages`,
    `select s.id, s.name, s.status, s.trigger, s.labels->>'n' as label, s.version,
      h.active_runs as "activeRuns", h.held_runs as "heldRuns", h.fault
      from schedules s join schedule_states h on h.schedule_id = s.id`,
    'select count(*)::int as n from graphile_worker._private_jobs',
  ]);
  return {
    runs: runs as RunRow[],
    attempts: attempts as AttemptRow[],
    steps: steps as StepRow[],
    outages: outages as OutageRow[],
    schedules: schedules as ScheduleRow[],
    doorbells: (doorbells as { n: number }[])[0]!.n,
  };
}

/** Ends of the last ten seconds, as they are now. Nothing while the database is away. */
export async function lookAtEnds(url: string): Promise<SeenEnd[]> {
  const rows = await ask<SeenEnd>(url, [
    `select id as "runId", status, attempt, ${ms('finished_at', 'finishedAtMs')} from runs
      where finished_at > clock_timestamp() - interval '10 s'`,
  ]).catch(() => []);
  return rows.flat().map((row) => ({ ...row, seenMs: Date.now() }));
}

/** Runs that started after `sinceMs`, by the version of the worker that took them; nothing where no newer one was. */
export async function readReleases(url: string, sinceMs: number): Promise<{ older: number; newer: number }> {
  const rows = await ask<{ release: 'older' | 'newer'; n: number }>(url, [
    `select coalesce(w.release, 'older') as release, count(*)::int as n from runs r join workers w on w.id = r.worker_id
      where r.attempt_started_at > '${new Date(sinceMs).toISOString()}' group by 1`,
  ]).catch(() => []);
  const of = (release: string) => rows.flat().find((row) => row.release === release)?.n ?? 0;
  return { older: of('older'), newer: of('newer') };
}

export type Rest = { active: number; doorbells: number };

/** What is not over yet. */
export async function readRest(url: string): Promise<Rest> {
  const rows = await ask<Rest>(url, [
    `select (select count(*)::int from runs where finished_at is null) as active,
      (select count(*)::int from graphile_worker._private_jobs) as doorbells`,
  ]).catch(() => []);
  return rows[0]?.[0] ?? { active: Number.POSITIVE_INFINITY, doorbells: Number.POSITIVE_INFINITY };
}

/**
 * As if nobody had dispatched since `fromMs`: the schedules of this prefix fire next at their first time after it. No node
 * may run.
 */
export async function turnBack(url: string, prefix: string, fromMs: number, everyMs: number): Promise<void> {
  const from = new Date(fromMs).toISOString();
  const first = new Date(Math.ceil((fromMs + 1) / everyMs) * everyMs).toISOString();
  await ask(url, [
    `update schedules set created_at = '${from}', updated_at = '${from}' where name like '${prefix}%'`,
    `update schedule_states set next_run_at = '${first}', due_at = '${first}'
      where schedule_id in (select id from schedules where name like '${prefix}%')`,
    `delete from runs where schedule_name like '${prefix}%'`,
    'delete from outages',
    `update dispatch_state set alive_until = '${from}'`,
  ]);
}
