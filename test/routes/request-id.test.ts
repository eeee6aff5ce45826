import { expect, test } from 'vitest';
import { standIn } from './stand-in.ts';

test('each answer has a request id of its own', async () => {
  const { app } = await standIn();
  const [one, two] = [await app.inject('/schedules'), await app.inject('/schedules')];
  expect(one.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(two.headers['x-request-id']).not.toBe(one.headers['x-request-id']);
});

test.each([
  'abc',
  'trace-1.2_3',
  'a/b+c=@:',
  'x'.repeat(128),
])('the id "%s" of the caller is kept', async (id) => {
  const { app } = await standIn();
  const response = await app.inject({ url: '/nope', headers: { 'x-request-id': id } });
  expect(response.headers['x-request-id']).toBe(id);
  expect(response.json().requestId).toBe(id);
});

test.each([
  '',
  ' ',
  'two words',
  '-dash',
  'x'.repeat(129),
  '{"a":1}',
  'tab\there',
  'Ünïcode',
])('the id "%s" is not fit for a log line and is replaced', async (id) => {
  const { app } = await standIn();
  const response = await app.inject({ url: '/nope', headers: { 'x-request-id': id } });
  expect(response.json().requestId).toMatch(/^[0-9a-f-]{36}$/);
});
