/** Past runs straight into the tables, for measuring beside a long history. */
import type pg from 'pg';

export type HistoryOptions = {
  /** Schedules whose names begin with this get the runs, evenly. */
  prefix: string;
  schedules: number;
  runs: number;
  /** Nominal times are spread evenly between these. */
  fromMs: number;
  untilMs: number;
};

const runsAtOnce = 500_000;

/** Oldest first, as they would have come: of a hundred two failed and one was skipped. The schedules' hot rows are told. */
export async function insertHistory(pool: pg.Pool, options: HistoryOptions): Promise<void> {
  const { prefix, schedules, runs, fromMs, untilMs } = options;
  const client = await pool.connect();
  try {
    await client.query('set synchronous_commit = off');
    await client.query(
      'create temporary table numbered (n int primary key, id uuid not null, name text not null)',
    );
    await client.query(
      `insert into numbered select substr(name, length($1) + 1)::int - 1, id, name from schedules where starts_with(name, $1)`,
      [prefix],
    );
    await client.query('analyze numbered');
    for (let first = 0; first < runs; first += runsAtOnce) {
      await client.query(
        `insert into runs (id, schedule_id, schedule_name, schedule_version, job_type, task_queue, cause, scheduled_for,
          due_at, created_at, started_at, attempt_started_at, finished_at, status, reason, attempt, failures, lost,
          worker_id, timeout_ms, retry, input, output, error)
        select (substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-7' || substr(noise, 1, 3) || '-8' || substr(noise, 4, 3)
            || '-' || substr(noise, 7, 12))::uuid,
          n.id, n.name, 1, 'noop', 'default', 'schedule', at, at, at, ran, ran, at + interval '1 second', status,
          case when status = 'skipped' then 'overlap' end, 1, 0, 0, case when ran is not null then n.id end, 60000,
          '{"maxAttempts":1,"initialIntervalMs":1000,"maxIntervalMs":1000,"backoffCoefficient":1,"nonRetryableErrorTypes":[]}',
          '{}', case when status = 'succeeded' then '{}'::jsonb end,
          case when status = 'failed' then '{"type":"Broken","message":"as the benchmark wanted"}'::jsonb end
        from (
          select g, md5(g::text) as noise, lpad(to_hex(ms), 12, '0') as hex, to_timestamp(ms / 1000.0) as at, status,
            case when status <> 'skipped' then to_timestamp(ms / 1000.0) end as ran
          from (
            select g, ($4::float8 + ($5::float8 - $4::float8) * g / $3::float8)::bigint as ms,
              case (hashint4(g::int) % 100 + 100) % 100 when 0 then 'failed' when 1 then 'failed' when 2 then 'skipped'
                else 'succeeded' end as status
            from generate_series($1::bigint, $2::bigint - 1) g
          ) given
        ) made join numbered n on n.n = made.g % $6::int
        order by made.g`,
        [first, Math.min(first + runsAtOnce, runs), runs, fromMs, untilMs, schedules],
      );
    }
    await client.query(
      `update schedule_states h set last_run_id = r.id, last_status = r.status, fired = $1::bigint, succeeded = $1::bigint
      from numbered n, lateral (
        select id, status from runs where schedule_id = n.id and started_at is not null order by id desc limit 1
      ) r where h.schedule_id = n.id`,
      [Math.floor(runs / schedules)],
    );
    await client.query('drop table numbered');
    await client.query('reset synchronous_commit');
  } finally {
    client.release();
  }
}
