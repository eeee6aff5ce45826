/**
 * Every operation of the API's document, asked with what is valid, nearly valid and absurd. Whatever it is: no 5xx,
 * answers as the document states them, problems with all their fields, no trace of what was refused, and a command
 * that is said to be idempotent does nothing the second time.
 *
 * CARILLON_HOSTILE_SEED looks elsewhere, CARILLON_HOSTILE_MS longer (milliseconds for each operation).
 */
import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { claimTasks, settleTasks } from '../../src/db/queue-task-store.ts';
import { setupApi } from '../support/api-house.ts';
import {
  nearlyValid,
  oddBody,
  oddValue,
  resolve,
  type Schema,
  type Schemas,
  validValue,
} from '../support/schema-arbitrary.ts';

const seed = Number(process.env.CARILLON_HOSTILE_SEED ?? 20_260_301);
const msPerOperation = Number(process.env.CARILLON_HOSTILE_MS ?? 50);

const requestsMin = 12;

type Parameter = { name: string; in: 'path' | 'query'; schema: Schema };
type Media = { schema: Schema; example?: unknown };
type Answer = { $ref?: string; content?: Record<string, Media> };
type Operation = {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, Answer>;
};
type Document = {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Schemas; responses: Record<string, Answer> };
};
const api = await setupApi();
/** As openapi.yaml is made, with the job types of tests. */
const document = (await api.get('/openapi.json')).body as Document;
const { schemas } = document.components;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    method: method.toUpperCase(),
    path,
    operation,
    name: `${method.toUpperCase()} ${path}`,
  })),
);
type Route = (typeof operations)[number];

const agent = new Agent({ keepAlive: true });
afterAll(async () => {
  agent.destroy();
  await api.close();
});

/** What these make is what the next request is about: the fresh one of each kind. */
const nobody = '018f2f6e-7a00-7000-8000-000000000001';
const taskBody = { url: 'http://127.0.0.1:9/', dedupeKey: 'one' };
const made = {
  schedule: async () => {
    await api.delete('/schedules/fresh');
    return (await api.create('fresh', { cron: '@daily' })).name as string;
  },
  sync: async () => {
    await api.delete('/schedules/fresh');
    const source = { url: 'https://shop.example/orders', watermark: 'updatedAt', key: 'id' };
    const job = { type: 'sync', input: { source, target: { url: 'file:///tmp/never-written.ndjson' } } };
    return (await api.create('fresh', { cron: '@daily', job })).name as string;
  },
  run: async () => (await api.trigger('kept', {})).id as string,
  endedRun: async () => {
    const id = await made.run();
    await api.post(`/runs/${id}/cancel`);
    return id;
  },
  calendar: async () => {
    await api.put('/calendars/fresh', { dates: ['2026-12-25'] });
    return 'fresh';
  },
  secret: async () => {
    await api.put('/secrets/fresh', { value: 'hunter2-hunter2' });
    return 'fresh';
  },
  queue: async () => {
    await api.post('/queues/fresh/tasks', taskBody);
    return 'fresh';
  },
  task: async () => (await api.post('/queues/fresh/tasks', { url: taskBody.url })).body.id as string,
  deadTask: async () => {
    const { db, clock } = api.house;
    const id = await made.task();
    const { tasks } = await claimTasks(db, drain, 1000, clock.now());
    const died = {
      startedAtMs: clock.now(),
      finishedAtMs: clock.now(),
      status: 'dead' as const,
      output: null,
    };
    const error = { type: 'HttpStatus', message: 'answered 500' };
    await settleTasks(
      db,
      drain,
      tasks.map(({ id, attempt }) => ({ id, attempt, ...died, error })),
    );
    return id;
  },
  backfill: async () => {
    const range = { start: '2026-02-01T00:00:00Z', end: '2026-02-01T00:01:00Z' };
    return (await api.post('/schedules/kept/backfill', range)).body.id as string;
  },
};

/** A run that drains the queue, for tasks that are dead. */
const drain = { runId: '', attempt: 1, queue: 'fresh' };

