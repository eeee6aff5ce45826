/** Whatever a caller sends, it is answered in order: never with a 5xx. */
import fc from 'fast-check';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping');
});
afterAll(() => api.close());

/** The same inputs in every run; another seed looks elsewhere. */
const options = { seed: 2026, numRuns: 60 };

const odd = fc.constantFrom<unknown>(
  ...[null, true, 0, -1, 0.5, 1e9, 2 ** 31, 2 ** 53, 1e300, '', ' ', 'x', '0s', '-5s', '1ms', '3653d', 'P1D'],
  ...['* * * * *', '@yearly', '0 0 31 2 *', 'H H * * *', '9999-12-31T23:59:59Z', '1970-01-01T00:00:00Z'],
  ...[
    '2026-06-01T00:00:00+14:00',
    'Asia/Shanghai',
    'latest',
    'skip',
    'allow',
    '💥',
    '../..',
    "'; drop",
    [],
    {},
  ],
  ...[['@daily'], { a: 1 }, { team: 'data' }],
);
const value = fc.oneof(odd, fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 3 }), fc.double());
const some = (shape: Record<string, fc.Arbitrary<unknown>>) => fc.record(shape, { requiredKeys: [] });
const mostly = (good: unknown) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: value });

const exclusions = fc.array(
  fc.constantFrom(
    ...['2026-03-01', '2026-03-01..2026-12-31', '* * * * 1-5', 'H H * * *', '@daily', '* * * * * *'],
    ...['calendar:none', 'calendar:', '2026-02-30', ''],
  ),
  { maxLength: 4 },
);

const definition = {
  name: mostly('pong'),
  description: value,
  labels: fc.oneof(value, fc.dictionary(fc.string(), fc.string())),
  cron: value,
  every: value,
  offset: value,
  at: value,
  timezone: value,
  dst: some({ gap: value, repeat: value }),
  startAt: value,
  endAt: value,
  maxRuns: value,
  exclude: fc.oneof(value, exclusions),
  only: fc.oneof(value, exclusions),
  onExcluded: fc.oneof(value, fc.constantFrom('skip', 'next_allowed', 'previous_allowed')),
  delay: value,
  jitter: value,
  overlap: value,
  catchUp: value,
  catchUpWindow: value,
  pauseAfterFailures: value,
  job: fc.oneof(
    fc.constant(noop),
    some({
      type: fc.constantFrom('noop', 'echo', 'task', 'x'),
      input: value,
      taskQueue: value,
      timeout: value,
      retry: some({
        maxAttempts: value,
        initialInterval: value,
        maxInterval: value,
        backoffCoefficient: value,
      }),
    }),
  ),
};
/** Few fields that are wrong, so that what lies behind the first check is reached, too. */
const body = fc
  .subarray(Object.keys(definition) as (keyof typeof definition)[], { minLength: 0, maxLength: 3 })
  .chain((keys) => some(Object.fromEntries(keys.map((key) => [key, definition[key]]))));

const created = fc.record({ body, base: fc.constantFrom({ every: '5s' }, { cron: '@daily' }, {}) });

