/** POST /schedules/resume?label= */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectRefused } from './wire-shapes.ts';

const api = await setupApi();
const labels = { team: 'data', env: 'prod' };
beforeEach(async () => {
  await api.reset();
  await api.create('a', { labels, overlap: 'allow' });
  await api.create('b', { labels, overlap: 'allow' });
});
afterAll(() => api.close());

/** By name: schedules of one millisecond have ids in any order. */
const byName = (items: { name: string }[]) => items.sort((a, b) => (a.name < b.name ? -1 : 1));

type Shown = { status: string; note: string | null; pauses: { labels: string[] | null }[] };
const show = async (name: string) => {
  const { status, note, pauses } = (await api.get(`/schedules/${name}`)).body as Shown;
  return { status, note, by: pauses.map((pause) => pause.labels?.join() ?? 'itself') };
};
const pauseGroup = (label: string, note: string | null = null) =>
  api.post(`/schedules/pause?label=${label}`, { note });
const resumeGroup = (label: string, body = {}) => api.post(`/schedules/resume?label=${label}`, body);

test('what was paused by itself before stays paused', async () => {
  await api.post('/schedules/a/pause', { note: 'its own' });
  await pauseGroup('team:data', 'all of us');
  expect(await show('a')).toEqual({ status: 'paused', note: 'all of us', by: ['itself', 'team:data'] });
  const { body } = await resumeGroup('team:data');
  expect(byName(body.changed)).toMatchObject([
    { name: 'a', status: 'paused' },
    { name: 'b', status: 'active' },
  ]);
  expect(await show('a')).toEqual({ status: 'paused', note: 'its own', by: ['itself'] });
  expect(await show('b')).toEqual({ status: 'active', note: null, by: [] });
});

test('what the circuit breaker paused stays paused', async () => {
  await api.create('fragile', {
    labels,
    pauseAfterFailures: 1,
    job: { type: 'noop', retry: { maxAttempts: 1 } },
  });
  await api.trigger('fragile');
  const worker = await api.house.worker();
  for (const run of await worker.take()) await worker.fail(run, { retryable: false });
  await pauseGroup('team:data');
  await resumeGroup('team:data');
  expect(await show('fragile')).toMatchObject({ status: 'paused', note: 'paused after 1 failures in a row' });
});

test('two groups’ pauses are both to be lifted, in either order', async () => {
  for (const [first, second] of [
    ['team:data', 'env:prod'],
    ['env:prod', 'team:data'],
  ] as const) {
    await pauseGroup('team:data');
    await pauseGroup('env:prod');
    await resumeGroup(first);
    expect(await show('a')).toMatchObject({ status: 'paused', by: [second] });
    await resumeGroup(second);
    expect(await show('a')).toMatchObject({ status: 'active', by: [] });
  }
});

test('a group of two labels is another group than that of one', async () => {
  await api.post('/schedules/pause?label=team:data&label=env:prod');
  expect((await resumeGroup('team:data')).body).toMatchObject({
    matched: 2,
    changedCount: 0,
    unchangedCount: 2,
  });
  expect((await resumeGroup('env:prod&label=team:data')).body).toMatchObject({ changedCount: 2 });
});

test('a resume of the schedule itself lifts everything', async () => {
  await api.post('/schedules/a/pause');
  await pauseGroup('team:data');
  await pauseGroup('env:prod');
  const { body } = await api.post('/schedules/a/resume');
  expect(body).toMatchObject({ status: 'active', pauses: [], note: null });
});

test('one whose labels have changed since is resumed too', async () => {
  await pauseGroup('team:data');
  await api.patch('/schedules/a', { labels: { team: null } });
  expect(await show('a')).toMatchObject({ status: 'paused' });
  expect((await resumeGroup('team:data')).body).toMatchObject({ matched: 2, changedCount: 2 });
  expect(await show('a')).toMatchObject({ status: 'active' });
});

test('the last lifting may ask for the times of the whole pause', async () => {
  await api.post('/schedules/a/pause');
  await api.house.live(2 * MINUTE);
  await pauseGroup('team:data');
  await api.post('/schedules/b/resume');
  await api.house.live(2 * MINUTE);
  await pauseGroup('team:data');
  await api.house.live(MINUTE);
  await resumeGroup('team:data', { catchUp: 'all' });
  // Its own pause holds still; the other was paused for a minute.
  expect((await api.get('/schedules/a')).body.counts.fired).toBe(0);
  expect((await api.get('/schedules/b')).body.counts.fired).toBe(1 + 4);
  await api.post('/schedules/a/resume', { catchUp: 'all' });
  expect((await api.get('/schedules/a')).body.counts.fired).toBe(5);
});

test('one that cannot be resumed is told with the reason, keeps nothing of it, and the others go on', async () => {
  await api.create('fast', { every: '1s', labels, overlap: 'allow' });
  await pauseGroup('team:data');
  await api.house.live(12_000_000);
  const { body } = await resumeGroup('team:data', { catchUp: 'all' });
  expect(body).toMatchObject({ matched: 3, changedCount: 2, refusedCount: 1 });
  expect(body.refused).toMatchObject([
    { name: 'fast', status: 'paused', detail: expect.stringContaining('more than 10000 fires') },
  ]);
  expect((await api.get('/schedules/fast/runs')).body.items).toEqual([]);
  expect(await show('fast')).toMatchObject({ status: 'paused', by: ['team:data'] });
});

test('what has no time left is completed; what is active already is unchanged', async () => {
  await api.create('once', { at: '2026-03-01T00:01:00Z', labels });
  await pauseGroup('team:data');
  await api.post('/schedules/b/resume');
  await api.house.live(2 * MINUTE);
  const { body } = await resumeGroup('team:data');
  expect(byName(body.changed)).toMatchObject([
    { name: 'a', status: 'active' },
    { name: 'once', status: 'completed' },
  ]);
  expect(body.unchanged).toMatchObject([{ name: 'b', status: 'active' }]);
});

test('without a label, or with what is no policy, it is a 400', async () => {
  await expectRefused(api, () => api.post('/schedules/resume'), { status: 400, pointers: ['?label'] });
  await expectRefused(api, () => resumeGroup('team:data', { catchUp: 'some' }), {
    status: 400,
    pointers: ['/catchUp'],
  });
});
