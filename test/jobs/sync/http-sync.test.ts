/** HTTP APIs as sources and targets, friendly and hostile. */
import { expect, it, vi } from 'vitest';
import { type Asked, startJsonApi } from '../../support/json-api.ts';
import { openPlace, rowsOf, setupSync } from '../../support/sync-rig.ts';

vi.setConfig({ testTimeout: 90_000 });

const table = `create table items (id bigint primary key, name text, price numeric, tags text[], data jsonb,
  changed timestamptz, made timestamptz default '2020-01-01T00:00:00Z')`;
type Item = Record<string, unknown>;
const item = (id: number, minute: number, more: Item = {}): Item => ({
  id,
  name: `item ${id}`,
  changed: `2026-01-01T00:${String(minute).padStart(2, '0')}:00.000001Z`,
  ...more,
});

let serials = 0;
const serial = () => {
  serials += 1;
  return serials;
};

const ofHttp = (url: string, more: object = {}) => ({ url, watermark: 'changed', key: 'id', ...more });

/** Serves items by cursor, from `since` on. */
async function startCursorApi(items: Item[], perPage = 2) {
  return await startJsonApi(({ url }: Asked) => {
    const since = url.searchParams.get('since') ?? '';
    const all = items.filter((each) => String(each.changed) >= since);
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const next = from + perPage < all.length ? String(from + perPage) : null;
    return { body: { data: { items: all.slice(from, from + perPage) }, meta: { next } } };
  });
}
const byCursor = { records: '/data/items', since: 'since', paging: { kind: 'cursor', next: '/meta/next' } };

it('an API by cursor goes to a table: exact numbers, arrays, JSON, defaults; then what is new; then nothing', async () => {
  const { sync, schedule } = await setupSync();
  const to = await openPlace(table);
  const items = [
    item(1, 3, { tags: ['a', 'b,"c'], data: { deep: [1, { é: '名' }] }, unknown: 'left out' }),
    item(2, 1, { name: null, made: '2021-01-01T00:00:00Z' }),
    item(3, 2),
    item(4, 2),
    item(5, 3),
  ];
  const api = await startJsonApi(({ url }) => {
    // As text, since no double has these digits.
    const text = JSON.stringify(items.slice(Number(url.searchParams.get('cursor') ?? 0)).slice(0, 2));
    const at = Number(url.searchParams.get('cursor') ?? 0);
    const next = at + 2 < items.length ? at + 2 : null;
    return {
      body: `{"data": {"items": ${text.replace('"id":1,', '"id":9007199254740993,"price":0.10,')}}, "meta": {"next": ${next}}}`,
    };
  });
  const id = await schedule({ source: ofHttp(api.url, byCursor), target: { url: to.url, table: 'items' } });
  expect(await sync(id)).toMatchObject({
    syncedRecords: 5,
    changedRecords: 5,
    pages: 3,
    watermark: '2026-01-01T00:03:00.000001Z',
  });
  expect(
    await rowsOf(to, 'select id, name, price, tags, data, made from items order by changed, id'),
  ).toEqual([
    ['2', null, null, null, null, '2021-01-01 00:00:00+00'],
    ['3', 'item 3', null, null, null, '2020-01-01 00:00:00+00'],
    ['4', 'item 4', null, null, null, '2020-01-01 00:00:00+00'],
    ['5', 'item 5', null, null, null, '2020-01-01 00:00:00+00'],
    [
      '9007199254740993',
      'item 1',
      '0.10',
      '{a,"b,\\"c"}',
      '{"deep": [1, {"é": "名"}]}',
      '2020-01-01 00:00:00+00',
    ],
  ]);
  expect(api.asked.map(({ url }) => url.searchParams.get('cursor'))).toEqual([null, '2', '4']);
  expect(await sync(id)).toMatchObject({ syncedRecords: 0, pages: 0, success: true });
  expect(api.asked.at(-1)!.url.searchParams.get('since')).toBe('2026-01-01T00:03:00.000001Z');
  // Of the same watermark, and committed later.
  items.push(item(6, 3), item(7, 2));
  expect(await sync(id)).toMatchObject({ syncedRecords: 1, watermark: '2026-01-01T00:03:00.000001Z' });
  expect(await rowsOf(to, 'select id from items where id in (6, 7)')).toEqual([['6']]);
});

