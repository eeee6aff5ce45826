/** PATCH /schedules/{id}: a JSON merge patch (RFC 7396) */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
const full = {
  description: 'Every quarter of an hour.',
  labels: { team: 'data', tier: '1' },
  every: '900s',
  offset: '90s',
  timezone: 'Europe/Berlin',
  jitter: '60s',
  catchUpWindow: '1d',
  maxRuns: 10,
  job: {
    type: 'echo',
    input: { text: 'hello', tags: { a: '1', b: '2' } },
    timeout: '120s',
    retry: { maxAttempts: 3, initialInterval: '60s', maxInterval: '300s' },
  },
};
beforeEach(async () => {
  await api.reset();
  await api.create('ping', full);
});
afterAll(() => api.close());

const current = async () => (await api.get('/schedules/ping')).body;

test('what is omitted stays, to the letter', async () => {
  const before = await current();
  api.house.clock.advance(1_000);
  const response = await api.patch('/schedules/ping', { description: 'New.' });
  expect(response.status).toBe(200);
  expectSchedule(response.body, 'every', 'offset');
  expect(response.body).toEqual({
    ...before,
    description: 'New.',
    version: 2,
    updatedAt: '2026-03-01T00:00:01.000Z',
  });
  expect(response.body).toMatchObject({ every: '900s', offset: '90s', jitter: '60s', catchUpWindow: '1d' });
  expect(await current()).toEqual(response.body);
});

test('null takes a field back to its default', async () => {
  const { body } = await api.patch('/schedules/ping', {
    description: null,
    labels: null,
    timezone: null,
    jitter: null,
    offset: null,
    catchUpWindow: null,
    maxRuns: null,
    job: { timeout: null, retry: null },
  });
  expect(body).toMatchObject({
    description: '',
    labels: {},
    timezone: 'UTC',
    jitter: null,
    catchUpWindow: '24h',
    maxRuns: null,
    job: { timeout: '1m', retry: { maxAttempts: 5, initialInterval: '1s', maxInterval: '10s' } },
  });
  expect(body).not.toHaveProperty('offset');
});

test('objects are merged, and null inside takes one key away', async () => {
  const { body } = await api.patch('/schedules/ping', {
    labels: { tier: null, zone: 'eu' },
    job: { input: { tags: { a: null, c: '3' } }, retry: { maxAttempts: 9 } },
  });
  expect(body).toMatchObject({
    labels: { team: 'data', zone: 'eu' },
    job: {
      input: { text: 'hello', tags: { b: '2', c: '3' } },
      retry: { maxAttempts: 9, initialInterval: '60s', maxInterval: '300s' },
    },
  });
  expect(body.labels).not.toHaveProperty('tier');
});

test('the trigger changes in one step when the old one is set to null', async () => {
  const { body } = await api.patch('/schedules/ping', { every: null, offset: null, cron: '0 3 * * *' });
  expectSchedule(body, 'cron');
  expect(body).toMatchObject({ cron: '0 3 * * *', nextRunAt: '2026-03-01T02:00:00.000Z' });
});

test('a patch that says what is so already is no change', async () => {
  const before = await current();
  api.house.clock.advance(1_000);
  for (const patch of [{}, { jitter: '60s' }, { labels: { team: 'data' } }, { job: { type: 'echo' } }]) {
    const response = await api.patch('/schedules/ping', patch);
    expect(response.status).toBe(200);
    expect(response.body).toEqual(before);
  }
});

test('a schedule can be renamed, and its old name is free', async () => {
  const { id } = await current();
  const { body } = await api.patch(`/schedules/${id}`, { name: 'pong' });
  expect(body).toMatchObject({ id, name: 'pong' });
  expect((await api.get('/schedules/ping')).status).toBe(404);
  await api.create('ping');
});

test.each([
  'application/merge-patch+json',
  'application/json',
  'application/x-www-form-urlencoded',
  'text/plain',
])('it is read under the type %s', async (type) => {
  const response = await api.agent.patch('/schedules/ping').set('content-type', type).send('{"maxRuns":5}');
  expect(response.body.maxRuns).toBe(5);
});

test('a JSON Patch (RFC 6902) is a 415 that names the other kind', async () => {
  const type = 'application/json-patch+json';
  const request = () => api.agent.patch('/schedules/ping').set('content-type', type).send('[]');
  await expectRefused(api, request, { status: 415, words: 'application/merge-patch+json' });
});

test('a fire that waits for the old trigger and has not started is withdrawn', async () => {
  await api.create('quick', { every: '1m' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const { body } = await api.patch('/schedules/quick', { every: '1h' });
  expect(body).toMatchObject({ activeRuns: 0, nextRunAt: '2026-03-01T01:00:00.000Z' });
  expect((await api.get('/schedules/quick/runs')).body.items).toEqual([
    expect.objectContaining({ status: 'cancelled', reason: 'rescheduled' }),
  ]);
});

test('a change that is not about time leaves waiting runs and the next time alone', async () => {
  await api.create('quick', { every: '1m' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const { body } = await api.patch('/schedules/quick', { description: 'x', timezone: 'Asia/Tokyo' });
  expect(body).toMatchObject({ activeRuns: 1, nextRunAt: '2026-03-01T00:02:00.000Z' });
});

test('a new last time that has passed is a 400', async () => {
  await expectRefused(api, () => api.patch('/schedules/ping', { endAt: '2026-02-01T00:00:00Z' }), {
    status: 400,
    pointers: ['/endAt'],
  });
});

test('a stopped schedule is final: a 409', async () => {
  await api.post('/schedules/ping/stop');
  await expectRefused(api, () => api.patch('/schedules/ping', { description: 'x' }), {
    status: 409,
    words: 'is stopped, which is final',
  });
});

test('a name that is nobody’s is a 404', async () => {
  expectProblem(await api.patch('/schedules/nowhere', {}), { status: 404 });
});
