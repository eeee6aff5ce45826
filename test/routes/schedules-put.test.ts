import { expect, test } from 'vitest';
import { ping, scheduleId, specOf, standIn, viewOf } from './stand-in.ts';

const { name: _name, ...definition } = ping;

function put(name: string, payload: Record<string, unknown>) {
  return { method: 'PUT' as const, url: `/schedules/${encodeURIComponent(name)}`, payload };
}

test('a new name is created: 201 and its path', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject(put('ping', definition));
  expect(response.statusCode).toBe(201);
  expect(response.headers.location).toBe(`/schedules/${scheduleId}`);
  expect(calls).toEqual([['put', specOf({ labels: {} }), { actor: 'api' }]]);
});

test('a known name is replaced: 200, and no path', async () => {
  const { app } = await standIn({
    schedules: { put: async (spec) => ({ created: false, schedule: viewOf(spec) }) },
  });
  const response = await app.inject(put('ping', definition));
  expect(response.statusCode).toBe(200);
  expect(response.headers.location).toBeUndefined();
});

test('the same name in the body is no contradiction, also when it is composed differently', async () => {
  const { app, calls } = await standIn();
  expect((await app.inject(put('café', { ...definition, name: 'cafe\u0301' }))).statusCode).toBe(201);
  expect(calls[0]?.[1]).toMatchObject({ name: 'caf\u00e9' });
});

test.each([
  ['another name in the body', 'ping', { ...definition, name: 'pong' }],
  ['an id for a name', scheduleId, definition],
  ['a route word for a name', 'preview', definition],
  ['a name with a slash', 'a/b', definition],
  ['a name of 300 characters', 'x'.repeat(300), definition],
])('%s is a 400 that points at the name', async (_what, name, payload) => {
  const { app, calls } = await standIn();
  const response = await app.inject(put(name, payload));
  expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer: '/name' }] });
  expect(calls).toEqual([]);
});

test('what a schedule keeps itself cannot be put', async () => {
  const { app, calls } = await standIn();
  const response = await app.inject(put('ping', { ...definition, counts: {}, nextRunAt: null }));
  expect(response.json()).toMatchObject({
    status: 400,
    errors: [{ pointer: '/counts' }, { pointer: '/nextRunAt' }],
  });
  expect(response.json().detail).toContain('read-only');
  expect(calls).toEqual([]);
});
