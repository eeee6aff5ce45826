/** Chains: a full backup, and incremental ones on top of it. */
import { createReadStream } from 'node:fs';
import {
  appendFile,
  chmod,
  lstat,
  mkdir,
  readlink,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkTree } from '../../../src/jobs/backup/tree-check.ts';
import { applyDeletions } from '../../../src/jobs/backup/tree-deletions.ts';
import {
  type Backup,
  backUp,
  differences,
  linesOf,
  onTopOf,
  plant,
  restore,
  stateOf,
  tempFolder,
} from '../../support/tree-scene.ts';

async function setup(tree: Record<string, string> = {}) {
  const root = join(await tempFolder(), 'tree');
  await mkdir(root);
  await plant(root, tree);
  return { root, into: await tempFolder() };
}

const isRoot = process.geteuid?.() === 0;

const packedIn = async (backup: Backup) =>
  (await linesOf(backup)).filter(({ packed }) => packed).map(({ path }) => path);
const deletedIn = async (backup: Backup) =>
  (await linesOf(backup)).filter(({ deleted }) => deleted).map(({ path }) => path);
const check = ({ tarFile, manifestFile }: Backup) =>
  checkTree(createReadStream(tarFile), createReadStream(manifestFile));

/** Later than any backup before, whatever the file system's resolution. */
let second = 1_800_000_000;
const touch = (path: string) => utimes(path, ++second, second);

