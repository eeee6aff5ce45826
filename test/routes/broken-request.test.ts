import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { HttpLimits } from '../../src/app.ts';
import { ping, type StandIn, standIn } from './stand-in.ts';

let current: StandIn | undefined;
afterEach(async () => {
  await current?.app.close();
  current = undefined;
});

/** Sends the text as it is over a socket of its own, and gives everything that comes back until the service hangs up. */
async function setup(
  text: string,
  limits: Partial<HttpLimits> = {},
): Promise<{ head: string; body: string }> {
  current = await standIn({ limits });
  await current.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = current.app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => {
    answer += String(chunk);
  });
  socket.write(text);
  await once(socket, 'close');
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  return { head, body };
}

const brisk = { headersTimeoutMs: 60, requestTimeoutMs: 80, timeoutCheckIntervalMs: 10 };

test('a request whose head never ends is answered with 408 and cut off', async () => {
  const { head, body } = await setup('GET /schedules HTTP/1.1\r\nHost: x\r\nX-Slow: ', brisk);
  expect(head).toMatch(/^HTTP\/1\.1 408 Request Timeout/);
  expect(head).toMatch(/content-type: application\/problem\+json/i);
  expect(JSON.parse(body)).toMatchObject({ status: 408, code: 'request_timeout' });
});

test('a request whose body never ends is cut off as well', async () => {
  const { head } = await setup(
    'POST /schedules HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"na',
    brisk,
  );
  expect(head).toMatch(/^HTTP\/1\.1 408/);
  expect(current?.calls).toEqual([]);
});

test('what is no HTTP is a 400 problem', async () => {
  const { head, body } = await setup('HELO there\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 400 Bad Request/);
  const problem = JSON.parse(body);
  expect(problem).toMatchObject({ status: 400, code: 'malformed_request' });
  expect(head).toContain(problem.requestId);
});

test('headers of a megabyte are a 431 problem', async () => {
  const { head, body } = await setup(`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'y'.repeat(1_000_000)}\r\n\r\n`);
  expect(head).toMatch(/^HTTP\/1\.1 431/);
  expect(JSON.parse(body)).toMatchObject({ status: 431, code: 'headers_too_large' });
});

test('a connection that says nothing is closed', async () => {
  const { head } = await setup('', { ...brisk, idleTimeoutMs: 60 });
  expect(head).toMatch(/^$|408/);
});

test('a body that grows beyond the limit without a length is a 413', async () => {
  const chunk = `${(60_000).toString(16)}\r\n${' '.repeat(60_000)}\r\n`;
  const { head } = await setup(
    `POST /schedules HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(20)}0\r\n\r\n`,
  );
  expect(head).toMatch(/^HTTP\/1\.1 413/);
  expect(head).toMatch(/connection: close/i);
});

test('a request in pieces is read as one', async () => {
  const body = JSON.stringify(ping);
  const { head } = await setup(
    `POST /schedules HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  expect(head).toMatch(/^HTTP\/1\.1 201/);
});
