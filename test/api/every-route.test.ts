/** What holds for every path and method that there is, as the API's own document lists them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { expectProblem } from './wire-shapes.ts';

const apiKey = 'correct-horse-battery';
const api = await setupApi();
const locked = await setupApi({ apiKey });
afterAll(() => Promise.all([api.close(), locked.close()]));

type Paths = Record<string, Record<string, { requestBody?: object; security?: unknown[] }>>;
const { paths } = (await api.get('/openapi.json')).body as { paths: Paths };
const routes = Object.entries(paths).flatMap(([path, operations]) =>
  Object.entries(operations).map(([method, operation]) => ({
    method,
    path,
    operation,
    name: `${method} ${path}`,
  })),
);
/** The job of a schedule that has a watermark. */
const syncing = {
  type: 'sync',
  input: {
    source: { url: 'https://shop.example/orders', watermark: 'updatedAt', key: 'id' },
    target: { url: 'file:///srv/orders.ndjson' },
  },
};
const nobody = '018f2f6e-7a00-7000-8000-000000000001';
let run: string;
let backfill: string;
let task: string;
beforeAll(async () => {
  await api.create('ping');
  run = (await api.trigger('ping')).id;
  const range = { start: '2026-02-01T00:00:00Z', end: '2026-02-01T00:01:00Z' };
  backfill = (await api.post('/schedules/ping/backfill', range)).body.id;
  await api.create('hourly-sync', { job: syncing });
  await api.put('/calendars/ping', { dates: ['2026-12-25'] });
  await api.put('/secrets/ping', { value: 'hunter2' });
  task = (await api.post('/queues/ping/tasks', { url: 'http://127.0.0.1:3000/healthz' })).body.id;
});
const idOf = (path: string) =>
  path.startsWith('/runs')
    ? run
    : path.startsWith('/backfills')
      ? backfill
      : path.endsWith('/watermark')
        ? 'hourly-sync'
        : 'ping';
const fill = (path: string) =>
  path.replace('/tasks/{id}', `/tasks/${task}`).replace(/\{(id|name)\}/, idOf(path));

test('the contract’s routes of this version are all there', () => {
  const command = (name: string) => `post /schedules/{id}/${name}`;
  expect(routes.map((route) => route.name)).toEqual(
    expect.arrayContaining([
      ...['post /schedules', 'get /schedules', 'post /schedules/preview'],
      ...['get', 'put', 'patch', 'delete'].map((method) => `${method} /schedules/{id}`),
      ...['pause', 'resume', 'stop', 'reschedule', 'trigger', 'rollback'].map(command),
      ...['pause', 'resume', 'stop', 'apply'].map((name) => `post /schedules/${name}`),
      ...['runs', 'upcoming', 'history', 'explain'].map((name) => `get /schedules/{id}/${name}`),
      'get /schedules/export',
      ...['get', 'put'].map((method) => `${method} /schedules/{id}/watermark`),
      ...[
        'get /runs',
        'get /runs/{id}',
        'get /runs/{id}/logs',
        'post /runs/{id}/cancel',
        'post /runs/{id}/retry',
      ],
      ...['get /forecast', 'get /calendars', 'get /secrets', 'get /backups', 'get /backfills'],
      ...['post /schedules/{id}/backfill', 'get /backfills/{id}', 'post /backfills/{id}/cancel'],
      ...['post /queues/{name}/tasks', 'get /queues', 'get /queues/{name}', 'get /queues/{name}/tasks'],
      ...['get', 'put', 'delete'].map((method) => `${method} /secrets/{name}`),
      ...['get', 'put', 'delete'].map((method) => `${method} /calendars/{name}`),
      ...['get /job-types', 'get /healthz', 'get /readyz', 'get /metrics'],
    ]),
  );
});

describe.each(Object.keys(paths))('%s', (path) => {
  const methods = Object.keys(paths[path]!).map((method) => method.toUpperCase());
  const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort().join(', ');

  test('tells its methods to OPTIONS', async () => {
    const response = await api.agent.options(fill(path));
    expect([response.status, response.headers.allow, response.text]).toEqual([204, allow, '']);
  });

  test.each(
    ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => !allow.includes(method)),
  )('refuses %s with a 405 that says what it takes', async (method) => {
    // A name that is a route is what is wrong with this one.
    if (method === 'PUT' && /^\/schedules\/[a-z]+$/.test(path)) return;
    const response = await fetch(api.address + fill(path), { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
    if (method === 'HEAD') return;
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await response.json()).toMatchObject({ status: 405, code: 'method_not_allowed' });
  });

  if (!methods.includes('GET')) return;
  test('answers HEAD as GET, without a body', async () => {
    const head = await fetch(api.address + fill(path), { method: 'HEAD' });
    const get = await fetch(api.address + fill(path));
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
    await get.body?.cancel();
  });
});

const open = routes.filter(({ operation }) => operation.security?.length === 0);
const guarded = routes.filter(({ operation }) => operation.security === undefined);
const askLocked = (route: (typeof routes)[number], headers: Record<string, string> = {}) =>
  fetch(locked.address + route.path.replaceAll(/\{(id|name)\}/g, nobody), {
    method: route.method.toUpperCase(),
    headers,
  });

