/**
 * What a fire and a look cost beside more schedules and a longer history, each in turns with the smallest house on the same
 * server, so that a slow minute of the machine is one of both. `--quick` (the default) is 1 k and 100 k schedules with 0
 * and 1 M past runs, ten minutes; `--full` goes to 1 M schedules and 10 M runs, three quarters of an hour and 20 GB;
 * `--cell=100000x1000000` adds single ones. `--write` puts the cells into bench/scale.json, from where the next
 * `npm run bench` has them.
 */
import pg from 'pg';
import { Agent, request } from 'undici';
import { openDatabase } from '../src/db/client.ts';
import { claimDue } from '../src/db/fire-store.ts';
import { migrate } from '../src/db/migrate.ts';
import { textTable } from './report.ts';
import { writeScale } from './scale-file.ts';
import { type Beside, type ScaleResult, type ScaleSize, scaleRows } from './scale-report.ts';
import {
  type BenchDatabase,
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
const requestsEach = 600;
const warmUps = 60;
/** A list that takes seconds is not asked for hundreds of times. */
const requestsSecondsMax = 60;
const dayMs = 86_400_000;
const smallest: ScaleSize = { schedules: 1000, runs: 0 };
const smallestWithRuns: ScaleSize = { schedules: 1000, runs: 1_000_000 };

/** A house of a size: a database of its own on the one server, and a node. */
type House = { size: ScaleSize; url: string; pool: pg.Pool; node: BenchNode };

export async function scale(size: ScaleSize): Promise<ScaleResult> {
  await using opened = new AsyncDisposableStack();
  const database = await startDatabase();
  opened.defer(database.stop);
  const startedAt = performance.now();
  const here = await seedHouse(opened, database, 'here', size);
  const seedSeconds = (performance.now() - startedAt) / 1000;
  const least = await seedHouse(opened, database, 'least', smallest);
  const alike = size.runs > 0 ? await seedHouse(opened, database, 'alike', smallestWithRuns) : least;
  await database.pool.query('checkpoint');
  const requests = await measureRequests(await openHouse(opened, here), await openHouse(opened, alike));
  const result = { ...size, seedSeconds, claimMs: null, dispatchPerSecond: null, requests };
  const houses = [await openHouse(opened, here), await openHouse(opened, least)] as const;
  const herds: Beside[][] = [];
  try {
    for (let round = 0; round < herdRounds; round += 1) herds.push(await herdsOf(houses, round));
  } catch (error) {
    if (!(error instanceof TooSlow)) throw error;
    console.warn(error.message);
    return { ...result, measuredAt: new Date().toISOString() };
  }
  const [claimMs, seconds] = [0, 1].map((at) => middle(herds.map((herd) => herd[at]!))) as [Beside, Beside];
  const dispatchPerSecond = { here: herdSize / seconds.here, least: herdSize / seconds.least };
  return { ...result, measuredAt: new Date().toISOString(), claimMs, dispatchPerSecond };
}

/** Nothing was measured of a herd; what was measured before is not lost with it. */
class TooSlow extends Error {}

type Seeded = Omit<House, 'node'> & { dataDir: string; node?: BenchNode };

async function seedHouse(
  opened: AsyncDisposableStack,
  database: BenchDatabase,
  name: string,
  size: ScaleSize,
): Promise<Seeded> {
  await database.pool.query(`create database ${name}`);
  const url = new URL(database.url);
  url.pathname = `/${name}`;
  await migrate(url.href);
  // As the house reads it: what polls for the end of a herd must not read the whole history each time.
  const pool = new pg.Pool({ connectionString: url.href, max: 2, options: '-c enable_seqscan=off' });
  pool.on('error', () => {});
  opened.defer(() => pool.end());
  await seed(pool, size);
  return { size, url: url.href, pool, dataDir: database.dataDir };
}

/** Its node is started when it is needed first: one that looks after a million schedules is not quite nothing. */
async function openHouse(opened: AsyncDisposableStack, house: Seeded): Promise<House> {
  if (house.node === undefined) {
    house.node = await startNode(house, { CARILLON_ROLES: 'api,dispatcher' });
    opened.defer(house.node.stop);
  }
  return { ...house, node: house.node };
}

/** Schedules of which a hundred are stopped and a hundred belong to a team, whatever the size; their runs of the last 80 days. */
async function seed(pool: pg.Pool, { schedules, runs }: ScaleSize): Promise<void> {
  const nowMs = await databaseNow(pool);
  await insertSchedules(pool, {
    prefix: 'past-',
    count: schedules,
    firstMs: nowMs + 7 * dayMs,
    spreadMs: dayMs,
  });
  await pool.query(
    `update schedules set labels = case when n % $1 = 1 then '{"team":"data"}'::jsonb else labels end,
      status = case when n % $1 = 2 then 'stopped' else status end
    from (select id as of, substr(name, 6)::int as n from schedules) x where of = id and n % $1 in (1, 2)`,
    [schedules / 100],
  );
  if (runs > 0) {
    const past = { prefix: 'past-', schedules, runs, fromMs: nowMs - 80 * dayMs, untilMs: nowMs - 60_000 };
    await insertHistory(pool, past);
  }
  await pool.query('vacuum analyze');
}

/** A herd in the one, then in the other; their claims are tried in turns before, and taken back. */
async function herdsOf(
  houses: readonly [House, House],
  round: number,
): Promise<[claimMs: Beside, seconds: Beside]> {
  const leadMs = 15_000 + Math.max(...houses.map(({ size }) => size.schedules)) / 30;
  const firstMs = Math.ceil(((await databaseNow(houses[0].pool)) + leadMs) / 1000) * 1000;
  const dueMs = [firstMs, firstMs + 3000] as const;
  for (const [at, { pool }] of houses.entries()) {
    await insertSchedules(pool, { prefix: `herd-${round}-`, count: herdSize, firstMs: dueMs[at]! });
    await pool.query('analyze schedules, schedule_states');
  }
  const claimMs = await claimsOf([houses[0].url, dueMs[0]], [houses[1].url, dueMs[1]]);
  const here = await dispatchOf(houses[0].pool, dueMs[0]);
  return [claimMs, { here, least: await dispatchOf(houses[1].pool, dueMs[1]) }];
}

/** Seconds from the due instant until the last is dispatched. */
async function dispatchOf(pool: pg.Pool, dueMs: number): Promise<number> {
  const leadMs = dueMs - (await databaseNow(pool));
  if (leadMs < 500) throw new TooSlow('The machine is too slow for this lead; no herd was measured.');
  await pause(leadMs);
  for (;;) {
    const { rows } = await pool.query(
      `select exists (select from schedule_states where due_at <= to_timestamp($1::float8 / 1000)) as busy,
        extract(epoch from clock_timestamp())::float8 * 1000 as ms`,
      [dueMs],
    );
    if (!rows[0].busy) return (rows[0].ms - dueMs) / 1000;
    if (rows[0].ms > dueMs + 60_000) throw new Error('the herd was not dispatched after a minute');
    await pause(5);
  }
}

async function claimsOf(...ends: [url: string, dueMs: number][]): Promise<Beside> {
  await using opened = new AsyncDisposableStack();
  const claims = ends.map(([url, dueMs]) => {
    const { db, close } = openDatabase({ url, connectionsMax: 1, name: 'bench', onFault: console.error });
    opened.defer(close);
    return { db, dueMs, tookMs: [] as number[] };
  });
  class Undone extends Error {}
  for (let round = 0; round < claimRounds; round += 1) {
    for (const { db, dueMs, tookMs } of claims) {
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
  }
  return { here: median(claims[0]!.tookMs), least: median(claims[1]!.tookMs) };
}

type Ask = (round: number, cursor: string | null) => string;

async function asksOf({ pool, size: { schedules, runs } }: House): Promise<Record<string, Ask>> {
  const { rows } = await pool.query<{ id: string }>(
    `select id from runs where id > (lpad(to_hex(($1::float8)::bigint), 12, '0') || '70008000000000000000')::uuid order by id limit 300`,
    [(await databaseNow(pool)) - 40 * dayMs],
  );
  const schedule = (round: number) => `past-${1 + ((round * 7919) % schedules)}`;
  const instant = (daysAgo: number) => new Date(Date.now() - daysAgo * dayMs).toISOString();
  return {
    'GET /schedules/{name}': (round) => `/schedules/${schedule(round)}`,
    'GET /schedules, page by page': (_, cursor) => `/schedules?limit=50${cursor ? `&cursor=${cursor}` : ''}`,
    'GET /schedules?status=stopped': () => '/schedules?status=stopped',
    'GET /schedules?label=': () => '/schedules?label=team:data',
    'GET /schedules?jobType=': () => '/schedules?jobType=noop',
    'GET /schedules?lastStatus=failed': () => '/schedules?lastStatus=failed&limit=10',
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
}

/** Each request to the one, then to the other. */
async function measureRequests(here: House, alike: House): Promise<ScaleResult['requests']> {
  await using opened = new AsyncDisposableStack();
  const ends = await Promise.all(
    [here, alike].map(async (house) => {
      const agent = new Agent({ pipelining: 1, connections: 1 });
      opened.defer(() => agent.close());
      return { address: house.node.address, agent, asks: await asksOf(house) };
    }),
  );
  const measured: Record<string, { p50Ms: Beside; p99Ms: Beside }> = {};
  for (const name of Object.keys(ends[0]!.asks)) {
    const askers = ends.map(({ address, agent, asks }) => ({
      ask: asker(address, agent, asks[name]!),
      tookMs: [] as number[],
    }));
    const stopAt = performance.now() + requestsSecondsMax * 1000;
    for (let round = -warmUps; round < requestsEach && performance.now() < stopAt; round += 1) {
      for (const { ask, tookMs } of askers) {
        const took = await ask(round + warmUps);
        if (round >= 0 || took > 1000) tookMs.push(took);
      }
    }
    const at = (share: number): Beside => {
      const [first, other] = askers.map(({ tookMs }) =>
        quantile(
          tookMs.toSorted((a, b) => a - b),
          share,
        ),
      );
      return { here: first!, least: other! };
    };
    measured[name] = { p50Ms: at(0.5), p99Ms: at(0.99) };
  }
  return measured;
}

/** One request after the other, each page behind the one before: milliseconds. */
function asker(address: string, dispatcher: Agent, ask: Ask): (round: number) => Promise<number> {
  let cursor: string | null = null;
  return async (round) => {
    const startedAt = performance.now();
    const path = ask(round, cursor);
    const { statusCode, body } = await request(address + path, { dispatcher });
    const answer = (await body.json()) as { nextCursor?: string | null };
    const tookMs = performance.now() - startedAt;
    if (statusCode !== 200) throw new Error(`${path} was answered ${statusCode}: ${JSON.stringify(answer)}`);
    cursor = answer.nextCursor ?? null;
    return tookMs;
  };
}

/** Of rounds the medians. */
function middle(rounds: readonly Beside[]): Beside {
  return { here: median(rounds.map(({ here }) => here)), least: median(rounds.map(({ least }) => least)) };
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
