/** Files as sources and targets, in folders and in buckets. */
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startS3Server } from '../../support/s3-server.ts';
import { openPlace, rowsOf, setupSync } from '../../support/sync-rig.ts';
import { tempFolder } from '../../support/tree-scene.ts';

vi.setConfig({ testTimeout: 60_000 });

const table = `create table items (id bigint primary key, name text, tags text[], data jsonb, changed timestamptz);
  create index on items (changed, id)`;

async function setup(s3: object = {}) {
  const sync = await setupSync(s3);
  const folder = await tempFolder();
  await mkdir(join(folder, 'in'));
  await mkdir(join(folder, 'out'));
  const url = (path: string) => pathToFileURL(join(folder, path)).href;
  return { ...sync, folder, url, to: await openPlace(table) };
}
const ofFile = (url: string, more: object = {}) => ({ url, watermark: 'changed', key: 'id', ...more });

it('NDJSON goes to a table; what is appended comes the next time, what is no record is listed', async () => {
  const { sync, schedule, folder, url, to } = await setup();
  const path = join(folder, 'in', 'items é.ndjson');
  const lines = [
    '\ufeff{"id": 1, "name": "eins", "changed": "2026-01-02T00:00:00Z", "tags": ["a", null]}\r',
    '{"id": 9007199254740993, "name": "名\\n", "changed": "2026-01-01T00:00:00Z", "data": {"n": 1.10}}',
    '',
    '{"id": 3, ',
    '[]',
    '{"id": 4, "changed": "2026-01-01T00:00:00Z"}',
  ];
  await writeFile(path, lines.join('\n'));
  const input = {
    source: ofFile(url('in/items é.ndjson'), { pageSize: 2 }),
    target: { url: to.url, table: 'items' },
  };
  const id = await schedule({ ...input, maxErrors: 2 });
  const output = await sync(id);
  expect(output).toMatchObject({ syncedRecords: 3, badRecords: 2, watermark: '2026-01-02T00:00:00Z' });
  expect(output.errors).toEqual([
    { record: 'line 4', message: 'It is no JSON.' },
    { record: 'line 5', message: 'It is no JSON object.' },
  ]);
  expect(await rowsOf(to, 'select id, name, tags, data from items order by id')).toEqual([
    ['1', 'eins', '{a,NULL}', null],
    ['4', null, null, null],
    ['9007199254740993', '名\n', null, '{"n": 1.10}'],
  ]);
  await writeFile(
    path,
    '{"id": 5, "changed": "2026-01-02T00:00:00Z"}\n{"id": 1, "changed": "2026-01-02T00:00:00Z"}\n{"id": 6, "changed": "2025-01-01"}',
  );
  expect(await sync(id)).toMatchObject({ syncedRecords: 1, badRecords: 0 });
  await appendFile(path, '\n{"id": 7, "changed": "2026-01-03T00:00:00Z"}');
  expect(await sync(id)).toMatchObject({ syncedRecords: 1, watermark: '2026-01-03T00:00:00Z' });
  expect(await rowsOf(to, 'select id from items where id in (5, 6, 7) order by id')).toEqual([['5'], ['7']]);
});

it('CSV goes to a table: quotes, line breaks, empty and null, JSON and arrays as Postgres writes them', async () => {
  const { sync, schedule, folder, url, to } = await setup();
  await writeFile(
    join(folder, 'in', 'items.csv'),
    `\ufeffid,"the ""name""",tags,data,changed
1,"a, ""b""
c","{a,b}","{""x"": 1}",2026-01-01T00:00:00Z
2,"",,,2026-01-01T00:00:01Z
3,,,,2026-01-01T00:00:02Z
4,too,few
nine,x,,,2026-01-01T00:00:03Z
`,
  );
  const id = await schedule({
    source: ofFile(url('in/items.csv'), {
      columns: { id: 'id', 'the "name"': 'name', tags: 'tags', data: 'data', changed: 'changed' },
    }),
    target: { url: to.url, table: 'items' },
    maxErrors: 2,
  });
  const output = await sync(id);
  expect(output).toMatchObject({ syncedRecords: 3, badRecords: 2 });
  expect(output.errors.map(({ record }) => record)).toEqual([expect.stringMatching(/^line \d$/), 'id nine']);
  expect(await rowsOf(to, 'select id, name, tags, data from items order by id')).toEqual([
    ['1', 'a, "b"\nc', '{a,b}', '{"x": 1}'],
    ['2', '', null, null],
    ['3', null, null, null],
  ]);
});

