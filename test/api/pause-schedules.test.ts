/** POST /schedules/pause?label= */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('a', { labels: { team: 'data', env: 'prod' } });
  await api.create('b', { labels: { team: 'data', env: 'test' } });
  await api.create('c', { labels: { team: 'web', env: 'prod' } });
});
afterAll(() => api.close());

/** By name: schedules of one millisecond have ids in any order. */
const byName = <T extends { name: string }>(items: T[]) => items.sort((a, b) => (a.name < b.name ? -1 : 1));
const names = (items: { name: string }[]) => byName(items).map(({ name }) => name);
const statuses = async () =>
  Object.fromEntries(
    await Promise.all(
      ['a', 'b', 'c'].map(async (name) => [name, (await api.get(`/schedules/${name}`)).body.status]),
    ),
  );

test('all that have the label are paused, and it is told which', async () => {
  const { id } = (await api.get('/schedules/a')).body;
  const response = await api
    .post('/schedules/pause?label=team:data', { note: 'The warehouse moves.' })
    .set('x-carillon-actor', 'ann');
  expect(response.status).toBe(200);
  byName(response.body.changed);
  expect(response.body).toEqual({
    labels: ['team:data'],
    matched: 2,
    changedCount: 2,
    changed: [{ id, name: 'a', status: 'paused' }, expect.objectContaining({ name: 'b', status: 'paused' })],
    unchangedCount: 0,
    unchanged: [],
    refusedCount: 0,
    refused: [],
  });
  expect(await statuses()).toEqual({ a: 'paused', b: 'paused', c: 'active' });
  expect((await api.get('/schedules/a')).body).toMatchObject({
    note: 'The warehouse moves.',
    version: 2,
    nextRunAt: null,
    pauses: [
      {
        labels: ['team:data'],
        since: '2026-03-01T00:00:00.000Z',
        actor: 'ann',
        note: 'The warehouse moves.',
      },
    ],
  });
  expect((await api.get('/schedules/a/history')).body.items[0]).toMatchObject({
    action: 'paused',
    actor: 'ann',
  });
  await api.house.live(10 * MINUTE);
  await api.house.dispatchAll();
  expect(names((await api.get('/schedules?lastStatus=succeeded')).body.items)).toEqual([]);
  expect((await api.get('/schedules/a')).body.counts.fired).toBe(0);
});

test('several labels must all match', async () => {
  const { body } = await api.post('/schedules/pause?label=team:data&label=env:prod');
  expect([body.labels, names(body.changed)]).toEqual([['env:prod', 'team:data'], ['a']]);
});

test('a label that nobody has is a group of none', async () => {
  for (const label of ['team:nobody', 'team:', 'data:team', 'team:dat']) {
    expect((await api.post(`/schedules/pause?label=${label}`)).body).toMatchObject({ matched: 0 });
  }
});

test('without a label it would be everything: a 400', async () => {
  for (const query of ['', '?label=', '?label=team', '?label=:data', '?label=team:data&label=']) {
    await expectRefused(api, () => api.post(`/schedules/pause${query}`), {
      status: 400,
      pointers: ['?label'],
    });
  }
  await expectRefused(api, () => api.post('/schedules/pause?label=team:data&label=team:web'), {
    status: 400,
    pointers: ['?label'],
    words: 'two values for "team"',
  });
  expectProblem(await api.post('/schedules/pause'), {
    status: 400,
    words: 'without a label it would be every schedule',
  });
  await expectRefused(api, () => api.post('/schedules/pause?labels=team:data'), { status: 400 });
});

test('twice changes nothing; another note alone is told', async () => {
  await api.post('/schedules/pause?label=team:data', { note: 'why' });
  const again = await api.post('/schedules/pause?label=team:data&label=team:data', { note: 'why' });
  expect(again.body).toMatchObject({ matched: 2, changedCount: 0, unchangedCount: 2 });
  expect((await api.get('/schedules/a')).body.version).toBe(2);
  const other = await api.post('/schedules/pause?label=team:data', { note: 'another' });
  expect(other.body).toMatchObject({ changedCount: 2 });
  expect((await api.get('/schedules/a')).body).toMatchObject({
    version: 3,
    note: 'another',
    pauses: [{ note: 'another' }],
  });
});

test('what has ended is left alone', async () => {
  await api.post('/schedules/a/stop');
  const { body } = await api.post('/schedules/pause?label=team:data');
  expect(body).toMatchObject({ matched: 2, changedCount: 1, unchangedCount: 1 });
  expect(body.unchanged).toMatchObject([{ name: 'a', status: 'stopped' }]);
});

test('what was due has its run before the pause, and a last fire completes instead', async () => {
  await api.create('once', { at: '2026-03-01T00:01:00Z', labels: { team: 'data' } });
  await api.house.live(MINUTE);
  const { body } = await api.post('/schedules/pause?label=team:data');
  expect(names(body.changed)).toEqual(['a', 'b']);
  expect(body.unchanged).toMatchObject([{ name: 'once', status: 'completed' }]);
  expect((await api.get('/schedules/a')).body.counts.fired).toBe(1);
});

test('a schedule that is given the label later is not paused by it', async () => {
  await api.post('/schedules/pause?label=team:data');
  await api.patch('/schedules/c', { labels: { team: 'data' } });
  await api.create('d', { labels: { team: 'data' } });
  expect((await statuses()).c).toBe('active');
  expect((await api.get('/schedules/d')).body.status).toBe('active');
});

test('the words of the paths are no names', async () => {
  for (const word of ['pause', 'resume', 'stop', 'apply', 'export', 'preview']) {
    await expectRefused(
      api,
      () => api.post('/schedules', { name: word, every: '1m', job: { type: 'noop' } }),
      { status: 400, pointers: ['/name'] },
    );
    expectProblem(await api.put(`/schedules/${word}`, { every: '1m', job: { type: 'noop' } }), {
      status: 400,
    });
    expect((await api.delete(`/schedules/${word}`)).status).toBe(405);
  }
});