test('only health needs no API key', () => {
  expect(open.map((route) => route.path)).toEqual(['/healthz', '/readyz']);
  expect(open.length + guarded.length).toBe(routes.length);
});

test.each(open)('$name needs no API key', async (route) => {
  expect((await askLocked(route)).status).toBe(200);
});

test.each(guarded)('$name wants the API key, before it looks at anything else', async (route) => {
  for (const authorization of ['', 'Bearer wrong-horse-battery', apiKey]) {
    const response = await askLocked(route, authorization === '' ? {} : { authorization });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer realm="carillon"/);
    expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await response.json()).toMatchObject({ code: 'unauthorized' });
  }
  const opened = await askLocked(route, { authorization: `Bearer ${apiKey}` });
  expect(opened.status).not.toBe(401);
  await opened.body?.cancel();
});

test('with a key, what is no route is told to those only who have it; the docs are open', async () => {
  expect((await locked.get('/nope')).status).toBe(401);
  expect((await locked.agent.options('/schedules')).status).toBe(401);
  expect((await locked.delete('/schedules')).status).toBe(401);
  expect((await locked.get('/nope').set('authorization', `Bearer ${apiKey}`)).status).toBe(404);
  for (const path of ['/docs', '/openapi.json']) expect((await locked.get(path)).status).toBe(200);
});

describe('ids and names both work in every path below /schedules', () => {
  const below = routes.filter(({ path, method }) => path.startsWith('/schedules/{id}') && method !== 'put');
  const start = '2026-02-01T00:00:00Z';
  const bodies: Record<string, object> = {
    reschedule: { every: '10m' },
    rollback: { version: 1 },
    backfill: { start, end: start },
  };
  const body = (path: string) => bodies[path.split('/').at(-1) ?? ''] ?? {};

  test.each(below)('$name', async ({ method, path }) => {
    for (const kind of ['name', 'id', 'id in capitals']) {
      const { id } = await api.create('每日备份', path.endsWith('/watermark') ? { job: syncing } : {});
      const ref = { name: encodeURIComponent('每日备份'), id, 'id in capitals': id.toUpperCase() }[kind];
      const request = api.agent[method as 'post'](path.replace(/\{(id|name)\}/, String(ref)));
      const response = method === 'get' ? await request : await request.send(body(path));
      expect(response.status, response.text).toBeLessThan(300);
      if (method !== 'delete') await api.delete(`/schedules/${id}`);
    }
  });
});

describe('a query that a route does not know is refused, whatever the method', () => {
  const guarded = routes.filter(({ path }) => !['/healthz', '/readyz'].includes(path));

  test.each(guarded)('$name', async ({ method, path, operation }) => {
    const url = `${api.address + fill(path)}?dryRum=true`;
    const { content } = (operation.requestBody ?? {}) as { content?: Record<string, { example: unknown }> };
    // As its example shows it, so that nothing else is wrong.
    const example = content?.['application/json']?.example;
    const body = example === undefined ? null : JSON.stringify(example);
    const response = await fetch(url, { method: method.toUpperCase(), body });
    const problem = (await response.json()) as { errors: { pointer: string }[] };
    expect(response.status).toBe(400);
    expect(problem.errors.map((error) => error.pointer)).toContain('?dryRum');
  });
});

const commands = routes.filter((route) => route.operation.requestBody !== undefined);
const bodies: [string, Record<string, string>, string][] = [
  ['no body and no type', {}, ''],
  ['no body under the JSON type', { 'content-type': 'application/json' }, ''],
  ['no body under the form type', { 'content-type': 'application/x-www-form-urlencoded' }, ''],
  ['{} under the JSON type', { 'content-type': 'application/json; charset=utf-8' }, '{}'],
  ['{} under the form type', { 'content-type': 'application/x-www-form-urlencoded' }, '{}'],
  ['{} as text', { 'content-type': 'text/plain;charset=UTF-8' }, '{}'],
];

describe.each(commands)('$name', ({ method, path }) => {
  test.each(bodies)('takes %s for an empty body', async (_what, headers, text) => {
    // Nobody's schedule: what is asked for is found out after the body was read.
    const place = path.replace('/tasks/{id}', `/tasks/${nobody}`);
    const url = api.address + place.replace(/\{(id|name)\}/, path.startsWith('/runs') ? nobody : 'nowhere');
    const body = text === '' ? null : Buffer.from(text);
    const response = await fetch(url, { method: method.toUpperCase(), headers, body });
    // A new schedule and a preview need more than nothing; the others get as far as looking for theirs.
    const needsMore =
      method === 'put' || !/\{id\}|\/retry$/.test(path) || /\/(backfill|rollback)$/.test(path);
    expect(await response.json()).toMatchObject(
      needsMore ? { status: 400, code: 'invalid' } : { status: 404, code: 'not_found' },
    );
  });

  test.each(['[]', '"x"', '5', 'null', '{"surely": "unknown"}', '{'])('refuses the body %s', async (text) => {
    const request = api.agent[method as 'post'](fill(path))
      .set('content-type', 'application/json')
      .send(text);
    expectProblem(await request, { status: 400 });
  });

  test('refuses what is no JSON by its type: a 415', async () => {
    const request = api.agent[method as 'post'](fill(path)).set('content-type', 'text/xml').send('<x/>');
    expectProblem(await request, { status: 415, words: 'application/json' });
  });
});
