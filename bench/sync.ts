/** A large table to an empty one of another database: how fast, in how much memory, and beside a plain COPY | COPY. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { type BenchDatabase, pause, rssMb, startDatabase, startNode } from './support/bench-service.ts';

export type SyncResult = {
  rows: number;
  /** From the trigger to the recorded end of the run. */
  seconds: number;
  rowsPerSecond: number;
  /** Of the process of the run, at its most. */
  rssMb: number;
  /** The same rows by `COPY … TO STDOUT` into `COPY … FROM STDIN`; null where there is no psql. */
  copySeconds: number | null;
  ratio: number | null;
};

const table = `create table orders (id bigint primary key, customer integer not null, name text not null,
  amount numeric(12,2) not null, note text, changed timestamptz not null)`;
const fill = `insert into orders select g, g % 10000, 'order number ' || g, g * 1.25, case when g % 3 = 0 then null else
  'a note of some length about ' || g end, '2026-01-01T00:00:00Z'::timestamptz + g * interval '1 millisecond'
  from generate_series(1, $1::int) g`;

export async function sync(options: { rows: number }): Promise<SyncResult> {
  const database = await startDatabase();
  try {
    const from = await createPlace(database, 'bench_from');
    const to = await createPlace(database, 'bench_to');
    await withClient(from, async (client) => {
      await client.query(fill, [options.rows]);
      await client.query('create index on orders (changed, id)');
      await client.query('vacuum analyze orders');
    });
    const copySeconds = await copy(from, to);
    await withClient(to, (client) => client.query('truncate orders'));
    await database.pool.query('checkpoint');
    const measured = await run(database, from, to);
    const { rows } = await withClient(to, (client) => client.query('select count(*)::int as n from orders'));
    if (rows[0].n !== options.rows) throw new Error(`${rows[0].n} rows arrived`);
    return {
      rows: options.rows,
      ...measured,
      rowsPerSecond: options.rows / measured.seconds,
      copySeconds,
      ratio: copySeconds === null ? null : copySeconds / measured.seconds,
    };
  } finally {
    await database.stop();
  }
}

async function createPlace(database: BenchDatabase, name: string): Promise<string> {
  await database.pool.query(`create database ${name}`);
  const url = new URL(database.url);
  url.pathname = `/${name}`;
  await withClient(url.href, (client) => client.query(table));
  return url.href;
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function run(
  database: BenchDatabase,
  from: string,
  to: string,
): Promise<{ seconds: number; rssMb: number }> {
  const node = await startNode(database.url);
  try {
    const password = new URL(from).password;
    await call(`${node.address}/secrets/db`, { value: decodeURIComponent(password) }, 'PUT');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: It is a reference to a secret.
    const hidden = (url: string) => url.replace(`:${password}@`, ':${secret:db}@');
    const input = {
      source: { url: hidden(from), table: 'orders', watermark: 'changed', key: 'id' },
      target: { url: hidden(to), table: 'orders' },
    };
    await call(`${node.address}/schedules`, {
      name: 's',
      at: '2999-01-01T00:00:00Z',
      job: { type: 'sync', input },
    });
    const startedAt = performance.now();
    const { id } = await call(`${node.address}/schedules/s/trigger`, {});
    let most = 0;
    for (;;) {
      for (const pid of await childrenOf(node.pid)) most = Math.max(most, await rssMb(pid).catch(() => 0));
      const ended = await call(`${node.address}/runs/${id}`);
      if (ended.status === 'failed') throw new Error(JSON.stringify(ended.error));
      if (ended.status === 'succeeded')
        return { seconds: (performance.now() - startedAt) / 1000, rssMb: most };
      await pause(50);
    }
  } finally {
    await node.stop();
  }
}

/** The peer: psql twice, and a pipe. */
async function copy(from: string, to: string): Promise<number | null> {
  if (spawnSync('psql', ['--version']).status !== 0) return null;
  const start = (url: string, command: string, stdio: 'ignore' | 'pipe') =>
    spawn('psql', ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--command', command, url], {
      stdio: [stdio, 'pipe', 'inherit'],
    });
  const startedAt = performance.now();
  const out = start(from, 'copy orders to stdout', 'ignore');
  const into = start(to, 'copy orders from stdin', 'pipe');
  const ended = Promise.all([once(out, 'close'), once(into, 'close')]);
  await pipeline(out.stdout!, into.stdin!);
  for (const [code] of await ended) if (code !== 0) throw new Error(`psql ended with ${code}`);
  return (performance.now() - startedAt) / 1000;
}

type Answer = { id: string; status: string; error: unknown };

async function call(url: string, body?: object, method = 'POST'): Promise<Answer> {
  const response = await fetch(url, body === undefined ? {} : { method, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

if (import.meta.main) {
  const [rows = '1000000'] = process.argv.slice(2);
  console.log(await sync({ rows: Number(rows) }));
}
