/** Postgres to Postgres: paging, exactness, deletes, bad rows, and what a configuration is refused for. */
import { expect, it, vi } from 'vitest';
import { openPlace, rowsOf, setupSync } from '../../support/sync-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

const orders = `create table orders (id bigint primary key, name text, changed timestamptz not null);
  create index on orders (changed, id)`;
const fill = (from: number, to: number, changed: string) =>
  `insert into orders select g, 'order ' || g, ${changed} from generate_series(${from}, ${to}) g`;

async function setup(more: { source?: object; target?: object } = {}, schema = orders) {
  const [sync, from, to] = await Promise.all([setupSync(), openPlace(schema), openPlace(schema)]);
  const input = {
    source: { url: from.url, table: 'orders', watermark: 'changed', key: 'id', ...more.source },
    target: { url: to.url, table: 'orders', ...more.target },
  };
  const same = async (query = 'select * from orders order by id') =>
    expect(await rowsOf(to, query)).toEqual(await rowsOf(from, query));
  return { ...sync, from, to, input, same, id: await sync.schedule(input) };
}

it('all rows come the first time, then what is new or changed, then nothing', async () => {
  const { sync, from, id, same, watermark } = await setup();
  await from.sql.rows(fill(1, 2500, `'2026-01-01T00:00:00Z'::timestamptz + g * interval '1 microsecond'`));
  expect(await sync(id)).toEqual({
    success: true,
    syncedRecords: 2500,
    changedRecords: 2500,
    deletedRecords: 0,
    badRecords: 0,
    errors: [],
    pages: 3,
    watermark: '2026-01-01 00:00:00.0025+00',
  });
  await same();
  await from.sql.rows(`update orders set name = 'other', changed = '2026-01-02' where id = 7`);
  await from.sql.rows(fill(2501, 2501, `'2026-01-02'`));
  expect(await sync(id)).toMatchObject({ syncedRecords: 2, changedRecords: 2, pages: 1 });
  await same();
  expect(await sync(id)).toMatchObject({ syncedRecords: 0, success: true, pages: 0 });
  expect(await watermark(id)).toMatch(/^2026-01-01 1/);
});

it('values arrive to the last bit: numbers, times, arrays, JSON, nulls, and names that need quoting', async () => {
  const schema = `create type mood as enum ('sad', 'so "so", so');
    create table orders (
      id bigint primary key, changed timestamptz not null, "Odd ""Name"", é 名" text, "select" text default 'x', n numeric,
      d double precision, f real, b boolean, j json, jb jsonb, a text[], aa int[], ts timestamp, day date, span interval,
      u uuid, raw bytea, m mood, r int4range, boxes box[], c char(5), v varchar(9), ip inet, bits bit(3))`;
  const { from, sync, same, id, to } = await setup({}, schema);
  await from.sql.rows(`insert into orders values
    (9007199254740993, '2026-01-01T00:00:00.123456Z', E'tab\\t "quotes" \\\\ {braces}, \\n 名 🐢', 'NULL',
      12345678901234567890.1234567890, 0.1, 1e-7, true, '{"a":  1.0, "a": 2}', '{"b": [1, null]}', '{NULL,"a,b","\\"",""}',
      '{{1,2},{3,NULL}}', 'infinity', '0044-03-15 BC', '1 year -2 days 03:04:05.6', '018f2f6e-7a00-7000-8000-000000000001',
      '\\x00ff', 'so "so", so', '[1,5)', '{(1,1),(0,0);(2,2),(1,1)}', 'ab', 'äöü', '10.0.0.1/8', '101'),
    (-1, '1999-12-31T23:59:59.999999Z', '', null, 'NaN', '-Infinity', 'NaN', false, 'null', 'null', '{}', null, null, null,
      null, null, '', null, 'empty', null, null, null, null, null)`);
  expect(await sync(id)).toMatchObject({ syncedRecords: 2, watermark: '2026-01-01 00:00:00.123456+00' });
  await same();
  expect(await rowsOf(to, 'select c::text || $$|$$, a, j::text from orders where id > 0')).toEqual([
    ['ab|', '{NULL,"a,b","\\"",""}', '{"a":  1.0, "a": 2}'],
  ]);
});

