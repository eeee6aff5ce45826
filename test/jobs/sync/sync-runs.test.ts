// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/** Syncs as runs: through the worker, in processes of their own; their secrets, and their cancel. */
import { expect, it, vi } from 'vitest';
import { createJobRegistry } from '../../../src/jobs/registry.ts';
import { createSyncJob } from '../../../src/jobs/sync/sync-job.ts';
import { startJsonApi } from '../../support/json-api.ts';
import { openPlace, rowsOf, setupSync } from '../../support/sync-rig.ts';
import { waitFor } from '../../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

const table = 'create table items (id int primary key, v int not null); create index on items (v, id)';

async function setup() {
  const sync = await setupSync();
  await sync.rig.worker({ workers: { default: 2 } });
  const [from, to] = await Promise.all([openPlace(table), openPlace(table)]);
  const input = {
    source: { url: from.url, table: 'items', watermark: 'v', key: 'id', pageSize: 10 },
    target: { url: to.url, table: 'items' },
  };
  return { ...sync, from, to, input };
}

it('a run in its own process tells steps, progress, log and output', async () => {
  const { rig, from, to, input, schedule } = await setup();
  await from.sql.rows('insert into items select g, g from generate_series(1, 25) g');
  const id = await schedule(input);
  const ended = await rig.ended((await rig.schedules.trigger(id, {})).id, 30_000);
  expect(ended, JSON.stringify(ended.error)).toMatchObject({
    status: 'succeeded',
    output: { success: true, syncedRecords: 25, changedRecords: 25, pages: 3, watermark: '25' },
    progress: { done: 25, total: null, unit: 'records' },
  });
  expect(ended.steps.map(({ name, output }) => [name, output])).toEqual([
    ['get-last-sync-time', { watermark: null }],
    ['fetch-delta', { found: true }],
    ['sync-data', { syncedRecords: 25, deletedRecords: 0, badRecords: 0 }],
    ['update-sync-timestamp', { watermark: '25' }],
  ]);
  expect((await rig.logOf(ended.id)).map((line) => line.message).join()).toContain('25 records synced');
  const none = await rig.ended((await rig.schedules.trigger(id, {})).id, 30_000);
  expect(none).toMatchObject({ status: 'succeeded', output: { syncedRecords: 0, success: true } });
  expect(none.steps.map(({ name }) => name)).toEqual(['get-last-sync-time', 'fetch-delta']);
  expect(await rowsOf(to, 'select count(*) from items')).toEqual([['25']]);
});

it('a password is refused in the clear, and shows nowhere when it is wrong', async () => {
  const { rig, from, to, input, schedule } = await setup();
  const { spec } = await rig.schedules.get(await schedule(input));
  const inTheClear = { ...input, source: { ...input.source, url: 'postgres://app:canary-4711@127.0.0.1/x' } };
  await expect(
    rig.schedules.create({ ...spec, name: 'clear', job: { ...spec.job, input: inTheClear } }),
  ).rejects.toMatchObject({
    code: 'invalid',
    issues: [{ pointer: '/job/input/source/url' }, { pointer: '/job/input/target/url' }],
  });
  await rig.secrets.put('wrong', { value: 'canary-4711', description: '' });
  const url = new URL(from.url);
  const wrong = `postgres://canary-user:\${secret:wrong}@${url.host}${url.pathname}`;
  for (const end of ['source', 'target'] as const) {
    const id = await schedule({ ...input, [end]: { ...input[end], url: wrong } });
    const ended = await rig.ended((await rig.schedules.trigger(id, {})).id, 30_000);
    const told = JSON.stringify([
      ended,
      await rig.logOf(ended.id),
      await rig.sql.rows('select * from sync_watermarks'),
    ]);
    expect(ended.error).toMatchObject({
      type: 'InvalidConfiguration',
      message: expect.stringContaining('Could not log in'),
    });
    expect(told).not.toContain('canary-4711');
  }
  const api = await startJsonApi(({ headers }) => ({ status: 401, body: `no: ${headers.authorization}` }));
  const id = await schedule({
    source: { url: api.url, watermark: 'v', key: 'id', headers: { authorization: 'Bearer ${secret:wrong}' } },
    target: { url: to.url, table: 'items' },
  });
  const ended = await rig.ended((await rig.schedules.trigger(id, {})).id, 30_000);
  expect(api.asked[0]!.headers.authorization).toBe('Bearer canary-4711');
  expect(ended.error?.message).toContain('answered 401');
  expect(JSON.stringify([ended, await rig.logOf(ended.id)])).not.toContain('canary-4711');
});

