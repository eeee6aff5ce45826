/** GET /docs and /openapi.json: what they show works as it is shown. */
import { afterAll, beforeEach, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

type Parameter = { name: string; in: string; required?: boolean; example?: unknown };
type Operation = {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { example: unknown }> };
  responses: Record<string, unknown>;
};
type Document = { openapi: string; info: object; paths: Record<string, Record<string, Operation>> };

const document = (await api.get('/openapi.json')).body as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    path,
    method,
    operation,
    name: operation.operationId,
  })),
);

test('the document is OpenAPI 3.1, as JSON', async () => {
  const response = await api.get('/openapi.json');
  expect(response.type).toBe('application/json');
  expect(response.body).toMatchObject({ openapi: '3.1.0', info: { title: 'Carillon', version: '1.2.3' } });
});

/** The schedules `ping` and `hourly-sync` of the examples, a run or a backfill of it that has ended or, for a cancel, has not, and a task. */
async function prepare(name: string): Promise<{ prepared: string; task: string }> {
  await api.create('ping', {
    labels: { team: 'data' },
    job: { type: 'task', input: { url: 'http://127.0.0.1:3000/healthz' } },
  });
  await api.create('hourly-sync', {
    job: {
      type: 'sync',
      input: {
        source: { url: 'https://shop.example/orders', watermark: 'updatedAt', key: 'id' },
        target: { url: 'file:///srv/orders.ndjson' },
      },
    },
  });
  await api.put('/calendars/cn-holidays', { dates: [] });
  await api.put('/secrets/warehouse-password', { value: 'hunter2' });
  if (name === 'resumeSchedule') await api.post('/schedules/ping/pause');
  if (name.endsWith('Backfill')) {
    const range = { start: '2026-02-01T00:00:00Z', end: '2026-02-01T00:01:00Z' };
    return { prepared: (await api.post('/schedules/ping/backfill', range)).body.id, task: '' };
  }
  const { id } = await api.trigger('ping');
  const queued = await api.post('/queues/mail/tasks', { url: 'http://127.0.0.1:3000/healthz' });
  const ids = { prepared: id, task: queued.body.id };
  if (name === 'cancelRun') return ids;
  const worker = await api.house.worker();
  for (const run of await worker.take()) await worker.succeed(run);
  await api.house.live(MINUTE);
  // The name of the example is to be free.
  if (name === 'createSchedule') await api.delete('/schedules/ping');
  return ids;
}

test.each(operations)('$name works as its example shows it', async ({ path, method, operation, name }) => {
  const { prepared, task } = await prepare(name);
  const ref = operation.parameters?.find(({ name }) => name === 'id' || name === 'name');
  const example = ref?.example;
  if (path.startsWith('/schedules/{id}'))
    expect(example).toBe(path.endsWith('/watermark') ? 'hourly-sync' : 'ping');
  const url = path
    .replace('/tasks/{id}', `/tasks/${task}`)
    .replace(/\{(id|name)\}/, /^\/(runs|backfills)/.test(path) ? prepared : String(example));
  const contents = Object.entries(operation.requestBody?.content ?? { '': { example: undefined } });
  for (const [type, content] of contents) {
    const request = api.agent[method as 'post'](url);
    for (const { name, in: where, example } of operation.parameters ?? []) {
      if (where === 'query' && example !== undefined) request.query({ [name]: example });
    }
    if (operation.requestBody !== undefined) {
      expect(content.example).toBeDefined();
      const text = typeof content.example === 'string' ? content.example : JSON.stringify(content.example);
      request.set('content-type', type).send(text);
    }
    const response = await request;
    expect(response.status, response.text).toBeLessThan(300);
    expect(Object.keys(operation.responses)).toContain(String(response.status));
  }
});

test('no query that may be left out has an example, since Swagger UI would send it unasked', () => {
  for (const { name, operation } of operations) {
    for (const parameter of operation.parameters ?? []) {
      const { in: where, required = false } = parameter;
      if (where === 'query')
        expect(parameter.example !== undefined, `${name} ${parameter.name}`).toBe(required);
    }
  }
});

test('Swagger UI is HTML, whose scripts, styles and pictures are all there', async () => {
  const page = await api.get('/docs').redirects(2);
  expect(page.status).toBe(200);
  expect(page.type).toBe('text/html');
  const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset = '']) => asset);
  expect(assets.length).toBeGreaterThan(4);
  const types: Record<string, RegExp> = { js: /javascript/, css: /css/, png: /png/ };
  for (const asset of assets) {
    const response = await api.get(new URL(asset, `${api.address}/docs/`).pathname);
    expect(response.status, asset).toBe(200);
    expect(response.type, asset).toMatch(types[asset.split('.').at(-1)!] ?? /./);
  }
});

test('the page may load from its own service only, over http as well', async () => {
  const policy = (await api.get('/docs').redirects(2)).headers['content-security-policy'];
  expect(policy).toContain("default-src 'self'");
  expect(policy).not.toContain('upgrade-insecure-requests');
});

test('/ leads to the docs', async () => {
  const response = await api.get('/').redirects(0);
  expect([response.status, response.headers.location]).toEqual([302, '/docs']);
});
