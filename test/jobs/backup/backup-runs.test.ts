// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/** Backups and restores as runs: through the worker, in processes of their own, from and to real places. */
import { randomBytes } from 'node:crypto';
import { appendFile, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { backupsOf } from '../../../src/db/backup-store.ts';
import { backUp, noRetry, run, schedule, setupBackups as setup } from '../../support/backup-rig.ts';
import { type DumpScene, startDumpScene } from '../../support/dump-scene.ts';
import { fillRichly, portrait } from '../../support/rich-database.ts';
import { startS3Server } from '../../support/s3-server.ts';
import { findSystemPostgres } from '../../support/system-postgres.ts';
import { mountTiny } from '../../support/tiny-disk.ts';
import { differences, plant, stateOf } from '../../support/tree-scene.ts';

vi.setConfig({ testTimeout: 90_000 });

describe('a directory', () => {
  it('is backed up in full, then what changed, and restored to the last bit', async () => {
    const { rig, root, vault, url, keep } = await setup();
    await plant(root, { 'a.txt': 'one', 'd/': '', 'd/ü ñ 名.txt': 'two', 'gone.txt': 'three', 'empty/': '' });
    await symlink('a.txt', join(root, 'link'));
    const { id } = await keep({ backupType: 'incremental' });
    const first = await backUp(rig, id);
    expect(first).toMatchObject({ backupType: 'full', backupId: expect.stringMatching(/^backup-\d{14}$/) });
    await appendFile(join(root, 'a.txt'), ' and more');
    await rm(join(root, 'gone.txt'));
    await writeFile(join(root, 'd/new'), 'four');
    const second = await backUp(rig, id);
    expect(second).toMatchObject({ backupType: 'incremental' });
    expect(second.backupId > first.backupId).toBe(true);

    const into = join(vault, '..', 'restored');
    const restore = await schedule(rig, 'restore', { backupId: second.backupId, to: url(into) });
    const restored = await run(rig, restore.id);
    expect(restored, JSON.stringify(restored.error)).toMatchObject({
      status: 'succeeded',
      output: { backups: 2 },
    });
    expect(differences(stateOf(root), stateOf(into))).toEqual([]);

    const all = await backupsOf(rig.db, id);
    expect(all.map(({ kind, status, baseId }) => [kind, status, baseId])).toEqual([
      ['full', 'valid', null],
      ['incremental', 'valid', first.backupId],
    ]);
    const ended = await rig.detail(all[1]!.runId);
    expect(ended.steps.map(({ name, status }) => [name, status])).toEqual([
      ['perform-backup', 'succeeded'],
      ['validate-backup', 'succeeded'],
      ['cleanup-old-backups', 'succeeded'],
      ['send-notification', 'succeeded'],
    ]);
    const lines = (await rig.logOf(ended.id)).map((line) => line.message).join();
    expect(lines).toContain('was read back');
    expect(lines).toContain('has no `notify` for a success');
  });

  it('that has no room at its target fails with that, not with what came of it', async (context) => {
    const { rig, root, vault, keep } = await setup();
    const unmount = mountTiny(vault);
    if (unmount === null) return context.skip('this account may not mount a small file system to fill');
    onTestFinished(unmount);
    await writeFile(join(root, 'noise'), randomBytes(24 * 1024 * 1024));
    const { id } = await keep();
    expect(await run(rig, id)).toMatchObject({
      status: 'failed',
      error: { type: 'TargetFull', message: expect.stringContaining('ENOSPC') },
    });
    expect((await readdir(vault)).filter((name) => name.includes('tar'))).toEqual([]);
  });

  it('says in its log who is told with the end of its run, and leaves the telling to that', async () => {
    const { rig, root, keep } = await setup();
    await plant(root, { a: '1' });
    const { id } = await keep();
    const notify = [
      { on: ['success' as const], webhook: { url: 'http://127.0.0.1:9/hook?key=canary' } },
      { on: ['failure' as const], webhook: { url: 'http://127.0.0.1:9/other' } },
    ];
    await rig.schedules.update(id, ({ spec }) => ({ ...spec, notify }));
    const ended = await run(rig, id);
    const lines = (await rig.logOf(ended.id)).map((line) => line.message).join();
    expect(lines).toContain('tells webhook http://127.0.0.1:9/hook');
    expect(lines).not.toMatch(/canary|other/);
    expect(ended.steps.at(-1)).toMatchObject({ output: { notifies: ['webhook http://127.0.0.1:9/hook'] } });
    const events = await rig.sql.rows<{ kind: string; run_id: string }>(
      'select kind, run_id from notify_events',
    );
    expect(events).toEqual([{ kind: 'success', run_id: ended.id }]);
  });

  it('keeps the last good one and what it needs, and deletes what is past its days', async () => {
    const { rig, root, vault, keep } = await setup();
    await plant(root, { a: '1' });
    const { id } = await keep({ retentionDays: 1 });
    const first = await backUp(rig, id);
    await rig.sql.rows(`update backups set created_at = created_at - interval '3 days'`);
    const second = await backUp(rig, id);
    expect(second.deletedBackups).toBe(1);
    expect((await backupsOf(rig.db, id)).map((backup) => backup.id)).toEqual([second.backupId]);
    expect(await readdir(vault)).toHaveLength(2);
    expect(first.backupId).not.toBe(second.backupId);
  });

  it('that is damaged in its place is told, marked, and not tried again', async () => {
    const { rig, root, vault, url, keep } = await setup();
    await plant(root, { a: '1' });
    const { id } = await keep();
    await backUp(rig, id);
    const [backup] = await backupsOf(rig.db, id);
    const file = join(vault, backup!.object);
    const bytes = await readFile(file);
    bytes[bytes.length - 9]! ^= 1;
    await writeFile(file, bytes);
    const restore = await schedule(rig, 'restore', {
      backupId: backup!.id,
      to: url(join(vault, '..', 'into')),
    });
    expect(await run(rig, restore.id)).toMatchObject({ status: 'failed', error: { type: 'BackupDamaged' } });
    expect(await readdir(join(vault, '..'))).not.toContain('into');
  });

  it.each<[string, (places: { root: string; vault: string; url(path: string): string }) => object, RegExp]>([
    [
      'a source that is not there',
      ({ vault, root, url }) => ({
        backupType: 'full',
        source: url(`${root}/none`),
        targetLocation: `${url(vault)}/`,
      }),
      /none/,
    ],
    [
      'a target that is not there',
      ({ root, url }) => ({ backupType: 'full', source: url(root), targetLocation: 'file:///proc/none/' }),
      /proc/,
    ],
    [
      'an incremental backup of a database',
      ({ vault, url }) => ({ backupType: 'incremental', targetLocation: `${url(vault)}/` }),
      /incrementally/,
    ],
  ])('with %s is InvalidConfiguration, and not tried again', async (_what, inputOf, words) => {
    const { rig, ...places } = await setup();
    const { id } = await schedule(rig, 'backup', inputOf(places), { ...noRetry, maxAttempts: 3 });
    expect(await run(rig, id)).toMatchObject({
      status: 'failed',
      attempt: 1,
      error: { type: 'InvalidConfiguration', message: expect.stringMatching(words) },
    });
    expect((await backupsOf(rig.db, id)).filter((backup) => backup.status !== 'writing')).toEqual([]);
  });
});

it('a bucket takes them as a folder does', async () => {
  const server = await startS3Server('vault');
  onTestFinished(() => void server.close());
  const { rig, root, vault, url, keep } = await setup({
    endpoint: server.endpoint,
    region: 'eu',
    forcePathStyle: true,
    credentials: { accessKeyId: 'key', secretAccessKey: 'canary-secret' },
  });
  await plant(root, { a: '1', 'd/': '', 'd/b': '2' });
  const { id } = await keep({ targetLocation: 's3://vault/daily/' });
  const { backupId } = await backUp(rig, id);
  expect([...server.buckets.get('vault')!.keys()].every((key) => key.startsWith('daily/'))).toBe(true);
  const into = join(vault, 'into');
  const restore = await schedule(rig, 'restore', { backupId, to: url(into) });
  expect(await run(rig, restore.id)).toMatchObject({ status: 'succeeded' });
  expect(differences(stateOf(root), stateOf(into))).toEqual([]);
});

const system = await findSystemPostgres();

// Skipped: no PostgreSQL server and clients under /usr/lib/postgresql/*/bin.
describe.skipIf(system === undefined)('a database', () => {
  let scene: DumpScene | undefined;
  afterAll(() => scene?.close());

  it('is dumped, read back, and restored row by row', async () => {
    scene = await startDumpScene(system!);
    const source = await scene.create();
    await fillRichly(source);
    const { rig, keep } = await setup();
    const password = new URL(source).password;
    await rig.secrets.put('db', { value: decodeURIComponent(password), description: '' });
    const hidden = source.replace(`:${password}@`, ':${secret:db}@');
    const { id } = await keep({ source: hidden });
    const { backupId } = await backUp(rig, id);
    const to = new URL(hidden.replace('${secret:db}', 'x'));
    to.pathname = '/restored_by_run';
    const restore = await schedule(rig, 'restore', {
      backupId,
      to: to.href.replace(':x@', ':${secret:db}@'),
    });
    const ended = await run(rig, restore.id);
    expect(ended, JSON.stringify(ended.error)).toMatchObject({ status: 'succeeded', output: { backups: 1 } });
    const bin = system!.bin;
    const there = new URL(source);
    there.pathname = '/restored_by_run';
    expect(await portrait(there.href, bin)).toEqual(await portrait(source, bin));
    const [backup] = await backupsOf(rig.db, id);
    expect(JSON.stringify(backup)).not.toContain(decodeURIComponent(password));
  });
});