it('a cancel ends the process while it waits in the middle of a page', async () => {
  const { rig, from, to, input, schedule } = await setup();
  await from.sql.rows('insert into items select g, g from generate_series(1, 25) g');
  await to.sql.rows('begin');
  await to.sql.rows('lock table items in share row exclusive mode');
  const { id } = await rig.schedules.trigger(await schedule(input), {});
  await waitFor(async () => (await rig.detail(id)).steps.some(({ name }) => name === 'sync-data'), {
    timeoutMs: 30_000,
  });
  await rig.runs.cancel(id);
  expect(await rig.ended(id, 15_000)).toMatchObject({ status: 'cancelled', reason: 'cancelled_by_hand' });
  await to.sql.rows('rollback');
  expect(await rowsOf(to, 'select count(*) from items')).toEqual([['0']]);
});

const pg = { url: 'postgres://app@db/x', table: 't', watermark: 'w', key: 'id' };
const api = { url: 'https://x.example/a', watermark: 'w', key: 'id' };
const to = { url: 'postgres://app@db/y', table: 't' };
const registry = createJobRegistry([createSyncJob({ version: '0', databaseUrl: 'postgres://x/y', s3: {} })]);

it.each<[string, object, string, string]>([
  ['no source', { target: to }, '/source', '`input.source` is required.'],
  [
    'no table',
    { source: { ...pg, table: undefined }, target: to },
    '/source/table',
    '`input.source.table` is required for a Postgres source, or `query` instead.',
  ],
  [
    'a table and a query',
    { source: { ...pg, query: 'select 1' }, target: to },
    '/source/query',
    '`input.source.query` cannot stand beside `table`; leave one of them out.',
  ],
  [
    'another kind of address',
    { source: { ...pg, url: 'mysql://x/y' }, target: to },
    '/source/url',
    '`input.source.url` must be postgres://…, http(s)://…, or a file ending in .ndjson, .jsonl or .csv as file:///… or s3://bucket/….',
  ],
  [
    'paging of a table',
    { source: { ...pg, paging: { kind: 'page' } }, target: to },
    '/source/paging',
    '`input.source.paging` is only for a source that is HTTP; leave it out.',
  ],
  [
    'a key twice',
    { source: { ...pg, key: ['a', 'a'] }, target: to },
    '/source/key',
    '`input.source.key` must not name one twice.',
  ],
  [
    'keys that do not pair',
    { source: pg, target: { ...to, key: ['a', 'b'] } },
    '/target/key',
    '`input.target.key` must have as many names as source.key, which has 1.',
  ],
  [
    'a negative maxErrors',
    { source: pg, target: to, maxErrors: -1 },
    '/maxErrors',
    '`input.maxErrors` must be at least 0.',
  ],
  [
    'a field that is unknown',
    { source: { ...api, pageSise: 5 }, target: to },
    '/source/pageSise',
    '`input.source.pageSise` is not a known field; perhaps `pageSize` is meant.',
  ],
  [
    'an odd lookback',
    { source: { ...api, lookback: 'soon' }, target: to },
    '/source/lookback',
    'Not a duration',
  ],
])('%s is refused in words', (_what, input, pointer, words) => {
  const issues = registry.catalog.check('sync', JSON.parse(JSON.stringify(input)));
  expect(issues).toContainEqual({ pointer, detail: expect.stringContaining(words) });
});
