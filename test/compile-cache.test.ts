/** What is kept of compiling, in processes as Carillon's are. */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, inject, it } from 'vitest';
import { compileCacheName } from '../src/db/data-directory.ts';

const run = promisify(execFile);
/** Removed when all tests have finished. */
const newFolder = () => mkdtemp(join(inject('runDirectory'), 'compiled-'));
const module = new URL('../src/compile-cache.ts', import.meta.url).href;
const loaded = new URL('../src/duration.ts', import.meta.url).href;

/** A process that keeps what it compiles: where, as text. */
async function compileIn(dataDir: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const script = `
    const { keepCompiled } = await import('${module}');
    const directory = await keepCompiled(process.argv[1]);
    await import('${loaded}');
    process.stdout.write(String(directory));`;
  const { NODE_COMPILE_CACHE: _, ...inherited } = process.env;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script, dataDir], {
    env: { ...inherited, ...env },
  });
  return stdout;
}

/** Files of Node's making, below a folder for its version. */
const kept = async (dataDir: string) =>
  (await readdir(join(dataDir, compileCacheName), { recursive: true }))
    .filter((name) => name.includes('/'))
    .sort();

it('is kept in the data directory, which is made if need be, and found there', async () => {
  const dataDir = join(await newFolder(), 'data');
  expect(await compileIn(dataDir)).toBe(join(dataDir, compileCacheName));
  const files = await kept(dataDir);
  expect(files).not.toEqual([]);
  expect(await compileIn(dataDir)).toBe(join(dataDir, compileCacheName));
  expect(await kept(dataDir)).toEqual(files);
});

it.each([
  ['the data directory', (dataDir: string) => chmod(dataDir, 0o777)],
  ['the cache', (dataDir: string) => chmod(join(dataDir, compileCacheName), 0o770)],
])('is neither kept nor read where others may write %s', async (_what, open) => {
  const dataDir = await newFolder();
  await mkdir(join(dataDir, compileCacheName));
  await open(dataDir);
  expect(await compileIn(dataDir)).toBe('null');
  expect(await kept(dataDir)).toEqual([]);
});

it('nor where they may put another directory in its place', async () => {
  const folder = await newFolder();
  const dataDir = join(folder, 'data');
  await mkdir(join(dataDir, compileCacheName), { recursive: true });
  await chmod(folder, 0o777);
  expect(await compileIn(dataDir)).toBe('null');
  // As in /tmp: there it is only its owner who may.
  await chmod(folder, 0o1777);
  expect(await compileIn(dataDir)).toBe(join(dataDir, compileCacheName));
});

it('is found behind a symlink, by the name that nobody can turn elsewhere', async () => {
  const folder = await newFolder();
  await mkdir(join(folder, 'data'), { mode: 0o700 });
  await symlink('data', join(folder, 'link'));
  expect(await compileIn(join(folder, 'link'))).toBe(join(folder, 'data', compileCacheName));
});

it.runIf(process.getuid?.() === 0)(
  'root leaves nothing of its own in the directory of another account',
  async () => {
    const dataDir = await newFolder();
    await chown(dataDir, 65_534, 65_534);
    expect(await compileIn(dataDir)).toBe('null');
    expect(await readdir(dataDir)).toEqual([]);
  },
);

it('stands in the way of nothing where it cannot be kept, or is not wanted', async () => {
  const folder = await newFolder();
  await writeFile(join(folder, 'file'), '');
  expect(await compileIn(join(folder, 'file'))).toBe('null');
  await writeFile(join(folder, compileCacheName), '');
  expect(await compileIn(folder)).toBe('null');
  const unwanted = await newFolder();
  expect(await compileIn(unwanted, { NODE_DISABLE_COMPILE_CACHE: '1' })).toBe('null');
  expect(await kept(unwanted)).toEqual([]);
});
