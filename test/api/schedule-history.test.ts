/** GET /schedules/{id}/history */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { DAY, MINUTE, SECOND } from '../support/timings.ts';
import { expectProblem, expectRefused, instant } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping');
});
afterAll(() => api.close());

type Entry = { version: number; action: string; actor: string; note: string | null; changes: object[] };

const history = async (ref = 'ping', query = '') =>
  (await api.get(`/schedules/${ref}/history${query}`)).body.items as Entry[];
const lines = async (ref = 'ping') =>
  (await history(ref)).map(({ version, action, actor }) => `${version} ${action} ${actor}`);

test('a new schedule has one version: created, with its definition as it is written', async () => {
  const response = await api.get('/schedules/ping/history');
  expect(response.status).toBe(200);
  const { pauses: _p, status: _s, ...shown } = (await api.get('/schedules/ping')).body;
  const [{ definition, ...entry }] = response.body.items;
  expect(entry).toEqual({
    version: 1,
    at: '2026-03-01T00:00:00.000Z',
    actor: 'api',
    action: 'created',
    note: null,
    status: 'active',
    pauses: [],
    changes: [],
  });
  expect(shown).toMatchObject(definition);
  expect(definition).toMatchObject({
    name: 'ping',
    every: '1m',
    catchUpWindow: '24h',
    job: { type: 'noop' },
  });
  expect(response.body.nextCursor).toBeNull();
});

test('every command is a version: what, by whom, before and after', async () => {
  const as = (name: string) => ({ 'x-carillon-actor': name });
  await api.patch('/schedules/ping', { labels: { team: 'data' }, jitter: '90s' }).set(as('ann'));
  await api.post('/schedules/ping/reschedule', { cron: '0 3 * * *' }).set(as('bob'));
  await api.post('/schedules/ping/pause', { note: 'moving' }).set(as('cem'));
  await api.post('/schedules/ping/resume').set(as('dan'));
  await api.put('/schedules/ping', { every: '1m', job: { type: 'noop' } }).set(as('eve'));
  await api.post('/schedules/ping/rollback', { version: 2 }).set(as('fay'));
  await api.post('/schedules/ping/stop', { note: 'over' });
  expect(await lines()).toEqual([
    '8 stopped api',
    '7 rolled_back fay',
    '6 updated eve',
    '5 resumed dan',
    '4 paused cem',
    '3 rescheduled bob',
    '2 updated ann',
    '1 created api',
  ]);
  const [stopped, rolledBack, updated, resumed, paused, rescheduled, patched] = await history();
  expect(patched?.changes).toEqual([
    { pointer: '/labels/team', after: 'data' },
    { pointer: '/jitter', before: null, after: '90s' },
  ]);
  expect(rescheduled?.changes).toEqual([
    { pointer: '/every', before: '1m' },
    { pointer: '/cron', after: '0 3 * * *' },
  ]);
  const pause = { labels: null, since: instant, actor: 'cem', note: 'moving' };
  expect(paused).toMatchObject({
    note: 'moving',
    status: 'paused',
    pauses: [pause],
    changes: [
      { pointer: '/status', before: 'active', after: 'paused' },
      { pointer: '/pauses', before: [], after: [pause] },
    ],
  });
  expect(resumed?.changes).toEqual([
    { pointer: '/status', before: 'paused', after: 'active' },
    { pointer: '/pauses', before: [pause], after: [] },
  ]);
  expect(updated?.changes).toHaveLength(4);
  expect(rolledBack).toMatchObject({ note: 'to version 2' });
  expect(stopped).toMatchObject({ note: 'over', status: 'stopped' });
});

test('what changes nothing is no version', async () => {
  const { labels, job } = (await api.get('/schedules/ping')).body;
  await api.patch('/schedules/ping', { labels, job });
  await api.put('/schedules/ping', { every: '1m', job: { type: 'noop' } });
  await api.post('/schedules/ping/reschedule', { every: '60s' });
  await api.post('/schedules/ping/resume');
  await api.post('/schedules/ping/trigger');
  await api.post('/schedules/ping/rollback', { version: 1 });
  await api.patch('/schedules/ping', { every: 'never' });
  // "60s" is written otherwise than "1m", and is told so.
  expect((await history()).map(({ version, changes }) => [version, changes])).toEqual([
    [3, [{ pointer: '/every', before: '60s', after: '1m' }]],
    [2, [{ pointer: '/every', before: '1m', after: '60s' }]],
    [1, []],
  ]);
});

test('what Carillon does by itself is a version by carillon: the circuit breaker, completion, a calendar', async () => {
  await api.create('fragile', { pauseAfterFailures: 1, job: { type: 'noop', retry: { maxAttempts: 1 } } });
  await api.create('once', { at: '2026-03-01T00:01:00Z' });
  await api.create('twice', { every: '1m', maxRuns: 1 });
  await api.put('/calendars/holidays', { dates: ['2027-01-01'] });
  await api.create('far', { at: '2026-06-01T00:00:00Z', exclude: ['calendar:holidays'] });
  await api.put('/calendars/holidays', { dates: ['2026-06-01'] });
  await api.put('/calendars/holidays', { dates: ['2026-06-02'] });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const worker = await api.house.worker();
  for (const run of await worker.take()) await worker.fail(run, { retryable: false });
  expect(await lines('fragile')).toEqual(['2 paused carillon', '1 created api']);
  expect((await history('fragile'))[0]).toMatchObject({
    note: 'paused after 1 failures in a row',
    pauses: [{ labels: null, actor: 'carillon', note: 'paused after 1 failures in a row' }],
  });
  expect((await api.get('/schedules/fragile')).body).toMatchObject({
    status: 'paused',
    pauses: [{ labels: null, since: '2026-03-01T00:01:00.000Z', actor: 'carillon' }],
  });
  expect(await lines('once')).toEqual(['2 completed carillon', '1 created api']);
  expect(await lines('twice')).toEqual(['2 completed carillon', '1 created api']);
  expect(await lines('far')).toEqual(['3 reactivated carillon', '2 completed carillon', '1 created api']);
});