describe('an incremental backup', () => {
  it('packs nothing if nothing has changed, and still lists all with their hashes', async () => {
    const { root } = await setup({ a: '1', 'd/': '', 'd/b': '2' });
    const full = await backUp(root);
    const next = await backUp(root, { base: onTopOf(full) });
    expect(next.summary).toMatchObject({ kind: 'incremental', entries: 4, packed: 0, deleted: 0, bytes: 0 });
    const unpacked = (await linesOf(full)).map((line) => ({ ...line, packed: false }));
    expect(await linesOf(next)).toEqual(unpacked);
    expect(await check(next)).toEqual({ entries: 0, bytes: 0 });
  });

  it('packs what is new or other, and lists what is gone', async () => {
    const { root, into } = await setup({
      same: '1',
      grown: '2',
      mode: '3',
      gone: '4',
      'd/': '',
      'd/x': '5',
      'd/y': '6',
    });
    const full = await backUp(root);
    await appendFile(join(root, 'grown'), 'more');
    await chmod(join(root, 'mode'), 0o611);
    await rm(join(root, 'gone'));
    await rm(join(root, 'd'), { recursive: true });
    await writeFile(join(root, 'new'), '7');
    const next = await backUp(root, { base: onTopOf(full) });
    expect(await packedIn(next)).toEqual(['.', 'grown', 'mode', 'new']);
    expect(await deletedIn(next)).toEqual(['d', 'd/x', 'd/y', 'gone']);
    await check(next);
    await restore([full, next], into);
    expect(differences(stateOf(root), stateOf(into))).toEqual([]);
  });

  it('goes on from a restored tree as from the one that it was', async () => {
    const { root, into } = await setup({ a: '1', 'd/': '', 'd/b': '2' });
    await symlink('a', join(root, 'l'));
    const full = await backUp(root);
    await restore([full], into);
    expect((await backUp(into, { base: onTopOf(full) })).summary).toMatchObject({ packed: 0, deleted: 0 });
  });

  it('follows entries that change their type, three times over', async () => {
    const { root, into } = await setup({
      x: 'file',
      'd/': '',
      'd/inner': '1',
      'd/sub/': '',
      'd/sub/deep': '2',
    });
    const chain = [await backUp(root)];
    const step = async (change: () => Promise<void>) => {
      await change();
      chain.push(await backUp(root, { base: onTopOf(chain.at(-1)!) }));
      const fresh = await tempFolder();
      await restore(chain, fresh);
      expect(differences(stateOf(root), stateOf(fresh))).toEqual([]);
    };
    await step(async () => {
      await rm(join(root, 'x'));
      await plant(root, { 'x/': '', 'x/inside': '3' });
      await rm(join(root, 'd'), { recursive: true });
      await symlink('x', join(root, 'd'));
    });
    await step(async () => {
      await rm(join(root, 'x'), { recursive: true });
      await symlink('/etc', join(root, 'x'));
      await rm(join(root, 'd'));
      await writeFile(join(root, 'd'), 'now a file');
    });
    await step(async () => {
      await rm(join(root, 'x'));
      await writeFile(join(root, 'x'), 'file again');
      await rm(join(root, 'd'));
      await plant(root, { 'd/': '', 'd/inner': 'other', 'd/sub/': '' });
    });
    // A job that is tried again begins with what it did already.
    await restore(chain, into);
    const last = chain.at(-1)!;
    await applyDeletions(createReadStream(last.manifestFile), into);
    await restore([last], into, { over: true });
    expect(differences(stateOf(root), stateOf(into))).toEqual([]);
  });

  it('leaves the times of directories alone in which a file was written, or taken away, unseen', async () => {
    const { root, into } = await setup({ 'd/': '', 'd/a': '1', 'd/b': '2' });
    await utimes(join(root, 'd'), 1.5e9, 1.5e9);
    const full = await backUp(root);
    await writeFile(join(root, 'd/a'), 'longer');
    await rm(join(root, 'd/b'));
    await utimes(join(root, 'd'), 1.5e9, 1.5e9);
    const next = await backUp(root, { base: onTopOf(full) });
    expect(await packedIn(next)).toEqual(['d/a']);
    await restore([full, next], into);
    expect(differences(stateOf(root), stateOf(into))).toEqual([]);
  });

  it('does not take for gone what it could not read: the older copy stays', async () => {
    const { root, into } = await setup({ 'd/': '', 'd/a': '1', 'd/e/': '', 'd/e/b': '2', z: '3' });
    const long = Array.from({ length: 14 }, (_, i) => `${i}-${'x'.repeat(230)}`).join('/');
    await plant(root, { [`${long}/`]: '' });
    await rename(join(root, 'd'), join(root, long, 'd'));
    const full = await backUp(root);
    expect(full.summary).toMatchObject({ entries: 20, stale: 0 });
    // Longer than a path may be: even root cannot read what is below.
    await mkdir(join(root, 'p'.repeat(250)));
    await rename(join(root, long.split('/')[0]!), join(root, 'p'.repeat(250), 'moved'));
    const far = await tempFolder();
    const farRoot = join(far, 'y'.repeat(250), 'y'.repeat(250), 'y'.repeat(250), 'y'.repeat(250));
    await mkdir(farRoot, { recursive: true });
    await rename(join(root, 'p'.repeat(250), 'moved'), join(farRoot, long.split('/')[0]!));
    await rm(join(root, 'p'.repeat(250)), { recursive: true });
    await rename(join(root, 'z'), join(farRoot, 'z'));
    await utimes(farRoot, 1.6e9, 1.6e9);
    const next = await backUp(farRoot, { base: onTopOf(full) });
    expect(next.notes.map(({ what, reason }) => `${what} ${reason}`)).toContain('unreadable ENAMETOOLONG');
    expect(next.summary).toMatchObject({ entries: 20, deleted: 0 });
    expect(next.summary.stale).toBeGreaterThan(0);
    expect((await linesOf(next)).filter(({ stale }) => stale).length).toBe(next.summary.stale);
    await check(next);
    await restore([full, next], into);
    expect([...stateOf(into).keys()]).toContain(`${long}/d/e/b`);
  });

  it.skipIf(isRoot)('keeps the older copies of what nobody may read now', async () => {
    const { root, into } = await setup({
      f: 'old',
      'd/': '',
      'd/a': '1',
      'd/e/': '',
      'd/e/b': '2',
      gone: '3',
    });
    const full = await backUp(root);
    await writeFile(join(root, 'f'), 'newer');
    await rm(join(root, 'gone'));
    await chmod(join(root, 'f'), 0);
    await chmod(join(root, 'd'), 0);
    const next = await backUp(root, { base: onTopOf(full) });
    await chmod(join(root, 'd'), 0o700);
    expect(next.notes).toEqual([
      { what: 'unreadable', path: 'd', reason: 'EACCES' },
      { what: 'unreadable', path: 'f', reason: 'EACCES' },
    ]);
    expect(await deletedIn(next)).toEqual(['gone']);
    expect(next.summary).toMatchObject({ entries: 6, stale: 4, deleted: 1 });
    await restore([full, next], into);
    await chmod(join(into, 'd'), 0o700);
    expect([...stateOf(into).keys()].sort()).toEqual(['', 'd', 'd/a', 'd/e', 'd/e/b', 'f']);
  });

  it('packs again what was written to while the base read it', async () => {
    const { root } = await setup({ a: 'x'.repeat(300_000) });
    let once = true;
    const touched: Promise<void>[] = [];
    const full = await backUp(root, {
      onProgress: ({ path }) => {
        if (path === 'a' && once) touched.push(touch(join(root, 'a')));
        if (path === 'a') once = false;
      },
    });
    await Promise.all(touched);
    expect(full.summary.notes.changed).toBe(1);
    const next = await backUp(root, { base: onTopOf(full) });
    expect(await packedIn(next)).toContain('a');
  });

  it('refuses a base that was cut', async () => {
    const { root } = await setup({ a: '1' });
    const full = await backUp(root);
    const cut = createReadStream(full.manifestFile, { end: (await lstat(full.manifestFile)).size - 50 });
    await expect(backUp(root, { base: { id: 'b', manifest: cut } })).rejects.toMatchObject({
      type: 'BackupDamaged',
      retryable: false,
    });
  });
});

