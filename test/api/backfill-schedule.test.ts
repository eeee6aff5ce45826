/** POST /schedules/{id}/backfill, GET /backfills, GET /backfills/{id}, POST /backfills/{id}/cancel */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { backfillAnswer } from '../../src/routes/backfills.ts';
import { setupApi } from '../support/api-house.ts';
import { expectProblem, id } from './wire-shapes.ts';

const api = await setupApi();
const { house } = api;
beforeEach(async () => {
  await api.reset();
  await api.create('hourly', { cron: '0 * * * *' });
});
afterAll(() => api.close());

const range = { start: '2026-02-28T01:00:00Z', end: '2026-02-28T04:00:00Z' };
const backfill = (body: object) => api.post('/schedules/hourly/backfill', body);

test('it answers 202 with what was enqueued, both ends included', async () => {
  const response = await backfill({ ...range, overlap: 'allow' });
  expect(response.status).toBe(202);
  expect(response.headers.location).toBe(`/backfills/${response.body.id}`);
  const at = (hour: number) => `2026-02-28T0${hour}:00:00.000Z`;
  expect(response.body).toEqual({
    id,
    scheduleId: id,
    scheduleName: 'hourly',
    start: at(1),
    end: at(4),
    overlap: 'allow',
    total: 4,
    dryRun: false,
    status: 'running',
    enqueued: 4,
    skipped: 0,
    fires: [1, 2, 3, 4].map((hour) => ({
      scheduledFor: at(hour),
      runId: id,
      status: 'queued',
      reason: null,
    })),
  });
  const runs = (await api.get('/schedules/hourly/runs')).body.items;
  expect(runs.map((run: { scheduledFor: string }) => run.scheduledFor)).toEqual([at(4), at(3), at(2), at(1)]);
  expect(runs[0]).toMatchObject({ cause: 'backfill', backfillId: response.body.id, status: 'queued' });
});

test('a dry run says the same and stores nothing', async () => {
  const response = await backfill({ ...range, overlap: 'allow', dryRun: true });
  expect(response.status).toBe(200);
  expect(response.body).toMatchObject({ id: null, status: null, dryRun: true, total: 4, enqueued: 4 });
  expect(response.body.fires[0]).toMatchObject({ runId: null, status: 'queued' });
  expect((await api.get('/backfills')).body.items).toEqual([]);
  expect((await api.get('/runs')).body.items).toEqual([]);
});

test('a range without a nominal time is answered with 200 and no backfill', async () => {
  const response = await backfill({ start: '2026-02-28T01:10:00Z', end: '2026-02-28T01:20:00Z' });
  expect([response.status, response.body.total, response.body.id]).toEqual([200, 0, null]);
});

test('without an overlap of its own it is the schedule’s', async () => {
  const { body } = await backfill(range);
  expect(body).toMatchObject({ overlap: 'skip', enqueued: 1, skipped: 3 });
  expect(body.fires[1]).toMatchObject({ status: 'skipped', reason: 'overlap' });
});

test('its progress is visible, run by run, oldest first with queue_all', async () => {
  const { body } = await backfill({ ...range, overlap: 'queue_all' });
  const worker = await house.worker();
  const look = async () => (await api.get(`/backfills/${body.id}`)).body;
  expect((await look()).progress).toMatchObject({ held: 3, queued: 1 });
  const [first] = await worker.take();
  expect(first!.scheduledForMs).toBe(Date.parse(range.start));
  await worker.succeed(first!);
  const [second] = await worker.take();
  await worker.fail(second!, { retryable: false });
  const now = await look();
  backfillAnswer.strict().parse(now);
  expect(now).toMatchObject({ status: 'running', total: 4, cancelledAt: null });
  expect(now.progress).toMatchObject({ held: 1, queued: 1, running: 0, succeeded: 1, failed: 1 });
  for (let n = 0; n < 2; n += 1) await worker.succeed((await worker.take())[0]!);
  expect(await look()).toMatchObject({ status: 'completed', progress: { succeeded: 3, failed: 1 } });
});

test('live fires overtake what a backfill holds', async () => {
  await api.patch('/schedules/hourly', { overlap: 'queue_all' });
  await backfill(range);
  const worker = await house.worker();
  const [first] = await worker.take();
  await house.live(3_600_000);
  await house.dispatchAll();
  await worker.succeed(first!);
  const [next] = await worker.take();
  expect(next!.scheduledForMs).toBe(house.clock.now());
});