test('a command in whose course the schedule completes tells the two apart', async () => {
  await api.create('once', { at: '2026-03-01T00:01:00Z' });
  await api.house.live(MINUTE);
  await api.post('/schedules/once/reschedule', { every: '1h' }).set('x-carillon-actor', 'ann');
  expect(await lines('once')).toEqual(['3 rescheduled ann', '2 completed carillon', '1 created api']);
});

test('a "delay" whose end lies behind endAt is completed by carillon', async () => {
  await api.post('/schedules', {
    name: 'tail',
    delay: '10m',
    endAt: '2026-03-01T00:05:00Z',
    job: { type: 'noop' },
  });
  await api.house.live(SECOND);
  await api.house.dispatchAll();
  const worker = await api.house.worker();
  for (const run of await worker.take()) await worker.succeed(run);
  expect(await lines('tail')).toEqual(['2 completed carillon', '1 created api']);
});

test('a secret stands in it as in the schedule: by its name', async () => {
  await api.put('/secrets/token', { value: 'hunter2-hunter2' });
  const input = (value: unknown) => ({
    job: { type: 'task', input: { url: 'http://127.0.0.1:1/', headers: { authorization: value } } },
  });
  await api.patch('/schedules/ping', input({ $secret: 'token' }));
  const { text } = await api.get('/schedules/ping/history');
  expect(text).toContain('{"$secret":"token"}');
  expect(text).not.toContain('hunter2');
});

test('it comes in pages, newest first, without gaps or repeats', async () => {
  for (let n = 2; n <= 12; n += 1) await api.patch('/schedules/ping', { description: `${n}` });
  const seen: Entry[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '?limit=5' : `?limit=5&cursor=${cursor}`;
    const response = await api.get(`/schedules/ping/history${query}`);
    seen.push(...response.body.items);
    cursor = response.body.nextCursor;
    expect(response.headers.link !== undefined).toBe(cursor !== null);
  } while (cursor !== null);
  expect(seen.map(({ version }) => version)).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  // Also across the edge of a page the change is told against the version before.
  expect(seen[4]?.changes).toEqual([{ pointer: '/description', before: '7', after: '8' }]);
});

test('a deleted schedule’s history stays, by its id, with the deletion last', async () => {
  const { id } = (await api.get('/schedules/ping')).body;
  await api.delete('/schedules/ping').set('x-carillon-actor', 'ann');
  expect(await lines(id)).toEqual(['2 deleted ann', '1 created api']);
  expectProblem(await api.get('/schedules/ping/history'), { status: 404 });
  // The name's next owner has a history of its own.
  await api.create('ping');
  expect(await lines('ping')).toEqual(['1 created api']);
  expect(await lines(id)).toHaveLength(2);
});

test('what retention takes away leaves the rest readable', async () => {
  const { prunePass } = await import('../../src/dispatcher/pruner.ts');
  const { house } = api;
  const gone = (await api.create('gone')).id;
  await api.delete('/schedules/gone');
  await api.patch('/schedules/ping', { description: 'two' });
  await house.live(DAY);
  await api.patch('/schedules/ping', { description: 'three' });
  await house.live(DAY);
  await prunePass({ db: house.db, clock: house.clock, ageMsMax: 1.5 * 86_400_000 });
  // The second was in force at the edge, so it stays; what was before it is not known any more.
  expect((await history()).map(({ version, changes }) => [version, changes])).toEqual([
    [3, [{ pointer: '/description', before: 'two', after: 'three' }]],
    [2, null],
  ]);
  expectProblem(await api.get(`/schedules/${gone}/history`), { status: 404 });
  expectProblem(await api.post('/schedules/ping/rollback', { version: 1 }), {
    status: 404,
    words: 'not on record any more',
  });
});

test.each([
  ['', 'nothing'],
  ['x'.repeat(201), 'too much'],
  ['a\tb', 'a tab'],
  ['carillon', 'Carillon’s own name'],
])('the actor %j is refused: %s', async (actor) => {
  await expectRefused(api, () => api.post('/schedules/ping/pause').set('x-carillon-actor', actor), {
    status: 400,
    pointers: ['X-Carillon-Actor'],
  });
});

test('an actor of 200 characters is taken, also ones of several bytes', async () => {
  const actor = '名'.repeat(200);
  const response = await fetch(`${api.address}/schedules/ping/pause`, {
    method: 'POST',
    headers: { 'x-carillon-actor': Buffer.from(actor).toString('latin1') },
  });
  expect(response.status).toBe(200);
  expect((await history())[0]?.actor).toBe(actor);
});

test('what is nobody’s is a 404; a cursor of another list a 400', async () => {
  expectProblem(await api.get('/schedules/nowhere/history'), { status: 404 });
  expectProblem(await api.get('/schedules/018f2f6e-7a00-7000-8000-000000000001/history'), { status: 404 });
  expectProblem(await api.get('/schedules/ping/history?cursor=abc'), {
    status: 400,
    pointers: ['?cursor'],
  });
});