async function send(method: string, path: string, json?: unknown): Promise<Response> {
  const response = await fetch(api.address + path, {
    method,
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  expect(
    response.status,
    `${method} ${path} ${JSON.stringify(json)}\n${await response.clone().text()}`,
  ).toBeLessThan(500);
  return response;
}

test('a new schedule is made or refused, and what is made can be read', async () => {
  await fc.assert(
    fc.asyncProperty(created, async ({ body, base }) => {
      const given = { name: 'pong', job: noop, ...base, ...body };
      const response = await send('POST', '/schedules', given);
      if (response.status === 201) {
        const { id } = (await response.json()) as { id: string };
        await send('GET', `/schedules/${id}/upcoming`);
        await send('POST', `/schedules/${id}/trigger`);
        await send('PATCH', `/schedules/${id}`, { description: 'x' });
        expect((await send('DELETE', `/schedules/${id}`)).status).toBe(204);
      } else {
        expect([400, 409]).toContain(response.status);
      }
    }),
    options,
  );
});

test('a patch, a replacement and a preview are made or refused', async () => {
  await fc.assert(
    fc.asyncProperty(body, async (json) => {
      await send('PATCH', '/schedules/ping', json);
      await send('PUT', '/schedules/ping', { every: '5s', job: noop, ...json });
      await send('PUT', '/schedules/ping', { every: '5s', job: noop });
      await send('POST', '/schedules/preview', { every: '5s', count: 3, ...json });
      if ((await send('GET', '/schedules/ping')).status === 404) await api.create('ping');
    }),
    options,
  );
});

test('commands take or refuse any body', async () => {
  const command = fc.constantFrom('pause', 'resume', 'reschedule', 'trigger', 'rollback');
  const fields = some({ ...definition, note: value, input: value, version: value });
  await fc.assert(
    fc.asyncProperty(command, fc.oneof(fields, value), async (name, json) => {
      await send('POST', `/schedules/ping/${name}`, json === undefined ? {} : json);
    }),
    options,
  );
});

test('groups and documents are changed or refused, whatever is asked of them', async () => {
  const schedule = fc.oneof(
    value,
    body.map((json) => ({ name: 'pong', every: '5s', job: noop, ...json })),
    fc
      .constantFrom('ping', 'pung')
      .map((name) => ({ name, every: '1m', labels: { team: 'data' }, job: noop })),
  );
  const document = some({
    schedules: fc.oneof({ weight: 5, arbitrary: fc.array(schedule, { maxLength: 4 }) }, value),
    prune: fc.oneof(value, fc.constant({ label: 'team:data' })),
    dryRun: fc.oneof(fc.boolean(), value),
  });
  const label = fc.oneof(fc.constant('team:data'), fc.string({ unit: 'binary' }));
  const labels = fc.array(
    label.filter((each) => each.isWellFormed()),
    { maxLength: 3 },
  );
  await fc.assert(
    fc.asyncProperty(document, labels, some({ note: value, catchUp: value }), async (json, given, more) => {
      await send('POST', '/schedules/apply', json);
      const query = new URLSearchParams(given.map((each) => ['label', each]));
      for (const command of ['pause', 'resume']) await send('POST', `/schedules/${command}?${query}`, more);
      await send('GET', `/schedules/export?${query}`);
      await send('GET', `/schedules/ping/history?${query}`);
    }),
    options,
  );
});

test('headers are taken or refused, whatever is in them', async () => {
  const header = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]*$/);
  const names = fc.constantFrom('if-match', 'if-none-match', 'x-carillon-actor');
  const method = fc.constantFrom('GET', 'PATCH', 'DELETE');
  await fc.assert(
    fc.asyncProperty(names, header, method, async (name, text, method) => {
      const response = await fetch(`${api.address}/schedules/ping`, {
        method,
        headers: { [name]: text },
        ...(method === 'PATCH' && { body: '{"description":"x"}' }),
      });
      expect(response.status, text).toBeLessThan(500);
      if (response.status === 204) await api.create('ping');
    }),
    options,
  );
});

test('paths and queries are answered or refused, whatever is in them', async () => {
  const text = fc
    .oneof(fc.string({ unit: 'binary' }), odd.map(String), fc.uuid())
    .filter((each) => each.isWellFormed());
  const path = fc.oneof(
    fc.constantFrom(
      ...['/schedules', '/runs', '/schedules/ping/runs', '/schedules/ping/upcoming'],
      ...['/schedules/ping/history', '/schedules/export'],
    ),
    text.map((each) => `/schedules/${encodeURIComponent(each)}`),
    text.map((each) => `/runs/${encodeURIComponent(each)}`),
    text.map((each) => `/runs/${encodeURIComponent(each)}/logs`),
  );
  const names = [
    'limit',
    'cursor',
    'status',
    'jobType',
    'label',
    'q',
    'lastStatus',
    'schedule',
    'since',
    'until',
    'count',
  ];
  const query = fc.array(fc.tuple(fc.constantFrom(...names), text), { maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(path, query, async (at, pairs) => {
      await send('GET', `${at}?${new URLSearchParams(pairs)}`);
    }),
    { ...options, numRuns: options.numRuns * 2 },
  );
});
