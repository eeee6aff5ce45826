/** A large table to an empty one of another database, beside a plain COPY into a COPY. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { type Bench, openSession, type Session, us } from './measurement.ts';
import { type BenchDatabase, startDatabase, startNode } from './support/bench-service.ts';
import { hasPrograms } from './support/machine.ts';
import { call, runOnce } from './support/run-call.ts';

const copyPeer = 'COPY | COPY';

const table = `create table orders (id bigint primary key, customer integer not null, name text not null,
  amount numeric(12,2) not null, note text, changed timestamptz not null)`;
const fill = `insert into orders select g, g % 10000, 'order number ' || g, g * 1.25, case when g % 3 = 0 then null else
  'a note of some length about ' || g end, '2026-01-01T00:00:00Z'::timestamptz + g * interval '1 millisecond'
  from generate_series(1, $1::int) g`;

export const syncBench: Bench = {
  name: 'sync',
  about:
    'A table of 1,000,000 rows to an empty one of another database on the same server, with a primary key on both. Ours from the trigger to the end of the run, the start of its process included; the peer is psql twice with a pipe between.',
  figures: {
    rowsPerSecond: { title: 'copied', unit: 'rows/s' },
    rssMb: { title: 'RSS of the run, at its most', unit: 'MB' },
  },
  goals: [{ figure: 'rowsPerSecond', least: 0.4, against: copyPeer }],
  secondsAbout: 110,
  open: ({ isQuick }) => open(isQuick ? 10_000 : 1_000_000),
};

function open(rows: number): Promise<Session> {
  return openSession(async (opened) => {
    const database = await startDatabase();
    opened.defer(database.stop);
    const from = await createPlace(database, 'bench_from');
    const to = await createPlace(database, 'bench_to');
    await withClient(from, async (client) => {
      await client.query(fill, [rows]);
      await client.query('create index on orders (changed, id)');
      await client.query('vacuum analyze orders');
    });
    const node = await startNode(database);
    opened.defer(node.stop);
    const password = new URL(from).password;
    await call(node, '/secrets/db', { value: decodeURIComponent(password) }, 'PUT');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: It is a reference to a secret.
    const hidden = (url: string) => url.replace(`:${password}@`, ':${secret:db}@');
    let turn = 0;
    const ours = async () => {
      turn += 1;
      await clear(database, to);
      const input = {
        source: { url: hidden(from), table: 'orders', watermark: 'changed', key: 'id' },
        target: { url: hidden(to), table: 'orders' },
      };
      const ran = await runOnce(node, `sync-${turn}`, { type: 'sync', input });
      await checkArrived(to, rows);
      return { rowsPerSecond: rows / ran.seconds, rssMb: ran.rssMb };
    };
    const peer = async () => {
      await clear(database, to);
      const seconds = await copy(from, to);
      await checkArrived(to, rows);
      return { rowsPerSecond: rows / seconds };
    };
    return [
      { name: us, round: ours },
      { name: copyPeer, round: peer, ...(!hasPrograms('psql') && { absent: 'there is no psql here' }) },
    ];
  });
}

/** What is left to write of the last round is not what this one costs. */
async function clear(database: BenchDatabase, to: string): Promise<void> {
  await withClient(to, (client) => client.query('truncate orders'));
  await database.pool.query('checkpoint');
}

async function checkArrived(to: string, rows: number): Promise<void> {
  const { rows: counted } = await withClient(to, (client) =>
    client.query('select count(*)::int as n from orders'),
  );
  if (counted[0].n !== rows) throw new Error(`${counted[0].n} rows arrived of ${rows}`);
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

/** Seconds from the start of both programs to the end of both. */
async function copy(from: string, to: string): Promise<number> {
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
