/** GET /backups */
import { sql } from 'drizzle-orm';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { beginBackup, finishBackup, markBackup } from '../../src/db/backup-store.ts';
import { backupAnswer } from '../../src/routes/backups.ts';
import { type Backup, chainOf, expired } from '../../src/runs/backup.ts';
import { setupApi } from '../support/api-house.ts';
import { DAY, ms } from '../support/timings.ts';
import { expectProblem } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());
beforeEach(() => api.reset());

const atMs = ms('2026-03-01T02:00:00Z');
async function store(schedule: string, run: number): Promise<string> {
  const { id } = (await api.get(`/schedules/${schedule}`)).body;
  const db = api.house.db;
  const stored = await beginBackup(
    db,
    {
      scheduleId: id,
      scheduleName: schedule,
      runId: `018f2f6e-7a00-7000-8000-00000000000${run}`,
      kind: 'full',
      sourceKind: 'directory',
      source: 'file:///srv',
      location: 'file:///vault/',
      object: 'a.tar.zst',
      manifest: 'a.manifest.zst',
      baseId: null,
    },
    atMs,
  );
  await finishBackup(db, stored, { bytes: 7, sha256: 'ab', manifestSha256: 'cd' }, atMs + 1000);
  await markBackup(db, stored, 'valid');
  return stored;
}

test('backups come newest first, in pages, of all schedules or of one', async () => {
  await api.create('a');
  await api.create('b');
  const ids = [await store('a', 1), await store('b', 2), await store('a', 3)];
  // Two of one second have ids of their own.
  expect(ids).toEqual(['backup-20260301020000', 'backup-20260301020001', 'backup-20260301020002']);
  const first = (await api.get('/backups?limit=2')).body;
  expect(first.items.map(({ id }: { id: string }) => id)).toEqual([ids[2], ids[1]]);
  for (const item of first.items) backupAnswer.strict().parse(item);
  expect(first.items[0]).toMatchObject({
    scheduleName: 'a',
    kind: 'full',
    size: 7,
    status: 'valid',
    base: null,
  });
  const rest = (await api.get(`/backups?limit=2&cursor=${first.nextCursor}`)).body;
  expect([rest.items.map(({ id }: { id: string }) => id), rest.nextCursor]).toEqual([[ids[0]], null]);
  const ofA = (await api.get('/backups?schedule=a')).body.items;
  expect(ofA.map(({ id }: { id: string }) => id)).toEqual([ids[2], ids[0]]);
  const { id } = (await api.get('/schedules/a')).body;
  await api.delete('/schedules/a');
  expect((await api.get(`/backups?schedule=${id}`)).body.items).toHaveLength(2);
});

test('a run that is tried again keeps its backup', async () => {
  await api.create('a');
  expect(await store('a', 1)).toBe(await store('a', 1));
  const { rowCount } = await api.house.db.execute(sql`select from backups`);
  expect(rowCount).toBe(1);
});

test('an unknown schedule is a 404, and what is no cursor a 400', async () => {
  expectProblem(await api.get('/backups?schedule=none'), { status: 404, code: 'not_found' });
  expectProblem(await api.get('/backups?cursor=abc'), { status: 400, pointers: ['?cursor'] });
});

const backup = (id: number, more: Partial<Backup> = {}): Backup => ({
  id: `backup-${id}`,
  scheduleId: 's',
  scheduleName: 's',
  runId: `run-${id}`,
  kind: more.baseId ? 'incremental' : 'full',
  sourceKind: 'directory',
  source: '',
  location: '',
  object: '',
  manifest: '',
  baseId: null,
  status: 'valid',
  bytes: 1,
  sha256: '',
  manifestSha256: '',
  createdAtMs: id * DAY,
  finishedAtMs: id * DAY,
  ...more,
});
const ids = (backups: readonly Backup[] | null) => backups?.map(({ id }) => id);

test('a chain is whole, or none', () => {
  const all = [backup(1), backup(2, { baseId: 'backup-1' }), backup(3, { baseId: 'backup-2' })];
  const byId = new Map(all.map((each) => [each.id, each]));
  expect(ids(chainOf('backup-3', byId))).toEqual(['backup-1', 'backup-2', 'backup-3']);
  byId.set('backup-2', backup(2, { baseId: 'backup-1', status: 'damaged' }));
  expect(chainOf('backup-3', byId)).toBeNull();
  byId.delete('backup-1');
  expect(chainOf('backup-2', byId)).toBeNull();
});

test.each<[string, Backup[], string[]]>([
  ['what is old', [backup(1), backup(2), backup(9)], ['backup-2', 'backup-1']],
  [
    'never the last good one',
    [backup(1), backup(2), backup(3, { status: 'damaged' })],
    ['backup-3', 'backup-1'],
  ],
  [
    'nothing that a kept one needs',
    [backup(1), backup(2, { baseId: 'backup-1' }), backup(9, { baseId: 'backup-2' })],
    [],
  ],
  ['what was never finished', [backup(1, { status: 'writing' }), backup(9)], ['backup-1']],
  ['nothing of its own run', [backup(1, { runId: 'mine', status: 'written' }), backup(9)], []],
  [
    'an old chain, the newest first',
    [backup(1), backup(2, { baseId: 'backup-1' }), backup(9)],
    ['backup-2', 'backup-1'],
  ],
])('cleanup deletes %s', (_what, all, expected) => {
  expect(ids(expired(all, 5 * DAY, 'mine'))).toEqual(expected);
});
