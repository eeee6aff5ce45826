import { expect, test } from 'vitest';
import { conflict } from '../../src/errors.ts';
import { scheduleAnswer } from '../../src/routes/schedule-answer.ts';
import type { ScheduleSpec } from '../../src/schedules/schedule.ts';
import { jobCatalog, nowMs, ping, runOf, scheduleId, specOf, standIn, viewOf } from './stand-in.ts';

type Body = Record<string, unknown>;
const { every: _every, ...withoutTrigger } = ping;

async function create(payload: Body) {
  const { app, calls } = await standIn();
  const response = await app.inject({ method: 'POST', url: '/schedules', payload });
  return { response, calls, spec: calls[0]?.[1] as ScheduleSpec };
}

test('a schedule is created, and its path is told', async () => {
  const { response, spec } = await create(ping);
  expect(response.statusCode).toBe(201);
  expect(response.headers.location).toBe(`/schedules/${scheduleId}`);
  expect(spec).toEqual(specOf({ labels: {} }));
});

test('everything that can be said arrives in the house in its own terms', async () => {
  const { spec } = await create({
    name: 'Night',
    description: 'All of it.',
    labels: { team: 'data', 'tier/1': '' },
    cron: ['0 2 * * *', '30 14 * * 1-5'],
    timezone: 'Asia/Shanghai',
    dst: { repeat: 'both' },
    startAt: '2027-01-01T00:00:00+08:00',
    endAt: '2028-01-01T00:00:00Z',
    maxRuns: 10,
    exclude: [],
    jitter: '30s',
    overlap: 'allow',
    catchUp: 'all',
    catchUpWindow: 'PT36H',
    pauseAfterFailures: 3,
    deleteAfterCompletion: '168h',
    job: {
      type: 'echo',
      input: { text: 'hi', extra: [1, { a: null }] },
      taskQueue: 'heavy.1',
      timeout: '1h',
      retry: { maxAttempts: 5, backoffCoefficient: 1.5, initialInterval: '0s', nonRetryableErrorTypes: [] },
    },
  });
  const dst = { gap: 'run', repeat: 'both' } as const;
  expect(spec).toEqual({
    name: 'Night',
    description: 'All of it.',
    labels: { team: 'data', 'tier/1': '' },
    timing: {
      trigger: { kind: 'cron', expressions: ['0 2 * * *', '30 14 * * 1-5'], timezone: 'Asia/Shanghai', dst },
      startAtMs: Date.parse('2026-12-31T16:00:00Z'),
      endAtMs: Date.parse('2028-01-01T00:00:00Z'),
    },
    timezone: 'Asia/Shanghai',
    dst,
    maxRuns: 10,
    jitterMs: 30_000,
    overlap: 'allow',
    catchUp: 'all',
    catchUpWindowMs: 36 * 3_600_000,
    pauseAfterFailures: 3,
    deleteAfterMs: 7 * 86_400_000,
    job: {
      type: 'echo',
      input: { text: 'hi', extra: [1, { a: null }] },
      taskQueue: 'heavy.1',
      timeoutMs: 3_600_000,
      retry: {
        maxAttempts: 5,
        initialIntervalMs: 0,
        maxIntervalMs: 60_000,
        backoffCoefficient: 1.5,
        nonRetryableErrorTypes: [],
      },
    },
  } satisfies ScheduleSpec);
});

test.each<[string, Body, ScheduleSpec['timing']['trigger']]>([
  [
    'an interval with an offset',
    { every: '15m', offset: '2m' },
    { kind: 'every', everyMs: 900_000, offsetMs: 120_000 },
  ],
  ['an interval in ISO 8601', { every: 'PT1H30M' }, { kind: 'every', everyMs: 5_400_000, offsetMs: 0 }],
  ['an interval with part of a second', { every: '1s500ms' }, { kind: 'every', everyMs: 1_500, offsetMs: 0 }],
  [
    'one instant',
    { at: '2027-06-01T00:00:00+02:00' },
    { kind: 'at', atMs: [Date.parse('2027-05-31T22:00:00Z')] },
  ],
  [
    'instants, which are sorted and made unique',
    { at: ['2027-06-02T00:00:00Z', '2027-06-01T00:00:00Z', '2027-06-02T02:00:00+02:00'] },
    { kind: 'at', atMs: [Date.parse('2027-06-01T00:00:00Z'), Date.parse('2027-06-02T00:00:00Z')] },
  ],
])('a trigger can be %s', async (_what, trigger, expected) => {
  const { spec } = await create({ ...withoutTrigger, ...trigger });
  expect(spec.timing.trigger).toEqual(expected);
});

