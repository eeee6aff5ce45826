/** DELETE /schedules/{id} */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

test('it answers 204 with nothing, by name and by id', async () => {
  const { id } = await api.create('a');
  await api.create('b');
  for (const ref of [id, 'b']) {
    const response = await api.delete(`/schedules/${ref}`);
    expect([response.status, response.text]).toEqual([204, '']);
  }
  expect((await api.get('/schedules')).body.items).toEqual([]);
});

test('twice is a 404, and leaves other schedules alone', async () => {
  await api.create('a');
  await api.create('b');
  await api.delete('/schedules/a');
  expectProblem(await api.delete('/schedules/a'), { status: 404, code: 'not_found', words: '"a"' });
  expect((await api.get('/schedules/b')).status).toBe(200);
});

test('it takes any body, and none', async () => {
  await api.create('a');
  await api.create('b');
  expect((await api.agent.delete('/schedules/a').set('content-type', 'application/json')).status).toBe(204);
  expect((await api.agent.delete('/schedules/b').send({})).status).toBe(204);
});

test.each(['active', 'paused', 'stopped'])('a schedule that is %s can be deleted', async (status) => {
  await api.create('a');
  if (status === 'paused') await api.post('/schedules/a/pause');
  if (status === 'stopped') await api.post('/schedules/a/stop');
  expect((await api.delete('/schedules/a')).status).toBe(204);
});

test('its waiting run is cancelled, its running one is told, and its history stays', async () => {
  const { house } = api;
  const { id } = await api.create('a', { overlap: 'allow' });
  const running = await api.trigger('a');
  const worker = await house.worker();
  const [taken] = await worker.take();
  house.clock.advance(MINUTE / 2);
  const waiting = await api.trigger('a');

  await api.delete('/schedules/a');
  expect((await api.get(`/runs/${waiting.id}`)).body).toMatchObject({
    status: 'cancelled',
    reason: 'schedule_deleted',
    scheduleName: 'a',
  });
  expect((await api.get(`/runs/${running.id}`)).body.status).toBe('running');
  await worker.end(taken!, 'cancelled', { reason: 'schedule_deleted' });

  expectProblem(await api.get('/schedules/a/runs'), { status: 404 });
  for (const path of [`/schedules/${id}/runs`, `/runs?schedule=${id}`, '/runs']) {
    const { body } = await api.get(path);
    expect(body.items.map((run: { id: string }) => run.id)).toEqual([waiting.id, running.id]);
  }
});

test('nothing fires any more', async () => {
  await api.create('a');
  await api.delete('/schedules/a');
  await api.house.live(MINUTE);
  expect(await api.house.dispatchAll()).toMatchObject({ started: 0, skipped: 0, missed: 0 });
  expect((await api.get('/runs')).body.items).toEqual([]);
});
