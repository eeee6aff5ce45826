/**
 * What a fire and a look cost beside more schedules and a longer history: each measure for every size, and how many
 * times that of the smallest it is. `--quick` (the default) is 1 k and 100 k schedules with 0 and 1 M past runs, five
 * minutes; `--full` goes to 1 M schedules and 10 M runs, an hour and 20 GB; `--cell=100000x1000000` adds single ones.
 * `--write` puts the cells into bench/scale.json, from where the next `npm run bench` has them.
 */
import type pg from 'pg';
import { Agent, request } from 'undici';
import { openDatabase } from '../src/db/client.ts';
import { claimDue } from '../src/db/fire-store.ts';
import { textTable } from './report.ts';
import { writeScale } from './scale-file.ts';
import { type ScaleResult, type ScaleSize, scaleRows } from './scale-report.ts';
import {
  type BenchNode,
  databaseNow,
  insertSchedules,
  pause,
  startDatabase,
  startNode,
} from './support/bench-service.ts';
import { insertHistory } from './support/history.ts';

const herdSize = 5000;
const herdRounds = 3;
const claimRounds = 30;
const requestsEach = 300;
const warmUps = 30;
const dayMs = 86_400_000;

export async function scale(size: ScaleSize): Promise<ScaleResult> {
  const database = await startDatabase();
  try {
    const { pool } = database;
    const startedAt = performance.now();
    await seed(pool, size);
    const seedSeconds = (performance.now() - startedAt) / 1000;
    const node = await startNode(database, { CARILLON_ROLES: 'api,dispatcher' });
    try {
      const requests = await measureRequests(pool, node, size);
      // Told at once: a herd that cannot be measured must not lose them.
      console.log(JSON.stringify({ ...size, requests }));
      const herds: { seconds: number; claimMs: number }[] = [];
      for (let round = 0; round < herdRounds; round += 1) herds.push(await herdOf(database, round, size));
      return {
        ...size,
        measuredAt: new Date().toISOString(),
        seedSeconds,
        claimMs: median(herds.map((herd) => herd.claimMs)),
        dispatchPerSecond: herdSize / median(herds.map((herd) => herd.seconds)),
        requests,
      };
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
  }
}

/** Schedules of which one in a thousand is stopped and one in a thousand belongs to a team; their runs of the last 80 days. */
async function seed(pool: pg.Pool, { schedules, runs }: ScaleSize): Promise<void> {
  const nowMs = await databaseNow(pool);
  await insertSchedules(pool, {
    prefix: 'past-',
    count: schedules,
    firstMs: nowMs + 7 * dayMs,
    spreadMs: dayMs,
  });
  await pool.query(
    `update schedules set labels = case when n % 1000 = 1 then '{"team":"data"}'::jsonb else labels end,
      status = case when n % 1000 = 2 then 'stopped' else status end
    from (select id as of, substr(name, 6)::int as n from schedules) x where of = id and n % 1000 in (1, 2)`,
  );
  if (runs > 0) {
    const past = { prefix: 'past-', schedules, runs, fromMs: nowMs - 80 * dayMs, untilMs: nowMs - 60_000 };
    await insertHistory(pool, past);
  }
  await pool.query('vacuum analyze');
  await pool.query('checkpoint');
}

/** From the due instant until the last of a herd is dispatched. Its claim is tried just before, and taken back. */
async function herdOf(
  database: { url: string; pool: pg.Pool },
  round: number,
  { schedules }: ScaleSize,
): Promise<{ seconds: number; claimMs: number }> {
  const { pool } = database;
  const dueMs = Math.ceil((await databaseNow(pool)) / 1000 + 15 + schedules / 40_000) * 1000;
  await insertSchedules(pool, { prefix: `herd-${round}-`, count: herdSize, firstMs: dueMs });
  await pool.query('analyze schedules, schedule_states');
  const claimMs = await claimOf(database.url, dueMs);
  const leadMs = dueMs - (await databaseNow(pool));
  if (leadMs < 500) throw new Error('the machine is too slow for this lead; nothing was measured');
  await pause(leadMs);
  for (;;) {
    const { rows } = await pool.query(
      `select exists (select from schedule_states where due_at <= to_timestamp($1::float8 / 1000)) as busy,
        extract(epoch from clock_timestamp())::float8 * 1000 as ms`,
      [dueMs],
    );
    if (!rows[0].busy) return { seconds: (rows[0].ms - dueMs) / 1000, claimMs };
    if (rows[0].ms > dueMs + 60_000) throw new Error('the herd was not dispatched after a minute');
    await pause(5);
  }
}

async function claimOf(url: string, dueMs: number): Promise<number> {
  class Undone extends Error {}
  const { db, close } = openDatabase({ url, connectionsMax: 1, name: 'bench', onFault: console.error });
  try {
    const tookMs: number[] = [];
    for (let round = 0; round < claimRounds; round += 1) {
      await db
        .transaction(async (tx) => {
          const startedAt = performance.now();
          const claimed = await claimDue(tx, dueMs, 500);
          tookMs.push(performance.now() - startedAt);
          if (claimed.length !== 500) throw new Error(`claimed ${claimed.length} of 500`);
          throw new Undone();
        })
        .catch((error) => {
          if (!(error instanceof Undone)) throw error;
        });
    }
    return median(tookMs);
  } finally {
    await close();
  }
}

async function measureRequests(
  pool: pg.Pool,
  node: BenchNode,
  { schedules, runs }: ScaleSize,
): Promise<ScaleResult['requests']> {
  const { rows } = await pool.query<{ id: string }>(
    `select id from runs where id > (lpad(to_hex(($1::float8)::bigint), 12, '0') || '70008000000000000000')::uuid order by id limit 300`,
    [(await databaseNow(pool)) - 40 * dayMs],
  );
  const schedule = (round: number) => `past-${1 + ((round * 7919) % schedules)}`;
  const instant = (daysAgo: number) => new Date(Date.now() - daysAgo * dayMs).toISOString();
  const asks: Record<string, (round: number, cursor: string | null) => string> = {
    'GET /schedules/{name}': (round) => `/schedules/${schedule(round)}`,
    'GET /schedules, page by page': (_, cursor) => `/schedules?limit=50${cursor ? `&cursor=${cursor}` : ''}`,
    'GET /schedules?status=stopped': () => '/schedules?status=stopped',
    'GET /schedules?label=': () => '/schedules?label=team:data',
    'GET /schedules?jobType=': () => '/schedules?jobType=noop',
    'GET /schedules?lastStatus=failed': () => '/schedules?lastStatus=failed',
    'GET /schedules/{name}/runs': (round) => `/schedules/${schedule(round)}/runs`,
    'GET /schedules/{name}/runs?status=failed': (round) => `/schedules/${schedule(round)}/runs?status=failed`,
    'GET /schedules/{name}/runs?status=skipped': (round) =>
      `/schedules/${schedule(round)}/runs?status=skipped`,
    'GET /schedules/{name}/runs?since=&until=': (round) =>
      `/schedules/${schedule(round)}/runs?since=${instant(40)}&until=${instant(39)}`,
    'GET /runs, page by page': (_, cursor) => `/runs?limit=50${cursor ? `&cursor=${cursor}` : ''}`,
    'GET /runs?status=failed': () => '/runs?status=failed',
    'GET /runs?status=timed_out': () => '/runs?status=timed_out',
    'GET /runs?status=running': () => '/runs?status=running',
    'GET /runs?jobType=noop': () => '/runs?jobType=noop',
    'GET /runs?jobType=backup': () => '/runs?jobType=backup',
    'GET /runs?since=&until=': () => `/runs?since=${instant(40)}&until=${instant(39)}`,
    'GET /runs?schedule=&status=succeeded': (round) => `/runs?schedule=${schedule(round)}&status=succeeded`,
    ...(runs > 0 && {
      'GET /runs/{id}': (round: number) => `/runs/${rows[round % rows.length]!.id}`,
    }),
  };
  const agent = new Agent({ pipelining: 1, connections: 1 });
  const measured: Record<string, { p50Ms: number; p99Ms: number }> = {};
  try {
    for (const [name, ask] of Object.entries(asks)) {
      const tookMs: number[] = [];
      let cursor: string | null = null;
      const stopAt = performance.now() + 60_000;
      for (let round = -warmUps; round < requestsEach && performance.now() < stopAt; round += 1) {
        const startedAt = performance.now();
        const path = ask(round + warmUps, cursor);
        const { statusCode, body } = await request(node.address + path, { dispatcher: agent });
        const answer = (await body.json()) as { nextCursor?: string | null };
        const took = performance.now() - startedAt;
        if (statusCode !== 200)
          throw new Error(`${path} was answered ${statusCode}: ${JSON.stringify(answer)}`);
        cursor = answer.nextCursor ?? null;
        // One that takes seconds is not asked for hundreds of times.
        if (round >= 0 || took > 1000) tookMs.push(took);
      }
      tookMs.sort((a, b) => a - b);
      measured[name] = { p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) };
    }
  } finally {
    await agent.close();
  }
  return measured;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

function sizesOf(args: readonly string[]): ScaleSize[] {
  const full = args.includes('--full');
  const cells = args.flatMap((arg) => {
    const [, schedules, runs] = /^--cell=(\d+)x(\d+)$/.exec(arg) ?? [];
    return schedules === undefined ? [] : [{ schedules: Number(schedules), runs: Number(runs) }];
  });
  if (cells.length > 0 && !full && !args.includes('--quick')) return cells;
  const schedules = full ? [1000, 100_000, 1_000_000] : [1000, 100_000];
  const runs = full ? [0, 1_000_000, 10_000_000] : [0, 1_000_000];
  return [...schedules.flatMap((each) => runs.map((past) => ({ schedules: each, runs: past }))), ...cells];
}

if (import.meta.main) {
  const args = process.argv.slice(2);
  const results: ScaleResult[] = [];
  for (const size of sizesOf(args)) {
    const measured = await scale(size);
    results.push(measured);
    if (args.includes('--write')) await writeScale(measured);
    const { titles, rows } = scaleRows(results);
    console.log(textTable(titles, rows));
  }
  console.log(JSON.stringify(results));
}
