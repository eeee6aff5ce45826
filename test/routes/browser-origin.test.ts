import { expect, test } from 'vitest';
import { ping, standIn } from './stand-in.ts';

const post = (origin: string) => ({
  method: 'POST' as const,
  url: '/schedules',
  headers: { origin, 'content-type': 'text/plain' },
  payload: JSON.stringify(ping),
});

test.each([
  'https://evil.example',
  'http://localhost.evil.example',
  'http://10.0.0.7:3000',
  'null',
  'nonsense',
])('an open service takes nothing from a page of %s', async (origin) => {
  const { app, calls } = await standIn();
  const response = await app.inject(post(origin));
  expect(response.json()).toMatchObject({ status: 403, code: 'foreign_origin' });
  expect(calls).toEqual([]);
});

test.each([
  'http://localhost:3000',
  'http://127.0.0.1:3000',
  'http://[::1]:3000',
  'http://carillon.localhost',
])('an open service takes requests from a page of %s', async (origin) => {
  const { app } = await standIn();
  expect((await app.inject(post(origin))).statusCode).toBe(201);
});

test('with an API key the key decides, wherever the page is from', async () => {
  const { app } = await standIn({ apiKey: 'k'.repeat(20) });
  const request = post('https://console.example');
  const headers = { ...request.headers, authorization: `Bearer ${'k'.repeat(20)}` };
  expect((await app.inject({ ...request, headers })).statusCode).toBe(201);
  expect((await app.inject(request)).statusCode).toBe(401);
});
