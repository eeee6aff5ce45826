/** POST /runs/{id}/cancel */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { SECOND } from '../support/timings.ts';
import { expectProblem, expectRefused, expectRun } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping');
});
afterAll(() => api.close());

test('a waiting run ends at once', async () => {
  const { id } = await api.trigger('ping');
  api.house.clock.advance(SECOND);
  const response = await api.post(`/runs/${id}/cancel`);
  expect(response.status).toBe(202);
  expectRun(response.body);
  expect(response.body).toMatchObject({
    id,
    status: 'cancelled',
    reason: 'cancelled_by_hand',
    startedAt: null,
    finishedAt: '2026-03-01T00:00:01.000Z',
  });
  expect((await api.get('/schedules/ping')).body).toMatchObject({ activeRuns: 0, runningRuns: [] });
  expect(await (await api.house.worker()).take()).toEqual([]);
});

test('a run that waits for its next try ends at once, too', async () => {
  const { id } = await api.trigger('ping');
  const worker = await api.house.worker();
  const [run] = await worker.take();
  await worker.fail(run!);
  expect((await api.post(`/runs/${id}/cancel`)).body).toMatchObject({
    status: 'cancelled',
    nextAttemptAt: null,
  });
});

test('a running one is told, goes on until it ends, and ends as cancelled', async () => {
  const { id } = await api.trigger('ping');
  const worker = await api.house.worker();
  const [run] = await worker.take();
  const response = await api.post(`/runs/${id}/cancel`);
  expect([response.status, response.body.status]).toEqual([202, 'running']);
  expect((await api.house.runs.get(id)).signal).toBe('cancel');
  expect((await api.post(`/runs/${id}/cancel`)).body.status).toBe('running');
  await worker.end(run!, 'cancelled', { reason: 'cancelled_by_hand' });
  expect((await api.get(`/runs/${id}`)).body).toMatchObject({
    status: 'cancelled',
    reason: 'cancelled_by_hand',
  });
});

test('cancelling again changes nothing', async () => {
  const { id } = await api.trigger('ping');
  const first = (await api.post(`/runs/${id}/cancel`)).body;
  const before = await api.snapshot();
  const second = await api.post(`/runs/${id}/cancel`);
  expect([second.status, second.body]).toEqual([202, first]);
  expect(await api.snapshot()).toEqual(before);
});

test('what has ended otherwise is a 409 that says how', async () => {
  const { id } = await api.trigger('ping');
  const worker = await api.house.worker();
  for (const run of await worker.take()) await worker.succeed(run);
  await expectRefused(api, () => api.post(`/runs/${id}/cancel`), {
    status: 409,
    code: 'conflict',
    words: 'has already ended as succeeded',
  });
});

test('a skipped one is a 409: there is nothing to cancel', async () => {
  await api.trigger('ping');
  const { id } = await api.trigger('ping');
  await expectRefused(api, () => api.post(`/runs/${id}/cancel`), { status: 409, words: 'ended as skipped' });
});

test('a run of a schedule that was deleted can still be cancelled', async () => {
  await api.create('gone', { job: noop });
  const { id } = await api.trigger('gone');
  await (await api.house.worker()).take();
  await api.delete('/schedules/gone');
  expect((await api.post(`/runs/${id}/cancel`)).status).toBe(202);
});

test('what is no id is a 400, what is nobody’s a 404', async () => {
  expectProblem(await api.post('/runs/ping/cancel'), { status: 400, pointers: ['{id}'] });
  expectProblem(await api.post('/runs/018f2f6e-7a00-7000-8000-000000000001/cancel'), { status: 404 });
});

test('an unknown field is a 400', async () => {
  const { id } = await api.trigger('ping');
  await expectRefused(api, () => api.post(`/runs/${id}/cancel`, { force: true }), {
    status: 400,
    pointers: ['/force'],
  });
});
