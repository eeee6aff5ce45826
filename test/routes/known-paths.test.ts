import { expect, test } from 'vitest';
import { scheduleId, standIn } from './stand-in.ts';

type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'HEAD';

test.each([
  '/nope',
  '/schedules/ping/nope',
  '/schedules/ping/runs/1',
  '/schedules//runs',
  '/Schedules',
])('nothing is at %s: a 404 problem', async (url) => {
  const { app } = await standIn();
  const response = await app.inject({ method: 'GET', url });
  expect(response.json()).toMatchObject({ status: 404, code: 'not_found' });
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
});

test('an unknown path is a 404 whatever its body is', async () => {
  const { app } = await standIn();
  for (const headers of [{ 'content-type': 'application/json' }, { 'content-type': 'text/xml' }]) {
    const response = await app.inject({ method: 'POST', url: '/nope', headers, payload: '{' });
    expect(response.statusCode).toBe(404);
  }
});

test.each<[Method, string, string]>([
  ['DELETE', '/schedules', 'GET, HEAD, POST'],
  ['POST', '/schedules/ping', 'DELETE, GET, HEAD, PATCH, PUT'],
  ['GET', '/schedules/ping/pause', 'POST'],
  ['DELETE', `/runs/${scheduleId}/cancel`, 'POST'],
  ['PUT', '/runs', 'GET, HEAD'],
  ['GET', '/schedules/preview', 'POST'],
  ['HEAD', '/schedules/preview/', 'POST'],
  ['DELETE', '/schedules/preview', 'POST'],
  ['PATCH', '/schedules/preview?x=1', 'POST'],
  ['POST', '/healthz', 'GET, HEAD'],
  ['PATCH', '/metrics', 'GET, HEAD'],
])('%s %s is a 405 that names the methods', async (method, url, allow) => {
  const { app, calls } = await standIn();
  const response = await app.inject({ method, url, ...(method !== 'DELETE' && { payload: '{}' }) });
  expect(response.statusCode).toBe(405);
  if (method !== 'HEAD') expect(response.json()).toMatchObject({ status: 405, code: 'method_not_allowed' });
  expect(response.headers.allow).toBe(allow);
  expect(calls).toEqual([]);
});

test('a method that HTTP knows but nobody here does is a 405 too', async () => {
  const { app } = await standIn();
  const response = await app.inject({ method: 'PROPFIND' as Method, url: '/runs' });
  expect(response.json()).toMatchObject({ status: 405 });
});

test('OPTIONS tells the methods', async () => {
  const { app } = await standIn();
  const response = await app.inject({ method: 'OPTIONS', url: '/schedules/ping' });
  expect(response.statusCode).toBe(204);
  expect(response.headers.allow).toBe('DELETE, GET, HEAD, PATCH, PUT');
});

test('a slash at the end makes no difference', async () => {
  const { app, calls } = await standIn();
  expect((await app.inject('/schedules/')).statusCode).toBe(200);
  expect((await app.inject('/schedules/ping/')).statusCode).toBe(200);
  expect((await app.inject({ method: 'DELETE', url: '/schedules/' })).statusCode).toBe(405);
  expect(calls.map(([method]) => method)).toEqual(['list', 'get']);
});

test('HEAD answers like GET without a body', async () => {
  const { app } = await standIn();
  const response = await app.inject({ method: 'HEAD', url: '/schedules/ping' });
  expect(response.statusCode).toBe(200);
  expect(Number(response.headers['content-length'])).toBeGreaterThan(100);
  expect(response.body).toBe('');
  expect((await app.inject({ method: 'HEAD', url: '/nope' })).statusCode).toBe(404);
});

test.each([
  '/%zz',
  '/schedules/%ff',
  '/schedules/%e0%a4%a',
])('%s is a malformed path: a 400 problem', async (url) => {
  const { app } = await standIn();
  const response = await app.inject({ method: 'GET', url });
  expect(response.json()).toMatchObject({ status: 400, code: 'malformed_request' });
  expect(response.headers['x-request-id']).toBe(response.json().requestId);
});

test('a part of a path that is absurdly long is a 414 problem', async () => {
  const { app } = await standIn();
  const response = await app.inject(`/schedules/${'x'.repeat(5_000)}`);
  expect(response.json()).toMatchObject({ status: 414, code: 'uri_too_long' });
});

test('a process without the API has health and metrics only', async () => {
  const { app } = await standIn({ serveApi: false });
  for (const url of ['/healthz', '/readyz', '/metrics']) expect((await app.inject(url)).statusCode).toBe(200);
  for (const url of ['/schedules', '/runs', '/job-types', '/docs', '/openapi.json']) {
    expect((await app.inject(url)).statusCode).toBe(404);
  }
});
