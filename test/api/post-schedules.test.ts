/** POST /schedules */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { expectRefused, expectSchedule, id, noCounts } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

const ping = { name: 'ping', every: '5s', job: noop };

test('the least that a schedule needs is answered with all that it has', async () => {
  const response = await api.post('/schedules', ping);
  expect(response.status).toBe(201);
  expect(response.type).toBe('application/json');
  expect(response.headers.location).toBe(`/schedules/${response.body.id}`);
  expectSchedule(response.body, 'every');
  expect(response.body).toEqual({
    id,
    name: 'ping',
    description: '',
    labels: {},
    every: '5s',
    timezone: 'UTC',
    dst: { gap: 'run', repeat: 'auto' },
    startAt: null,
    endAt: null,
    maxRuns: null,
    exclude: [],
    only: [],
    onExcluded: 'skip',
    jitter: null,
    overlap: 'skip',
    catchUp: 'latest',
    catchUpWindow: '24h',
    pauseAfterFailures: null,
    notify: [],
    lateAfter: null,
    job: {
      type: 'noop',
      input: {},
      taskQueue: 'default',
      timeout: '1m',
      retry: {
        maxAttempts: 5,
        initialInterval: '1s',
        maxInterval: '10s',
        backoffCoefficient: 2,
        nonRetryableErrorTypes: ['InvalidConfiguration'],
      },
    },
    status: 'active',
    note: null,
    pauses: [],
    version: 1,
    createdAt: '2026-03-01T00:00:00.000Z',
    updatedAt: '2026-03-01T00:00:00.000Z',
    nextRunAt: '2026-03-01T00:00:05.000Z',
    upcoming: [
      '2026-03-01T00:00:05.000Z',
      '2026-03-01T00:00:10.000Z',
      '2026-03-01T00:00:15.000Z',
      '2026-03-01T00:00:20.000Z',
      '2026-03-01T00:00:25.000Z',
    ],
    lastRun: null,
    runningRuns: [],
    activeRuns: 0,
    heldRuns: 0,
    deleteAfterCompletion: null,
    counts: noCounts,
    fault: null,
  });
});

/** Everything that the contract lets a caller say, but for what this version cannot do yet. */
const everything = {
  name: 'daily-backup',
  description: 'Every night.',
  labels: { team: 'data', tier: '1' },
  cron: ['0 2 * * *', '30 14 * * 1-5'],
  timezone: 'Asia/Shanghai',
  dst: { gap: 'skip', repeat: 'both' },
  startAt: '2026-04-01T00:00:00.000Z',
  endAt: '2027-04-01T00:00:00.000Z',
  maxRuns: 100,
  exclude: ['2026-12-24', '2026-12-25..2026-12-31', '* * * * 6'],
  only: ['* 0-18 * * *'],
  onExcluded: 'next_allowed',
  jitter: '30s',
  overlap: 'allow',
  catchUp: 'all',
  catchUpWindow: '48h',
  pauseAfterFailures: 3,
  job: {
    type: 'echo',
    input: { text: 'hello', tags: { a: '1' } },
    taskQueue: 'backup',
    timeout: '1h',
    retry: {
      maxAttempts: 3,
      initialInterval: '60s',
      maxInterval: '300s',
      backoffCoefficient: 2,
      nonRetryableErrorTypes: ['InvalidConfiguration'],
    },
  },
};

test('everything that can be said of a schedule is answered as it was said', async () => {
  const response = await api.post('/schedules', everything);
  expect(response.status).toBe(201);
  expectSchedule(response.body, 'cron');
  expect(response.body).toMatchObject(everything);
  expect(response.body.nextRunAt).toBe('2026-04-01T06:30:00.000Z');
  expect((await api.get('/schedules/daily-backup')).body).toEqual(response.body);
});

test.each([
  ['cron', { cron: '*/15 * * * *' }, '2026-03-01T00:15:00.000Z'],
  ['cron with seconds', { cron: '*/10 * * * * *' }, '2026-03-01T00:00:10.000Z'],
  ['a list of crons', { cron: ['0 3 * * *', '0 1 * * *'] }, '2026-03-01T01:00:00.000Z'],
  ['every', { every: '15m' }, '2026-03-01T00:15:00.000Z'],
  ['every with an offset', { every: '15m', offset: '2m' }, '2026-03-01T00:02:00.000Z'],
  ['delay', { delay: '10m' }, '2026-03-01T00:00:00.000Z'],
  ['at', { at: '2026-12-24T17:00:00.000Z' }, '2026-12-24T17:00:00.000Z'],
  [
    'a list of ats',
    { at: ['2026-12-24T17:00:00.000Z', '2026-12-25T17:00:00.000Z'] },
    '2026-12-24T17:00:00.000Z',
  ],
])('a trigger by %s is answered in its own fields, with the time that comes next', async (_what, trigger, next) => {
  const response = await api.post('/schedules', { name: 'x', job: noop, ...trigger });
  expectSchedule(response.body, ...Object.keys(trigger));
  expect(response.body).toMatchObject({ ...trigger, nextRunAt: next });
});