it('the watermark of an unsorted source moves at the end alone, and with each page of a sorted one', async () => {
  const { schedule, watermark, sync, attempt } = await setupSync();
  const to = await openPlace(table);
  const items = [item(1, 1), item(2, 2), item(3, 3), item(4, 4)];
  let isBroken = true;
  const api = await startJsonApi(({ url }) => {
    const at = Number(url.searchParams.get('page'));
    if (at === 2 && isBroken) return { status: 503, body: 'later' };
    return { body: at <= 2 ? items.slice(at * 2 - 2, at * 2) : [] };
  });
  const paged = ofHttp(api.url, { paging: { kind: 'page' } });
  for (const sorted of [false, true]) {
    isBroken = true;
    const id = await schedule(
      { source: { ...paged, sorted }, target: { url: to.url, table: 'items' } },
      {
        maxAttempts: 2,
        initialIntervalMs: 1,
        maxIntervalMs: 1,
        backoffCoefficient: 1,
        nonRetryableErrorTypes: [],
      },
    );
    const { end, runId } = await attempt(id);
    expect(end).toMatchObject({ kind: 'retry', error: { type: 'HttpStatus' } });
    expect(await watermark(id)).toBe(sorted ? '2026-01-01T00:02:00.000001Z' : null);
    isBroken = false;
    const before = api.asked.length;
    expect(await sync(id, { runId })).toMatchObject({ syncedRecords: 4, pages: 2 });
    // Page 1 was stored and is not asked for again.
    expect(api.asked.slice(before).map(({ url }) => url.searchParams.get('page'))).toEqual(['2', '3']);
    expect(await watermark(id)).toBe('2026-01-01T00:04:00.000001Z');
  }
});

it('a source that says that it is sorted and is not is told', async () => {
  const { schedule, fails } = await setupSync();
  const to = await openPlace(table);
  const api = await startJsonApi(() => ({ body: [item(1, 2), item(2, 1)] }));
  const id = await schedule({
    source: ofHttp(api.url, { sorted: true }),
    target: { url: to.url, table: 'items' },
  });
  expect(await fails(id)).toMatchObject({
    type: 'InvalidConfiguration',
    message: expect.stringContaining('not sorted'),
  });
});

it('what lies before the watermark is asked for again with lookback, and deletes go through', async () => {
  const { schedule, sync } = await setupSync();
  const to = await openPlace(table);
  const items = [item(1, 10), item(2, 20)];
  const api = await startCursorApi(items, 10);
  const id = await schedule({
    source: ofHttp(api.url, { ...byCursor, lookback: '5m', tombstone: 'gone' }),
    target: { url: to.url, table: 'items' },
  });
  await sync(id);
  items.push(item(3, 16), item(4, 14));
  items[1] = item(2, 20, { gone: true });
  expect(await sync(id)).toMatchObject({ changedRecords: 1, deletedRecords: 1 });
  expect(api.asked.at(-1)!.url.searchParams.get('since')).toBe('2026-01-01T00:15:00.000Z');
  expect(await rowsOf(to, 'select id from items order by id')).toEqual([['1'], ['3']]);
});

it('bad records of an API are listed by their keys or places', async () => {
  const { schedule, sync, fails } = await setupSync();
  const to = await openPlace(table);
  const body = [
    item(1, 1),
    7,
    { changed: '2026-01-01' },
    { id: 5 },
    item(6, 1, { changed: 'yesterday' }),
    item(7, 1, { price: 'dear' }),
    item(8, 1, { name: 'null \u0000 character' }),
    item(9, 1),
  ];
  const api = await startJsonApi(() => ({ body }));
  const input = { source: ofHttp(api.url), target: { url: to.url, table: 'items' } };
  const output = await sync(await schedule({ ...input, maxErrors: 6 }));
  expect(output).toMatchObject({ syncedRecords: 2, badRecords: 6 });
  expect(output.errors.map(({ record }) => record)).toEqual([
    'record 2 of page 1',
    'record 3 of page 1',
    'id 5',
    'id 6',
    'id 7',
    'id 8',
  ]);
  expect(await fails(await schedule({ ...input, maxErrors: 5 }))).toMatchObject({
    type: 'TooManyBadRecords',
  });
});

