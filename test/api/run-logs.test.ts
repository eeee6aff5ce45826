/** GET /runs/{id}/logs */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { insertLogLines } from '../../src/db/run-log-store.ts';
import { setupApi } from '../support/api-house.ts';
import { expectProblem } from './wire-shapes.ts';

const api = await setupApi();
let run: string;
beforeEach(async () => {
  await api.reset();
  await api.create('ping');
  run = (await api.trigger('ping')).id;
});
afterAll(() => api.close());

/** As the job of an attempt writes them. */
async function write(attempt: number, ...messages: string[]) {
  const atMs = api.house.clock.now();
  const lines = messages.map((message, seq) => ({ runId: run, attempt, seq, atMs, level: 'info', message }));
  await insertLogLines(api.house.db, lines);
}

test('a run that has not written anything has an empty page', async () => {
  const response = await api.get(`/runs/${run}/logs`);
  expect([response.status, response.body]).toEqual([200, { items: [], nextCursor: null }]);
});

test('lines come oldest first, attempt by attempt', async () => {
  await write(1, 'calling', 'answered 503');
  await write(2, 'calling again');
  const { body } = await api.get(`/runs/${run}/logs`);
  expect(body.items).toEqual([
    { seq: 0, attempt: 1, time: '2026-03-01T00:00:00.000Z', level: 'info', message: 'calling' },
    { seq: 1, attempt: 1, time: '2026-03-01T00:00:00.000Z', level: 'info', message: 'answered 503' },
    { seq: 0, attempt: 2, time: '2026-03-01T00:00:00.000Z', level: 'info', message: 'calling again' },
  ]);
});

test('the cursor and the Link lead through all of them, also past what is written meanwhile', async () => {
  await write(1, 'a', 'b', 'c');
  const seen: string[] = [];
  let next: string | undefined = `/runs/${run}/logs?limit=2`;
  for (let page = 1; next !== undefined; page++) {
    const response = await api.get(next);
    seen.push(...response.body.items.map((line: { message: string }) => line.message));
    next = /^<([^>]*)>; rel="next"$/.exec(response.headers.link ?? '')?.[1];
    expect(next === undefined).toBe(response.body.nextCursor === null);
    if (page === 1) await write(2, 'd', 'e');
  }
  expect(seen).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('a cursor of another list is a 400', async () => {
  await api.create('other');
  const { nextCursor } = (await api.get('/schedules?limit=1')).body;
  expectProblem(await api.get(`/runs/${run}/logs?cursor=${nextCursor}`), {
    status: 400,
    pointers: ['?cursor'],
  });
});

test('what is no id is a 400, what is nobody’s a 404', async () => {
  expectProblem(await api.get('/runs/ping/logs'), { status: 400, pointers: ['{id}'] });
  expectProblem(await api.get('/runs/018f2f6e-7a00-7000-8000-000000000001/logs'), { status: 404 });
});
