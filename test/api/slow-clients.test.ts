/** Clients that are slow, cut off, greedy or many: others are answered meanwhile, memory stays bounded, and they are let go. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unansweredMax } from '../../src/routes/pipelining.ts';
import { noop, setupApi } from '../support/api-house.ts';
import { waitFor } from '../support/wait-for.ts';

const limits = {
  headersTimeoutMs: 400,
  requestTimeoutMs: 600,
  timeoutCheckIntervalMs: 50,
  idleTimeoutMs: 1000,
  keepAliveTimeoutMs: 800,
};
const api = await setupApi({ limits });
const port = Number(new URL(api.address).port);
beforeEach(() => api.reset());
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});
afterAll(() => api.close());

type Client = {
  socket: Socket;
  /** What has come back so far. */
  readonly answer: string;
  /** Everything, once the service has hung up. */
  whole: Promise<string>;
};

async function open({ reads = true } = {}): Promise<Client> {
  const socket = connect(port, '127.0.0.1');
  sockets.add(socket);
  let answer = '';
  socket.on('error', () => {});
  if (reads) {
    socket.on('data', (chunk) => {
      answer += chunk;
    });
  }
  const whole = new Promise<string>((resolve) => socket.once('close', () => resolve(answer)));
  await once(socket, 'connect');
  return {
    socket,
    get answer() {
      return answer;
    },
    whole,
  };
}

/** A byte per turn, so that something always arrives. */
function drip(socket: Socket, byte: string): void {
  const next = () => socket.destroyed || socket.write(byte, () => setImmediate(next));
  next();
}

