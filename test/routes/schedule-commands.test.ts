import { expect, test } from 'vitest';
import { runAnswer } from '../../src/routes/run-wire.ts';
import { scheduleAnswer } from '../../src/routes/schedule-answer.ts';
import { runId, scheduleId, specOf, standIn, viewOf } from './stand-in.ts';

type Body = Record<string, unknown>;

function post(command: string, payload?: Body, ref = 'ping') {
  return { method: 'POST' as const, url: `/schedules/${ref}/${command}`, ...(payload && { payload }) };
}

test.each<[string, Body | undefined, unknown[]]>([
  ['pause', undefined, ['pause', 'ping', null]],
  ['pause', { note: 'moving' }, ['pause', 'ping', 'moving']],
  ['pause', { note: null }, ['pause', 'ping', null]],
  ['resume', undefined, ['resume', 'ping', { catchUp: 'none' }]],
  ['resume', { catchUp: 'all' }, ['resume', 'ping', { catchUp: 'all' }]],
  ['stop', undefined, ['stop', 'ping', null]],
  ['stop', { note: 'for good' }, ['stop', 'ping', 'for good']],
])('%s with the body %j is handed on', async (command, body, call) => {
  const { app, calls } = await standIn();
  const response = await app.inject(post(command, body));
  expect(response.statusCode).toBe(200);
  scheduleAnswer.strict().parse(response.json());
  expect(calls).toEqual([[...call, { actor: 'api' }]]);
});

test('commands take an id as well as a name', async () => {
  const { app, calls } = await standIn();
  await app.inject(post('pause', {}, scheduleId));
  expect(calls[0]?.[1]).toBe(scheduleId);
});

test('trigger answers 202 with the run and its path', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject(post('trigger', { input: { text: 'now' }, overlap: 'allow' }));
  expect(response.statusCode).toBe(202);
  expect(response.headers.location).toBe(`/runs/${runId}`);
  expect(runAnswer.strict().parse(response.json())).toMatchObject({ cause: 'manual', status: 'queued' });
  expect(calls).toEqual([
    ['trigger', 'ping', { input: { text: 'now' }, overlap: 'allow' }, { actor: 'api' }],
  ]);
});

test('trigger without a body leaves input and overlap to the schedule', async () => {
  const { app, calls } = await standIn();
  await app.inject(post('trigger'));
  expect(calls).toEqual([['trigger', 'ping', {}, { actor: 'api' }]]);
});

const berlin = specOf({
  timezone: 'Europe/Berlin',
  dst: { gap: 'skip', repeat: 'last' },
  timing: {
    trigger: { kind: 'every', everyMs: 5_000, offsetMs: 0 },
    startAtMs: 1_000,
    endAtMs: Date.parse('2030-01-01T00:00:00Z'),
  },
});

async function reschedule(payload: Body) {
  let changed: unknown;
  const { app } = await standIn({
    schedules: {
      reschedule: async (_ref, change) => {
        changed = change(viewOf(berlin));
        return viewOf();
      },
    },
  });
  return { response: await app.inject(post('reschedule', payload)), changed };
}

test('reschedule keeps zone, clock-change rules and window unless it says otherwise', async () => {
  const { changed } = await reschedule({ cron: '*/10 * * * * *' });
  expect(changed).toEqual({
    timezone: 'Europe/Berlin',
    dst: { gap: 'skip', repeat: 'last' },
    timing: {
      ...berlin.timing,
      trigger: {
        kind: 'cron',
        expressions: ['*/10 * * * * *'],
        timezone: 'Europe/Berlin',
        dst: { gap: 'skip', repeat: 'last' },
      },
    },
  });
});

test('reschedule changes zone, rules and window when it names them', async () => {
  const { changed } = await reschedule({
    every: '1h',
    offset: '5m',
    timezone: 'UTC',
    dst: { gap: 'run' },
    startAt: null,
    endAt: '2029-01-01T00:00:00Z',
  });
  expect(changed).toEqual({
    timezone: 'UTC',
    dst: { gap: 'run', repeat: 'auto' },
    timing: {
      trigger: { kind: 'every', everyMs: 3_600_000, offsetMs: 300_000 },
      startAtMs: null,
      endAtMs: Date.parse('2029-01-01T00:00:00Z'),
    },
  });
});

test.each<[string, string, Body, string[]]>([
  ['a note that is too long', 'pause', { note: 'x'.repeat(1_001) }, ['/note']],
  ['a note that is a number', 'stop', { note: 5 }, ['/note']],
  ['an unknown field', 'pause', { reason: 'x' }, ['/reason']],
  ['an unknown catch-up', 'resume', { catchUp: 'some' }, ['/catchUp']],
  ['an overlap policy that is none', 'trigger', { overlap: 'queue_two' }, ['/overlap']],
  ['an unknown field', 'trigger', { inputs: {} }, ['/inputs']],
])('%s in %s is a 400 that points at it', async (_what, command, body, pointers) => {
  const { app, calls } = await standIn();
  const problem = (await app.inject(post(command, body))).json();
  expect(problem.status).toBe(400);
  expect(problem.errors.map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
  expect(calls).toEqual([]);
});

test.each<[string, Body, string[]]>([
  ['no trigger', {}, ['']],
  ['a zone alone', { timezone: 'UTC' }, ['']],
  ['two triggers', { cron: '@daily', every: '5m' }, ['/cron', '/every']],
  ['a cron of four fields', { cron: '* * * *' }, ['/cron']],
  ['an end before the start that stays', { every: '5m', endAt: '1970-01-01T00:00:00Z' }, ['/endAt']],
  ['a job', { every: '5m', job: {} }, ['/job']],
])('reschedule with %s is a 400 that points at it', async (_what, body, pointers) => {
  const { response, changed } = await reschedule(body);
  expect(response.json().status).toBe(400);
  expect(response.json().errors.map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
  expect(changed).toBeUndefined();
});

test('a command to a name that none can have is a 404', async () => {
  const { app, calls } = await standIn();
  expect((await app.inject(post('pause', {}, 'a%20b'))).statusCode).toBe(404);
  expect(calls).toEqual([]);
});