it.each([
  'ndjson',
  'csv',
])('a table goes to a folder as %s, a file per page, and back to a table', async (format) => {
  const { rig, sync, schedule, folder, url, to } = await setup();
  const from = await openPlace(`${table}; alter table items add gone boolean`);
  await from.sql.rows(`insert into items values
    (9007199254740993, E'a, "b"\\n', '{x,"y,z"}', '{"n": 1.10}', '2026-01-01T00:00:00.000001Z', false),
    (2, '', null, null, '2026-01-02', false), (3, null, '{}', '[null]', '2026-01-03', false), (4, 'x', null, null, '2026-01-04', true)`);
  const out = url(`out/items.${format}`);
  const id = await schedule({
    source: {
      url: from.url,
      table: 'items',
      watermark: 'changed',
      key: 'id',
      tombstone: 'gone',
      pageSize: 3,
    },
    target: { url: out },
  });
  expect(await sync(id)).toMatchObject({
    syncedRecords: 3,
    deletedRecords: 1,
    pages: 2,
    changedRecords: null,
  });
  const names = (await readdir(join(folder, 'out'))).sort();
  expect(names).toEqual([
    expect.stringMatching(new RegExp(`^items-\\d{14}-[0-9a-f]{8}-000001\\.${format}$`)),
    expect.stringMatching(new RegExp(`^items-\\d{14}-[0-9a-f]{8}-000002\\.${format}$`)),
  ]);
  const second = await readFile(join(folder, 'out', names[1]!), 'utf8');
  expect(second).toBe(
    format === 'ndjson'
      ? '{"id":4,"_deleted":true}\n'
      : 'id,name,tags,data,changed,gone,_deleted\n4,x,,,2026-01-04T00:00:00+00:00,true,true\n'.replace(
          ',x,,,2026-01-04T00:00:00+00:00,true,true',
          ',,,,,,true',
        ),
  );
  expect(await sync(id)).toMatchObject({ syncedRecords: 0, pages: 0 });
  expect(await rig.sql.rows('select 1 from sync_watermarks')).toHaveLength(1);
  if (format === 'csv') return;
  const back = await schedule({
    source: ofFile(url(`out/${names[0]}`)),
    target: { url: to.url, table: 'items' },
  });
  await sync(back);
  const query = 'select id, name, tags, data, changed from items order by id';
  expect(await rowsOf(to, query)).toEqual((await rowsOf(from, query)).filter(([key]) => key !== '4'));
});

it('buckets are read and written as folders are', async () => {
  const server = await startS3Server('lake');
  onTestFinished(() => void server.close());
  const { sync, schedule, to } = await setup({
    endpoint: server.endpoint,
    region: 'eu',
    forcePathStyle: true,
    credentials: { accessKeyId: 'key', secretAccessKey: 'canary-secret' },
  });
  const from = await openPlace(table);
  await from.sql.rows(
    `insert into items select g, 'n' || g, null, null, '2026-01-01' from generate_series(1, 5) g`,
  );
  const out = await schedule({
    source: { url: from.url, table: 'items', watermark: 'changed', key: 'id', pageSize: 3 },
    target: { url: 's3://lake/daily/items.ndjson' },
  });
  expect(await sync(out)).toMatchObject({ syncedRecords: 5, pages: 2 });
  const keys = [...server.buckets.get('lake')!.keys()].sort();
  expect(keys).toHaveLength(2);
  expect(keys[0]).toMatch(/^daily\/items-\d{14}-[0-9a-f]{8}-000001\.ndjson$/);
  const back = await schedule({
    source: ofFile(`s3://lake/${keys[0]}`),
    target: { url: to.url, table: 'items' },
  });
  expect(await sync(back)).toMatchObject({ syncedRecords: 3, watermark: '2025-12-31T13:00:00+00:00' });
  expect(await rowsOf(to, 'select id, name from items order by id')).toEqual([
    ['1', 'n1'],
    ['2', 'n2'],
    ['3', 'n3'],
  ]);
});

