/** POST /runs/{id}/retry */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, expectRun } from './wire-shapes.ts';

const api = await setupApi();
let failed: string;
beforeEach(async () => {
  const { house } = api;
  await api.reset();
  house.served.push('echoes');
  await api.create('ping', {
    every: '1m',
    job: { type: 'echo', input: { text: 'hello' }, retry: { maxAttempts: 1 } },
  });
  const { id } = await api.trigger('ping', { input: { text: 'by hand' } });
  const worker = await house.worker();
  for (const run of await worker.take()) await worker.fail(run);
  failed = id;
  house.clock.advance(MINUTE / 2);
});
afterAll(() => api.close());

test('it answers 202 with a new run, which has the nominal time and the input of the old one', async () => {
  const response = await api.post(`/runs/${failed}/retry`);
  expect(response.status).toBe(202);
  expectRun(response.body);
  expect(response.headers.location).toBe(`/runs/${response.body.id}`);
  expect(response.body.id).not.toBe(failed);
  expect(response.body).toMatchObject({
    cause: 'retry',
    status: 'queued',
    scheduledFor: '2026-03-01T00:00:00.000Z',
    createdAt: '2026-03-01T00:00:30.000Z',
    attempt: 1,
    maxAttempts: 1,
    input: { text: 'by hand' },
    output: null,
    error: null,
  });
  expect((await api.get(`/runs/${failed}`)).body.status).toBe('failed');
  expect((await api.get('/schedules/ping')).body.activeRuns).toBe(1);
});

test('it can be taken and done', async () => {
  const { body } = await api.post(`/runs/${failed}/retry`);
  const worker = await api.house.worker();
  const [run] = await worker.take();
  expect(run!.id).toBe(body.id);
  await worker.succeed(run!, { text: 'by hand' });
  expect((await api.get(`/runs/${body.id}`)).body).toMatchObject({ status: 'succeeded' });
  expect((await api.get('/schedules/ping')).body.activeRuns).toBe(0);
});

test('each asking makes one more: a retry is no state', async () => {
  const first = (await api.post(`/runs/${failed}/retry`)).body;
  const second = (await api.post(`/runs/${failed}/retry`)).body;
  expect(first.id).not.toBe(second.id);
});

test('a run of a schedule that was deleted can be run again', async () => {
  await api.delete('/schedules/ping');
  expect((await api.post(`/runs/${failed}/retry`)).body).toMatchObject({
    status: 'queued',
    scheduleName: 'ping',
  });
});

test('a run that is still active is a 409 that says what to do', async () => {
  const { id } = await api.trigger('ping');
  await expectRefused(api, () => api.post(`/runs/${id}/retry`), {
    status: 409,
    code: 'conflict',
    words: new RegExp(`still queued.*POST /runs/${id}/cancel`),
  });
});

test('what is no id is a 400, what is nobody’s a 404', async () => {
  expectProblem(await api.post('/runs/ping/retry'), { status: 400, pointers: ['{id}'] });
  expectProblem(await api.post('/runs/018f2f6e-7a00-7000-8000-000000000001/retry'), { status: 404 });
});

test('an unknown field is a 400', async () => {
  await expectRefused(api, () => api.post(`/runs/${failed}/retry`, { input: {} }), {
    status: 400,
    pointers: ['/input'],
  });
});

test('a run of a stopped schedule is a 409: stopped is final', async () => {
  await api.post('/schedules/ping/stop');
  await expectRefused(api, () => api.post(`/runs/${failed}/retry`), {
    status: 409,
    code: 'conflict',
    words: 'stopped, which is final',
  });
});