/** How to come by what the last parameter of a path names. */
function makerOf(path: string): () => Promise<string> {
  if (path.endsWith('/tasks/{id}/retry')) return made.deadTask;
  if (path.startsWith('/runs/{id}/retry')) return made.endedRun;
  if (path.endsWith('/watermark')) return made.sync;
  if (path.startsWith('/queues')) return path.includes('{id}') ? made.task : made.queue;
  const kind = /^\/(\w+)s\//.exec(path)?.[1] as keyof typeof made | undefined;
  return kind === undefined || made[kind] === undefined ? async () => 'kept' : made[kind];
}

beforeAll(async () => {
  await api.create('kept', { overlap: 'allow' });
  await api.create('drain', { job: { type: 'queue', input: { queueName: 'fresh' } } });
  drain.runId = (await api.trigger('drain')).id;
  const worker = await api.house.worker();
  await worker.claim({ id: drain.runId, attempt: 1 });
  for (const make of Object.values(made)) await make();
});

const ajv = new Ajv2020({ strict: false, allErrors: false });
formats.default(ajv);
ajv.addSchema({ $id: 'api', components: { schemas: closed(schemas) } });
const validators = new Map<Answer, Map<string, ValidateFunction>>();

/** Answers may get more fields one day; those that they have today are all in the document. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (value === null || typeof value !== 'object') return value;
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, child]) => [
      key,
      key === '$ref' ? `api${child}` : key === 'examples' || key === 'default' ? child : closed(child),
    ]),
  );
  const isOpen =
    copy.type === 'object' &&
    typeof copy.properties === 'object' &&
    !('additionalProperties' in copy) &&
    !('anyOf' in copy);
  return isOpen ? { ...copy, additionalProperties: false } : copy;
}

function validatorOf(answer: Answer, type: string): ValidateFunction | null {
  const media = answer.content?.[type];
  if (media === undefined) return null;
  const known = validators.get(answer) ?? new Map<string, ValidateFunction>();
  validators.set(answer, known);
  let validator = known.get(type);
  if (validator === undefined) {
    validator = ajv.compile(closed(media.schema) as object);
    known.set(type, validator);
  }
  return validator;
}

type Asked = { url: string; headers: Record<string, string>; body: Buffer | null };
type Told = { status: number; headers: IncomingHttpHeaders; text: string };

async function send(method: string, { url, headers, body }: Asked): Promise<Told> {
  const length = { 'content-length': String(body?.length ?? 0) };
  const framing = headers['transfer-encoding'] === undefined ? length : {};
  const sent = request(api.address, { path: url, method, headers: { ...headers, ...framing }, agent });
  sent.end(body ?? undefined);
  const [response] = await once(sent, 'response');
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

/** The answer is one that the document states for this operation. */
function expectStated({ operation }: Route, told: Told): void {
  expect(told.status, told.text.slice(0, 2000)).toBeLessThan(500);
  const type = told.headers['content-type']?.split(';')[0] ?? '';
  const stated = operation.responses[String(told.status)];
  expect(stated, `${told.status} is not in the document: ${told.text.slice(0, 500)}`).toBeDefined();
  const answer =
    stated!.$ref === undefined ? stated! : document.components.responses[stated!.$ref.split('/').at(-1)!]!;
  if (told.status >= 400) {
    expect(type).toBe('application/problem+json');
    const problem = JSON.parse(told.text);
    expect(Object.keys(problem).sort()).toEqual(
      ['code', 'detail', 'errors', 'requestId', 'status', 'title', 'type'].sort(),
    );
    expect(problem).toMatchObject({ status: told.status, requestId: told.headers['x-request-id'] });
    expect(problem.detail).toMatch(/\S/);
    expect(told.text.length, 'a refusal is short, however long the request').toBeLessThan(100_000);
  }
  if (answer.content === undefined) {
    expect(told.text).toBe('');
    return;
  }
  const validator = validatorOf(answer, type);
  expect(validator, `${type} is not in the document`).not.toBeNull();
  if (!type.endsWith('json')) return;
  validator!(JSON.parse(told.text));
  expect(validator!.errors ?? [], told.text.slice(0, 2000)).toEqual([]);
}

