/** Arrays as texts: what Postgres writes is read, and the other way round. */
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
import { arrayLiteral, PackedRows, readArray } from '../../../src/jobs/sync/packed-rows.ts';
import { PgLink, type PgStatement } from '../../../src/jobs/sync/pg-link.ts';
import { type PgPage, PgPageQuery } from '../../../src/jobs/sync/pg-page-query.ts';
import { syncInput } from '../../../src/jobs/sync/sync-input.ts';
import { openPlace, setupSync } from '../../support/sync-rig.ts';

const cell = fc.option(
  fc.oneof(
    fc.constantFrom('', 'NULL', 'null', '{}', '{a,b}', '"', '\\', ' ', 'a,b', '\n', '🐢'),
    fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
  ),
);

it('a column goes through Postgres and back', async () => {
  const { sql } = await openPlace();
  await fc.assert(
    fc.asyncProperty(fc.array(cell, { minLength: 1, maxLength: 20 }), async (cells) => {
      const literal = arrayLiteral(
        cells.map((one) => [one]),
        0,
      );
      const { a, t } = await sql.row<{ a: (string | null)[]; t: string }>(
        'select $1::text[] as a, $1::text[]::text as t',
        [literal],
      );
      expect(a).toEqual(cells);
      expect(readArray(t)).toEqual(cells);
      expect(readArray(literal)).toEqual(cells);
    }),
    { numRuns: 200 },
  );
});

it('packed rows are taken apart in their order, with their keys', async () => {
  const columns = ['{1,2}', '{NULL,"a\\"b"}', '{x,y}'];
  const packed = new PackedRows(columns, { length: 2, keyAt: [2, 0], texts: async () => columns });
  expect(await packed.rows()).toEqual([
    { key: ['x', '1'], deleted: false, data: ['1', null, 'x'] },
    { key: ['y', '2'], deleted: false, data: ['2', 'a"b', 'y'] },
  ]);
});

it('a column goes in binary, as a text when it is too large for that, and is refused when it is too large for both', async () => {
  const { url } = await openPlace(
    `create table items (id int primary key, t text); insert into items select g, repeat('x', 100) || g from generate_series(1, 3) g`,
  );
  const page = async (text: number, binary: number) => {
    const columns = ['id', 't'].map((name) => ({
      from: name,
      to: name,
      type: name === 'id' ? 'integer' : 'text',
    }));
    const query = new PgPageQuery({
      input: syncInput.parse({
        source: { url, table: 'items', watermark: 'id', key: 'id', pageSize: 3 },
        target: { url, table: 'items' },
      }).source,
      plan: { columns, open: null, key: [{ from: 'id', to: 'id' }] },
      from: 'items',
      columns: new Map(
        columns.map(({ from, type }) => [from, { name: from, type, category: type === 'text' ? 'S' : 'N' }]),
      ),
      asCells: true,
      begin: null,
      bytesMax: { text, binary },
    });
    const link = new PgLink(url, 'source');
    onTestFinished(() => link.close());
    const ask = (statement: PgStatement) => link.rows(statement, new AbortController().signal);
    const [row] = await ask(query.packed(undefined));
    return query.readPacked(row!, null, ask) as PgPage;
  };
  const rows = [1, 2, 3].map((id) => ({
    key: [`${id}`],
    deleted: false,
    data: [`${id}`, `${'x'.repeat(100)}${id}`],
  }));
  for (const [binaryMax, isBinary] of [
    [400, true],
    [200, false],
  ] as const) {
    const { rows: packed, position } = await page(1000, binaryMax);
    expect(position).toEqual({ watermark: '3', key: ['3'] });
    expect((packed as PackedRows).columns.map((column) => typeof column !== 'string')).toEqual([
      true,
      isBinary,
    ]);
    expect(await (packed as PackedRows).rows()).toEqual(rows);
  }
  await expect(page(200, 200)).rejects.toThrow(
    '3 rows have too much in "t" for one page: make `source.pageSize` smaller.',
  );
});

it('a key that is null is bad, in a page that would be packed', async () => {
  const { sync, schedule } = await setupSync();
  const schema = 'create table items (id int unique, v int)';
  const [from, to] = await Promise.all([openPlace(schema), openPlace(schema)]);
  await from.sql.rows('insert into items values (1, 1), (null, 1), (2, 2), (3, null)');
  const id = await schedule({
    source: { url: from.url, table: 'items', watermark: 'v', key: 'id' },
    target: { url: to.url, table: 'items' },
    maxErrors: 1,
  });
  expect(await sync(id)).toMatchObject({
    syncedRecords: 2,
    errors: [{ record: 'v 1', message: 'Its key (id) is null.' }],
  });
});
