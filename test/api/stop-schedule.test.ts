/** POST /schedules/{id}/stop */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping', { overlap: 'allow' });
});
afterAll(() => api.close());

test('it answers the schedule: stopped, with the note', async () => {
  const response = await api.post('/schedules/ping/stop', { note: 'No longer needed.' });
  expect(response.status).toBe(200);
  expectSchedule(response.body, 'every');
  expect(response.body).toMatchObject({
    status: 'stopped',
    note: 'No longer needed.',
    version: 2,
    nextRunAt: null,
    upcoming: [],
  });
});

test('twice is 200 and changes nothing', async () => {
  const first = (await api.post('/schedules/ping/stop', { note: 'why' })).body;
  const before = await api.snapshot();
  for (const body of [undefined, {}, { note: 'why' }]) {
    expect((await api.post('/schedules/ping/stop', body)).body).toEqual(first);
  }
  expect(await api.snapshot()).toEqual(before);
});

test.each(['paused', 'completed'])('a schedule that is %s can be stopped', async (status) => {
  await api.create('x', { at: '2026-03-01T00:01:00Z' });
  if (status === 'paused') await api.post('/schedules/x/pause');
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  expect((await api.get('/schedules/x')).body.status).toBe(status);
  expect((await api.post('/schedules/x/stop')).body.status).toBe('stopped');
});

test('its waiting run is cancelled, its running one is told to end, and nothing fires any more', async () => {
  const { house } = api;
  const running = await api.trigger('ping');
  const worker = await house.worker();
  await worker.take();
  house.clock.advance(1_000);
  const waiting = await api.trigger('ping');

  const { body } = await api.post('/schedules/ping/stop');
  expect(body).toMatchObject({ activeRuns: 1, runningRuns: [{ id: running.id, status: 'running' }] });
  expect((await api.get(`/runs/${waiting.id}`)).body).toMatchObject({
    status: 'cancelled',
    reason: 'stopped',
  });
  expect((await house.runs.get(running.id)).signal).toBe('stop');

  await house.live(10 * MINUTE);
  expect(await house.dispatchAll()).toMatchObject({ started: 0, skipped: 0, missed: 0 });
});

test('it is final: no command brings it back', async () => {
  await api.post('/schedules/ping/stop');
  for (const [command, body] of [
    ['pause', {}],
    ['resume', {}],
    ['reschedule', { every: '5s' }],
    ['trigger', {}],
  ] as const) {
    await expectRefused(api, () => api.post(`/schedules/ping/${command}`, body), {
      status: 409,
      code: 'conflict',
      words: /"ping" is stopped, which is final\. Create a new one; to use its name again, first DELETE/,
    });
  }
});

test('a name that is nobody’s is a 404', async () => {
  expectProblem(await api.post('/schedules/nowhere/stop'), { status: 404 });
});
