/** PUT /schedules/{name} */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

const definition = { cron: '0 2 * * *', timezone: 'Europe/Berlin', labels: { team: 'data' }, job: noop };

test('a new name is created: 201 and its path', async () => {
  const response = await api.put('/schedules/nightly', definition);
  expect(response.status).toBe(201);
  expect(response.headers.location).toBe(`/schedules/${response.body.id}`);
  expectSchedule(response.body, 'cron');
  expect(response.body).toMatchObject({ name: 'nightly', version: 1, ...definition, job: { type: 'noop' } });
  expect((await api.get('/schedules/nightly')).body).toEqual(response.body);
});

test('the same again is a 200 that changes nothing', async () => {
  const first = (await api.put('/schedules/nightly', definition)).body;
  api.house.clock.advance(MINUTE);
  const before = await api.snapshot();
  const second = await api.put('/schedules/nightly', definition);
  expect(second.status).toBe(200);
  expect(second.headers.location).toBeUndefined();
  expect(second.body).toEqual(first);
  expect(await api.snapshot()).toEqual(before);
});

test('another definition replaces the old one; identity, history and counts stay', async () => {
  const first = (await api.put('/schedules/nightly', { ...definition, every: '1m', cron: undefined })).body;
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const worker = await api.house.worker();
  for (const run of await worker.take()) await worker.succeed(run);
  const second = await api.put('/schedules/nightly', { every: '10m', job: noop });
  expect(second.status).toBe(200);
  expectSchedule(second.body, 'every');
  expect(second.body).toMatchObject({
    id: first.id,
    createdAt: first.createdAt,
    updatedAt: '2026-03-01T00:01:00.000Z',
    version: 2,
    every: '10m',
    // What is left out goes back to its default.
    timezone: 'UTC',
    labels: {},
    nextRunAt: '2026-03-01T00:10:00.000Z',
    counts: { fired: 1, succeeded: 1 },
    lastRun: { status: 'succeeded' },
  });
  expect((await api.get('/schedules/nightly/runs')).body.items).toHaveLength(1);
});

test('a duration in other words is the same length, and is answered in those words', async () => {
  await api.put('/schedules/p', { every: '90s', job: noop });
  expect((await api.put('/schedules/p', { every: '1m30s', job: noop })).body.every).toBe('1m30s');
  expect((await api.put('/schedules/p', { every: 'PT90S', job: noop })).body.every).toBe('1m30s');
  expect((await api.get('/schedules/p')).body.every).toBe('1m30s');
});

test('what is paused stays paused', async () => {
  await api.put('/schedules/nightly', definition);
  await api.post('/schedules/nightly/pause', { note: 'wait' });
  const { body } = await api.put('/schedules/nightly', { ...definition, cron: '0 3 * * *' });
  expect(body).toMatchObject({ status: 'paused', note: 'wait', nextRunAt: null, cron: '0 3 * * *' });
});

test('many that put one new name at once make one schedule', async () => {
  const responses = await Promise.all(
    Array.from({ length: 6 }, (_, n) => api.put('/schedules/raced', { every: `${n + 1}m`, job: noop })),
  );
  expect(responses.map((response) => response.status).sort()).toEqual([200, 200, 200, 200, 200, 201]);
  expect(new Set(responses.map((response) => response.body.id)).size).toBe(1);
  expect((await api.get('/schedules/raced')).body.version).toBe(6);
});

test('the name may be repeated in the body, in any script', async () => {
  const path = `/schedules/${encodeURIComponent('每日备份')}`;
  expect((await api.put(path, { ...definition, name: '每日备份' })).status).toBe(201);
  expect((await api.put(path, definition)).status).toBe(200);
});

describe('it is refused', () => {
  test.each<[string, string, object, string[]]>([
    ['for another name in the body', 'nightly', { ...definition, name: 'daily' }, ['/name']],
    ['for a name that is a route', 'preview', definition, ['/name']],
    ['for a name that is a command', 'pause', definition, ['/name']],
    ['for a name with a slash', 'a%2Fb', definition, ['/name']],
    ['for a name of 300 characters', 'x'.repeat(300), definition, ['/name']],
    ['for an id, since ids are given', '018f2f6e-7a00-7000-8000-000000000001', definition, ['/name']],
    ['without a trigger', 'nightly', { job: noop }, ['']],
    ['without a job', 'nightly', { every: '5s' }, ['/job']],
    ['with a read-only field', 'nightly', { ...definition, version: 1 }, ['/version']],
  ])('%s', async (_what, name, body, pointers) => {
    await expectRefused(api, () => api.put(`/schedules/${name}`, body), {
      status: 400,
      code: 'invalid',
      pointers,
    });
  });

  test('without a body', async () => {
    await expectRefused(api, () => api.put('/schedules/nightly'), { status: 400, pointers: ['/job'] });
  });

  test('for a schedule that is there, too, and leaves it as it was', async () => {
    await api.put('/schedules/nightly', definition);
    await expectRefused(api, () => api.put('/schedules/nightly', { ...definition, cron: '60 * * * *' }), {
      status: 400,
      pointers: ['/cron'],
    });
  });

  test('for a stopped schedule: a 409 that says what to do', async () => {
    await api.put('/schedules/nightly', definition);
    await api.post('/schedules/nightly/stop');
    await expectRefused(api, () => api.put('/schedules/nightly', definition), {
      status: 409,
      code: 'conflict',
      words: /stopped, which is final.*first DELETE/,
    });
  });
});
