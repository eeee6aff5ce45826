import { createHash } from 'node:crypto';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { openTarget } from '../../../src/jobs/storage/storage-target.ts';
import { fileFault } from '../../../src/jobs/storage/target-faults.ts';
import { mountTiny } from '../../support/tiny-disk.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const isRoot = process.getuid?.() === 0;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

async function setup() {
  const path = await mkdtemp(join(tmpdir(), 'carillon-folder-'));
  undo.push(() => rm(path, { recursive: true, force: true }));
  const open = (folder = path) => openTarget(pathToFileURL(folder).href, { now: () => Date.now() });
  return { path, open, target: open() };
}

describe('a location', () => {
  const open = (location: string) => openTarget(location, { now: () => 0 }).location;

  it.each([
    ['file:///var/backups', 'file:///var/backups/'],
    ['file:///var/backups/', 'file:///var/backups/'],
    ['FILE:///var//a%20b/../c///', 'file:///var/c/'],
    ['file:///ein/%C3%9Cberblick', 'file:///ein/%C3%9Cberblick/'],
    ['s3://vault', 's3://vault/'],
    ['s3://vault/', 's3://vault/'],
    ['s3://vault/a/b c', 's3://vault/a/b c/'],
  ])('%s is %s', (given, normal) => {
    expect(open(given)).toBe(normal);
    expect(open(normal)).toBe(normal);
  });

  it.each([
    'backups',
    '/var/backups',
    'file:backups',
    'file://server/share/',
    'file:///a?b',
    'file:///a#b',
    'file:///a%2Fb/',
    'file:///a%00b/',
    'file:///a%zz/',
    'ftp://host/dir/',
    's3://',
    's3:///prefix/',
    's3://Bad..%/x',
    's3://b/x?region=eu',
    's3://vault//x',
    's3://key:canary@vault/x',
    'https://key:canary@vault/x',
  ])('%s is refused, and not shown', (given) => {
    let refused: unknown;
    try {
      open(given);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({ type: 'InvalidConfiguration', retryable: false });
    expect(String((refused as Error).message)).not.toContain('canary');
  });
});

describe('a check', () => {
  it('says what to do about a folder that is not there, or none', async () => {
    const { path, open } = await setup();
    const refused = { type: 'InvalidConfiguration', retryable: false };
    await expect(open(join(path, 'no')).check()).rejects.toMatchObject({
      ...refused,
      message: expect.stringMatching(/\/no does not exist: create it, or mount/),
    });
    await writeFile(join(path, 'file'), '');
    await expect(open(join(path, 'file')).check()).rejects.toMatchObject(refused);
    await expect(open(join(path, 'no')).get('a')).rejects.toMatchObject(refused);
    await expect(open(join(path, 'no')).put('a', Readable.from(['x']))).rejects.toMatchObject(refused);
    await expect(Array.fromAsync(open(join(path, 'no')).list())).rejects.toMatchObject(refused);
  });

  it.skipIf(isRoot)('says that the folder may not be written', async () => {
    const { path, target } = await setup();
    await chmod(path, 0o500);
    undo.push(() => chmod(path, 0o700));
    await expect(target.check()).rejects.toMatchObject({ type: 'InvalidConfiguration' });
  });

  it('sweeps what killed processes left, and only that', async () => {
    const { path, target } = await setup();
    const at = async (name: string, ageMs: number) => {
      await writeFile(join(path, name), 'x');
      const time = new Date(Date.now() - ageMs);
      await utimes(join(path, name), time, time);
    };
    await at('.carillon-00112233445566aa.part', DAY_MS + 60_000);
    await at('.carillon-00112233445566bb.part', DAY_MS - 60_000);
    await at('.carillon-mine.part', DAY_MS * 9);
    await at('backup', DAY_MS * 9);
    await target.check();
    expect((await readdir(path)).sort()).toEqual([
      '.carillon-00112233445566bb.part',
      '.carillon-mine.part',
      'backup',
    ]);
  });
});

describe('a folder', () => {
  it('shows files only, and none that are hidden', async () => {
    const { path, target } = await setup();
    await mkdir(join(path, 'folder'));
    await writeFile(join(path, '.hidden'), 'x');
    await writeFile(join(path, 'file'), 'x');
    await symlink('nowhere', join(path, 'dangling'));
    expect((await Array.fromAsync(target.list())).map((each) => each.name)).toEqual(['file']);
    expect(await target.stat('folder')).toBeNull();
    await expect(target.get('folder')).rejects.toMatchObject({ type: 'BackupMissing' });
    await expect(target.delete('folder')).rejects.toThrow();
  });

  it('keeps backups from other accounts', async () => {
    const { path, target } = await setup();
    await target.put('a', Readable.from(['x']));
    expect((await stat(join(path, 'a'))).mode & 0o777).toBe(0o600);
  });

  it('keeps what is large enough to be sent to the disk on the way, byte by byte, and nothing of it after an abort', async () => {
    const { target } = await setup();
    const blocks = Array.from({ length: 40 }, (_, index) => Buffer.alloc(2 ** 20, index));
    expect(await target.put('large', Readable.from(blocks, { objectMode: false }))).toEqual({
      bytes: 40 * 2 ** 20,
    });
    const hash = createHash('sha256');
    for await (const chunk of await target.get('large')) hash.update(chunk);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(Buffer.concat(blocks)).digest('hex'));

    const stop = new AbortController();
    async function* cutShort() {
      yield* blocks.slice(0, 36);
      stop.abort(new Error('enough'));
      yield blocks[36];
    }
    const { signal } = stop;
    await expect(target.put('cut', Readable.from(cutShort()), { signal })).rejects.toThrow('enough');
    expect((await Array.fromAsync(target.list())).map((each) => each.name)).toEqual(['large']);
  });

  it('takes strings as UTF-8', async () => {
    const { path, target } = await setup();
    expect(await target.put('a', Readable.from(['ä', '€']))).toEqual({ bytes: 5 });
    expect(await readFile(join(path, 'a'), 'utf8')).toBe('ä€');
  });

  it('that is full says so, can be tried again, and is left as it was', async (context) => {
    const { path, target } = await setup();
    const unmount = mountTiny(path);
    if (unmount === null) return context.skip('this account may not mount a small file system to fill');
    undo.push(unmount);
    await target.put('old', Readable.from(['old']));
    const content = Readable.from([Buffer.alloc(512 * 1024), Buffer.alloc(1024 * 1024)]);
    await expect(target.put('new', content)).rejects.toMatchObject({ type: 'TargetFull', retryable: true });
    expect(content.destroyed).toBe(true);
    expect(await readdir(path)).toEqual(['old']);
  });

  it.each([
    ['ENOSPC', 'TargetFull', true],
    ['EDQUOT', 'TargetFull', true],
    ['EIO', 'TargetUnreachable', true],
    ['ESTALE', 'TargetUnreachable', true],
    ['EACCES', 'InvalidConfiguration', false],
    ['EROFS', 'InvalidConfiguration', false],
    ['EFBIG', 'InvalidConfiguration', false],
  ])('tells %s as %s', (code, type, retryable) => {
    const fault = fileFault(Object.assign(new Error(`${code}: it failed`), { code }), '/mnt/b');
    expect(fault).toMatchObject({ type, retryable, message: expect.stringContaining('/mnt/b') });
  });
});
