import { describe, expect, test } from 'vitest';
import { pageOf } from '../../src/routes/page-wire.ts';
import { logLineAnswer, runAnswer, runDetailAnswer } from '../../src/routes/run-wire.ts';
import { nowMs, runId, runOf, scheduleId, standIn } from './stand-in.ts';

describe('GET /runs', () => {
  test('lists runs without their attempts', async () => {
    const { app } = await standIn();
    const page = pageOf(runAnswer.strict())
      .strict()
      .parse((await app.inject('/runs')).json());
    expect(page.items[0]).toEqual({
      id: runId,
      scheduleId,
      scheduleName: 'ping',
      scheduleVersion: 7,
      jobType: 'echo',
      taskQueue: 'default',
      cause: 'schedule',
      backfillId: null,
      scheduledFor: '2027-01-15T12:00:00.000Z',
      dueAt: '2027-01-15T12:00:00.250Z',
      createdAt: '2027-01-15T12:00:00.001Z',
      startedAt: '2027-01-15T12:00:00.300Z',
      finishedAt: '2027-01-15T12:00:01.550Z',
      durationMs: 1_250,
      status: 'succeeded',
      reason: null,
      attempt: 1,
      maxAttempts: 3,
      nextAttemptAt: null,
      input: { text: 'hi' },
      output: 'hi',
      error: null,
      missed: null,
    });
  });

  test('shows a range of missed times as one entry', async () => {
    const missed = runOf({
      status: 'missed',
      startedAtMs: null,
      finishedAtMs: nowMs,
      output: undefined,
      missed: { count: 100_000, untilMs: nowMs },
    });
    const { app } = await standIn({ runs: { list: async () => ({ items: [missed], next: null }) } });
    expect((await app.inject('/runs')).json().items[0]).toMatchObject({
      status: 'missed',
      durationMs: null,
      output: null,
      missed: { count: 100_000, until: '2027-01-15T12:00:00.000Z' },
    });
  });

  test.each([
    ['status=failed', { statuses: ['failed'] }],
    ['status=failed,timed_out', { statuses: ['failed', 'timed_out'] }],
    ['status=failed&status=queued,running', { statuses: ['failed', 'queued', 'running'] }],
    ['jobType=echo', { jobType: 'echo' }],
    ['schedule=ping', { schedule: 'ping' }],
    [`schedule=${scheduleId.toUpperCase()}`, { schedule: scheduleId }],
    ['since=2027-01-15T13:00:00%2B01:00', { sinceMs: nowMs }],
    ['until=2027-01-15T12:00:00Z', { untilMs: nowMs }],
  ])('hands on the filter %s', async (query, filter) => {
    const { app, calls } = await standIn();
    expect((await app.inject(`/runs?${query}`)).statusCode).toBe(200);
    expect(calls[0]?.[1]).toEqual(filter);
  });

  test.each([
    ['status=done', '?status'],
    ['status=', '?status'],
    ['status=failed,', '?status'],
    ['since=yesterday', '?since'],
    ['since=2027-01-15T13:00:00 0100', '?since'],
    ['until=2027-02-30T00:00:00Z', '?until'],
    ['when=now', '?when'],
  ])('refuses the filter %s', async (query, pointer) => {
    const { app, calls } = await standIn();
    const response = await app.inject(`/runs?${query}`);
    expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer }] });
    expect(calls).toEqual([]);
  });
});

describe('GET /schedules/{id}/runs', () => {
  test('lists the runs of that schedule, by name or id', async () => {
    const { app, calls } = await standIn();
    await app.inject('/schedules/ping/runs?status=failed');
    await app.inject(`/schedules/${scheduleId}/runs`);
    expect(calls.map((call) => call[1])).toEqual([
      { statuses: ['failed'], schedule: 'ping' },
      { schedule: scheduleId },
    ]);
  });

  test('takes no other schedule as a filter', async () => {
    const { app } = await standIn();
    const response = await app.inject('/schedules/ping/runs?schedule=pong');
    expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer: '?schedule' }] });
  });
});

