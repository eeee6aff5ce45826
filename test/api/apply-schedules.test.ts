/** POST /schedules/apply */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

const git = { 'managed-by': 'git' };
const prune = { label: 'managed-by:git' };
const schedule = (name: string, fields: object = {}) => ({
  name,
  every: '1m',
  labels: git,
  job: noop,
  ...fields,
});
const apply = (schedules: unknown[], more: object = {}) =>
  api.post('/schedules/apply', { schedules, ...more });
type Line = { name: string; action: string; version: number };
const lines = (body: { schedules: Line[] }) =>
  body.schedules.map(({ name, action, version }) => `${name} ${action} ${version}`);

test('it creates, changes, leaves and prunes, and tells each in the order of the document', async () => {
  await apply([schedule('a'), schedule('b'), schedule('c')]);
  await api.create('others');
  const response = await apply([schedule('d'), schedule('b', { every: '5m' }), schedule('a')], { prune });
  expect(response.status).toBe(200);
  expect(lines(response.body)).toEqual(['d created 1', 'b updated 2', 'a unchanged 1', 'c pruned 2']);
  expect(response.body).toMatchObject({
    dryRun: false,
    counts: { created: 1, updated: 1, unchanged: 1, pruned: 1 },
    schedules: [
      { changes: [] },
      { changes: [{ pointer: '/every', before: '1m', after: '5m' }] },
      { changes: [] },
      { changes: [] },
    ],
  });
  const { items } = (await api.get('/schedules')).body;
  expect(items.map(({ name }: Line) => name).sort()).toEqual(['a', 'b', 'd', 'others']);
  expect((await api.get('/schedules/d')).body.id).toBe(response.body.schedules[0].id);
});

test('again it changes nothing: no version, no prune, nothing withdrawn', async () => {
  const document = [schedule('a'), schedule('b', { cron: '0 3 * * *', every: undefined })];
  await apply(document, { prune });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const before = await api.snapshot();
  const { body } = await apply(document.reverse(), { prune });
  expect(lines(body)).toEqual(['b unchanged 1', 'a unchanged 1']);
  expect(await api.snapshot()).toEqual(before);
});

test('a dry run tells the very plan, and leaves nothing behind', async () => {
  await apply([schedule('a'), schedule('b'), schedule('c')]);
  const document = [schedule('a', { jitter: '5s' }), schedule('b'), schedule('d')];
  const before = await api.snapshot();
  const planned = (await apply(document, { prune, dryRun: true })).body;
  expect(await api.snapshot()).toEqual(before);
  expect(planned).toMatchObject({ dryRun: true, schedules: [{}, {}, { id: null, action: 'created' }, {}] });
  const done = (await apply(document, { prune })).body;
  expect(lines(planned)).toEqual(lines(done));
  expect(planned.schedules.map(({ changes }: { changes: object[] }) => changes)).toEqual(
    done.schedules.map(({ changes }: { changes: object[] }) => changes),
  );
});

test('the history says who applied what', async () => {
  await apply([schedule('a'), schedule('b')]).set('x-carillon-actor', 'ci');
  const { id } = (await api.get('/schedules/b')).body;
  await apply([schedule('a', { every: '5m' })], { prune }).set('x-carillon-actor', 'ci');
  const actions = async (ref: string) =>
    (await api.get(`/schedules/${ref}/history`)).body.items.map(
      ({ action, actor, note }: Record<string, string>) => [action, actor, note],
    );
  expect(await actions('a')).toEqual([
    ['applied', 'ci', null],
    ['created', 'ci', null],
  ]);
  expect(await actions(id)).toEqual([
    ['deleted', 'ci', 'not in the document that was applied'],
    ['created', 'ci', null],
  ]);
});

test('a paused one stays paused; a queued fire of the old times is withdrawn', async () => {
  await apply([schedule('a', { overlap: 'allow' })]);
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  await api.post('/schedules/a/pause', { note: 'why' });
  await apply([schedule('a', { every: '5m' })]);
  expect((await api.get('/schedules/a')).body).toMatchObject({ status: 'paused', note: 'why', every: '5m' });
  expect((await api.get('/schedules/a/runs')).body.items).toMatchObject([
    { status: 'cancelled', reason: 'rescheduled' },
  ]);
});