const oddText = fc.oneof(
  oddValue.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.uuid(),
);
/** Percent-encoded, also what is no UTF-8 and no proper encoding. */
const oddPart = fc.oneof(
  {
    weight: 4,
    arbitrary: oddText.map((text) => encodeURIComponent(text.toWellFormed()).slice(0, 6000) || '%20'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('%', '%zz', '%ff', '%ed%a0%80', '%c0%ae', '%00', '..', '.', '%2e%2e', '%2F'),
  },
);

/** A whole query, without its question mark. */
function queryOf(parameters: readonly Parameter[]): fc.Arbitrary<string> {
  const names = parameters.map((each) => each.name);
  const valid = parameters.map((each) =>
    validValue(each.schema, schemas).map(
      (value) => `${each.name}=${encodeURIComponent(String([value].flat()))}`,
    ),
  );
  const odd = fc
    .tuple(fc.constantFrom(...names, 'x', '__proto__', 'limit[]', 'limit[a]', ''), oddPart)
    .map(([name, text]) => `${name}=${text}`);
  const bare = fc.constantFrom('&&', '=', '%', 'limit', 'limit=1&limit=2', 'cursor=', '+', '__proto__[a]=1');
  const pieces = valid.length > 0 ? fc.oneof({ weight: 3, arbitrary: fc.oneof(...valid) }, odd, bare) : odd;
  return fc
    .oneof(
      { weight: valid.length > 0 ? 3 : 1, arbitrary: fc.array(pieces, { maxLength: 3 }) },
      { weight: valid.length > 0 ? 1 : 8, arbitrary: fc.constant([]) },
    )
    .map((all) => all.join('&'));
}

function bodyOf(content: Record<string, Media> | undefined): fc.Arbitrary<Buffer | null> {
  if (content === undefined) return fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, oddBody);
  const json = content['application/json']!;
  const schema = resolve(json.schema, schemas);
  // By the schema alone a schedule may have four triggers: what is built on the example comes further.
  const grown = validValue({ ...schema, required: [], examples: [] }, schemas).map((fields) => ({
    ...(json.example as object | undefined),
    ...(fields as object),
  }));
  const valid = fc.oneof(grown, grown, validValue(schema, schemas), fc.constant(json.example ?? {}));
  const written = (value: unknown) => Buffer.from(JSON.stringify(value));
  return fc.oneof(
    { weight: 6, arbitrary: valid.map(written) },
    { weight: 6, arbitrary: nearlyValid(valid).map(written) },
    { weight: 2, arbitrary: oddBody },
    { weight: 1, arbitrary: fc.constant(null) },
  );
}

const oddHeaders = fc.oneof(
  { weight: 6, arbitrary: fc.constant({} as Record<string, string>) },
  fc.constantFrom<Record<string, string>>(
    { 'content-type': 'application/json' },
    { 'content-type': 'application/json; charset=utf-7' },
    { 'content-type': 'application/merge-patch+json' },
    { 'content-type': 'text/calendar' },
    { 'content-type': 'multipart/form-data; boundary=x' },
    { 'content-type': 'é' },
    { 'content-type': '' },
    { 'content-encoding': 'gzip' },
    { accept: 'image/png' },
    { 'x-request-id': 'x'.repeat(500) },
    { 'x-request-id': 'ÿ"{}' },
    { 'if-match': '"0"' },
    { 'if-match': '*' },
    { 'if-none-match': '*' },
    { range: 'bytes=0-1' },
    { 'x-http-method-override': 'DELETE' },
    { 'transfer-encoding': 'chunked' },
    { authorization: 'Basic Og==' },
    { cookie: 'a=b' },
    { origin: 'http://evil.example' },
    { forwarded: 'for=1;host=evil' },
  ),
);

type Given = {
  path: string;
  fresh: boolean;
  part: string;
  query: string;
  headers: Record<string, string>;
  body: Buffer | null;
};