it('a table goes to an API in batches, with deletions, keys that stay the same, and what it refuses', async () => {
  const { schedule, sync } = await setupSync();
  const from = await openPlace(`${table}; alter table items add gone boolean`);
  await from.sql.rows(`insert into items (id, name, price, tags, data, changed, gone)
    select g, 'ü' || g, 9007199254740993.10, '{a}', '{"n": 1.0}', '2026-01-01T00:00:00.000001Z', g = 3 from generate_series(1, 5) g`);
  const api = await startJsonApi(({ body }) =>
    body.includes('ü4') ? { status: 422, body: 'I do not like 4' } : { status: 202, body: '' },
  );
  const id = await schedule({
    source: {
      url: from.url,
      table: 'items',
      watermark: 'changed',
      key: 'id',
      tombstone: 'gone',
      pageSize: 3,
    },
    target: { url: api.url, headers: { authorization: 'Bearer x' } },
    maxErrors: 1,
  });
  const output = await sync(id);
  expect(output).toMatchObject({
    syncedRecords: 3,
    deletedRecords: 1,
    badRecords: 1,
    changedRecords: null,
    pages: 2,
  });
  expect(output.errors).toEqual([{ record: 'id 4', message: 'The target answered 422: I do not like 4' }]);
  const [first] = api.asked;
  expect(first).toMatchObject({ method: 'POST', headers: { authorization: 'Bearer x' } });
  expect(first!.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}-000001$/);
  // As Postgres writes them, to the last digit.
  expect(first!.body).toContain('"price":9007199254740993.10');
  expect(first!.body).toContain('"changed":"2026-01-01T00:00:00.000001+00:00"');
  expect(JSON.parse(first!.body)).toMatchObject({
    records: [{ id: 1, name: 'ü1', tags: ['a'], data: { n: 1 } }, { id: 2 }],
    deleted: [{ id: 3 }],
  });
});

it.each<[string, Parameters<typeof startJsonApi>[0], object, string, RegExp]>([
  [
    'no JSON',
    () => ({ headers: { 'content-type': 'text/html' }, body: '<html>' }),
    {},
    'InvalidResponse',
    /no JSON \(text\/html, 6 characters\)/,
  ],
  ['no records', () => ({ body: { items: [] } }), {}, 'InvalidResponse', /no array at its top/],
  [
    'pages that never end',
    ({ url }) => ({ body: [item(Number(url.searchParams.get('page')), 1)] }),
    { paging: { kind: 'page' }, pagesMax: 20 },
    'InvalidResponse',
    /more than 20 pages/,
  ],
  [
    'the same page for each number',
    () => ({ body: [item(1, 1)] }),
    { paging: { kind: 'page' } },
    'InvalidResponse',
    /same page twice/,
  ],
  [
    'the same cursor twice',
    ({ url }) => ({
      body: { i: [item(serial(), 1)], next: url.searchParams.get('cursor') === 'a' ? 'b' : 'a' },
    }),
    { records: '/i', paging: { kind: 'cursor', next: '/next' } },
    'InvalidResponse',
    /cursor "a" twice/,
  ],
  [
    'a redirect',
    () => ({ status: 302, headers: { location: '/other' }, body: '' }),
    {},
    'HttpStatus',
    /answered 302.*redirect/,
  ],
  ['a refusal', () => ({ status: 401, body: 'who are you?' }), {}, 'HttpStatus', /answered 401: who are you/],
  [
    'a compressed body that was not asked for',
    () => ({ headers: { 'content-encoding': 'gzip' }, body: 'x' }),
    {},
    'InvalidResponse',
    /compressed/,
  ],
  [
    'half an answer',
    () => (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('[');
      setTimeout(() => response.destroy(), 20);
    },
    {},
    'NetworkError',
    /before/,
  ],
])('an API that gives %s ends with a clear error', async (_what, answer, more, type, words) => {
  const { schedule, fails } = await setupSync();
  const to = await openPlace(table);
  const api = await startJsonApi(answer);
  const id = await schedule({ source: ofHttp(api.url, more), target: { url: to.url, table: 'items' } });
  expect(await fails(id)).toMatchObject({ type, message: expect.stringMatching(words) });
});

it('an answer without end is cut off, within bounded memory', async () => {
  const { schedule, fails } = await setupSync();
  const to = await openPlace(table);
  let sent = 0;
  const api = await startJsonApi(() => (response) => {
    const block = Buffer.alloc(1 << 20, ' ');
    const push = () => {
      while (!response.destroyed) {
        sent += block.length;
        if (!response.write(block)) {
          response.once('drain', push);
          return;
        }
      }
    };
    push();
  });
  const id = await schedule({ source: ofHttp(api.url), target: { url: to.url, table: 'items' } });
  const before = process.memoryUsage().rss;
  expect(await fails(id)).toMatchObject({
    type: 'InvalidResponse',
    message: expect.stringContaining('larger than 32 MiB'),
  });
  expect(sent).toBeLessThan(80 * 2 ** 20);
  expect(process.memoryUsage().rss - before).toBeLessThan(250 * 2 ** 20);
});
