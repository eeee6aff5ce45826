/** GET and PUT /schedules/{id}/watermark */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { findWatermark, moveWatermark } from '../../src/db/watermark-store.ts';
import { watermarkAnswer } from '../../src/routes/watermarks.ts';
import { setupApi } from '../support/api-house.ts';
import { id as anId, expectProblem, instant } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());
beforeEach(() => api.reset());

const job = {
  type: 'sync',
  input: {
    source: { url: 'https://shop.example/orders', watermark: 'updatedAt', key: 'id' },
    target: { url: 'file:///srv/orders.ndjson' },
  },
};
const path = '/schedules/orders/watermark';

test('it is null before the first run, what a run moved it to, and what it was set to', async () => {
  const { id: scheduleId } = await api.create('orders', { job });
  const none = (await api.get(path)).body;
  watermarkAnswer.strict().parse(none);
  expect(none).toEqual({ scheduleId, watermark: null, runId: null, updatedAt: null });

  const { id: runId } = await api.trigger('orders');
  const worker = await api.house.worker();
  const [run] = await worker.take();
  const to = {
    watermark: '2026-01-01T00:00:00.000001Z',
    keys: [['7']],
    about: 'a',
    runState: { position: 1 },
    updatedAtMs: api.house.clock.now(),
  };
  expect(await moveWatermark(api.house.db, { id: runId, attempt: 1, scheduleId }, to)).toBe(true);
  expect((await api.get(`/schedules/${scheduleId}/watermark`)).body).toEqual({
    scheduleId,
    watermark: to.watermark,
    runId: anId,
    updatedAt: instant,
  });

  expectProblem(await api.put(path, { watermark: null }), {
    status: 409,
    code: 'conflict',
    words: 'a run that is active',
  });
  expect((await api.get(path)).body.watermark).toBe(to.watermark);
  await worker.succeed(run!);
  const set = await api.put(path, { watermark: '2025-01-01' });
  expect([set.status, set.body]).toEqual([
    200,
    { scheduleId, watermark: '2025-01-01', runId: null, updatedAt: instant },
  ]);
  expect(await findWatermark(api.house.db, scheduleId)).toMatchObject({
    keys: null,
    about: null,
    runState: null,
  });
  expect((await api.put(path, { watermark: null })).body.watermark).toBeNull();
});

test('an attempt that is over, or whose run has ended, moves nothing', async () => {
  const { id: scheduleId } = await api.create('orders', { job });
  const { id: runId } = await api.trigger('orders');
  const worker = await api.house.worker();
  const move = (attempt: number) =>
    moveWatermark(
      api.house.db,
      { id: runId, attempt, scheduleId },
      { watermark: `${attempt}`, keys: null, about: null, runState: null, updatedAtMs: 0 },
    );
  expect(await move(1)).toBe(false);
  const [run] = await worker.take();
  expect([await move(1), await move(2)]).toEqual([true, false]);
  await worker.succeed(run!);
  expect(await move(1)).toBe(false);
  expect((await api.get(path)).body.watermark).toBe('1');
});

test('it is deleted with its schedule, and a run that is left moves nothing any more', async () => {
  const { id: scheduleId } = await api.create('orders', { job });
  const { id: runId } = await api.trigger('orders');
  await (await api.house.worker()).take();
  const move = () =>
    moveWatermark(
      api.house.db,
      { id: runId, attempt: 1, scheduleId },
      { watermark: '1', keys: null, about: null, runState: null, updatedAtMs: 0 },
    );
  expect(await move()).toBe(true);
  await api.delete('/schedules/orders');
  expect(await findWatermark(api.house.db, scheduleId)).toBeNull();
  expect(await move()).toBe(false);
});

test('what has no watermark is a 409, what is no schedule a 404, and what is none a 400', async () => {
  await api.create('other');
  for (const answer of [
    await api.get('/schedules/other/watermark'),
    await api.put('/schedules/other/watermark', { watermark: null }),
  ])
    expectProblem(answer, { status: 409, code: 'conflict', words: 'type "noop"' });
  expectProblem(await api.get('/schedules/none/watermark'), { status: 404, code: 'not_found' });
  await api.create('orders', { job });
  const before = await api.snapshot();
  for (const body of [
    {},
    { watermark: 7 },
    { watermark: '' },
    { watermark: 'a\u0000' },
    { watermark: 'x'.repeat(2_001) },
  ])
    expectProblem(await api.put(path, body), { status: 400, pointers: ['/watermark'] });
  expectProblem(await api.put(path, { watermark: null, more: 1 }), { status: 400, pointers: ['/more'] });
  expect(await api.snapshot()).toEqual(before);
});