test('times come in with any offset and go out in UTC', async () => {
  const { body } = await api.post('/schedules', {
    name: 'party',
    at: '2026-12-24T18:00:00+01:00',
    startAt: '2026-12-01T00:00:00-05:00',
    endAt: '2026-12-31T23:59:59.5Z',
    job: noop,
  });
  expect(body).toMatchObject({
    at: '2026-12-24T17:00:00.000Z',
    startAt: '2026-12-01T05:00:00.000Z',
    endAt: '2026-12-31T23:59:59.500Z',
  });
});

test('durations are answered as they were written, ISO 8601 in the simple form', async () => {
  const body = await api.create('slow', {
    every: 'PT15M',
    offset: '90s',
    jitter: '60s',
    catchUpWindow: '1d',
    job: { ...noop, timeout: '120m', retry: { initialInterval: 'PT90S', maxInterval: '300s' } },
  });
  const shown = {
    every: '15m',
    offset: '90s',
    jitter: '60s',
    catchUpWindow: '1d',
    job: { timeout: '120m', retry: { initialInterval: '1m30s', maxInterval: '300s' } },
  };
  expect(body).toMatchObject(shown);
  expect((await api.get('/schedules/slow')).body).toMatchObject(shown);
  expect((await api.get('/schedules')).body.items[0]).toMatchObject(shown);
});

test('what is answered can be posted again under another name, without what is read-only', async () => {
  const first = (await api.post('/schedules', everything)).body;
  const { lastRun, runningRuns, activeRuns, heldRuns, counts, fault, upcoming, nextRunAt, ...rest } = first;
  const { id: _id, status, note, pauses, version, createdAt, updatedAt, ...definition } = rest;
  const second = (await api.post('/schedules', { ...definition, name: 'copy' })).body;
  expect({ ...second, id: first.id, name: first.name }).toEqual(first);
});

test('a job type of the house is checked by its own rules and kept as it was given', async () => {
  const input = { url: 'https://example.com/hook', headers: { 'X-A': 'b' }, body: { n: [1, null, 'ü'] } };
  const body = await api.create('call', { job: { type: 'task', input } });
  expect(body.job).toEqual({
    type: 'task',
    input,
    taskQueue: 'default',
    timeout: '1h',
    retry: {
      maxAttempts: 3,
      initialInterval: '5s',
      maxInterval: '5m',
      backoffCoefficient: 2,
      nonRetryableErrorTypes: ['InvalidConfiguration'],
    },
  });
});

describe('a name that is taken', () => {
  test('is a 409 that points at the name and says what to do', async () => {
    await api.create('ping');
    await expectRefused(api, () => api.post('/schedules', ping), {
      status: 409,
      code: 'conflict',
      pointers: ['/name'],
      words: /"ping" is taken.*PUT \/schedules\/ping/,
    });
  });

  test('is a 409 in another way of writing the same letters, too', async () => {
    await api.create('caf\u00e9');
    await expectRefused(api, () => api.post('/schedules', { ...ping, name: 'cafe\u0301' }), { status: 409 });
  });

  test('is free again when its schedule was deleted', async () => {
    await api.create('ping');
    await api.delete('/schedules/ping');
    expect((await api.post('/schedules', ping)).status).toBe(201);
  });

  test('is given to one only, when many ask for it at once', async () => {
    const responses = await Promise.all(Array.from({ length: 8 }, () => api.post('/schedules', ping)));
    expect(responses.map((response) => response.status).sort()).toEqual([201, ...Array(7).fill(409)]);
    expect((await api.get('/schedules')).body.items).toHaveLength(1);
  });
});

test.each([
  'PREVIEW',
  'Pause',
  'daily.backup',
  'a',
  '0',
  'x'.repeat(128),
  '每日备份',
  'ночной_отчёт-1',
])('a schedule may be called %s', async (name) => {
  const created = await api.create(name);
  expect(created.name).toBe(name);
  expect((await api.get(`/schedules/${encodeURIComponent(name)}`)).body.id).toBe(created.id);
});

test('a time that has passed is a 400, since it would never fire', async () => {
  for (const trigger of [
    { at: '2020-01-01T00:00:00Z' },
    { every: '5s', endAt: '2020-01-01T00:00:00Z' },
    { cron: '0 0 1 1 *', endAt: '2026-12-31T00:00:00Z' },
  ]) {
    await expectRefused(api, () => api.post('/schedules', { name: 'past', job: noop, ...trigger }), {
      status: 400,
      code: 'invalid',
      words: 'at least one time to come',
    });
  }
});
