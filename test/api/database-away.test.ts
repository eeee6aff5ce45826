/** What a caller is told while Postgres restarts. */
import { sql } from 'drizzle-orm';
import { afterAll, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { expectProblem } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());

test('a request whose connection is cut is a 503 that says when to come back, and has done nothing', async () => {
  const { house } = api;
  await api.create('ping');
  const before = await api.snapshot();
  const { db } = house.another('holds the schedule');
  const answer = await db.transaction(async (tx) => {
    await tx.execute(sql`select from schedule_states for update`);
    const waiting = api.post('/schedules/ping/pause').then((response) => response);
    await house.blocked();
    await house.db.execute(sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`);
    return await waiting;
  });
  expectProblem(answer, { status: 503, code: 'unavailable', words: 'Nothing was lost' });
  expect(answer.headers['retry-after']).toBe('2');
  expect(await api.snapshot()).toEqual(before);
  expect((await api.post('/schedules/ping/pause')).body.status).toBe('paused');
});
