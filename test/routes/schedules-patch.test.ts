import { expect, test } from 'vitest';
import type { ScheduleSpec } from '../../src/schedules/schedule.ts';
import { specOf, standIn, viewOf } from './stand-in.ts';

type Body = Record<string, unknown>;

async function patch(payload: Body, current: ScheduleSpec = specOf()) {
  let changed: ScheduleSpec | undefined;
  const { app } = await standIn({
    schedules: {
      update: async (_ref, change) => {
        changed = change(viewOf(current));
        return viewOf(changed);
      },
    },
  });
  const response = await app.inject({ method: 'PATCH', url: '/schedules/ping', payload });
  return { response, changed };
}

const cronTiming = {
  trigger: {
    kind: 'cron' as const,
    expressions: ['0 2 * * *'],
    timezone: 'Europe/Berlin',
    dst: { gap: 'skip' as const, repeat: 'auto' as const },
  },
  startAtMs: Date.parse('2027-01-01T00:00:00Z'),
  endAtMs: null,
};
const daily = specOf({
  timing: cronTiming,
  timezone: 'Europe/Berlin',
  dst: { gap: 'skip', repeat: 'auto' },
  jitterMs: 30_000,
  maxRuns: 9,
});

test.each([
  ['an interval', specOf()],
  ['a cron', daily],
])('an empty patch leaves a schedule with %s as it is', async (_what, spec) => {
  const { response, changed } = await patch({}, spec);
  expect(response.statusCode).toBe(200);
  expect(changed).toEqual(spec);
});

test.each<[string, Body, Partial<ScheduleSpec>]>([
  ['what it omits stays', { description: 'x' }, { description: 'x' }],
  ['a label is added', { labels: { tier: '1' } }, { labels: { team: 'data', tier: '1' } }],
  ['a label is taken away', { labels: { team: null } }, { labels: {} }],
  [
    'null sets a field back to its default',
    { jitter: null, maxRuns: null },
    { jitterMs: null, maxRuns: null },
  ],
  ['null takes a window’s end away', { startAt: null }, { timing: { ...cronTiming, startAtMs: null } }],
  ['a name is changed', { name: 'pong' }, { name: 'pong' }],
  [
    'a part of the input is changed',
    { job: { input: { more: 1 } } },
    { job: { ...daily.job, input: { text: 'hi', more: 1 } } },
  ],
  [
    'a part of the retry policy is changed',
    { job: { retry: { maxAttempts: 9 } } },
    { job: { ...daily.job, retry: { ...daily.job.retry, maxAttempts: 9 } } },
  ],
  [
    'a time zone is changed for the cron that stays',
    { timezone: 'UTC' },
    { timezone: 'UTC', timing: { ...cronTiming, trigger: { ...cronTiming.trigger, timezone: 'UTC' } } },
  ],
  [
    'the kind of trigger is changed when the old one is taken away',
    { cron: null, every: '1h' },
    { timing: { ...cronTiming, trigger: { kind: 'every', everyMs: 3_600_000, offsetMs: 0 } } },
  ],
])('in a patch %s', async (_what, body, changes) => {
  const { changed } = await patch(body, daily);
  expect(changed).toEqual({ ...daily, ...changes });
});

test.each<[string, Body, string[]]>([
  ['a read-only field', { status: 'paused' }, ['/status']],
  ['a read-only field that is null', { nextRunAt: null }, ['/nextRunAt']],
  ['an unknown field', { colour: 'red' }, ['/colour']],
  ['an unknown field that is null', { colour: null }, ['/colour']],
  ['an unknown field further in', { job: { retry: { tries: null } } }, ['/job/retry/tries']],
  ['a second trigger', { every: '1h' }, ['/cron', '/every']],
  ['no trigger left', { cron: null }, ['']],
  ['an offset for a cron', { offset: '5s' }, ['/offset']],
  ['a required field taken away', { name: null }, ['/name']],
  ['the job taken away', { job: null }, ['/job']],
  ['an input that does not fit any more', { job: { input: { text: null } } }, ['/job/input/text']],
  ['a zone that does not exist', { timezone: 'Mars/Olympus' }, ['/timezone']],
  ['a wrong type', { labels: 'none' }, ['/labels']],
])('%s is a 400 that points at it', async (_what, body, pointers) => {
  const { response, changed } = await patch(body, daily);
  const problem = response.json();
  expect(problem.status).toBe(400);
  expect(problem.errors.map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
  expect(changed).toBeUndefined();
});

test('the detail for two triggers says how to change from one to the other', async () => {
  const { response } = await patch({ every: '1h' }, daily);
  expect(response.json().detail).toContain('sets the old one to null');
});

test('a patch of a path that no schedule can have is a 404', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject({ method: 'PATCH', url: '/schedules/a%2Fb', payload: {} });
  expect(response.statusCode).toBe(404);
  expect(calls).toEqual([]);
});