it('the watermark is exact to the microsecond, and to the last digit', async () => {
  const { from, sync, id, watermark } = await setup();
  await from.sql.rows(`insert into orders values (1, 'a', '2026-01-01T00:00:00.000001Z')`);
  await sync(id);
  expect(await watermark(id)).toBe('2026-01-01 00:00:00.000001+00');
  await from.sql.rows(`insert into orders values (2, 'b', '2026-01-01T00:00:00.000002Z')`);
  expect(await sync(id)).toMatchObject({ syncedRecords: 1, watermark: '2026-01-01 00:00:00.000002+00' });

  const numbers = 'create table orders (id text primary key, v numeric not null)';
  const other = await setup({ source: { watermark: 'v' } }, numbers);
  await other.from.sql.rows(`insert into orders values ('a', 12345678901234567890.01)`);
  expect(await other.sync(other.id)).toMatchObject({ watermark: '12345678901234567890.01' });
  await other.from.sql.rows(`insert into orders values ('b', 12345678901234567890.02)`);
  expect(await other.sync(other.id)).toMatchObject({ syncedRecords: 1 });
  await other.same();
});

it('a row that was committed late is missed without lookback, and caught with it', async () => {
  for (const lookback of [undefined, '5m']) {
    const { from, to, sync, id, watermark } = await setup({
      source: lookback === undefined ? {} : { lookback },
    });
    await from.sql.rows(`insert into orders values (1, 'a', '2026-01-01T10:00:00Z')`);
    await sync(id);
    await from.sql.rows(`insert into orders values (2, 'late', '2026-01-01T09:56:00Z')`);
    const again = await sync(id);
    expect(again.changedRecords).toBe(lookback === undefined ? 0 : 1);
    expect(await rowsOf(to, 'select id from orders order by id')).toEqual(
      lookback === undefined ? [['1']] : [['1'], ['2']],
    );
    // What lies in the window does not move it back.
    expect(await watermark(id)).toMatch(/^2026-01-01 10:00:00\+00$/);
    expect(await sync(id)).toMatchObject({ changedRecords: 0 });
  }
});

it('a window that is larger than a page is read to its end', async () => {
  const { from, sync, id, same } = await setup({ source: { lookback: '1h', pageSize: 10 } });
  await from.sql.rows(fill(1, 50, `'2026-01-01T00:00:00Z'::timestamptz + g * interval '1 second'`));
  await sync(id);
  await from.sql.rows(fill(51, 60, `'2026-01-01T00:00:30Z'`));
  expect(await sync(id)).toMatchObject({
    syncedRecords: 60,
    changedRecords: 10,
    watermark: '2026-01-01 00:00:50+00',
  });
  await same();
});

it('a tombstone deletes at the target, and a row that lives again comes back', async () => {
  const withGone =
    'create table orders (id bigint, part text, changed int not null, gone timestamptz, primary key (id, part))';
  const { from, to, sync, id } = await setup(
    { source: { watermark: 'changed', key: ['id', 'part'], tombstone: 'gone' } },
    withGone,
  );
  await from.sql.rows(
    `insert into orders select g, p, g from generate_series(1, 5) g, unnest('{a,b}'::text[]) p`,
  );
  await sync(id);
  await from.sql.rows(
    `update orders set gone = '2026-01-01', changed = 10 where id = 2 or (id = 3 and part = 'a')`,
  );
  expect(await sync(id)).toMatchObject({ syncedRecords: 0, deletedRecords: 3 });
  expect(await rowsOf(to, 'select id, part from orders where id in (2, 3)')).toEqual([['3', 'b']]);
  await from.sql.rows(`update orders set gone = null, changed = 11 where id = 3`);
  expect(await sync(id)).toMatchObject({ syncedRecords: 2, changedRecords: 2, deletedRecords: 0 });
  expect(await rowsOf(to, 'select count(*) from orders')).toEqual([['8']]);
});