const post = (name: string, more = '') => {
  const body = JSON.stringify({ name, every: '1h', job: noop });
  return `POST /schedules HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
};
const get = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
const statuses = (answer: string) =>
  [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
const names = async () => (await api.get('/schedules')).body.items.map((item: { name: string }) => item.name);

describe('a client that drips', () => {
  test.each([
    ['its head', 'GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ', 'a'],
    ['headers', 'GET /healthz HTTP/1.1\r\nHost: x\r\n', 'A: b\r\n'],
    ['its request line', 'GET /', 'a'],
    ['blank lines before it', '', '\r\n'],
    ['its body', 'POST /schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n', ' '],
    ['chunks', 'POST /schedules HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\n \r\n'],
  ])('%s is told so and cut off, however busy the line', async (_what, first, then) => {
    const { socket, whole } = await open();
    const startedAtMs = performance.now();
    socket.write(first);
    drip(socket, then);
    expect(statuses(await whole)[0]).toSatisfy((status) => [408, 431].includes(status as number));
    expect(performance.now() - startedAtMs).toBeLessThan(10_000);
  });
});

describe('a request that is cut', () => {
  const whole = post('cut');

  test('anywhere before its end leaves no row, and harms nobody', async () => {
    const before = await api.snapshot();
    for (const length of [1, 10, 40, whole.indexOf('\r\n\r\n') + 4, whole.length - 1]) {
      for (const how of ['end', 'destroy', 'resetAndDestroy'] as const) {
        const { socket, whole: told } = await open();
        socket.write(whole.slice(0, length), () => socket[how]());
        await told;
      }
    }
    expect((await api.get('/healthz')).status).toBe(200);
    expect(await api.snapshot()).toEqual(before);
  });

  test('after its end is carried out, though nobody hears the answer', async () => {
    const { socket } = await open();
    socket.write(whole, () => socket.resetAndDestroy());
    await waitFor(async () => (await names()).length === 1);
  });

  test('in its answer harms nobody', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { socket } = await open();
      socket.write('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(socket, 'data');
      socket.resetAndDestroy();
    }
    expect((await api.get('/healthz')).status).toBe(200);
  });
});

describe('requests in one go', () => {
  test('are answered in their order', async () => {
    const client = await open();
    const mixed = [post('a'), get, 'GET /nope HTTP/1.1\r\nHost: x\r\n\r\n', post('b'), get];
    client.socket.write(mixed.join(''));
    await waitFor(() => statuses(client.answer).length === mixed.length);
    expect(statuses(client.answer)).toEqual([201, 200, 404, 201, 200]);
    expect((await names()).sort()).toEqual(['a', 'b']);
  });

  test('end with the first that is broken: what follows it is not carried out', async () => {
    const client = await open();
    client.socket.write(`${get}BROKEN\r\n\r\n${post('smuggled')}`);
    expect(statuses(await client.whole).at(-1)).toBe(400);
    expect(await names()).toEqual([]);
  });

  test.each([
    ['two lengths', 'Content-Length: 0\r\n'],
    ['a length and chunks', 'Transfer-Encoding: chunked\r\n'],
    ['an encoding nobody knows', 'Transfer-Encoding: xchunked\r\n'],
    ['a header with a blank in its name', 'Content-Length : 0\r\n'],
    ['a folded header', 'X-A: b\r\n c\r\nTransfer-Encoding:\r\n chunked\r\n'],
    ['a bare line feed', 'X-A: b\nTransfer-Encoding: chunked\r\n'],
    ['a null character', 'X-A: \0\r\n'],
  ])('with %s are refused, since they mean another thing to others', async (_what, header) => {
    const client = await open();
    client.socket.write(post('smuggled', header) + post('second'));
    expect(statuses(await client.whole)).toEqual([400]);
    expect(await names()).toEqual([]);
  });

  test('are answered up to a number, and then refused with an end to the connection', async () => {
    const client = await open();
    client.socket.write(get.repeat(unansweredMax + 5));
    const told = statuses(await client.whole);
    expect(told).toEqual([...Array(unansweredMax).fill(200), 429]);
    expect(client.answer).toContain('"code":"too_many_requests"');
  });

  test('are answered one after the other, however many', async () => {
    const client = await open();
    for (let asked = 1; asked <= unansweredMax * 2; asked += 1) {
      client.socket.write(get);
      await once(client.socket, 'data');
    }
    expect(new Set(statuses(client.answer))).toEqual(new Set([200]));
  });

  test('of a client that reads no answer are not all kept in memory, and it is cut off', async () => {
    const { socket, whole } = await open({ reads: false });
    const before = process.memoryUsage().rss;
    // Some 180 KB each: a gigabyte, if all were made at once.
    socket.write('GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(6000));
    // Who does not read hears of the end by writing.
    drip(socket, '\n');
    await whole;
    expect((process.memoryUsage().rss - before) / 1_048_576).toBeLessThan(100);
    expect((await api.get('/healthz')).status).toBe(200);
  });
});

test('a thousand connections at once, slow in every way, hold up nobody and are all let go', async () => {
  const rssBefore = process.memoryUsage().rss;
  const ways = [
    '',
    'GET /sched',
    'GET /schedules HTTP/1.1\r\nHost: x\r\nX-A: ',
    `POST /schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n${' '.repeat(10_000)}`,
    'POST /schedules HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n',
  ];
  const clients = await Promise.all(
    Array.from({ length: 1000 }, async (_, index) => {
      const client = await open();
      client.socket.write(ways[index % ways.length]!);
      return client;
    }),
  );
  const waitsMs: number[] = [];
  for (let asked = 0; asked < 20; asked += 1) {
    const askedAtMs = performance.now();
    expect((await api.post('/schedules', { name: `s${asked}`, every: '1h', job: noop })).status).toBe(201);
    waitsMs.push(performance.now() - askedAtMs);
  }
  expect(waitsMs.sort((a, b) => a - b)[10]).toBeLessThan(500);
  // Both ends of each connection are in this process.
  expect((process.memoryUsage().rss - rssBefore) / 1_048_576).toBeLessThan(200);
  const answers = await Promise.all(clients.map((client) => client.whole));
  // Whoever began a request is told why it is over.
  expect(new Set(answers.slice(1, 4).flatMap(statuses))).toEqual(new Set([408]));
  expect(await names()).toHaveLength(20);
});
