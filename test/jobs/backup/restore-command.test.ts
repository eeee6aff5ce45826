// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/** `npm run restore`, as somebody types it whose service is gone. */
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { backUp, schedule, setupBackups } from '../../support/backup-rig.ts';
import { startDumpScene } from '../../support/dump-scene.ts';
import { compileCache, spawnIn } from '../../support/node-process.ts';
import { fillRichly, portrait } from '../../support/rich-database.ts';
import { findSystemPostgres } from '../../support/system-postgres.ts';
import { differences, plant, stateOf, tempFolder } from '../../support/tree-scene.ts';

vi.setConfig({ testTimeout: 90_000 });

async function restore(env: Record<string, string>, ...args: string[]) {
  const child = spawnIn({
    command: process.execPath,
    args: ['src/restore.ts', ...args],
    env: { ...compileCache(), ...env },
  });
  return { ...(await child.exited), output: child.output() };
}

async function backedUpTree() {
  const scene = await setupBackups();
  await plant(scene.root, { 'a.txt': 'one', 'd/': '', 'd/ü ñ 名.txt': 'two', 'empty/': '' });
  const { id } = await schedule(scene.rig, 'backup', {
    backupType: 'incremental',
    source: scene.url(scene.root),
    targetLocation: `${scene.url(scene.vault)}/`,
  });
  await backUp(scene.rig, id);
  await appendFile(join(scene.root, 'a.txt'), ' and more');
  const { backupId } = await backUp(scene.rig, id);
  return { ...scene, backupId };
}

it('brings back a directory with all that its backup goes on from, from the folder where npm was called', async () => {
  const { rig, root, vault, backupId } = await backedUpTree();
  const child = spawnIn({
    command: '/bin/sh',
    args: [
      '-c',
      'repository="$PWD"; cd "$1" && npm --prefix "$repository" run restore -- "$2" --to ./restored',
      'sh',
      vault,
      backupId,
    ],
    env: { ...compileCache(), DATABASE_URL: rig.url },
  });
  expect(await child.exited, child.output()).toMatchObject({ code: 0 });
  expect(child.output()).toMatch(new RegExp(`Restored ${backupId} \\(2 archives, \\d+ entries\\) in`));
  expect(differences(stateOf(root), stateOf(join(vault, 'restored')))).toEqual([]);
});

it('does not touch a directory that has something in it, and says so', async () => {
  const { rig, vault, backupId } = await backedUpTree();
  const into = join(vault, '..', 'mine');
  await mkdir(into);
  await writeFile(join(into, 'precious'), 'mine');
  expect(await restore({ DATABASE_URL: rig.url }, backupId, '--to', into)).toMatchObject({
    code: 1,
    output: expect.stringMatching(/Not restored: .*not empty/s),
  });
  expect(await readdir(into)).toEqual(['precious']);
  expect(await readFile(join(into, 'precious'), 'utf8')).toBe('mine');
});

it.each<[string, string[], number, RegExp]>([
  ['nothing', [], 64, /Usage: npm run restore/],
  ['no place', ['backup-20260301020000'], 64, /Usage/],
  ['two backups', ['backup-20260301020000', 'backup-20260301020001', '--to', 'x'], 64, /Usage/],
  ['an unknown option', ['backup-20260301020000', '--into', 'x'], 64, /--into.*Usage/s],
  ['no id', ['yesterday', '--to', 'x'], 64, /backupId: must be the id of a backup/],
  ['another kind of place', ['backup-20260301020000', '--to', 's3://bucket/x'], 64, /to: must be/],
  ['a wrong environment', ['backup-20260301020000', '--to', 'x'], 78, /CARILLON_S3_PATH_STYLE/],
])('given %s it says what it wants, and does nothing', async (what, args, code, words) => {
  const wrong: Record<string, string> =
    what === 'a wrong environment' ? { CARILLON_S3_PATH_STYLE: 'maybe' } : {};
  // A data directory would be made by anything that went on.
  const dataDir = join(await tempFolder(), 'data');
  expect(await restore({ DATA_DIR: dataDir, ...wrong }, ...args)).toMatchObject({
    code,
    output: expect.stringMatching(words),
  });
  await expect(readdir(dataDir)).rejects.toThrow('ENOENT');
});

it('knows no backup in an empty catalogue, in a database of something else, and without a data directory', async () => {
  const { rig, vault } = await setupBackups();
  const into = join(vault, 'into');
  const args = ['backup-20260301020000', '--to', into];
  expect(await restore({ DATABASE_URL: rig.url }, ...args)).toMatchObject({
    code: 1,
    output: expect.stringContaining('There is no backup backup-20260301020000'),
  });
  await rig.sql.rows('alter table backups rename to others');
  expect(await restore({ DATABASE_URL: rig.url }, ...args)).toMatchObject({
    code: 1,
    output: expect.stringContaining('no catalogue of backups'),
  });
  expect(await restore({ DATA_DIR: join(vault, 'none') }, ...args)).toMatchObject({
    code: 1,
    output: expect.stringContaining('there is no data directory'),
  });
  expect(await readdir(vault)).toEqual([]);
});

const system = await findSystemPostgres();

// Skipped: no PostgreSQL server and clients under /usr/lib/postgresql/*/bin.
it.skipIf(system === undefined)(
  'brings back a database, whose password stands in no argument and no message',
  async () => {
    const scene = await startDumpScene(system!);
    onTestFinished(() => scene.close());
    const { rig, keep } = await setupBackups();
    const source = await scene.create();
    await fillRichly(source);
    const password = decodeURIComponent(new URL(source).password);
    await rig.secrets.put('db', { value: password, description: '' });
    const { id } = await keep({ source: source.replace(`:${new URL(source).password}@`, ':${secret:db}@') });
    const { backupId } = await backUp(rig, id);
    const to = new URL(scene.newUrl());
    const whole = to.href;
    to.password = '';
    const ended = await restore({ DATABASE_URL: rig.url, PGPASSWORD: password }, backupId, '--to', to.href);
    expect(ended, ended.output).toMatchObject({ code: 0 });
    expect(ended.output).not.toContain('canary');
    expect(await portrait(whole, system!.bin)).toEqual(await portrait(source, system!.bin));
  },
);
