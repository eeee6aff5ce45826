/** POST /schedules/{id}/resume */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping', { overlap: 'allow' });
  await api.post('/schedules/ping/pause', { note: 'why' });
  await api.house.live(5.5 * MINUTE);
});
afterAll(() => api.close());

const times = async () =>
  (await api.get('/schedules/ping/runs')).body.items.map((run: { scheduledFor: string }) => run.scheduledFor);

test('it answers the schedule: active again from now on, its note taken away', async () => {
  const response = await api.post('/schedules/ping/resume');
  expect(response.status).toBe(200);
  expectSchedule(response.body, 'every');
  expect(response.body).toMatchObject({
    status: 'active',
    note: null,
    version: 3,
    nextRunAt: '2026-03-01T00:06:00.000Z',
  });
  expect(await times()).toEqual([]);
});

test.each([
  ['none', []],
  ['latest', [5]],
  ['all', [5, 4, 3, 2, 1]],
])('catchUp "%s" says what becomes of the times inside the pause', async (catchUp, minutes) => {
  const { body } = await api.post('/schedules/ping/resume', { catchUp });
  expect(await times()).toEqual(minutes.map((minute) => `2026-03-01T00:0${minute}:00.000Z`));
  expect(body.counts).toMatchObject({ fired: minutes.length, missed: 0, skipped: 0 });
  for (const run of (await api.get('/schedules/ping/runs')).body.items) {
    expect(run).toMatchObject({ cause: 'catch_up', status: 'queued' });
  }
});

test('what is active already stays as it is, whatever catch-up is asked for', async () => {
  const first = (await api.post('/schedules/ping/resume')).body;
  const before = await api.snapshot();
  for (const body of [undefined, {}, { catchUp: 'all' }]) {
    const response = await api.post('/schedules/ping/resume', body);
    expect(response.status).toBe(200);
    expect(response.body).toEqual(first);
  }
  expect(await api.snapshot()).toEqual(before);
});

test('a schedule whose last time passed in the pause is completed', async () => {
  await api.create('once', { at: '2026-03-01T00:06:00Z' });
  await api.post('/schedules/once/pause');
  await api.house.live(MINUTE);
  expect((await api.post('/schedules/once/resume')).body).toMatchObject({
    status: 'completed',
    nextRunAt: null,
  });
});

test('what is stopped cannot be resumed: a 409', async () => {
  await api.post('/schedules/ping/stop');
  await expectRefused(api, () => api.post('/schedules/ping/resume'), {
    status: 409,
    code: 'conflict',
    words: 'is stopped, which is final',
  });
});

test('a name that is nobody’s is a 404', async () => {
  expectProblem(await api.post('/schedules/nowhere/resume'), { status: 404 });
});
