/** POST /schedules/{id}/reschedule */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping', { every: '90s', offset: '45s', timezone: 'Asia/Shanghai', jitter: '30s' });
});
afterAll(() => api.close());

describe('the new trigger is in force at once', () => {
  test.each<[string, Record<string, unknown>, string[], string]>([
    ['cron', { cron: '*/10 * * * * *' }, ['cron'], '2026-03-01T00:00:10.000Z'],
    ['cron in its own zone', { cron: '0 9 * * *' }, ['cron'], '2026-03-01T01:00:00.000Z'],
    [
      'cron in another',
      { cron: '0 9 * * *', timezone: 'Europe/Berlin' },
      ['cron'],
      '2026-03-01T08:00:00.000Z',
    ],
    ['every', { every: '7m' }, ['every'], '2026-03-01T00:06:00.000Z'],
    [
      'every with an offset',
      { every: '10m', offset: '60s' },
      ['every', 'offset'],
      '2026-03-01T00:01:00.000Z',
    ],
    ['at', { at: '2026-03-01T12:00:00.000Z' }, ['at'], '2026-03-01T12:00:00.000Z'],
  ])('%s', async (_what, body, fields, next) => {
    const response = await api.post('/schedules/ping/reschedule', body);
    expect(response.status).toBe(200);
    expectSchedule(response.body, ...fields);
    expect(response.body).toMatchObject({
      timezone: 'Asia/Shanghai',
      ...body,
      jitter: '30s',
      version: 2,
      nextRunAt: next,
    });
    expect((await api.get('/schedules/ping')).body).toEqual(response.body);
  });
});

test('the same again changes nothing', async () => {
  const first = (await api.post('/schedules/ping/reschedule', { cron: '0 9 * * *' })).body;
  const before = await api.snapshot();
  expect((await api.post('/schedules/ping/reschedule', { cron: '0 9 * * *' })).body).toEqual(first);
  expect(await api.snapshot()).toEqual(before);
});

test('a fire that is queued for the old trigger and has not started is withdrawn', async () => {
  await api.create('quick', { every: '1m' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const { body } = await api.post('/schedules/quick/reschedule', { every: '1h' });
  expect(body).toMatchObject({ activeRuns: 0, nextRunAt: '2026-03-01T01:00:00.000Z' });
  expect((await api.get('/schedules/quick/runs')).body.items).toEqual([
    expect.objectContaining({ status: 'cancelled', reason: 'rescheduled' }),
  ]);
});

test('a run that has started goes on, and so does one that was asked for by hand', async () => {
  await api.create('quick', { every: '1m', overlap: 'allow' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const worker = await api.house.worker();
  await worker.take();
  const byHand = await api.trigger('quick');
  const { body } = await api.post('/schedules/quick/reschedule', { every: '1h' });
  expect(body.runningRuns.map((run: { status: string }) => run.status).sort()).toEqual(['queued', 'running']);
  expect(body.runningRuns.map((run: { id: string }) => run.id)).toContain(byHand.id);
});

test('a bound is kept unless it is said anew; null takes it away', async () => {
  await api.create('bounded', { cron: '0 0 * * *', endAt: '2026-04-01T00:00:00.000Z' });
  const reschedule = async (body: object) => (await api.post('/schedules/bounded/reschedule', body)).body;
  expect(await reschedule({ every: '1h' })).toMatchObject({ endAt: '2026-04-01T00:00:00.000Z' });
  expect(await reschedule({ every: '1h', endAt: null })).toMatchObject({ endAt: null });
});

test('a completed schedule is active again, a paused one stays paused', async () => {
  await api.create('once', { at: '2026-03-01T00:01:00Z' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  await api.post('/schedules/ping/pause');
  expect((await api.post('/schedules/once/reschedule', { every: '1h' })).body.status).toBe('active');
  expect((await api.post('/schedules/ping/reschedule', { every: '1h' })).body).toMatchObject({
    status: 'paused',
    nextRunAt: null,
    every: '1h',
  });
});

test('curl -d without a content type is understood', async () => {
  const response = await api.agent
    .post('/schedules/ping/reschedule')
    .set('content-type', 'application/x-www-form-urlencoded')
    .send('{"cron":"*/10 * * * * *"}');
  expect(response.body).toMatchObject({ cron: '*/10 * * * * *' });
});

test('a trigger without a time to come is a 400, and the old one stays', async () => {
  for (const [body, pointer] of [
    [{ at: '2020-01-01T00:00:00Z' }, '/at'],
    [{ every: '1m', endAt: '2020-01-01T00:00:00Z' }, '/endAt'],
    [{ every: '1m', startAt: '2027-01-01T00:00:00Z', endAt: '2026-12-01T00:00:00Z' }, '/endAt'],
  ] as const) {
    await expectRefused(api, () => api.post('/schedules/ping/reschedule', body), {
      status: 400,
      pointers: [pointer],
    });
  }
});

test('a name that is nobody’s is a 404', async () => {
  expectProblem(await api.post('/schedules/nowhere/reschedule', { every: '1h' }), { status: 404 });
});
