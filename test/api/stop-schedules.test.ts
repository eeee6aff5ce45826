/** POST /schedules/stop?label= */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { expectRefused } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('a', { labels: { team: 'data' } });
  await api.create('b', { labels: { team: 'data' } });
  await api.create('c');
});
afterAll(() => api.close());

test('all that have the label are stopped, their waiting runs end, and a pause is over with it', async () => {
  const run = await api.trigger('a');
  await api.post('/schedules/pause?label=team:data');
  const { body } = await api.post('/schedules/stop?label=team:data', { note: 'sold' });
  expect(body).toMatchObject({ matched: 2, changed: [{ status: 'stopped' }, { status: 'stopped' }] });
  expect((await api.get('/schedules/a')).body).toMatchObject({ status: 'stopped', note: 'sold', pauses: [] });
  expect((await api.get(`/runs/${run.id}`)).body).toMatchObject({ status: 'cancelled', reason: 'stopped' });
  expect((await api.get('/schedules/c')).body.status).toBe('active');
});

test('twice changes nothing; it is final', async () => {
  await api.post('/schedules/stop?label=team:data');
  expect((await api.post('/schedules/stop?label=team:data')).body).toMatchObject({
    changedCount: 0,
    unchangedCount: 2,
  });
  expect((await api.post('/schedules/resume?label=team:data')).body).toMatchObject({ changedCount: 0 });
  expect((await api.get('/schedules/a')).body).toMatchObject({ status: 'stopped', version: 2 });
});

test('without a label it is a 400', async () => {
  await expectRefused(api, () => api.post('/schedules/stop'), { status: 400, pointers: ['?label'] });
});