test('it can be called off as a whole', async () => {
  const { body } = await backfill({ ...range, overlap: 'queue_all' });
  const worker = await house.worker();
  const [running] = await worker.take();
  const cancelled = await api.post(`/backfills/${body.id}/cancel`);
  expect(cancelled.status).toBe(200);
  expect(cancelled.body).toMatchObject({
    status: 'cancelled',
    cancelledAt: '2026-03-01T00:00:00.000Z',
    progress: { held: 0, queued: 0, running: 1, cancelled: 3 },
  });
  expect((await api.post(`/backfills/${body.id}/cancel`)).body).toEqual(cancelled.body);
  await worker.end(running!, 'cancelled', { reason: 'cancelled_by_hand' });
  expect(await worker.take()).toEqual([]);
  const reasons = (await house.runsOf()).map((run) => run.reason);
  expect(reasons).toEqual(Array(4).fill('backfill_cancelled'));
  expect((await api.get('/schedules/hourly')).body).toMatchObject({ activeRuns: 0, heldRuns: 0 });
});

test('one that is completed cannot be called off', async () => {
  const { body } = await backfill({ start: range.start, end: range.start });
  const worker = await house.worker();
  await worker.succeed((await worker.take())[0]!);
  expectProblem(await api.post(`/backfills/${body.id}/cancel`), { status: 409, words: /completed/ });
});

test('backfills are listed, newest first, also those of one schedule', async () => {
  const ids: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    house.clock.advance(1000);
    ids.unshift((await backfill({ ...range, overlap: 'allow' })).body.id);
  }
  const first = (await api.get('/backfills?limit=2&schedule=hourly')).body;
  expect(first.items.map((each: { id: string }) => each.id)).toEqual(ids.slice(0, 2));
  const second = (await api.get(`/backfills?limit=2&cursor=${first.nextCursor}`)).body;
  expect(second.items.map((each: { id: string }) => each.id)).toEqual(ids.slice(2));
  expectProblem(await api.get('/backfills?schedule=nobody'), { status: 404 });
});

test('10,000 fires are taken, and one more is refused with their number', async () => {
  await api.create('busy', { every: '1s', overlap: 'allow' });
  const start = '2026-02-27T00:00:00Z';
  const ask = (seconds: number) =>
    api.post('/schedules/busy/backfill', {
      start,
      end: new Date(Date.parse(start) + (seconds - 1) * 1000).toISOString(),
      overlap: 'queue_all',
    });
  const { body } = await ask(10_000);
  expect(body).toMatchObject({ total: 10_000, enqueued: 10_000 });
  expect(body.fires).toHaveLength(1000);
  expect((await api.get(`/backfills/${body.id}`)).body.progress).toMatchObject({ queued: 1, held: 9999 });
  expectProblem(await ask(10_001), { status: 400, pointers: ['/end'], words: /10001 times/ });
  expect((await api.post(`/backfills/${body.id}/cancel`)).body.progress.cancelled).toBe(10_000);
});

describe('refusals leave nothing behind', () => {
  test.each<[string, object, object]>([
    ['no start', { end: range.end }, { status: 400, pointers: ['/start'] }],
    ['an end before the start', { start: range.end, end: range.start }, { status: 400, pointers: ['/end'] }],
    [
      'an end to come',
      { start: range.start, end: '2026-03-02T00:00:00Z' },
      { status: 400, pointers: ['/end'] },
    ],
    ['no instant', { ...range, start: 'yesterday' }, { status: 400, pointers: ['/start'] }],
    ['an unknown field', { ...range, catchUp: 'all' }, { status: 400, pointers: ['/catchUp'] }],
    ['an unknown policy', { ...range, overlap: 'buffer' }, { status: 400, pointers: ['/overlap'] }],
  ])('%s', async (_, body, refusal) => {
    expectProblem(await backfill(body), refusal as never);
    expect((await api.get('/runs')).body.items).toEqual([]);
  });

  test('an unknown schedule, a stopped one, a delay', async () => {
    expectProblem(await api.post('/schedules/nobody/backfill', range), { status: 404 });
    await api.create('waits', { delay: '1m' });
    expectProblem(await api.post('/schedules/waits/backfill', range), { status: 409, words: /delay/ });
    await api.post('/schedules/hourly/stop');
    expectProblem(await backfill(range), { status: 409, words: /stopped/ });
    expectProblem(await api.get('/backfills/nobody'), { status: 404 });
  });
});
