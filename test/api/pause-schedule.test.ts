/** POST /schedules/{id}/pause */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping');
});
afterAll(() => api.close());

test('it answers the schedule: paused, with the note, and with no time to come', async () => {
  api.house.clock.advance(1_000);
  const response = await api.post('/schedules/ping/pause', { note: 'The target is being moved.' });
  expect(response.status).toBe(200);
  expectSchedule(response.body, 'every');
  expect(response.body).toMatchObject({
    status: 'paused',
    note: 'The target is being moved.',
    version: 2,
    updatedAt: '2026-03-01T00:00:01.000Z',
    nextRunAt: null,
    upcoming: [],
  });
  expect((await api.get('/schedules/ping')).body).toEqual(response.body);
});

test('an empty body will do, with a content type and without', async () => {
  for (const name of ['a', 'b', 'c', 'd']) await api.create(name);
  const types = ['application/json', 'application/x-www-form-urlencoded', 'text/plain'];
  for (const [index, type] of types.entries()) {
    const response = await api.agent.post(`/schedules/${'abc'[index]}/pause`).set('content-type', type);
    expect(response.body).toMatchObject({ status: 'paused', note: null });
  }
  expect((await api.post('/schedules/d/pause')).body.status).toBe('paused');
});

test('twice is 200 and changes nothing; a new note alone is told', async () => {
  const first = (await api.post('/schedules/ping/pause', { note: 'why' })).body;
  api.house.clock.advance(1_000);
  expect((await api.post('/schedules/ping/pause')).body).toEqual(first);
  expect((await api.post('/schedules/ping/pause', { note: 'why' })).body).toEqual(first);
  expect((await api.post('/schedules/ping/pause', { note: 'another' })).body).toMatchObject({
    status: 'paused',
    note: 'another',
    version: 3,
  });
});

test('nothing fires until it is resumed, and none of it is missed', async () => {
  await api.post('/schedules/ping/pause');
  await api.house.live(10 * MINUTE);
  await api.house.dispatchAll();
  const { body } = await api.post('/schedules/ping/resume');
  expect(body).toMatchObject({ counts: { fired: 0, missed: 0, skipped: 0 } });
  expect((await api.get('/schedules/ping/runs')).body.items).toEqual([]);
});

test('a run that waits goes on, since pausing is about what fires', async () => {
  await api.trigger('ping');
  expect((await api.post('/schedules/ping/pause')).body).toMatchObject({
    activeRuns: 1,
    runningRuns: [{ status: 'queued' }],
  });
});

test('a fire that was due before has its run before the pause', async () => {
  await api.house.live(MINUTE);
  const { body } = await api.post('/schedules/ping/pause');
  expect(body).toMatchObject({ status: 'paused', counts: { fired: 1 } });
});

test('a note may hold anything that is text', async () => {
  const note = `'; drop table schedules; -- "引号" 🔔\n\t<b>`;
  expect((await api.post('/schedules/ping/pause', { note })).body.note).toBe(note);
});

test('what is stopped or completed cannot be paused: a 409 that says what to do', async () => {
  await api.post('/schedules/ping/stop');
  await expectRefused(api, () => api.post('/schedules/ping/pause'), {
    status: 409,
    code: 'conflict',
    words: /stopped, which is final\. Create a new one/,
  });
  await api.create('once', { at: '2026-03-01T00:01:00Z' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  await expectRefused(api, () => api.post('/schedules/once/pause'), {
    status: 409,
    words: /completed.*Reschedule it first/,
  });
});

test('a name that is nobody’s is a 404', async () => {
  expectProblem(await api.post('/schedules/nowhere/pause'), { status: 404, words: '"nowhere"' });
});