describe('any tree, after any edits', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'a.', 'a b', 'é', 'e\u0301', '-x', 'B', 'a\nb');
  const path = fc.array(name, { minLength: 1, maxLength: 3 });
  const edit = fc.record({
    path,
    what: fc.oneof(
      fc.record({ kind: fc.constant('file' as const), text: fc.string({ maxLength: 20 }) }),
      fc.record({ kind: fc.constant('directory' as const) }),
      fc.record({
        kind: fc.constant('symlink' as const),
        target: fc.constantFrom('a', '..', '/etc', 'b/c', 'no'),
      }),
      fc.record({ kind: fc.constant('remove' as const) }),
      fc.record({ kind: fc.constant('mode' as const), mode: fc.integer({ min: 0, max: 0o777 }) }),
      fc.record({ kind: fc.constant('touch' as const) }),
    ),
  });
  type Edit = typeof edit extends fc.Arbitrary<infer E> ? E : never;

  const isRealDirectory = async (place: string) =>
    (await lstat(place).catch(() => null))?.isDirectory() ?? false;

  /** Makes way if something else is there. */
  async function apply(root: string, { path: names, what }: Edit): Promise<void> {
    let folder = root;
    for (const part of names.slice(0, -1)) {
      folder = join(folder, part);
      if (await isRealDirectory(folder)) continue;
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
    }
    const place = join(folder, names.at(-1)!);
    const there = await lstat(place).catch(() => null);
    if (what.kind === 'mode' || what.kind === 'touch') {
      if (!there || there.isSymbolicLink()) return;
      // Who is not root has to be able to go on.
      if (what.kind === 'mode') await chmod(place, what.mode | (process.geteuid?.() === 0 ? 0 : 0o700));
      else await touch(place);
      return;
    }
    if (what.kind === 'directory' && there?.isDirectory()) return;
    if (what.kind === 'file' && there?.isFile()) {
      await writeFile(place, what.text);
      await touch(place);
      return;
    }
    await rm(place, { recursive: true, force: true });
    if (what.kind === 'file') await writeFile(place, what.text);
    if (what.kind === 'directory') await mkdir(place);
    if (what.kind === 'symlink') await symlink(what.target, place);
    if (what.kind === 'file') await touch(place);
  }

  it('comes back from the full backup and its incremental ones', async () => {
    const rounds = fc.array(fc.array(edit, { maxLength: 12 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(rounds, async (edits) => {
        const { root, into } = await setup();
        const chain: Backup[] = [];
        for (const round of edits) {
          for (const each of round) await apply(root, each);
          const last = chain.at(-1);
          chain.push(await backUp(root, last && { base: onTopOf(last) }));
          await check(chain.at(-1)!);
        }
        await restore(chain, into);
        expect(differences(stateOf(root), stateOf(into))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it('is told apart from what its symlinks point to', async () => {
    const { root, into } = await setup({ 'd/': '', 'd/f': '1' });
    await symlink('d', join(root, 'l'));
    const full = await backUp(root);
    expect(full.summary.entries).toBe(4);
    await restore([full], into);
    expect(await readlink(join(into, 'l'))).toBe('d');
  });
});
