/** Arrays as texts: what Postgres writes is read, and the other way round. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { arrayLiteral, PackedRows, readArray } from '../../../src/jobs/sync/packed-rows.ts';
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
