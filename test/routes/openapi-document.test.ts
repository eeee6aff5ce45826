import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { renderDocument } from '../../scripts/openapi.ts';
import { createJobRegistry } from '../../src/jobs/registry.ts';
import { createTaskJob } from '../../src/jobs/task/task-job.ts';
import type { JobCatalog } from '../../src/schedules/job-catalog.ts';
import { jobCatalog, runId, standIn } from './stand-in.ts';

type Media = { schema?: unknown; example?: unknown };
type Response = { $ref?: string; description?: string; content?: Record<string, Media> };
type Operation = {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  parameters?: { name: string; required?: boolean; example?: unknown }[];
  requestBody?: { required: boolean; content: Record<string, Media> };
  responses: Record<string, Response>;
};
type Document = {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: Record<string, Record<string, unknown>>;
};

const text = await renderDocument();
const document = parse(text) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    operation,
  })),
);

test('openapi.yaml is what the routes say (if not: npm run openapi)', async () => {
  expect(text).toBe(await readFile(new URL('../../openapi.yaml', import.meta.url), 'utf8'));
});

test('it is OpenAPI 3.1, and its operations have ids of their own', () => {
  expect(document.openapi).toBe('3.1.0');
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(20);
});

test('a calendar comes as JSON or as text, each with a schema of its own', () => {
  const { content } = document.paths['/calendars/{name}']!.put!.requestBody!;
  expect(content['text/calendar']!.schema).toMatchObject({ type: 'string' });
  expect(content['application/json']!.schema).not.toMatchObject({ type: 'string' });
  expect(content['application/json']!.example).toBeTypeOf('object');
});

test.each(operations)('$name says what it is for and what it answers', ({ operation }) => {
  for (const words of [operation.operationId, operation.summary, operation.description, ...operation.tags]) {
    expect(words).toMatch(/\S/);
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    const told = (response.$ref === undefined ? response : resolve(response.$ref)) as Response;
    expect(told.description).toMatch(/\S/);
    expect(told.description).not.toBe('Default Response');
    const types = Object.keys(told.content ?? {});
    if (Number(status) >= 400) expect(types).toEqual(['application/problem+json']);
    else expect(types).toHaveLength(['204', '304'].includes(status) ? 0 : 1);
  }
});

test('all references lead somewhere, and nothing is left over', () => {
  const used = new Set<string>();
  visit(document, (ref) => {
    expect(resolve(ref), ref).toBeDefined();
    used.add(ref);
  });
  for (const name of Object.keys(document.components.schemas ?? {})) {
    expect(used).toContain(`#/components/schemas/${name}`);
  }
});

test('the input of each job type is documented under its name', () => {
  expect(resolve('#/components/schemas/Job')).toMatchObject({
    discriminator: { propertyName: 'type', mapping: { task: '#/components/schemas/TaskJob' } },
  });
  expect(resolve('#/components/schemas/TaskInput')).toMatchObject({
    anyOf: [{ required: ['url'] }, { required: ['command'] }],
  });
});

const { catalog } = createJobRegistry([createTaskJob({ version: '0' })]);
/** The stand-in's schedule has a job of its own type. */
const allJobs: JobCatalog = {
  list: catalog.list,
  find: (type) => catalog.find(type) ?? jobCatalog.find(type),
  check: (type, input) => (catalog.find(type) ? catalog : jobCatalog).check(type, input),
};
const withBody = operations.filter(({ operation }) => operation.requestBody !== undefined);

test.each(withBody)('the example of $name works as it is shown', async ({ name, operation }) => {
  const { app } = await standIn({ jobCatalog: allJobs });
  const [method, path = ''] = name.split(' ');
  const place = path.replace('/tasks/{id}', `/tasks/${runId}`);
  const url = place.replace(/\{(id|name)\}/, path.startsWith('/runs') ? runId : 'ping');
  for (const [type, { example }] of Object.entries(operation.requestBody?.content ?? {})) {
    expect(example).toBeDefined();
    const labels = operation.parameters?.find((each) => each.name === 'label' && each.required)?.example;
    const response = await app.inject({
      method: method as 'POST',
      url: labels === undefined ? url : `${url}?label=${String(labels)}`,
      headers: { 'content-type': type },
      payload: typeof example === 'string' ? example : JSON.stringify(example),
    });
    expect(response.body).not.toContain('"status":4');
    expect(response.statusCode).toBeLessThan(300);
    expect(Object.keys(operation.responses)).toContain(String(response.statusCode));
  }
});

test('a body may be left out just where nothing in it is required', () => {
  const required = withBody
    .filter(({ operation }) => operation.requestBody?.required)
    .map(({ name }) => name);
  expect(required.sort()).toEqual([
    'POST /queues/{name}/tasks',
    'POST /schedules',
    'POST /schedules/apply',
    'POST /schedules/{id}/backfill',
    'POST /schedules/{id}/rollback',
    'PUT /calendars/{name}',
    'PUT /schedules/{id}',
    'PUT /schedules/{id}/watermark',
    'PUT /secrets/{name}',
  ]);
});

test.each(Object.entries(document.paths))('all methods of %s are documented', async (path, methods) => {
  const { app } = await standIn();
  const { headers } = await app.inject({ method: 'OPTIONS', url: path.replace(/\{(id|name)\}/, runId) });
  const documented = Object.keys(methods).map((method) => method.toUpperCase());
  const taken = String(headers.allow).split(', ');
  expect(taken.filter((method) => method !== 'HEAD')).toEqual(documented.sort());
});

test('the document is served as JSON and shown at /docs', async () => {
  const { app } = await standIn();
  expect((await app.inject('/openapi.json')).json()).toMatchObject({
    openapi: '3.1.0',
    info: { version: '9.9.9' },
  });
  const root = await app.inject('/');
  expect([root.statusCode, root.headers.location]).toEqual([302, '/docs']);
  const page = await app.inject('/docs');
  expect(page.headers['content-type']).toMatch(/^text\/html/);
  expect(page.headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
  for (const [, asset = ''] of page.body.matchAll(/(?:src|href)="(\/[^"]+)"/g)) {
    expect((await app.inject(asset)).statusCode, asset).toBe(200);
  }
});

function resolve(ref: string): unknown {
  let value: unknown = document;
  for (const part of ref.split('/').slice(1)) value = (value as Record<string, unknown> | undefined)?.[part];
  return value;
}

function visit(value: unknown, found: (ref: string) => void): void {
  if (value === null || typeof value !== 'object') return;
  for (const [key, child] of Object.entries(value)) {
    if (key === '$ref' && typeof child === 'string') found(child);
    else visit(child, found);
  }
}