it('a run that broke off in the middle of a file goes on behind its last page, unless it is another file', async () => {
  const { rig, sync, attempt, schedule, folder, url, to } = await setup();
  const path = join(folder, 'in', 'items.ndjson');
  const lines = Array.from({ length: 10 }, (_, n) =>
    JSON.stringify({ id: n + 1, name: 'a', changed: `2026-01-${10 + n}` }),
  );
  await writeFile(path, lines.join('\n'));
  await to.sql.rows(`create sequence calls;
    create function stumble() returns trigger language plpgsql as $$ begin
      if new.id = 5 and nextval('calls') % 2 = 1 then raise exception using errcode = '57P01', message = 'going away'; end if;
      return new; end $$;
    create trigger stumble before insert on items for each row execute function stumble()`);
  const retry = {
    maxAttempts: 3,
    initialIntervalMs: 1,
    maxIntervalMs: 1,
    backoffCoefficient: 1,
    nonRetryableErrorTypes: [],
  };
  for (const isReplaced of [false, true]) {
    const id = await schedule(
      { source: ofFile(url('in/items.ndjson'), { pageSize: 2 }), target: { url: to.url, table: 'items' } },
      retry,
    );
    const { end, runId } = await attempt(id);
    expect(end).toMatchObject({ kind: 'retry' });
    if (isReplaced) await writeFile(path, lines.join('\n\n'));
    expect(await sync(id, { runId })).toMatchObject({
      syncedRecords: isReplaced ? 14 : 10,
      watermark: '2026-01-19',
    });
    expect(await rowsOf(to, 'select count(*) from items')).toEqual([['10']]);
    await to.sql.rows('delete from items');
  }
  expect(await rig.sql.rows('select 1 from sync_watermarks')).toHaveLength(2);
});

it.each<[string, string, object, object, RegExp]>([
  ['a file that is not there', '', {}, {}, /no file items.csv/],
  ['an empty CSV', 'items.csv', {}, {}, /CSV file is empty/],
  ['a heading with a name twice', 'id,id\n', {}, {}, /one twice/],
  ['CSV that is none', 'id,changed\n1,"a"b\n', { columns: ['id', 'changed'] }, {}, /no CSV/],
  ['JSON for CSV without columns', 'x', {}, { url: 'x.csv' }, /needs to know its columns/],
])('%s is told', async (what, content, more, target, words) => {
  const { fails, schedule, folder, url, to } = await setup();
  const isCsvTarget = 'url' in target;
  const name = isCsvTarget ? 'items.ndjson' : 'items.csv';
  if (content !== '') await writeFile(join(folder, 'in', name), what === 'an empty CSV' ? '' : content);
  const id = await schedule({
    source: ofFile(url(`in/${name}`), more),
    target: isCsvTarget ? { url: url('out/x.csv') } : { url: to.url, table: 'items' },
  });
  const { type, message } = await fails(id);
  expect([type, message]).toEqual([
    expect.stringMatching(/^Invalid(Configuration|Data)$/),
    expect.stringMatching(words),
  ]);
});

it('a line without end is cut off', async () => {
  const { fails, schedule, folder, url, to } = await setup();
  await writeFile(join(folder, 'in', 'big.ndjson'), `{"id": 1, "name": "${'x'.repeat(20 * 2 ** 20)}"}`);
  const id = await schedule({
    source: ofFile(url('in/big.ndjson')),
    target: { url: to.url, table: 'items' },
  });
  expect(await fails(id)).toMatchObject({
    type: 'InvalidData',
    message: expect.stringContaining('more than 16 MiB'),
  });
});
