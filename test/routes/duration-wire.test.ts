import { expect, test } from 'vitest';
import { presentDuration, takeDuration, type WrittenTexts } from '../../src/routes/duration-wire.ts';
import type { ScheduleSpec } from '../../src/schedules/schedule.ts';
import { ping, specOf, standIn, viewOf } from './stand-in.ts';

test('only a text that is not the canonical one needs to be remembered', () => {
  const written: WrittenTexts = {};
  expect(takeDuration({ ms: 90_000, text: '90s' }, '/every', written)).toBe(90_000);
  expect(takeDuration({ ms: 900_000, text: '15m' }, '/offset', written)).toBe(900_000);
  expect(written).toEqual({ '/every': '90s' });
});

test('a text counts only as long as it means the value', () => {
  expect(presentDuration(90_000, '/every', { '/every': '90s' })).toBe('90s');
  expect(presentDuration(91_000, '/every', { '/every': '90s' })).toBe('1m31s');
  expect(presentDuration(90_000, '/offset', { '/every': '90s' })).toBe('1m30s');
  expect(presentDuration(90_000, '/every', { '/every': 'junk' })).toBe('1m30s');
  expect(presentDuration(90_000, '/every')).toBe('1m30s');
  expect(presentDuration(90_000, 'toString', {})).toBe('1m30s');
});

const everywhere = {
  name: 'ping',
  every: '3600s',
  offset: '90s',
  jitter: '60s',
  catchUpWindow: '1d',
  job: {
    type: 'echo',
    input: { text: 'hi' },
    timeout: '90m',
    retry: { initialInterval: '60s', maxInterval: '300s' },
  },
};

test('each duration is told again as it was written', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject({ method: 'POST', url: '/schedules', payload: everywhere });
  expect(response.json()).toMatchObject(everywhere);
  expect((calls[0]?.[1] as ScheduleSpec).written).toEqual({
    '/every': '3600s',
    '/offset': '90s',
    '/jitter': '60s',
    '/catchUpWindow': '1d',
    '/job/timeout': '90m',
    '/job/retry/initialInterval': '60s',
    '/job/retry/maxInterval': '300s',
  });
});

test('ISO 8601 is told in the simple form, and canonical texts are not kept twice', async () => {
  const { app, calls } = await standIn();
  const payload = {
    ...ping,
    every: 'PT15M',
    jitter: '1m30s',
    catchUpWindow: 'P1D',
    job: { ...ping.job, timeout: 'PT90S' },
  };
  const response = await app.inject({ method: 'POST', url: '/schedules', payload });
  expect(response.json()).toMatchObject({
    every: '15m',
    jitter: '1m30s',
    catchUpWindow: '24h',
    job: { timeout: '1m30s' },
  });
  expect(calls[0]?.[1]).not.toHaveProperty('written');
});

const written = { '/every': '300s', '/offset': '90s', '/jitter': '60s', '/job/timeout': '120s' };
const spec = specOf({
  timing: { trigger: { kind: 'every', everyMs: 300_000, offsetMs: 90_000 }, startAtMs: null, endAtMs: null },
  jitterMs: 60_000,
  job: { ...specOf().job, timeoutMs: 120_000 },
  written,
});

test('a PATCH keeps the texts of what it omits and takes those of what it changes', async () => {
  const { app, calls } = await standIn({
    schedules: {
      update: async (_ref, change) => {
        const changed = change(viewOf(spec));
        calls.push(['updated', changed.written]);
        return viewOf(changed);
      },
    },
  });
  const patch = (payload: object) => app.inject({ method: 'PATCH', url: '/schedules/ping', payload });
  expect((await patch({ description: 'x' })).json()).toMatchObject({ every: '300s', jitter: '60s' });
  expect((await patch({ jitter: '120s' })).json()).toMatchObject({ every: '300s', jitter: '120s' });
  expect((await patch({ jitter: null, job: { timeout: '2m' } })).json()).toMatchObject({
    every: '300s',
    jitter: null,
    job: { timeout: '2m' },
  });
  expect(calls.filter(([name]) => name === 'updated').map(([, texts]) => texts)).toEqual([
    written,
    { ...written, '/jitter': '120s' },
    { '/every': '300s', '/offset': '90s' },
  ]);
});

test.each([
  ['another interval', { every: '600s' }, { '/every': '600s', '/jitter': '60s', '/job/timeout': '120s' }],
  ['a cron expression', { cron: '@daily' }, { '/jitter': '60s', '/job/timeout': '120s' }],
])('a reschedule to %s takes the trigger’s texts and keeps the others', async (_what, payload, texts) => {
  let changed: object = {};
  const { app } = await standIn({
    schedules: {
      reschedule: async (_ref, change) => {
        changed = { ...spec, ...change(viewOf(spec)) };
        return viewOf(changed as ScheduleSpec);
      },
    },
  });
  const response = await app.inject({ method: 'POST', url: '/schedules/ping/reschedule', payload });
  expect(response.json()).toMatchObject({ ...payload, jitter: '60s', job: { timeout: '120s' } });
  expect(changed).toMatchObject({ written: texts });
});

test('a reschedule to what is there already is no change, with texts and without', async () => {
  for (const current of [spec, specOf()]) {
    let changed: object = {};
    const { app } = await standIn({
      schedules: {
        reschedule: async (_ref, change) => {
          changed = { ...current, ...change(viewOf(current)) };
          return viewOf(current);
        },
      },
    });
    const payload = current === spec ? { every: '300s', offset: '90s' } : { every: '5s' };
    await app.inject({ method: 'POST', url: '/schedules/ping/reschedule', payload });
    expect(changed).toStrictEqual(current);
  }
});
