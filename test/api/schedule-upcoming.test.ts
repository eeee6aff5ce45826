/** GET /schedules/{id}/upcoming */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

test('the next ten times, in UTC and on the clocks of the zone', async () => {
  await api.create('ping', { cron: '30 2 * * *', timezone: 'Europe/Berlin' });
  api.house.clock.set(Date.parse('2026-03-27T00:00:00Z'));
  await api.post('/schedules/ping/reschedule', { cron: '30 2 * * *' });
  const response = await api.get('/schedules/ping/upcoming');
  expect(response.status).toBe(200);
  expect(Object.keys(response.body)).toEqual(['timezone', 'upcoming', 'fires']);
  expect(response.body.timezone).toBe('Europe/Berlin');
  expect(response.body.fires).toHaveLength(10);
  // 29 March has no 02:30 there: the clocks go from 02:00 to 03:00, and the fire is at the gap's end.
  expect(response.body.fires.slice(0, 4)).toEqual([
    { scheduledFor: '2026-03-27T01:30:00.000Z', local: '2026-03-27T02:30:00+01:00' },
    { scheduledFor: '2026-03-28T01:30:00.000Z', local: '2026-03-28T02:30:00+01:00' },
    { scheduledFor: '2026-03-29T01:00:00.000Z', local: '2026-03-29T03:00:00+02:00' },
    { scheduledFor: '2026-03-30T00:30:00.000Z', local: '2026-03-30T02:30:00+02:00' },
  ]);
  expect(response.body.upcoming).toEqual(
    response.body.fires.map((fire: { scheduledFor: string }) => fire.scheduledFor),
  );
});

test.each([1, 5, 1000])('count=%d asks for so many', async (count) => {
  await api.create('ping');
  expect((await api.get(`/schedules/ping/upcoming?count=${count}`)).body.upcoming).toHaveLength(count);
});

test('there are fewer when the schedule ends before', async () => {
  await api.create('short', { at: ['2026-03-01T00:01:00Z', '2026-03-01T00:02:00Z'] });
  await api.create('until', { every: '1m', endAt: '2026-03-01T00:03:00Z' });
  expect((await api.get('/schedules/short/upcoming')).body.upcoming).toHaveLength(2);
  expect((await api.get('/schedules/until/upcoming')).body.upcoming).toHaveLength(3);
});

test('a paused schedule tells its times as if it went on; a stopped and a completed one have none', async () => {
  await api.create('paused');
  await api.create('stopped');
  await api.create('completed', { at: '2026-03-01T00:01:00Z' });
  await api.post('/schedules/paused/pause');
  await api.post('/schedules/stopped/stop');
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const times = async (name: string) => (await api.get(`/schedules/${name}/upcoming?count=1`)).body.upcoming;
  expect(await times('paused')).toEqual(['2026-03-01T00:02:00.000Z']);
  expect(await times('stopped')).toEqual([]);
  expect(await times('completed')).toEqual([]);
});

test.each(['0', '1001', '-1', '1.5', 'x', ''])('count=%s is a 400', async (count) => {
  await api.create('ping');
  expectProblem(await api.get(`/schedules/ping/upcoming?count=${count}`), {
    status: 400,
    pointers: ['?count'],
    words: 'a whole number from 1 to 1000',
  });
});

test('a name that is nobody’s is a 404', async () => {
  expectProblem(await api.get('/schedules/nowhere/upcoming'), { status: 404 });
});