it('bad rows are counted, listed and left out, up to maxErrors', async () => {
  const strict = `alter table orders add check (name <> 'bad')`;
  const { rig, from, to, input, sync, fails, schedule, watermark, logs } = await setup();
  await to.sql.rows(strict);
  await from.sql.rows(fill(1, 1500, `'2026-01-01T00:00:00Z'::timestamptz + g * interval '1 second'`));
  await from.sql.rows(`update orders set name = 'bad' where id in (7, 400, 1200)`);
  const two = await schedule({ ...input, maxErrors: 2 });
  expect(await fails(two)).toMatchObject({
    type: 'TooManyBadRecords',
    message: expect.stringMatching(/^3 bad records .* id 7: .*check.* · id 400/),
  });
  // As far as it is whole.
  expect(await watermark(two)).toBe('2026-01-01 00:16:40+00');
  const three = await schedule({ ...input, maxErrors: 3 });
  const output = await sync(three);
  expect(output).toMatchObject({ syncedRecords: 1497, badRecords: 3, pages: 2 });
  expect(output.errors.map(({ record }) => record)).toEqual(['id 7', 'id 400', 'id 1200']);
  expect(logs.filter((line) => line.startsWith('left out: id 7:'))).not.toEqual([]);
  expect(await rowsOf(to, 'select count(*) from orders')).toEqual([['1497']]);
  expect(await fails(await schedule(input))).toMatchObject({ type: 'TooManyBadRecords' });
  expect(await rig.sql.rows('select 1 from sync_watermarks where schedule_id = $1', [three])).toHaveLength(1);
});

it('of a thousand bad rows a hundred are listed', async () => {
  const { from, to, input, sync, schedule } = await setup();
  await to.sql.rows(`alter table orders add check (name <> 'bad')`);
  await from.sql.rows(
    `insert into orders select g, case when g % 2 = 0 then 'bad' else 'good' end, '2026-01-01' from generate_series(1, 300) g`,
  );
  const output = await sync(await schedule({ ...input, maxErrors: 1000 }));
  expect(output).toMatchObject({ syncedRecords: 150, badRecords: 150 });
  expect(output.errors).toHaveLength(100);
});

it('a query is a source too, with columns mapped, and the same key twice is one row', async () => {
  const { from, to, sync, schedule } = await setup();
  await to.sql.rows('create table people ("Id" bigint primary key, "full name" text, seen timestamptz)');
  await from.sql.rows(`insert into orders values (1, 'a', '2026-01-01'), (2, 'b', '2026-01-02')`);
  const id = await schedule({
    source: {
      url: from.url,
      query: `select id, name || x as label, changed from orders, unnest('{1,2}'::int[]) x -- twice each`,
      watermark: 'changed',
      key: 'id',
      columns: { id: 'Id', label: 'full name', changed: 'seen' },
    },
    target: { url: to.url, table: 'people' },
  });
  expect(await sync(id)).toMatchObject({ syncedRecords: 2, changedRecords: 2, badRecords: 0 });
  expect(await rowsOf(to, 'select "Id", "full name" from people order by 1')).toEqual([
    ['1', expect.stringMatching(/^a[12]$/)],
    ['2', expect.stringMatching(/^b[12]$/)],
  ]);
});

it('another target under the same schedule begins from the start', async () => {
  const { rig, from, to, sync, id, input, logs } = await setup();
  await from.sql.rows(fill(1, 10, `'2026-01-01'`));
  await sync(id);
  await to.sql.rows('create table second (like orders including all)');
  await rig.sql.rows(
    `update schedules set job_input = jsonb_set(job_input, '{target,table}', '"second"') where id = $1`,
    [id],
  );
  expect(input.target.table).toBe('orders');
  expect(await sync(id)).toMatchObject({ syncedRecords: 10 });
  expect(logs.join()).toContain('begins from the start');
  expect(await rowsOf(to, 'select count(*) from second')).toEqual([['10']]);
});

