/** Starts and measures nodes, and the Postgres beside them, for the benchmarks. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import packageJson from '../../package.json' with { type: 'json' };
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';

export type BenchDatabase = { url: string; dataDir: string; pool: pg.Pool; stop(): Promise<void> };

/**
 * The embedded Postgres with the settings as shipped (fsync on), in a temporary folder; migrated, and without a
 * schedule. `isEmpty`: not even migrated, for others than Carillon.
 */
export async function startDatabase({ isEmpty = false } = {}): Promise<BenchDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'carillon-bench-'));
  const server = await startEmbeddedPostgres({ dataDir, log: { info: () => {}, warn: console.warn } });
  if (!isEmpty) await migrate(server.url);
  // As the house reads it: what polls for the end of a herd must not read the whole history each time.
  const pool = new pg.Pool({ connectionString: server.url, max: 4, options: '-c enable_seqscan=off' });
  // The server's end cuts connections that the pool is still closing.
  pool.on('error', () => {});
  return {
    url: server.url,
    dataDir,
    pool,
    async stop() {
      await pool.end();
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The flags of `npm start`, so that what is measured is what is shipped; without the settings of somebody's own. */
export const startFlags = /node (.*?) ?src\/main\.ts/
  .exec(packageJson.scripts.start)![1]!
  .split(' ')
  .filter((flag) => flag !== '' && !flag.startsWith('--env-file'));

export type BenchNode = { address: string; pid: number; stop(): Promise<void> };

export async function startNode(
  { url, dataDir }: Pick<BenchDatabase, 'url' | 'dataDir'>,
  env: Record<string, string> = {},
): Promise<BenchNode> {
  const entry = fileURLToPath(new URL('./bench-node.ts', import.meta.url));
  const profile = process.env.BENCH_PROFILE
    ? ['--cpu-prof', `--cpu-prof-dir=${process.env.BENCH_PROFILE}`]
    : [];
  const child = spawn(process.execPath, [...startFlags, ...profile, entry], {
    env: {
      ...shippedEnvironment(),
      PORT: '0',
      LOG_LEVEL: 'warn',
      DATA_DIR: dataDir,
      ...env,
      DATABASE_URL: url,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(() => {
      throw new Error('the node ended before it was ready');
    }),
  ])) as [string];
  const { address, pid } = JSON.parse(line) as { address: string; pid: number };
  return {
    address,
    pid,
    async stop() {
      if (child.exitCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

/** Without what somebody has set for a Carillon of their own. */
export function shippedEnvironment(): NodeJS.ProcessEnv {
  const settings = /^(CARILLON_.*|PORT|HOST|DATABASE_URL|DATA_DIR|LOG_LEVEL)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !settings.test(name)));
}

/** CPU time that a process has used, milliseconds (Linux). */
export async function cpuMs(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
  const ticksPerSecond = 100;
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** CPU time that Postgres' processes have used, by what they are for, milliseconds. */
export async function postgresCpuMs(pool: pg.Pool): Promise<Map<string, number>> {
  const { rows } = await pool.query(
    `select pid, coalesce(nullif(application_name, ''), backend_type) as name from pg_stat_activity`,
  );
  const used = new Map<string, number>();
  for (const { pid, name } of rows) used.set(name, (used.get(name) ?? 0) + (await cpuMs(pid).catch(() => 0)));
  return used;
}

/** Resident memory of a process, MB (Linux). */
export async function rssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Postgres' clock, epoch milliseconds. */
export async function databaseNow(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query('select extract(epoch from clock_timestamp())::float8 * 1000 as ms');
  return rows[0].ms;
}

/** Writes `count` schedules straight into the tables, of the noop job unless told otherwise, with these next times. */
export async function insertSchedules(
  pool: pg.Pool,
  options: {
    prefix: string;
    count: number;
    cron?: string;
    everyMs?: number;
    firstMs: number;
    spreadMs?: number;
    job?: { type: string; input: object };
  },
): Promise<void> {
  const trigger = options.cron
    ? { kind: 'cron', expressions: [options.cron] }
    : { kind: 'every', everyMs: options.everyMs ?? 86_400_000, offsetMs: 0 };
  const spread = options.spreadMs ?? 0;
  const job = options.job ?? { type: 'noop', input: {} };
  await pool.query(
    `with s as (
      insert into schedules (id, name, description, labels, trigger, timezone, dst, overlap, catch_up,
        catch_up_window_ms, job_type, job_input, task_queue, timeout_ms, retry, status, version, created_at, updated_at)
      select gen_random_uuid(), $1 || g, '', '{}', $2::jsonb, 'Asia/Shanghai', '{"gap":"run","repeat":"auto"}', 'skip',
        'latest', 86400000, $6, $7::jsonb, 'default', 60000,
        '{"maxAttempts":1,"initialIntervalMs":1000,"maxIntervalMs":1000,"backoffCoefficient":1,"nonRetryableErrorTypes":[]}',
        'active', 1, now(), now()
      from generate_series(1, $3::int) g returning id, substr(name, length($1) + 1)::int as g
    )
    insert into schedule_states (schedule_id, next_run_at, due_at)
    select id, t, t from (
      select id, to_timestamp(($4::float8 + case when $5::float8 > 0 then floor((g::float8 / $3::int) * $5::float8) else 0 end) / 1000) as t from s
    ) x`,
    [
      ...[options.prefix, JSON.stringify(trigger), options.count, options.firstMs, spread],
      ...[job.type, JSON.stringify(job.input)],
    ],
  );
}
