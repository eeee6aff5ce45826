/** GET /runs/{id} */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { HOUR, MINUTE, SECOND } from '../support/timings.ts';
import { expectProblem, expectRun } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

test('a run that succeeded tells its one attempt, its times and its output', async () => {
  const { house } = api;
  await api.create('ping', { every: '1m' });
  await house.live(MINUTE);
  await house.dispatchAll();
  const worker = await house.worker();
  house.clock.advance(50);
  const [run] = await worker.take();
  house.clock.advance(1_250);
  await worker.succeed(run!, { rows: [1, null, 'ü'] });
  const response = await api.get(`/runs/${run!.id}`);
  expect(response.status).toBe(200);
  expectRun(response.body, 'attempts', 'steps', 'progress');
  expect(response.body).toMatchObject({
    id: run!.id,
    cause: 'schedule',
    scheduledFor: '2026-03-01T00:01:00.000Z',
    createdAt: '2026-03-01T00:01:00.000Z',
    startedAt: '2026-03-01T00:01:00.050Z',
    finishedAt: '2026-03-01T00:01:01.300Z',
    durationMs: 1_250,
    status: 'succeeded',
    attempt: 1,
    maxAttempts: 5,
    output: { rows: [1, null, 'ü'] },
    error: null,
    steps: [],
  });
  expect(response.body.attempts).toEqual([
    {
      number: 1,
      startedAt: '2026-03-01T00:01:00.050Z',
      finishedAt: '2026-03-01T00:01:01.300Z',
      status: 'succeeded',
      error: null,
      worker: 'test:1',
    },
  ]);
});

test('a run that is tried again tells each attempt, its error, and when the next one comes', async () => {
  const { house } = api;
  await api.create('flaky', { job: { ...noop, retry: { maxAttempts: 2, initialInterval: '10s' } } });
  const { id } = await api.trigger('flaky');
  const worker = await house.worker();
  const [first] = await worker.take();
  house.clock.advance(SECOND);
  await worker.fail(first!, { type: 'HttpStatus' });
  const error = { type: 'HttpStatus', message: 'as the test wanted' };
  const waiting = (await api.get(`/runs/${id}`)).body;
  expect(waiting).toMatchObject({
    status: 'retrying',
    attempt: 1,
    nextAttemptAt: '2026-03-01T00:00:11.000Z',
    finishedAt: null,
    durationMs: null,
    attempts: [{ number: 1, status: 'failed', error, finishedAt: '2026-03-01T00:00:01.000Z' }],
  });

  await house.live(10 * SECOND);
  await house.dispatchAll();
  const [second] = await worker.take();
  const running = (await api.get(`/runs/${id}`)).body;
  expect(running).toMatchObject({ status: 'running', attempt: 2, nextAttemptAt: null });
  expect(running.attempts[1]).toMatchObject({ number: 2, status: 'running', finishedAt: null, error: null });

  house.clock.advance(SECOND);
  await worker.fail(second!, { timedOut: true, type: 'Timeout' });
  const ended = (await api.get(`/runs/${id}`)).body;
  expect(ended).toMatchObject({ status: 'timed_out', error: { type: 'Timeout' }, durationMs: 12_000 });
  expect(ended.attempts.map((attempt: { status: string }) => attempt.status)).toEqual([
    'failed',
    'timed_out',
  ]);
  for (const attempt of ended.attempts) {
    expect(Object.keys(attempt).sort()).toEqual(
      ['error', 'finishedAt', 'number', 'startedAt', 'status', 'worker'].sort(),
    );
  }
});

test('a run that succeeds in the end keeps the errors of its attempts and has none itself', async () => {
  await api.create('flaky');
  const { id } = await api.trigger('flaky');
  const worker = await api.house.worker();
  const [first] = await worker.take();
  await worker.fail(first!, { type: 'HttpStatus' });
  await api.house.live(SECOND);
  await api.house.dispatchAll();
  const [second] = await worker.take();
  await worker.succeed(second!);
  const { body } = await api.get(`/runs/${id}`);
  expect(body).toMatchObject({ status: 'succeeded', attempt: 2, error: null });
  expect(body.attempts).toMatchObject([
    { number: 1, status: 'failed', error: { type: 'HttpStatus' } },
    { number: 2, status: 'succeeded', error: null },
  ]);
});

test('a run that never started has no attempts', async () => {
  await api.create('ping');
  const { id } = await api.trigger('ping');
  expect((await api.get(`/runs/${id}`)).body.attempts).toEqual([]);
  const skipped = await api.trigger('ping');
  expect((await api.get(`/runs/${skipped.id}`)).body).toMatchObject({
    status: 'skipped',
    reason: 'overlap',
    attempts: [],
    startedAt: null,
    durationMs: null,
  });
});

test('a range of missed times is one entry that says how many', async () => {
  await api.create('ping', { every: '1s', catchUp: 'none' });
  await api.house.live(0);
  await api.house.down(HOUR);
  await api.house.dispatchAll();
  const items: { id: string; missed: { count: number } | null }[] = [];
  for (let next = '/runs?status=missed&limit=200'; next !== ''; ) {
    const response = await api.get(next);
    items.push(...response.body.items);
    next = /^<([^>]*)>/.exec(response.headers.link ?? '')?.[1] ?? '';
  }
  const told = items.reduce((sum, run) => sum + (run.missed?.count ?? 1), 0);
  expect(told).toBe(3_600);
  expect((await api.get('/schedules/ping')).body.counts.missed).toBe(told);
  expect(items.length).toBeLessThan(told / 5);
  const range = items.find((run) => run.missed !== null)!;
  expect(range).toMatchObject({
    status: 'missed',
    missed: { count: expect.any(Number), until: expect.any(String) },
  });
  expect((await api.get(`/runs/${range.id}`)).body.missed).toEqual(range.missed);
});

test('an id is taken in upper case, too', async () => {
  await api.create('ping');
  const { id } = await api.trigger('ping');
  expect((await api.get(`/runs/${id.toUpperCase()}`)).body.id).toBe(id);
});

test('what is no id is a 400, what is nobody’s a 404 that says how to find one', async () => {
  expectProblem(await api.get('/runs/ping'), { status: 400, code: 'invalid', pointers: ['{id}'] });
  expectProblem(await api.get('/runs/018f2f6e-7a00-7000-8000-000000000001'), {
    status: 404,
    code: 'not_found',
    words: 'GET /runs lists what is kept',
  });
});
