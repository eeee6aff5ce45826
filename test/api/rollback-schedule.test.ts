/** POST /schedules/{id}/rollback */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectRefused, expectSchedule } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping', { labels: { team: 'data' }, catchUpWindow: '90m' });
});
afterAll(() => api.close());

const definitionOf = (body: object) =>
  Object.fromEntries(
    Object.entries(body).filter(
      ([key]) => !/^(version|updatedAt|nextRunAt|upcoming|status|note|pauses)$/.test(key),
    ),
  );

test('the definition of then is the present one, as a new version, and its times are computed anew', async () => {
  const first = (await api.get('/schedules/ping')).body;
  await api.put('/schedules/ping', { cron: '0 3 * * *', timezone: 'Asia/Shanghai', job: { type: 'noop' } });
  await api.house.live(90_000);
  const response = await api.post('/schedules/ping/rollback', { version: 1 });
  expect(response.status).toBe(200);
  expectSchedule(response.body, 'every');
  expect(definitionOf(response.body)).toEqual(definitionOf(first));
  expect(response.body).toMatchObject({ version: 3, nextRunAt: '2026-03-01T00:02:00.000Z' });
  expect(response.headers.etag).toBe('"3"');
});

test('the status stays: a paused one is paused, and what was changed since the version is not lifted', async () => {
  await api.post('/schedules/ping/pause', { note: 'why' });
  await api.patch('/schedules/ping', { every: '5m' });
  const { body } = await api.post('/schedules/ping/rollback', { version: 1 });
  expect(body).toMatchObject({ status: 'paused', note: 'why', every: '1m', nextRunAt: null, version: 4 });
});

test('a queued fire of the definition that it leaves is withdrawn, as by PUT and PATCH; not by what is not about time', async () => {
  const withdrawn = async (change: () => Promise<unknown>) => {
    await api.house.live(MINUTE);
    await api.house.dispatchAll();
    await change();
    const [last] = (await api.get('/schedules/ping/runs?limit=1')).body.items;
    return [last.status, last.reason];
  };
  await api.patch('/schedules/ping', { overlap: 'allow' });
  expect(await withdrawn(() => api.patch('/schedules/ping', { description: 'x' }))).toEqual(['queued', null]);
  const gone = ['cancelled', 'rescheduled'];
  expect(await withdrawn(() => api.patch('/schedules/ping', { every: '30s' }))).toEqual(gone);
  const put = { every: '20s', overlap: 'allow', job: { type: 'noop' } };
  expect(await withdrawn(() => api.put('/schedules/ping', put))).toEqual(gone);
  expect(await withdrawn(() => api.post('/schedules/ping/rollback', { version: 2 }))).toEqual(gone);
});

test('to what it is already changes nothing', async () => {
  const before = (await api.get('/schedules/ping')).body;
  expect((await api.post('/schedules/ping/rollback', { version: 1 })).body).toEqual(before);
});

test('a completed one is active again', async () => {
  await api.patch('/schedules/ping', { every: null, at: '2026-03-01T00:01:00Z' });
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  expect((await api.get('/schedules/ping')).body.status).toBe('completed');
  expect((await api.post('/schedules/ping/rollback', { version: 1 })).body.status).toBe('active');
});

test('a version that never was, or an unknown schedule: a 404 that says which there are', async () => {
  await expectRefused(api, () => api.post('/schedules/ping/rollback', { version: 2 }), {
    status: 404,
    pointers: ['/version'],
    words: 'it is at version 1',
  });
  await expectRefused(api, () => api.post('/schedules/nowhere/rollback', { version: 1 }), { status: 404 });
  for (const version of [0, 1.5, 'one', null, 2 ** 31]) {
    await expectRefused(api, () => api.post('/schedules/ping/rollback', { version }), {
      status: 400,
      pointers: ['/version'],
    });
  }
});

test('a stopped schedule, or a definition that cannot be any more: a 409 that says why', async () => {
  await api.put('/calendars/holidays', { dates: ['2026-12-25'] });
  await api.patch('/schedules/ping', { exclude: ['calendar:holidays'] });
  await api.patch('/schedules/ping', { exclude: [] });
  await api.delete('/calendars/holidays');
  await expectRefused(api, () => api.post('/schedules/ping/rollback', { version: 2 }), {
    status: 409,
    words: /Version 2 .* cannot come back.*\/exclude\/0.*no calendar "holidays"/,
  });
  await api.patch('/schedules/ping', { name: 'pong' });
  await api.create('ping');
  await expectRefused(api, () => api.post('/schedules/pong/rollback', { version: 1 }), {
    status: 409,
    words: 'is taken',
  });
  await api.post('/schedules/pong/stop');
  await expectRefused(api, () => api.post('/schedules/pong/rollback', { version: 1 }), {
    status: 409,
    words: 'stopped, which is final',
  });
});