describe('GET /runs/{id}', () => {
  test('shows a run with its attempts, steps and progress', async () => {
    const { app } = await standIn({
      runs: {
        get: async () => ({
          ...runOf({ status: 'retrying', finishedAtMs: null, nextAttemptAtMs: nowMs + 5_000, output: null }),
          attempts: [
            {
              number: 1,
              startedAtMs: nowMs,
              finishedAtMs: nowMs + 10,
              status: 'failed',
              error: { type: 'HttpStatus', message: '503' },
              worker: 'w1',
            },
          ],
          steps: [
            {
              name: 'fetch',
              status: 'succeeded',
              attempts: 2,
              startedAtMs: nowMs,
              finishedAtMs: nowMs + 5,
              output: { rows: 7 },
              error: null,
            },
          ],
          progress: { done: 7, total: 10, unit: 'rows', atMs: nowMs + 5 },
        }),
      },
    });
    const run = runDetailAnswer.strict().parse((await app.inject(`/runs/${runId}`)).json());
    expect(run).toMatchObject({
      status: 'retrying',
      durationMs: null,
      nextAttemptAt: '2027-01-15T12:00:05.000Z',
      attempts: [
        {
          number: 1,
          startedAt: '2027-01-15T12:00:00.000Z',
          finishedAt: '2027-01-15T12:00:00.010Z',
          status: 'failed',
          error: { type: 'HttpStatus', message: '503' },
          worker: 'w1',
        },
      ],
      steps: [
        {
          name: 'fetch',
          status: 'succeeded',
          attempts: 2,
          startedAt: '2027-01-15T12:00:00.000Z',
          finishedAt: '2027-01-15T12:00:00.005Z',
          output: { rows: 7 },
          error: null,
        },
      ],
      progress: { done: 7, total: 10, unit: 'rows', at: '2027-01-15T12:00:00.005Z' },
    });
  });

  test.each(['ping', '1', `${runId}0`, 'a%2Fb', '%00'])('%s is no id: a 400', async (id) => {
    const { app, calls } = await standIn();
    for (const request of [
      { method: 'GET' as const, url: `/runs/${id}` },
      { method: 'GET' as const, url: `/runs/${id}/logs` },
      { method: 'POST' as const, url: `/runs/${id}/cancel` },
      { method: 'POST' as const, url: `/runs/${id}/retry` },
    ]) {
      expect((await app.inject(request)).json()).toMatchObject({
        status: 400,
        errors: [{ pointer: '{id}' }],
      });
    }
    expect(calls).toEqual([]);
  });
});

test('the log of a run comes line by line', async () => {
  const line = { seq: 3, attempt: 1, atMs: nowMs, level: 'info', message: 'called' };
  const { app, calls } = await standIn({ runs: { logs: async () => ({ items: [line], next: '1.3' }) } });
  const first = (await app.inject(`/runs/${runId}/logs?limit=1`)).json();
  const page = pageOf(logLineAnswer.strict()).strict().parse(first);
  expect(page.items).toEqual([
    { seq: 3, attempt: 1, time: '2027-01-15T12:00:00.000Z', level: 'info', message: 'called' },
  ]);
  await app.inject(`/runs/${runId}/logs?limit=1&cursor=${page.nextCursor}`);
  expect(calls[1]).toEqual(['logs', runId, { limit: 1, after: '1.3' }]);
});

test('cancel answers 202 with the run', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject({ method: 'POST', url: `/runs/${runId}/cancel` });
  expect(response.statusCode).toBe(202);
  runAnswer.strict().parse(response.json());
  expect(calls).toEqual([['cancel', runId]]);
});

test('retry answers 202 with the new run and its path', async () => {
  const fresh = '018f2f6e-7a00-7000-8000-0000000000bb';
  const { app } = await standIn({ runs: { retry: async () => runOf({ id: fresh, cause: 'retry' }) } });
  const response = await app.inject({ method: 'POST', url: `/runs/${runId}/retry` });
  expect(response.statusCode).toBe(202);
  expect(response.headers.location).toBe(`/runs/${fresh}`);
  expect(response.json().cause).toBe('retry');
});

test.each(['cancel', 'retry'])('%s takes nothing in its body', async (command) => {
  const { app } = await standIn();
  const response = await app.inject({
    method: 'POST',
    url: `/runs/${runId}/${command}`,
    payload: { force: true },
  });
  expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer: '/force' }] });
});
