/** Where isolated runs keep what is compiled for them: code that is executed, so nobody else may put it there. */
import { chmod, chown, mkdir, mkdtemp, readdir, realpath, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { compileCacheIn as placeIn } from '../src/compile-cache.ts';
import { compileCacheName } from '../src/db/data-directory.ts';

/** Whatever the tests' own process was told. */
const compileCacheIn = (dataDir: string, named: string | null = null) => placeIn(dataDir, named);

/** Removed when all tests have finished. */
const newFolder = async () => await realpath(await mkdtemp(join(inject('runDirectory'), 'compiled-')));

it('is in the data directory, which is made if need be', async () => {
  const dataDir = join(await newFolder(), 'data');
  expect(await compileCacheIn(dataDir)).toBe(join(dataDir, compileCacheName));
  expect(await readdir(join(dataDir, compileCacheName))).toEqual([]);
  expect(await compileCacheIn(dataDir)).toBe(join(dataDir, compileCacheName));
});

it.each([
  ['the data directory', (dataDir: string) => chmod(dataDir, 0o777)],
  ['the cache', (dataDir: string) => chmod(join(dataDir, compileCacheName), 0o770)],
])('is nowhere where others may write %s', async (_what, open) => {
  const dataDir = await newFolder();
  await mkdir(join(dataDir, compileCacheName));
  await open(dataDir);
  expect(await compileCacheIn(dataDir)).toBeNull();
});

it('nor where they may put another directory in its place', async () => {
  const folder = await newFolder();
  const dataDir = join(folder, 'data');
  await mkdir(join(dataDir, compileCacheName), { recursive: true });
  await chmod(folder, 0o777);
  expect(await compileCacheIn(dataDir)).toBeNull();
  // As in /tmp: there it is only its owner who may.
  await chmod(folder, 0o1777);
  expect(await compileCacheIn(dataDir)).toBe(join(dataDir, compileCacheName));
});

it('is found behind a symlink, by the name that nobody can turn elsewhere', async () => {
  const folder = await newFolder();
  await mkdir(join(folder, 'data'), { mode: 0o700 });
  await symlink('data', join(folder, 'link'));
  expect(await compileCacheIn(join(folder, 'link'))).toBe(join(folder, 'data', compileCacheName));
});

it.runIf(process.getuid?.() === 0)(
  'root leaves nothing of its own in the directory of another account',
  async () => {
    const dataDir = await newFolder();
    await chown(dataDir, 65_534, 65_534);
    expect(await compileCacheIn(dataDir)).toBeNull();
    expect(await readdir(dataDir)).toEqual([]);
  },
);

it('is nowhere where there can be none, or the environment names one', async () => {
  const folder = await newFolder();
  await writeFile(join(folder, 'file'), '');
  expect(await compileCacheIn(join(folder, 'file'))).toBeNull();
  const unwanted = await newFolder();
  expect(await compileCacheIn(unwanted, '/elsewhere')).toBeNull();
  expect(await readdir(unwanted)).toEqual([]);
});
