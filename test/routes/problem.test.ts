import { Writable } from 'node:stream';
import pino from 'pino';
import { expect, test } from 'vitest';
import { conflict, DomainError, type ErrorCode, invalidAll } from '../../src/errors.ts';
import { problemSchema, toAnswer } from '../../src/routes/problem.ts';
import { ping, standIn } from './stand-in.ts';

const setup = (thrown: unknown) =>
  standIn({
    schedules: {
      get: async () => {
        throw thrown;
      },
    },
  });

test.each<[ErrorCode, number]>([
  ['invalid', 400],
  ['not_found', 404],
  ['conflict', 409],
  ['precondition_failed', 412],
])('a domain fault "%s" is a %i that keeps its words and fields', async (code, status) => {
  const { app } = await setup(
    new DomainError(code, 'Not so.', [{ pointer: '/job/input', detail: 'Not so.' }]),
  );
  const response = await app.inject('/schedules/ping');
  expect(response.statusCode).toBe(status);
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  const problem = problemSchema.strict().parse(response.json());
  expect(problem).toMatchObject({
    type: 'about:blank',
    status,
    code,
    detail: 'Not so.',
    errors: [{ pointer: '/job/input', detail: 'Not so.' }],
  });
  expect(response.headers['x-request-id']).toBe(problem.requestId);
});

test('a fault of our own is a 500 that tells nothing but the request id, under which it is logged', async () => {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const { app } = await standIn({
    logger: pino({ level: 'error' }, sink),
    schedules: {
      get: async () => {
        throw new TypeError('secret of the house');
      },
    },
  });
  const response = await app.inject('/schedules/ping');
  expect(response.statusCode).toBe(500);
  expect(response.body).not.toMatch(/secret|TypeError|\.ts|stack/);
  const { code, requestId } = response.json();
  expect(code).toBe('internal');
  expect(lines.join('')).toContain('secret of the house');
  expect(lines.join('')).toContain(requestId);
});

test('something thrown that is no Error is a 500 too', async () => {
  const { app } = await setup('a string');
  expect((await app.inject('/schedules/ping')).json()).toMatchObject({ status: 500, code: 'internal' });
});

test.each([
  ['a refused connection', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })],
  ['an administrator shutting Postgres down', Object.assign(new Error('terminating'), { code: '57P01' })],
  ['Postgres starting up', Object.assign(new Error('starting'), { code: '57P03' })],
  ['a connection that ended', new Error('Connection terminated unexpectedly')],
  ['an answer that does not come', new Error('Query read timeout')],
  ['a standby', Object.assign(new Error('cannot execute INSERT'), { code: '25006' })],
  ['a disk that is full', Object.assign(new Error('could not extend file'), { code: '53100' })],
  [
    'a fault that wraps one',
    new Error('Failed query', { cause: Object.assign(new Error(), { code: '08006' }) }),
  ],
  ['one of several', new AggregateError([Object.assign(new Error(), { code: 'ECONNREFUSED' })])],
])('%s is a 503 that may be tried again', async (_what, thrown) => {
  const { app } = await setup(thrown);
  const response = await app.inject('/schedules/ping');
  expect(response.json()).toMatchObject({ status: 503, code: 'unavailable' });
  expect(response.headers['retry-after']).toBe('2');
});

test.each([
  '42P01',
  '23505',
  'ERR_SOMETHING',
])('an error of code %s is a 500, not an outage', async (code) => {
  const { app } = await setup(Object.assign(new Error('no'), { code }));
  expect((await app.inject('/schedules/ping')).statusCode).toBe(500);
});

test('all mistakes are told at once, and each is told once in the detail', () => {
  const detail = 'Only one may be given.';
  const { problem } = toAnswer(
    invalidAll([
      { pointer: '/cron', detail },
      { pointer: '/every', detail },
      { pointer: '/name', detail: '`name` is required.' },
    ]),
  );
  expect(problem.detail).toBe('Only one may be given. `name` is required.');
  expect(problem.errors).toHaveLength(3);
});

test('of very many mistakes the first fifty are listed, and the rest is counted', () => {
  const issues = Array.from({ length: 1_000 }, (_, index) => ({
    pointer: `/at/${index}`,
    detail: `No ${index}.`,
  }));
  const { problem } = toAnswer(invalidAll(issues));
  expect(problem.errors).toHaveLength(50);
  expect(problem.detail).toMatch(/No 49\. And 950 more\.$/);
});

test('a conflict keeps its own words when it also names a field', () => {
  const { problem } = toAnswer(conflict('Taken, choose another.', [{ pointer: '/name', detail: 'taken' }]));
  expect(problem).toMatchObject({ status: 409, detail: 'Taken, choose another.' });
});

test('a fault in the middle of one request leaves the next one alone', async () => {
  const { app } = await setup(new Error('once'));
  await app.inject('/schedules/ping');
  expect((await app.inject({ method: 'POST', url: '/schedules', payload: ping })).statusCode).toBe(201);
});