test('what has ended is neither pruned nor brought back', async () => {
  await apply([schedule('a'), schedule('once', { every: undefined, at: '2026-03-01T00:01:00Z' })]);
  await api.post('/schedules/a/stop');
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  expect(lines((await apply([schedule('a')], { prune })).body)).toEqual(['a unchanged 2']);
  expect((await api.get('/schedules/once')).body.status).toBe('completed');
  await expectRefused(api, () => apply([schedule('b'), schedule('a', { every: '5m' })]), {
    status: 409,
    pointers: ['/schedules/1'],
    words: '"a" is stopped, which is final',
  });
});

test('all mistakes are told, each by its place, and nothing of the document is done', async () => {
  await api.put('/secrets/known', { value: 'hunter2' });
  const url = 'http://127.0.0.1:1/';
  await expectRefused(
    api,
    () =>
      apply([
        schedule('good'),
        schedule('bad', { every: undefined, cron: '61 * * * *' }),
        5,
        schedule('worse', { surely: 'unknown', jitter: 'none' }),
        { name: 'pause' },
      ]),
    {
      status: 400,
      pointers: [
        '/schedules/1/cron',
        '/schedules/2',
        '/schedules/3/jitter',
        '/schedules/3/surely',
        '/schedules/4/name',
        '/schedules/4/job',
      ],
    },
  );
  // What only the database knows, too.
  await expectRefused(
    api,
    () =>
      apply([
        schedule('z', { exclude: ['calendar:none'] }),
        schedule('y', { every: undefined, at: '2020-01-01T00:00:00Z' }),
        schedule('good'),
        schedule('x', { job: { type: 'task', input: { url, headers: { a: { $secret: 'nobody' } } } } }),
      ]),
    {
      status: 400,
      pointers: ['/schedules/0/exclude/0', '/schedules/1/at', '/schedules/3/job/input/headers/a'],
    },
  );
});

test('a name twice, or without the label of the prune, is refused', async () => {
  await expectRefused(api, () => apply([schedule('a'), schedule('b'), schedule('a')]), {
    status: 400,
    pointers: ['/schedules/2/name'],
    words: 'the name "a" of `schedules[0]`',
  });
  await expectRefused(api, () => apply([schedule('a'), schedule('b', { labels: {} })], { prune }), {
    status: 400,
    pointers: ['/schedules/1/labels'],
    words: 'lacks the label "managed-by:git"',
  });
});

test('an empty document with a prune deletes all with the label', async () => {
  await apply([schedule('a'), schedule('b')]);
  await api.create('others');
  expect((await apply([], { prune })).body.counts).toEqual({
    created: 0,
    updated: 0,
    unchanged: 0,
    pruned: 2,
  });
  expect((await api.get('/schedules')).body.items).toHaveLength(1);
});

test('a thousand are applied at once, and more are refused', async () => {
  const many = Array.from({ length: 1_000 }, (_, n) => schedule(`s${n}`, { description: 'x'.repeat(1_200) }));
  const { body } = await apply(many);
  expect(body.counts).toMatchObject({ created: 1_000 });
  expect((await apply(many)).body.counts).toMatchObject({ unchanged: 1_000 });
  const exported = (await api.get('/schedules/export')).body;
  expect((await api.post('/schedules/apply', exported)).body.counts).toMatchObject({ unchanged: 1_000 });
  await expectRefused(api, () => apply([...many, schedule('more')]), {
    status: 400,
    pointers: ['/schedules'],
  });
  await api.create('more');
  expectProblem(await api.get('/schedules/export'), { status: 400, pointers: ['?label'] });
  expect((await api.get('/schedules/export?label=managed-by:git')).body.schedules).toHaveLength(1_000);
}, 60_000);

test('a body beyond 8 MiB is a 413', async () => {
  const description = 'x'.repeat(9 * 1_048_576);
  expectProblem(await apply([schedule('a', { description })]), { status: 413 });
});

test('a document that is none is a 400', async () => {
  for (const body of [
    {},
    { schedules: {} },
    { schedules: [], prune: {} },
    { schedules: [], prune: { label: 'x' } },
  ]) {
    await expectRefused(api, () => api.post('/schedules/apply', body), { status: 400 });
  }
});
