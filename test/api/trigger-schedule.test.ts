/** POST /schedules/{id}/trigger */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, expectRun, id } from './wire-shapes.ts';

const api = await setupApi();
const echo = { type: 'echo', input: { text: 'hello', tags: { a: '1', b: '2' } } };
beforeEach(async () => {
  await api.reset();
  await api.create('ping', { job: echo });
});
afterAll(() => api.close());

test('it answers 202 with the run, and its path', async () => {
  api.house.clock.advance(1_500);
  const schedule = (await api.get('/schedules/ping')).body;
  const response = await api.post('/schedules/ping/trigger');
  expect(response.status).toBe(202);
  expect(response.headers.location).toBe(`/runs/${response.body.id}`);
  expectRun(response.body);
  expect(response.body).toEqual({
    id,
    scheduleId: schedule.id,
    scheduleName: 'ping',
    scheduleVersion: 1,
    jobType: 'echo',
    taskQueue: 'echoes',
    cause: 'manual',
    backfillId: null,
    scheduledFor: '2026-03-01T00:00:01.500Z',
    dueAt: '2026-03-01T00:00:01.500Z',
    createdAt: '2026-03-01T00:00:01.500Z',
    startedAt: null,
    finishedAt: null,
    durationMs: null,
    status: 'queued',
    reason: null,
    attempt: 1,
    maxAttempts: 5,
    nextAttemptAt: null,
    input: echo.input,
    output: null,
    error: null,
    missed: null,
  });
  expect((await api.get(response.headers.location!)).body).toMatchObject(response.body);
});

test('it does not move the schedule, but counts as active', async () => {
  const before = (await api.get('/schedules/ping')).body;
  const run = await api.trigger('ping');
  const after = (await api.get('/schedules/ping')).body;
  expect(after).toEqual({ ...before, activeRuns: 1, runningRuns: [run] });
});

test('an input is a merge patch on the schedule’s, for this run only', async () => {
  const run = await api.trigger('ping', { input: { text: 'bye', tags: { a: null, c: '3' } } });
  expect(run.input).toEqual({ text: 'bye', tags: { b: '2', c: '3' } });
  expect((await api.get('/schedules/ping')).body.job.input).toEqual(echo.input);
  expect((await api.trigger('ping', { overlap: 'allow' })).input).toEqual(echo.input);
});

test('a second one goes by the overlap policy: skipped, with the reason', async () => {
  await api.trigger('ping');
  const second = await api.trigger('ping');
  expect(second).toMatchObject({
    status: 'skipped',
    reason: 'overlap',
    finishedAt: '2026-03-01T00:00:00.000Z',
  });
  expect((await api.get('/schedules/ping')).body).toMatchObject({ activeRuns: 1, counts: { skipped: 1 } });
});

test('another overlap policy may be asked for', async () => {
  await api.create('many', { overlap: 'allow' });
  await api.trigger('ping');
  expect(await api.trigger('ping', { overlap: 'allow' })).toMatchObject({ status: 'queued' });
  await api.trigger('many');
  expect(await api.trigger('many', { overlap: 'skip' })).toMatchObject({ status: 'skipped' });
});

test('what is paused or completed can still be run by hand', async () => {
  await api.post('/schedules/ping/pause');
  expect(await api.trigger('ping')).toMatchObject({ status: 'queued' });
  expect((await api.get('/schedules/ping')).body.status).toBe('paused');
  await api.create('once', { at: '2026-03-01T00:01:00Z', overlap: 'allow' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  expect((await api.get('/schedules/once')).body.status).toBe('completed');
  expect(await api.trigger('once')).toMatchObject({ status: 'queued', cause: 'manual' });
});

test('an input that does not fit its job is a 400 that names the field', async () => {
  await expectRefused(api, () => api.post('/schedules/ping/trigger', { input: { text: null, loud: true } }), {
    status: 400,
    code: 'invalid',
    pointers: ['/input/text', '/input/loud'],
    words: '`input.text` is required. `input.loud` is not a known field',
  });
});

test('a stopped one is a 409', async () => {
  await api.post('/schedules/ping/stop');
  await expectRefused(api, () => api.post('/schedules/ping/trigger'), { status: 409, words: 'is stopped' });
});

test('a name that is nobody’s is a 404', async () => {
  expectProblem(await api.post('/schedules/nowhere/trigger'), { status: 404 });
});
