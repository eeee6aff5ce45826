/** The proxy itself: it passes on what it should, and each of its faults is one. */
import { createServer, type Socket } from 'node:net';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { createFrontendReader, startProxy } from '../../chaos/proxy.ts';
import { createTestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait-for.ts';

async function setup() {
  const database = await createTestDatabase();
  const url = new URL(database.url);
  const proxy = await startProxy(Number(url.port), url.hostname);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const clients: pg.Client[] = [];
  onTestFinished(async () => {
    proxy.cut();
    await Promise.all(clients.map((client) => client.end().catch(() => undefined)));
    await proxy.close();
    await database.drop();
  });
  const connect = async () => {
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    clients.push(client);
    await client.connect();
    return client;
  };
  return { proxy, connect };
}

it('loses the answer of a commit that has happened', async () => {
  const { proxy, connect } = await setup();
  const client = await connect();
  await client.query('create table notes (text text)');
  proxy.loseAnswerOf = ({ what }) => what === 'commit';
  await client.query('begin');
  await client.query("insert into notes values ('kept')");
  await expect(client.query('commit')).rejects.toThrow();
  expect(proxy.lostAnswers).toBe(1);
  const { rows } = await (await connect()).query('select text from notes');
  expect(rows).toEqual([{ text: 'kept' }]);
});

it('sees prepared statements by their names, before and after', async () => {
  const { proxy, connect } = await setup();
  const client = await connect();
  const seen: string[] = [];
  proxy.onEdge = ({ what }, when) => seen.push(`${what} ${when}`);
  await client.query({ name: 'one', text: 'select $1::int', values: [1] });
  await client.query({ name: 'one', text: 'select $1::int', values: [2] });
  expect(seen).toEqual(['one sent', 'one answered', 'one sent', 'one answered']);
});

it('swallows both ways while half-open, and resets what it swallowed from when that ends', async () => {
  const { proxy, connect } = await setup();
  const [used, idle] = [await connect(), await connect()];
  proxy.setMode({ kind: 'half_open' });
  let outcome = 'none';
  const asked = used.query('select 1').then(
    () => {
      outcome = 'answered';
    },
    () => {
      outcome = 'reset';
    },
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(outcome).toBe('none');
  proxy.setMode({ kind: 'pass' });
  await asked;
  expect(outcome).toBe('reset');
  expect((await idle.query('select 2 as n')).rows).toEqual([{ n: 2 }]);
});

it('is as slow as it is told, and keeps the order', async () => {
  const { proxy, connect } = await setup();
  const client = await connect();
  let delayMs = 60;
  proxy.setMode({ kind: 'slow', delayMs: () => delayMs });
  const before = performance.now();
  await client.query('select 1');
  expect(performance.now() - before).toBeGreaterThanOrEqual(115);
  const answers = [1, 2, 3].map((n) => {
    delayMs = 60 - n * 15;
    return client.query('select $1::int as n', [n]);
  });
  proxy.setMode({ kind: 'pass' });
  expect((await Promise.all(answers)).map(({ rows }) => rows[0].n)).toEqual([1, 2, 3]);
});

it('refuses, and cuts', async () => {
  const { proxy, connect } = await setup();
  const client = await connect();
  const ended = new Promise((resolve) => client.once('end', resolve));
  proxy.cut();
  await ended;
  proxy.setMode({ kind: 'refuse' });
  await expect(connect()).rejects.toThrow();
  proxy.setMode({ kind: 'pass' });
  expect((await (await connect()).query('select 3 as n')).rows).toEqual([{ n: 3 }]);
});

it('closes the one side when the other has ended', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await startProxy((server.address() as { port: number }).port);
  onTestFinished(async () => {
    await proxy.close();
    server.close();
  });
  const client = new pg.Client({ host: '127.0.0.1', port: proxy.port });
  const failed = client.connect().catch((error) => error);
  await waitFor(() => sockets.length === 1);
  sockets[0]!.destroy();
  expect(await failed).toBeInstanceOf(Error);
});

it('reads messages whatever the pieces that they come in', () => {
  const message = (type: string, ...texts: string[]) => {
    const body = Buffer.concat(texts.map((text) => Buffer.from(`${text}\0`)));
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const startup = Buffer.from([0, 0, 0, 8, 0, 3, 0, 0]);
  const all = Buffer.concat([
    startup,
    message('Q', 'select commit'),
    message('Q', 'BEGIN'),
    message('P', 'x', ' commit'),
    message('B', '', 'end_runs', 'rest'),
    message('B', '', '', 'rest'),
    message('Q', 'commit'),
  ]);
  for (const size of [1, 2, 7, all.length]) {
    const read = createFrontendReader();
    const found: string[] = [];
    for (let from = 0; from < all.length; from += size) {
      found.push(...read(all.subarray(from, from + size)).map((edge) => edge.what));
    }
    expect(found).toEqual(['begin', 'commit', 'end_runs', 'commit']);
  }
});
