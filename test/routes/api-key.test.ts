import { expect, test } from 'vitest';
import { ping, standIn } from './stand-in.ts';

const apiKey = 'correct-horse-battery';
const setup = () => standIn({ apiKey });

test.each([
  '/healthz',
  '/readyz',
  '/docs',
  '/docs/',
  '/docs/static/index.css',
  '/docs/json',
  '/openapi.json',
])('%s is open to anyone', async (url) => {
  const { app } = await setup();
  expect((await app.inject(url)).statusCode).toBe(200);
});

test.each([
  '/schedules',
  '/schedules/ping',
  '/runs',
  '/job-types',
  '/metrics',
  '/nope',
  '/schedules/ping/pause',
])('%s without the key is a 401 that says how to send it', async (url) => {
  const { app, calls } = await setup();
  const response = await app.inject(url);
  expect(response.json()).toMatchObject({ status: 401, code: 'unauthorized' });
  expect(response.headers['www-authenticate']).toBe('Bearer realm="carillon"');
  expect(calls).toEqual([]);
});

test.each([
  'wrong',
  `${apiKey}x`,
  apiKey.slice(1),
  apiKey.toUpperCase(),
])('the key %s is refused', async (key) => {
  const { app, calls } = await setup();
  const response = await app.inject({ url: '/schedules', headers: { authorization: `Bearer ${key}` } });
  expect(response.statusCode).toBe(401);
  expect(response.headers['www-authenticate']).toContain('error="invalid_token"');
  expect(response.body).not.toContain(apiKey);
  expect(calls).toEqual([]);
});

test.each([
  '',
  'Bearer',
  'Bearer ',
  `Basic ${apiKey}`,
  apiKey,
  `Bearer ${apiKey} more`,
])('an Authorization header of "%s" is refused', async (authorization) => {
  const { app } = await setup();
  expect((await app.inject({ url: '/schedules', headers: { authorization } })).statusCode).toBe(401);
});

test.each(['Bearer', 'bearer', 'BEARER'])('the right key after "%s" is let in', async (scheme) => {
  const { app, calls } = await setup();
  const headers = { authorization: `${scheme} ${apiKey}` };
  expect((await app.inject({ url: '/schedules', headers })).statusCode).toBe(200);
  expect((await app.inject({ url: '/metrics', headers })).body).toBe('carillon_up 1\n');
  expect(calls).toHaveLength(1);
});

test('a body is not even read without the key', async () => {
  const { app } = await setup();
  const response = await app.inject({ method: 'POST', url: '/schedules', payload: '{ broken' });
  expect(response.statusCode).toBe(401);
});

test('without a key configured everything is open', async () => {
  const { app } = await standIn({ apiKey: null });
  expect((await app.inject({ method: 'POST', url: '/schedules', payload: ping })).statusCode).toBe(201);
  expect((await app.inject('/metrics')).statusCode).toBe(200);
});
