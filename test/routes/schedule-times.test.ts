import { expect, test } from 'vitest';
import { nowMs, specOf, standIn, viewOf } from './stand-in.ts';

type Body = Record<string, unknown>;

function preview(payload: Body) {
  return { method: 'POST' as const, url: '/schedules/preview', payload };
}

test('upcoming shows the next times, also on the clocks of the zone', async () => {
  const { app, calls } = await standIn({
    schedules: {
      upcoming: async () => ({
        schedule: viewOf(specOf({ timezone: 'Asia/Shanghai' })),
        timesMs: [nowMs, nowMs + 1_500],
      }),
    },
  });
  expect((await app.inject('/schedules/ping/upcoming?count=2')).json()).toEqual({
    timezone: 'Asia/Shanghai',
    upcoming: ['2027-01-15T12:00:00.000Z', '2027-01-15T12:00:01.500Z'],
    fires: [
      { scheduledFor: '2027-01-15T12:00:00.000Z', local: '2027-01-15T20:00:00+08:00' },
      { scheduledFor: '2027-01-15T12:00:01.500Z', local: '2027-01-15T20:00:01.500+08:00' },
    ],
  });
  expect(calls).toEqual([['upcoming', 'ping', 2]]);
});

test('upcoming tells ten times unless told otherwise', async () => {
  const { app, calls } = await standIn();
  await app.inject('/schedules/ping/upcoming');
  expect(calls).toEqual([['upcoming', 'ping', 10]]);
});

test.each(['0', '1001', 'x', '2.5'])('upcoming with a count of %s is a 400', async (count) => {
  const { app } = await standIn();
  const response = await app.inject(`/schedules/ping/upcoming?count=${count}`);
  expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer: '?count' }] });
});

test('a preview explains a trigger and stores nothing', async () => {
  const { app, calls } = await standIn({
    outlook: { preview: async () => ({ timesMs: [Date.parse('2027-03-28T01:00:00Z')], warnings: [] }) },
  });
  const response = await app.inject(
    preview({
      cron: '30 2 * * *',
      timezone: 'Europe/Berlin',
      from: '2027-03-27T12:00:00+01:00',
      count: 1,
      name: 'night',
    }),
  );
  expect(response.statusCode).toBe(200);
  expect(response.json()).toEqual({
    // In which words is for describe.ts to say.
    description: expect.stringContaining('Berlin'),
    timezone: 'Europe/Berlin',
    fires: [{ scheduledFor: '2027-03-28T01:00:00.000Z', local: '2027-03-28T03:00:00+02:00' }],
    warnings: [],
    warningDetails: [],
  });
  const trigger = {
    kind: 'cron',
    expressions: ['30 2 * * *'],
    timezone: 'Europe/Berlin',
    dst: { gap: 'run', repeat: 'auto' },
  };
  expect(calls).toEqual([
    [
      'preview',
      {
        timing: { trigger, startAtMs: null, endAtMs: null },
        seedName: 'night',
        timezone: 'Europe/Berlin',
        jitterMs: null,
        fromMs: Date.parse('2027-03-27T11:00:00Z'),
        count: 1,
        locale: 'en',
      },
    ],
  ]);
});

test('a preview is in UTC, from now and of ten fires unless told otherwise', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject(preview({ every: '1m' }));
  expect(response.json().timezone).toBe('UTC');
  expect(calls[0]?.[1]).toMatchObject({ seedName: '', fromMs: null, count: 10 });
});

test.each<[string, Body, string[]]>([
  ['no trigger', {}, ['']],
  ['two triggers', { cron: '@daily', every: '1h' }, ['/cron', '/every']],
  ['a count of 1001', { every: '1h', count: 1_001 }, ['/count']],
  ['a count that is a string', { every: '1h', count: '5' }, ['/count']],
  ['a from that is no time', { every: '1h', from: 'now' }, ['/from']],
  ['a job', { every: '1h', job: {} }, ['/job']],
  ['an exclusion that is none', { every: '1h', exclude: ['2026-12-25', 'x'] }, ['/exclude/1']],
  ['a cron that never fires', { cron: '0 0 31 4 *' }, ['/cron']],
])('a preview with %s is a 400 that points at it', async (_what, body, pointers) => {
  const { app, calls } = await standIn();
  const problem = (await app.inject(preview(body))).json();
  expect(problem.status).toBe(400);
  expect(problem.errors.map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
  expect(calls).toEqual([]);
});

test('GET of a schedule called preview is a 405, since the word is a route of another method', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject('/schedules/preview');
  expect(response.statusCode).toBe(405);
  expect(response.headers.allow).toBe('POST');
  expect(calls).toEqual([]);
});
