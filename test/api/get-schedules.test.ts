/** GET /schedules */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { SECOND } from '../support/timings.ts';
import { expectProblem, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

/** One after the other, so that the order is known. */
async function createAll(...names: string[]) {
  for (const name of names) {
    api.house.clock.advance(1);
    await api.create(name);
  }
}

async function names(path: string): Promise<string[]> {
  const response = await api.get(path);
  expect(response.status, response.text).toBe(200);
  return response.body.items.map((item: { name: string }) => item.name);
}

test('an empty house has an empty page', async () => {
  const response = await api.get('/schedules');
  expect(response.status).toBe(200);
  expect(response.body).toEqual({ items: [], nextCursor: null });
  expect(response.headers.link).toBeUndefined();
});

test('schedules come newest first, each as it is answered alone', async () => {
  await createAll('first', 'second', 'third');
  const { body } = await api.get('/schedules');
  expect(Object.keys(body)).toEqual(['items', 'nextCursor']);
  expect(body.items.map((item: { name: string }) => item.name)).toEqual(['third', 'second', 'first']);
  for (const item of body.items) {
    expectSchedule(item, 'every');
    expect((await api.get(`/schedules/${item.id}`)).body).toEqual(item);
  }
});

describe('filters', () => {
  beforeEach(async () => {
    const { house } = api;
    await api.create('active', { labels: { team: 'data', tier: '1' } });
    await api.create('paused', { labels: { team: 'data' }, description: 'Waits for the Übernahme.' });
    await api.create('stopped', { labels: { team: 'web' } });
    await api.create('echoing', { at: '2026-03-01T00:00:01Z', job: { type: 'echo', input: { text: 'x' } } });
    await api.post('/schedules/paused/pause');
    await api.post('/schedules/stopped/stop');
    house.served.push('echoes');
    await house.live(SECOND);
    await house.dispatchAll();
    const worker = await house.worker();
    for (const run of await worker.take()) await worker.succeed(run);
  });

  test.each<[string, string[]]>([
    ['status=active', ['active']],
    ['status=paused', ['paused']],
    ['status=stopped', ['stopped']],
    ['status=completed', ['echoing']],
    ['jobType=echo', ['echoing']],
    ['jobType=noop', ['active', 'paused', 'stopped']],
    ['jobType=unknown', []],
    ['label=team:data', ['active', 'paused']],
    ['label=tier:1', ['active']],
    ['label=tier:', []],
    ['label=team:data:x', []],
    ['q=PAUS', ['paused']],
    ['q=übernahme', ['paused']],
    ['q=ÜBER', ['paused']],
    ['q=%25', []],
    ['q=_', []],
    ['q=', ['active', 'echoing', 'paused', 'stopped']],
    ['lastStatus=succeeded', ['echoing']],
    ['lastStatus=failed', []],
    ['label=team:data&status=paused', ['paused']],
    ['label=team:data&status=stopped', []],
  ])('%s', async (query, expected) => {
    expect((await names(`/schedules?${encodeURI(query).replaceAll('%2525', '%25')}`)).sort()).toEqual(
      expected,
    );
  });
});

test('a label may have any value, and what looks like JSON or SQL is only text', async () => {
  const value = `"}'; drop table runs; -- 数据 : %`;
  await api.create('odd', { labels: { 'key with "quotes"': value } });
  await api.create('even');
  const query = new URLSearchParams({ label: `key with "quotes":${value}` });
  expect(await names(`/schedules?${query}`)).toEqual(['odd']);
});

describe('pages', () => {
  test('the cursor leads through all of them, and the last one has none', async () => {
    await createAll('a', 'b', 'c', 'd', 'e');
    const seen: string[] = [];
    let cursor: string | null = null;
    for (let pages = 0; pages < 3; pages++) {
      const { body } = await api.get(`/schedules?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`);
      seen.push(...body.items.map((item: { name: string }) => item.name));
      cursor = body.nextCursor;
    }
    expect(seen).toEqual(['e', 'd', 'c', 'b', 'a']);
    expect(cursor).toBeNull();
  });

  test('the Link header leads there too, and keeps filters and limit', async () => {
    for (const name of ['a', 'b', 'c']) {
      api.house.clock.advance(1);
      await api.create(name, { labels: { 'k 1': 'v&w' } });
      await api.create(`${name}-other`);
    }
    const query = new URLSearchParams({ label: 'k 1:v&w', limit: '1' });
    let path: string | undefined = `/schedules?${query}`;
    const seen: string[] = [];
    while (path !== undefined) {
      const response = await api.get(path);
      seen.push(...response.body.items.map((item: { name: string }) => item.name));
      path = /^<(\/schedules\?[^>]*)>; rel="next"$/.exec(response.headers.link ?? '')?.[1];
    }
    expect(seen).toEqual(['c', 'b', 'a']);
  });

  test('a page that is just full is the last one', async () => {
    await createAll('a', 'b');
    const { body, headers } = await api.get('/schedules?limit=2');
    expect([body.items.length, body.nextCursor, headers.link]).toEqual([2, null, undefined]);
  });

  test('what is created or deleted meanwhile shifts nothing', async () => {
    await createAll('a', 'b', 'c', 'd');
    const first = (await api.get('/schedules?limit=2')).body;
    await createAll('newer');
    await api.delete('/schedules/c');
    await api.delete('/schedules/a');
    expect(await names(`/schedules?limit=2&cursor=${first.nextCursor}`)).toEqual(['b']);
  });

  test('a page has 50 items unless told otherwise, and at most 200', async () => {
    await Promise.all(Array.from({ length: 51 }, (_, n) => api.create(`s${n}`)));
    expect(await names('/schedules')).toHaveLength(50);
    expect(await names('/schedules?limit=200')).toHaveLength(51);
    expect((await api.get('/schedules?limit=201')).status).toBe(400);
  });

  test.each<[string, (cursor: string) => string]>([
    ['changed', (cursor) => `${cursor.slice(0, -2)}AA`],
    ['cut', (cursor) => cursor.slice(0, -4)],
    ['lengthened', (cursor) => `${cursor}AAAA`],
    ['in another case', (cursor) => cursor.toLowerCase()],
    ['an id', () => '018f2f6e-7a00-7000-8000-000000000001'],
  ])('a cursor that was %s is a 400', async (_what, tamper) => {
    await createAll('a', 'b');
    const { nextCursor } = (await api.get('/schedules?limit=1')).body;
    const response = await api.get(`/schedules?cursor=${encodeURIComponent(tamper(nextCursor))}`);
    expectProblem(response, { status: 400, code: 'invalid', pointers: ['?cursor'] });
  });

  test('a cursor of another list is a 400', async () => {
    await createAll('a');
    for (let n = 0; n < 2; n++) {
      api.house.clock.advance(1);
      await api.trigger('a', { overlap: 'allow' });
    }
    const { nextCursor } = (await api.get('/runs?limit=1')).body;
    expect(nextCursor).not.toBeNull();
    expectProblem(await api.get(`/schedules?cursor=${nextCursor}`), { status: 400, pointers: ['?cursor'] });
  });
});

test('a schedule with another trigger shows the fields of its own', async () => {
  await api.post('/schedules', { name: 'cron', cron: '@daily', job: noop });
  expectSchedule((await api.get('/schedules')).body.items[0], 'cron');
});
