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