it.each<[string, { source?: object; target?: object }, string, RegExp]>([
  ['a table that is not there', { source: { table: 'none' } }, '', /no table "none"/],
  ['a target that is not there', { target: { table: 'none' } }, '', /no table "none"/],
  [
    'a watermark that is no column',
    { source: { watermark: 'when' } },
    '',
    /`source.watermark` names the column "when"/,
  ],
  ['a key that is no column', { source: { key: 'nr' } }, '', /`source.key` names the column "nr"/],
  [
    'a tombstone that is no column',
    { source: { tombstone: 'dead' } },
    '',
    /`source.tombstone` names the column "dead"/,
  ],
  ['a column that the target does not have', {}, 'alter table orders drop column name', /no column "name"/],
  [
    'types that do not fit',
    {},
    'alter table orders drop column changed; alter table orders add changed boolean',
    /"changed" is timestamp with time zone at the source, and "changed" is boolean/,
  ],
  [
    'a key that is not unique',
    {},
    'alter table orders drop constraint orders_pkey',
    /create unique index on orders \("id"\)/,
  ],
  [
    'a required column that nothing goes to',
    {},
    'alter table orders add must int not null',
    /"must" of the target must not be null/,
  ],
  [
    'a computed column that something goes to',
    { source: { columns: ['id', 'name', 'changed'] } },
    `alter table orders drop column name; alter table orders add name text generated always as ('x') stored`,
    /"name" of the target is computed/,
  ],
  ['a mapping without the key', { source: { columns: ['name', 'changed'] } }, '', /key "id" is not among/],
  [
    'a mapping of two to one',
    { source: { columns: { id: 'id', name: 'name', changed: 'name' } } },
    '',
    /Two columns .* "name"/,
  ],
  ['a query that is none', { source: { table: undefined, query: 'selec 1' } }, '', /syntax error/],
  [
    'a lookback in numbers of a time',
    { source: { lookback: 5 } },
    '',
    /lookback. is a number, and the watermark "changed" is timestamp/,
  ],
  [
    'a database that is not there',
    { target: { url: 'postgres://127.0.0.1:1/none' } },
    '',
    /TargetUnreachable/,
  ],
])('%s is told before the first page', async (_what, more, change, words) => {
  const { from, to, fails, id } = await setup(more);
  await from.sql.rows(fill(1, 3, `'2026-01-01'`));
  if (change !== '') await to.sql.rows(change);
  const { type, message } = await fails(id);
  if (words.source === 'TargetUnreachable') expect(type).toBe('TargetUnreachable');
  else expect([type, message]).toEqual(['InvalidConfiguration', expect.stringMatching(words)]);
});

it('a column that is too short refuses the row, and does not cut it', async () => {
  const { from, to, input, sync, schedule } = await setup();
  await to.sql.rows('alter table orders alter name type varchar(3)');
  await from.sql.rows(`insert into orders values (1, 'abc', '2026-01-01'), (2, 'abcd', '2026-01-01')`);
  expect(await sync(await schedule({ ...input, maxErrors: 1 }))).toMatchObject({
    syncedRecords: 1,
    errors: [{ record: 'id 2', message: expect.stringContaining('too long') }],
  });
});

it('a source without an index for its pages is told of', async () => {
  const { from, sync, id, logs } = await setup();
  await sync(id);
  expect(logs.join()).not.toContain('no index');
  await from.sql.rows('drop index orders_changed_id_idx');
  await sync(id);
  expect(logs.join()).toContain('no index of "orders" begins with "changed"');
});

it('a table that was empty, and is filled by somebody else meanwhile, is synced all the same', async () => {
  const { from, to, sync, id, same } = await setup({ source: { pageSize: 10 } });
  await from.sql.rows(fill(1, 40, `'2026-01-01'`));
  // With the first row of ours comes one of a later page.
  await to.sql.rows(`create function meddle() returns trigger language plpgsql as $$ begin
      if new.id = 1 then insert into orders values (25, 'theirs', '2020-01-01'); end if; return new; end $$;
    create trigger meddle before insert on orders for each row execute function meddle()`);
  expect(await sync(id)).toMatchObject({ syncedRecords: 40, changedRecords: 40, badRecords: 0 });
  await same();
});