/** `fresh`: the path names what was just made. */
function requestOf({ path, operation }: Route): fc.Arbitrary<Given> {
  const parameters = operation.parameters ?? [];
  return fc.record({
    fresh: fc.oneof(
      { weight: 5, arbitrary: fc.constant(true) },
      { weight: 1, arbitrary: fc.constant(false) },
    ),
    part: fc.oneof(oddPart, fc.constant(nobody)),
    query: queryOf(parameters.filter((each) => each.in === 'query')),
    headers: oddHeaders,
    body: bodyOf(operation.requestBody?.content),
    path: fc.constant(path),
  });
}

async function urlOf({ path, fresh, part, query }: Given, ref: () => Promise<string>): Promise<string> {
  const names = path.match(/\{\w+\}/g) ?? [];
  let filled = path;
  for (const [index, name] of names.entries()) {
    const isLast = index === names.length - 1;
    // A new schedule under a new name, as often as under one that is there.
    const value = isLast && !fresh ? part : isLast ? await ref() : 'fresh';
    filled = filled.replace(name, () => value);
  }
  return query === '' ? filled : `${filled}?${query}`;
}

/** Asked twice they leave what they left the first time. */
const idempotent = (name: string) =>
  /^(PUT|DELETE|PATCH) |\/(pause|resume|stop|reschedule|cancel)$|^POST \/queues\/\{name\}\/retry$/.test(name);

test('the seed can be given again', () => {
  process.stdout.write(`hostile requests: CARILLON_HOSTILE_SEED=${seed}\n`);
  expect(Number.isSafeInteger(seed)).toBe(true);
});

test.each(operations)('$name', async (route) => {
  const statuses = new Map<number, number>();
  const known: Known = {};
  if (route.method === 'GET') {
    known.ref = makerOf(route.path)();
    await known.ref;
    known.rows = await api.snapshot();
  }
  // Not fast-check's own limit, which leaves the last request in the air. A failure is shrunk without one.
  // On a slow machine some are made all the same.
  let endsAtMs = 0;
  let requests = 0;
  const property = fc.asyncProperty(requestOf(route), async (given) => {
    if (requests === 0) endsAtMs = performance.now() + msPerOperation;
    if (requests >= requestsMin && performance.now() > endsAtMs) return;
    requests += 1;
    try {
      const status = await tryOut(route, given, known);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    } catch (error) {
      endsAtMs = Number.POSITIVE_INFINITY;
      throw error;
    }
  });
  await fc.assert(property, { seed, numRuns: 1000 });
  if (process.env.CARILLON_HOSTILE_SHOW) {
    process.stdout.write(`${route.name} ${JSON.stringify(Object.fromEntries(statuses))}\n`);
  }
  // Only refusals would mean that what is valid was never tried.
  expect([...statuses.keys()].some((status) => status < 300)).toBe(true);
});

/** What a request that only reads may take over from the one before. */
type Known = { ref?: Promise<string>; rows?: Record<string, string> };

/** One request, and all that has to hold for it; its status. */
async function tryOut(route: Route, given: Given, known: Known): Promise<number> {
  const make = makerOf(route.path);
  // Else the name of the example would be taken from the second request on.
  if (route.name === 'POST /schedules') await api.delete('/schedules/ping');
  const asked = {
    url: await urlOf(given, () => known.ref ?? make()),
    headers: given.headers,
    body: given.body,
  };
  const before = known.rows ?? (await api.snapshot());
  const told = await send(route.method, asked);
  // A part of a path like ".." makes another path of it, which may be no operation at all.
  const isElsewhere = !given.fresh && route.operation.responses[String(told.status)] === undefined;
  if (isElsewhere) expect([400, 404, 405, 414]).toContain(told.status);
  else expectStated(route, told);
  const after = await api.snapshot();
  if (told.status >= 300 || route.method === 'GET') expect(after).toEqual(before);
  else if (idempotent(route.name)) {
    expect((await send(route.method, asked)).status).toBeLessThan(500);
    expect(await api.snapshot()).toEqual(after);
  }
  return told.status;
}
