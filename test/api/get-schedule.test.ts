/** GET /schedules/{id} */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRun, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

test('a schedule is found by its name and by its id, in upper and lower case', async () => {
  const created = await api.create('ping');
  for (const ref of ['ping', created.id, created.id.toUpperCase()]) {
    const response = await api.get(`/schedules/${ref}`);
    expect(response.status).toBe(200);
    expect(response.type).toBe('application/json');
    expect(response.body).toEqual(created);
  }
});

test('a name in any script is found percent-encoded, its accents composed or not', async () => {
  const { id } = await api.create('每日备份-é');
  const composed = encodeURIComponent('每日备份-\u00e9');
  const decomposed = encodeURIComponent('每日备份-e\u0301');
  expect((await api.get(`/schedules/${composed}`)).body.id).toBe(id);
  expect((await api.get(`/schedules/${decomposed}`)).body.id).toBe(id);
});

test('names differ by upper and lower case', async () => {
  await api.create('Ping');
  expect((await api.get('/schedules/ping')).status).toBe(404);
});

test('it tells the times to come, and moves on with the clock', async () => {
  await api.create('ping', { every: '1m' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const { body } = await api.get('/schedules/ping');
  expect(body.nextRunAt).toBe('2026-03-01T00:02:00.000Z');
  expect(body.upcoming).toEqual([2, 3, 4, 5, 6].map((minute) => `2026-03-01T00:0${minute}:00.000Z`));
});

test('it shows the run that is active, then the one that ended last, and what was counted', async () => {
  const { house } = api;
  await api.create('ping', { every: '1m' });
  await house.live(MINUTE);
  await house.dispatchAll();
  const busy = (await api.get('/schedules/ping')).body;
  expect(busy).toMatchObject({ activeRuns: 1, lastRun: null, counts: { fired: 1, succeeded: 0 } });
  expect(busy.runningRuns).toEqual([expect.objectContaining({ status: 'queued', cause: 'schedule' })]);
  expectRun(busy.runningRuns[0]);

  const worker = await house.worker();
  const [run] = await worker.take();
  await worker.succeed(run!, { n: 1 });
  const idle = (await api.get('/schedules/ping')).body;
  expectSchedule(idle, 'every');
  expectRun(idle.lastRun);
  expect(idle).toMatchObject({
    activeRuns: 0,
    runningRuns: [],
    lastRun: { id: run!.id, status: 'succeeded', output: { n: 1 }, scheduledFor: '2026-03-01T00:01:00.000Z' },
    counts: { fired: 1, succeeded: 1, failed: 0, skipped: 0, missed: 0 },
  });
  // What runs and ends is no change of the schedule.
  expect(idle).toMatchObject({ version: 1, updatedAt: '2026-03-01T00:00:00.000Z' });
});

test('a fire that found the last run still active was skipped, and is counted so', async () => {
  await api.create('ping', { every: '1m' });
  for (let minute = 0; minute < 3; minute++) {
    await api.house.live(MINUTE);
    await api.house.dispatchAll();
  }
  expect((await api.get('/schedules/ping')).body.counts).toEqual({
    fired: 1,
    succeeded: 0,
    failed: 0,
    skipped: 2,
    missed: 0,
  });
});

test('of many active runs the newest 20 are shown, and all are counted', async () => {
  await api.create('busy');
  for (let n = 0; n < 22; n++) {
    api.house.clock.advance(1);
    await api.trigger('busy', { overlap: 'allow' });
  }
  const { body } = await api.get('/schedules/busy');
  expect(body.activeRuns).toBe(22);
  expect(body.runningRuns).toHaveLength(20);
  const times = body.runningRuns.map((run: { scheduledFor: string }) => run.scheduledFor);
  expect(times).toEqual([...times].sort().reverse());
});

test('a schedule whose times are used up is completed, and has no next one', async () => {
  await api.create('once', { at: '2026-03-01T00:01:00Z' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  expect((await api.get('/schedules/once')).body).toMatchObject({
    status: 'completed',
    nextRunAt: null,
    upcoming: [],
  });
});

test('a name that is nobody’s is a 404 that says how to find one', async () => {
  expectProblem(await api.get('/schedules/nowhere'), {
    status: 404,
    code: 'not_found',
    words: /no schedule "nowhere"\. GET \/schedules lists them/,
  });
});