test('a first wait that is longer than the job type’s longest lifts it', async () => {
  const { spec } = await create({ ...ping, job: { ...ping.job, retry: { initialInterval: '10m' } } });
  expect(spec.job.retry).toMatchObject({ initialIntervalMs: 600_000, maxIntervalMs: 600_000 });
});

const job = (changes: Body): Body => ({ ...ping, job: { ...ping.job, ...changes } });
const labels = (count: number): Body =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']));

test.each<[string, Body, string[], RegExp?]>([
  ['an empty body', {}, ['/name', '/job'], /`name` is required\. `job` is required/],
  ['a name with a slash', { ...ping, name: 'a/b' }, ['/name']],
  [
    'a name of 300 characters',
    { ...ping, name: 'x'.repeat(300) },
    ['/name'],
    /at most 128 characters, and has 300/,
  ],
  ['a name that is a route', { ...ping, name: 'preview' }, ['/name']],
  ['a name that looks like an id', { ...ping, name: scheduleId }, ['/name']],
  ['a name that is a number', { ...ping, name: 5 }, ['/name'], /must be a string, not a number/],
  ['an unknown field', { ...ping, evry: '5s' }, ['/evry'], /`evry` is not a known field/],
  ['an unknown field further in', job({ retry: { tries: 3 } }), ['/job/retry/tries']],
  [
    'read-only fields',
    { ...ping, id: scheduleId, status: 'active', note: 'x' },
    ['/id', '/status', '/note'],
    /read-only/,
  ],
  ['a description that is too long', { ...ping, description: 'x'.repeat(2_001) }, ['/description']],
  ['labels that are a list', { ...ping, labels: ['a'] }, ['/labels'], /must be an object, not an array/],
  ['a label that is a number', { ...ping, labels: { a: 1 } }, ['/labels/a']],
  ['a label with a colon', { ...ping, labels: { 'a:b': 'c' } }, ['/labels/a:b']],
  [
    'a label whose key is too long',
    { ...ping, labels: { ['k'.repeat(64)]: 'c' } },
    [`/labels/${'k'.repeat(64)}`],
  ],
  ['a label whose value is too long', { ...ping, labels: { a: 'c'.repeat(256) } }, ['/labels/a']],
  ['too many labels', { ...ping, labels: labels(33) }, ['/labels']],
  ['no trigger', withoutTrigger, [''], /exactly one of `cron`, `every`, `at` and `delay`/],
  ['two triggers', { ...ping, cron: '* * * * *' }, ['/cron', '/every'], /Only one of/],
  ['three triggers', { ...ping, cron: '@daily', at: '2027-01-01T00:00:00Z' }, ['/cron', '/every', '/at']],
  ['an empty cron', { ...withoutTrigger, cron: '' }, ['/cron']],
  ['four fields', { ...withoutTrigger, cron: '* * * *' }, ['/cron']],
  ['a minute of 60', { ...withoutTrigger, cron: '60 * * * *' }, ['/cron'], /minute/],
  ['a step beyond the field', { ...withoutTrigger, cron: '*/61 * * * *' }, ['/cron'], /minute/],
  ['30 February', { ...withoutTrigger, cron: '0 0 30 2 *' }, ['/cron'], /never fires/],
  ['a bad one among crons', { ...withoutTrigger, cron: ['@daily', 'x'] }, ['/cron/1']],
  ['no crons', { ...withoutTrigger, cron: [] }, ['/cron']],
  ['too many crons', { ...withoutTrigger, cron: Array(21).fill('@daily') }, ['/cron']],
  ['a cron of a thousand characters', { ...withoutTrigger, cron: `0 ${'1,'.repeat(500)}2 * * *` }, ['/cron']],
  [
    'a cron that is a number',
    { ...withoutTrigger, cron: 5 },
    ['/cron'],
    /a string or an array, not a number/,
  ],
  ['a cron that is not a string in a list', { ...withoutTrigger, cron: ['@daily', null] }, ['/cron']],
  ['an interval of nothing', { ...withoutTrigger, every: '0s' }, ['/every'], /from 1s/],
  ['an interval below a second', { ...withoutTrigger, every: '999ms' }, ['/every']],
  ['a negative interval', { ...withoutTrigger, every: '-5s' }, ['/every']],
  ['an interval beyond ten years', { ...withoutTrigger, every: '4000d' }, ['/every']],
  ['an interval that is a number', { ...withoutTrigger, every: 5 }, ['/every'], /must be a string/],
  ['an interval in words', { ...withoutTrigger, every: '5 minutes' }, ['/every']],
  [
    'an offset as long as its interval',
    { ...ping, offset: '5s' },
    ['/offset'],
    /shorter than `every` \(5s\)/,
  ],
  ['an offset without interval', { ...withoutTrigger, cron: '@daily', offset: '5s' }, ['/offset']],
  ['a day that does not exist', { ...withoutTrigger, at: '2027-02-30T00:00:00Z' }, ['/at']],
  ['a month that does not exist', { ...withoutTrigger, at: '2026-13-01' }, ['/at']],
  ['tomorrow', { ...withoutTrigger, at: 'tomorrow' }, ['/at']],
  ['an instant without offset', { ...withoutTrigger, at: '2027-01-01T00:00:00' }, ['/at']],
  ['no instants', { ...withoutTrigger, at: [] }, ['/at']],
  ['too many instants', { ...withoutTrigger, at: Array(1_001).fill('2027-01-01T00:00:00Z') }, ['/at']],
  ['a zone that does not exist', { ...ping, timezone: 'Mars/Olympus' }, ['/timezone']],
  ['a zone that is an offset', { ...ping, timezone: '+08:00' }, ['/timezone']],
  ['an empty zone', { ...ping, timezone: '' }, ['/timezone']],
  ['an unknown gap', { ...ping, dst: { gap: 'jump' } }, ['/dst/gap'], /"run" or "skip"/],
  [
    'an end before the start',
    { ...ping, startAt: '2027-01-02T00:00:00Z', endAt: '2027-01-01T00:00:00Z' },
    ['/endAt'],
  ],
  ['a start that is no time', { ...ping, startAt: 'now' }, ['/startAt']],
  ['no runs at all', { ...ping, maxRuns: 0 }, ['/maxRuns'], /at least 1/],
  ['half a run', { ...ping, maxRuns: 1.5 }, ['/maxRuns'], /a whole number, not a fraction/],
  ['too many runs', { ...ping, maxRuns: 2e9 }, ['/maxRuns'], /at most 1000000000\.$/],
  ['runs beyond all bounds', { ...ping, maxRuns: 1e300 }, ['/maxRuns'], /at most 1000000000\.$/],
  ['a jitter of two days', { ...ping, jitter: '2d' }, ['/jitter']],
  ['an unknown overlap policy', { ...ping, overlap: 'maybe' }, ['/overlap']],
  [
    'an overlap policy of another house',
    { ...ping, overlap: 'buffer_one' },
    ['/overlap'],
    /must be .*"queue_one".*"cancel_running"/,
  ],
  ['an unknown catch-up policy', { ...ping, catchUp: 'some' }, ['/catchUp']],
  ['a catch-up window of a second', { ...ping, catchUpWindow: '1s' }, ['/catchUpWindow']],
  ['a breaker of nothing', { ...ping, pauseAfterFailures: 0 }, ['/pauseAfterFailures']],
  [
    'an exclusion that is none',
    { ...ping, exclude: ['2027-12-24', 'Christmas'] },
    ['/exclude/1'],
    /neither a date/,
  ],
  ['a range that runs backwards', { ...ping, only: ['2027-12-24..2027-12-01'] }, ['/only/0']],
  ['an unknown rule for them', { ...ping, onExcluded: 'later' }, ['/onExcluded']],
  ['101 exclusions', { ...ping, exclude: Array.from({ length: 101 }, () => '2027-12-24') }, ['/exclude']],
  ['no job', { name: 'ping', every: '5s' }, ['/job'], /`job` is required/],
  ['a job that is a string', { ...ping, job: 'echo' }, ['/job']],
  ['an unknown job type', job({ type: 'nope' }), ['/job/type'], /Known are: echo/],
  ['a job without type', { ...ping, job: { input: {} } }, ['/job/type']],
  [
    'an input that does not fit its job',
    job({ input: {} }),
    ['/job/input/text'],
    /`input\.text` is required\./,
  ],
  ['no input where one is needed', { ...ping, job: { type: 'echo' } }, ['/job/input/text']],
  ['a task queue with blanks', job({ taskQueue: 'a b' }), ['/job/taskQueue']],
  ['a timeout of nothing', job({ timeout: '0s' }), ['/job/timeout']],
  ['a timeout of eight days', job({ timeout: '8d' }), ['/job/timeout']],
  ['no attempts', job({ retry: { maxAttempts: 0 } }), ['/job/retry/maxAttempts']],
  ['too many attempts', job({ retry: { maxAttempts: 1_001 } }), ['/job/retry/maxAttempts']],
  ['a shrinking backoff', job({ retry: { backoffCoefficient: 0.5 } }), ['/job/retry/backoffCoefficient']],
  [
    'waits that contradict',
    job({ retry: { initialInterval: '5m', maxInterval: '1m' } }),
    ['/job/retry/maxInterval'],
  ],
  [
    'error types that are none',
    job({ retry: { nonRetryableErrorTypes: ['x', 5] } }),
    ['/job/retry/nonRetryableErrorTypes/1'],
  ],
  ['several things at once', { ...ping, name: '', every: '0s', foo: 1 }, ['/name', '/every', '/foo']],
])('%s is a 400 that points at it and asks the service for nothing', async (_what, body, pointers, words) => {
  const { response, calls } = await create(body);
  const problem = response.json();
  expect(problem).toMatchObject({ status: 400, code: 'invalid' });
  expect(problem.errors.map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
  if (words) expect(problem.detail).toMatch(words);
  expect(calls).toEqual([]);
});

test('a name that is taken is the service’s to say', async () => {
  const { app } = await standIn({
    schedules: {
      create: async () => {
        throw conflict('A schedule "ping" exists already.', [{ pointer: '/name', detail: 'taken' }]);
      },
    },
  });
  const response = await app.inject({ method: 'POST', url: '/schedules', payload: ping });
  expect(response.json()).toMatchObject({ status: 409, errors: [{ pointer: '/name' }] });
});

test.each<[string, Partial<ScheduleSpec>, Body]>([
  ['an interval', {}, { every: '5s' }],
  [
    'an interval with offset',
    {
      timing: {
        trigger: { kind: 'every', everyMs: 900_000, offsetMs: 120_000 },
        startAtMs: null,
        endAtMs: null,
      },
    },
    { every: '15m', offset: '2m' },
  ],
  [
    'one cron expression',
    {
      timing: {
        trigger: {
          kind: 'cron',
          expressions: ['@daily'],
          timezone: 'UTC',
          dst: { gap: 'run', repeat: 'auto' },
        },
        startAtMs: nowMs,
        endAtMs: null,
      },
    },
    { cron: '@daily', startAt: '2027-01-15T12:00:00.000Z' },
  ],
  [
    'instants',
    { timing: { trigger: { kind: 'at', atMs: [nowMs, nowMs + 1_000] }, startAtMs: null, endAtMs: nowMs } },
    { at: ['2027-01-15T12:00:00.000Z', '2027-01-15T12:00:01.000Z'], endAt: '2027-01-15T12:00:00.000Z' },
  ],
])('a schedule with %s is shown with that trigger only', async (_what, changes, shown) => {
  const { app } = await standIn({ schedules: { get: async () => viewOf(specOf(changes)) } });
  const answer = (await app.inject('/schedules/ping')).json();
  scheduleAnswer.strict().parse(answer);
  expect(answer).toMatchObject(shown);
  const triggerKeys = Object.keys(answer).filter((key) => ['cron', 'every', 'offset', 'at'].includes(key));
  expect(triggerKeys).toEqual(Object.keys(shown).filter((key) => triggerKeys.includes(key)));
});

test('a schedule is shown with its state, its runs and its counts', async () => {
  const view = viewOf(specOf({ jitterMs: 90_000, maxRuns: 5 }), {
    lastRun: runOf(),
    runningRuns: [runOf({ status: 'running', finishedAtMs: null })],
    fault: 'no such zone',
    note: 'why',
  });
  const { app } = await standIn({ schedules: { get: async () => view } });
  const answer = scheduleAnswer.strict().parse((await app.inject('/schedules/ping')).json());
  expect(answer).toMatchObject({
    id: scheduleId,
    name: 'ping',
    jitter: '1m30s',
    maxRuns: 5,
    catchUpWindow: '24h',
    exclude: [],
    status: 'active',
    note: 'why',
    version: 7,
    createdAt: '2027-01-15T11:59:00.000Z',
    nextRunAt: '2027-01-15T12:00:05.000Z',
    upcoming: ['2027-01-15T12:00:05.000Z', '2027-01-15T12:00:10.000Z'],
    activeRuns: 1,
    counts: { fired: 4, succeeded: 2, failed: 1, skipped: 0, missed: 9 },
    fault: 'no such zone',
    job: { type: 'echo', input: { text: 'hi' }, taskQueue: 'default', timeout: '30s' },
    lastRun: { status: 'succeeded', durationMs: 1_250 },
    runningRuns: [{ status: 'running', durationMs: null }],
  });
});

test('what is shown of a schedule can be posted again, without what is read-only', async () => {
  const { app, calls } = await standIn();
  const shown = (await app.inject('/schedules/ping')).json();
  const written = Object.fromEntries(
    Object.entries(shown).filter(
      ([key]) =>
        !/^(id|status|note|version|.*At|upcoming|lastRun|runningRuns|activeRuns|heldRuns|counts|fault|pauses)$/.test(
          key,
        ),
    ),
  );
  const response = await app.inject({ method: 'POST', url: '/schedules', payload: written });
  expect(response.statusCode).toBe(201);
  expect(calls.at(-1)).toEqual(['create', specOf(), { actor: 'api' }]);
});

test('the catalogue of the tests knows its own example', () => {
  expect(jobCatalog.check('echo', jobCatalog.find('echo')?.example)).toEqual([]);
});
