/** GET /runs and GET /schedules/{id}/runs */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE, SECOND } from '../support/timings.ts';
import { expectProblem, expectRun } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());

/** What happened before: a run in each state that a run may be in. */
let ids: { a: string; b: string };
beforeAll(async () => {
  const { house } = api;
  const minute = async () => {
    await house.live(MINUTE);
    await house.dispatchAll();
  };
  const noRetry = { type: 'noop', retry: { maxAttempts: 1 } };
  const a = await api.create('a', { every: '1m', job: noRetry });
  const b = await api.create('b', {
    at: '2026-03-01T00:05:30Z',
    job: { type: 'echo', input: { text: 'x' } },
  });
  ids = { a: a.id, b: b.id };
  house.served.push('echoes');
  const worker = await house.worker();
  await minute(); // 00:01 succeeds
  for (const run of await worker.take()) await worker.succeed(run);
  await minute(); // 00:02 fails
  for (const run of await worker.take()) await worker.fail(run);
  await minute(); // 00:03 times out
  for (const run of await worker.take()) await worker.fail(run, { timedOut: true });
  await minute(); // 00:04 runs and is still at it at 00:05
  await worker.take();
  await minute(); // 00:05 is skipped
  house.clock.advance(30 * SECOND);
  await house.live(0);
  await house.dispatchAll(); // b at 00:05:30 waits
  const cancelled = await api.trigger('b', { overlap: 'allow' });
  await api.post(`/runs/${cancelled.id}/cancel`);
});

type Item = { id: string; status: string; scheduledFor: string };
async function list(path: string): Promise<Item[]> {
  const response = await api.get(path);
  expect(response.status, response.text).toBe(200);
  return response.body.items;
}
const statuses = async (path: string) => (await list(path)).map((run) => run.status);

test('runs come newest nominal time first, each as it is answered alone', async () => {
  const items = await list('/runs');
  for (const item of items) {
    expectRun(item);
    const {
      attempts: _attempts,
      steps: _steps,
      progress: _progress,
      ...alone
    } = (await api.get(`/runs/${item.id}`)).body;
    expect(alone).toEqual(item);
  }
  const times = items.map((run) => run.scheduledFor);
  expect(times).toEqual([...times].sort().reverse());
  expect(items.map((run) => run.status).sort()).toEqual(
    ['cancelled', 'failed', 'queued', 'running', 'skipped', 'succeeded', 'timed_out'].sort(),
  );
});

describe('filters', () => {
  test.each<[string, string[]]>([
    ['status=succeeded', ['succeeded']],
    ['status=failed,timed_out', ['timed_out', 'failed']],
    ['status=failed&status=timed_out', ['timed_out', 'failed']],
    ['status=queued,running,retrying', ['queued', 'running']],
    ['status=running,skipped', ['skipped', 'running']],
    ['status=retrying', []],
    ['status=missed', []],
    ['jobType=echo&status=queued', ['queued']],
    ['jobType=unknown', []],
    ['schedule=a', ['skipped', 'running', 'timed_out', 'failed', 'succeeded']],
    ['schedule=b&status=cancelled', ['cancelled']],
    ['since=2026-03-01T00:04:00Z&schedule=a', ['skipped', 'running']],
    ['until=2026-03-01T00:02:00Z', ['failed', 'succeeded']],
    ['until=2026-03-01T00:01:59.999Z', ['succeeded']],
    ['since=2026-03-01T01:03:00%2B01:00&until=2026-03-01T00:03:00Z', ['timed_out']],
    // As curl sends it, a + in a query stands for a blank.
    ['since=2026-03-01T01:03:00+01:00&until=2026-03-01T00:03:00Z', ['timed_out']],
    ['since=2030-01-01T00:00:00Z', []],
  ])('%s', async (query, expected) => {
    expect(await statuses(`/runs?${query}`)).toEqual(expected);
  });

  test('a schedule may be named by its id, and its own list is the same', async () => {
    const byName = await list('/runs?schedule=a');
    expect(await list(`/runs?schedule=${ids.a}`)).toEqual(byName);
    expect(await list('/schedules/a/runs')).toEqual(byName);
    expect(await list(`/schedules/${ids.a.toUpperCase()}/runs`)).toEqual(byName);
    expect(await statuses('/schedules/a/runs?status=failed')).toEqual(['failed']);
  });
});

describe('pages', () => {
  test.each([
    '/runs',
    '/schedules/a/runs',
  ])('the cursor and the Link lead through all of %s', async (path) => {
    const all = await list(path);
    const seen: Item[] = [];
    let next: string | undefined = `${path}?limit=2`;
    while (next !== undefined) {
      const response = await api.get(next);
      const { items, nextCursor } = response.body;
      seen.push(...items);
      const link: string | undefined = /^<([^>]*)>; rel="next"$/.exec(response.headers.link ?? '')?.[1];
      if (nextCursor === null) expect(link).toBeUndefined();
      else
        expect((await api.get(`${path}?limit=2&cursor=${nextCursor}`)).body).toEqual(
          (await api.get(link!)).body,
        );
      next = link;
    }
    expect(seen).toEqual(all);
  });

  test('the Link keeps the filters', async () => {
    const response = await api.get('/runs?status=failed,timed_out&limit=1');
    const link = /^<([^>]*)>/.exec(response.headers.link!)![1]!;
    expect(await statuses(link)).toEqual(['failed']);
  });

  test('a run that is made meanwhile shifts nothing', async () => {
    const all = await list('/schedules/a/runs');
    const first = (await api.get('/schedules/a/runs?limit=3')).body;
    const late = await api.trigger('a');
    const rest = await list(`/schedules/a/runs?cursor=${first.nextCursor}`);
    expect([...first.items, ...rest]).toEqual(all);
    expect((await list('/schedules/a/runs'))[0]).toMatchObject({ id: late.id });
  });

  test.each<[string, (cursor: string) => string]>([
    ['changed', (cursor) => `${cursor.slice(0, -1)}_`],
    ['cut', (cursor) => cursor.slice(1)],
    ['empty', () => ''],
  ])('a cursor that was %s is a 400', async (_what, tamper) => {
    const { nextCursor } = (await api.get('/runs?limit=1')).body;
    expectProblem(await api.get(`/runs?cursor=${tamper(nextCursor)}`), {
      status: 400,
      pointers: ['?cursor'],
    });
  });

  test('a cursor of schedules is a 400', async () => {
    const { nextCursor } = (await api.get('/schedules?limit=1')).body;
    for (const path of ['/runs', '/schedules/a/runs']) {
      expectProblem(await api.get(`${path}?cursor=${nextCursor}`), { status: 400, pointers: ['?cursor'] });
    }
  });
});

test('a schedule that is nobody’s is a 404 that names it', async () => {
  for (const path of ['/schedules/nowhere/runs', '/runs?schedule=nowhere']) {
    expectProblem(await api.get(path), { status: 404, code: 'not_found', words: '"nowhere"' });
  }
});

test('the schedule of a path cannot be said again in the query', async () => {
  expectProblem(await api.get('/schedules/a/runs?schedule=b'), { status: 400, pointers: ['?schedule'] });
});
