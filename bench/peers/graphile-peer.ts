/**
 * Plain graphile-worker as its page on performance sets it up: 24 jobs at once, a local queue of 500, ends in batches
 * without delay. It polls for jobs that are due later every 50 ms in place of 2 s, so that a herd is not measured by that.
 * The pool is warm; then the jobs come in one statement, all for one instant.
 */
import { run } from 'graphile-worker';
import pg from 'pg';

const { url, jobs, leadMs } = JSON.parse(process.argv[2]!) as { url: string; jobs: number; leadMs: number };

const runner = await run({
  connectionString: url,
  noHandleSignals: true,
  taskList: { noop: () => undefined },
  preset: {
    worker: {
      concurrentJobs: 24,
      maxPoolSize: 25,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      pollInterval: 50,
    },
  },
});
runner.events.on('pool:gracefulShutdown', () => process.exit(1));

const client = new pg.Client({ connectionString: url });
await client.connect();
const { rows } = await client.query(
  `with due as (select clock_timestamp() + $2::int * interval '1 millisecond' as at),
    added as (
      select graphile_worker.add_jobs(array_agg(
        ('noop', json_build_object('n', n), null, due.at, null, null, null, null)::graphile_worker.job_spec
      )) from due, generate_series(1, $1::int) n
    )
  select extract(epoch from at)::float8 * 1000 as due, (select count(*) from added) from due`,
  [jobs, leadMs],
);
await client.query('analyze graphile_worker._private_jobs');
await client.end();
process.stdout.write(`${JSON.stringify({ dueMs: rows[0].due })}\n`);
