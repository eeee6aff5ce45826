/** Trees that go into an archive and come back, and are compared name by name, byte by byte, mode by mode. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs';
import {
  chmod,
  chown,
  lstat,
  lutimes,
  mkdir,
  open,
  readFile,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { checkTree } from '../../../src/jobs/backup/tree-check.ts';
import { packTree } from '../../../src/jobs/backup/tree-pack.ts';
import { unpackTree } from '../../../src/jobs/backup/tree-unpack.ts';
import {
  backUp,
  createdAt,
  differences,
  linesOf,
  placeForMany,
  plant,
  raw,
  restore,
  seal,
  stateOf,
  tempFolder,
} from '../../support/tree-scene.ts';

const isRoot = process.geteuid?.() === 0;
const hasTar = ['/usr/bin/tar', '/usr/bin/zstd'].every((tool) => spawnSync(tool, ['--version']).status === 0);

async function setup(within?: string) {
  const root = join(await tempFolder(within), 'tree');
  await mkdir(root);
  return { root, into: await tempFolder(within) };
}

/** Packs, checks and restores, and answers with what differs then. */
async function roundTrip({ root, into }: { root: string; into: string }) {
  const before = stateOf(root);
  const backup = await backUp(root);
  await checkTree(createReadStream(backup.tarFile), createReadStream(backup.manifestFile));
  await restore([backup], into);
  expect(differences(before, stateOf(into))).toEqual([]);
  expect(backup.summary.entries).toBe(before.size);
  return backup;
}

const oddNames = [
  'with\nnewline',
  'back\\slash',
  '-rf',
  '--',
  '.hidden',
  '...',
  ' blanks ',
  'tab\t',
  'quote"\'`$(x)',
  '*?[a]',
  'e\u0301 as NFD',
  '\u00e9 as NFC',
  '日本語',
  '😀',
  '%00',
  '\x01\x7f',
  'nameBase64',
  'a'.repeat(255),
  'ä'.repeat(127),
];
/** Not UTF-8, one character per byte. */
const oddBytes = ['\xff\xfe', 'latin1-\xe4', '\xc3', 'cut-\xe2\x82', '\xed\xa0\x80'];

async function plantOddNames(root: string) {
  for (const name of oddNames) {
    await writeFile(join(root, name), `content of ${name}`);
    await mkdir(join(root, `${name.slice(0, 100)}.d`));
    await writeFile(join(root, `${name.slice(0, 100)}.d`, name), 'below');
    await symlink(name, join(root, `${name.slice(0, 100)}.l`));
  }
  for (const name of oddBytes) {
    await writeFile(raw(`${root}/${name}`), 'bytes');
    await mkdir(raw(`${root}/${name}.d`));
    await symlink(raw(`to-${name}`), raw(`${root}/${name}.d/${name}`));
  }
}

describe('a tree comes back', () => {
  it('with nothing in it', async () => {
    const scene = await setup();
    expect((await roundTrip(scene)).summary).toMatchObject({ entries: 1, packed: 1, bytes: 0, kind: 'full' });
  });

  it('with names of all kinds, valid UTF-8 or not', async () => {
    const scene = await setup();
    await plantOddNames(scene.root);
    const backup = await roundTrip(scene);
    const names = (await linesOf(backup)).map(({ path, pathBase64 }) => path ?? pathBase64);
    expect(names).toContain('with\nnewline');
    expect(names).toContain(raw('\xff\xfe').toString('base64'));
  });

  it('with paths of more than 3,000 bytes', async () => {
    const scene = await setup();
    const deep = Array.from({ length: 15 }, (_, i) => `${i}-${'x'.repeat(200)}`).join('/');
    await plant(scene.root, { [`${deep}/`]: '', [`${deep}/${'y'.repeat(100)}`]: 'deep' });
    await roundTrip(scene);
  });

  it('with empty directories and symlinks that dangle, are absolute, or go in circles', async () => {
    const { root, into } = await setup();
    await plant(root, { 'empty/': '', 'a/b/c/': '', 'a/file': 'x' });
    await symlink('nowhere/at/all', join(root, 'dangling'));
    await symlink('/etc/passwd', join(root, 'absolute'));
    await symlink('../../../../etc', join(root, 'a/out'));
    await symlink('circle', join(root, 'circle'));
    await symlink('..', join(root, 'a/b/up'));
    await symlink('t'.repeat(1000), join(root, 'long'));
    await lutimes(join(root, 'dangling'), 1e9, 1e9);
    await roundTrip({ root, into });
  });

  it('with each mode from 0000 to 0777, of files and directories', async () => {
    const { root, into } = await setup(placeForMany());
    for (let mode = 0; mode <= 0o777; mode++) {
      // Only root reads what nobody may.
      const readable = isRoot ? mode : mode | 0o500;
      await writeFile(join(root, `f${mode}`), `${mode}`);
      await chmod(join(root, `f${mode}`), readable);
      await mkdir(join(root, `d${mode}`));
      await writeFile(join(root, `d${mode}`, 'inside'), `${mode}`);
      await chmod(join(root, `d${mode}`), readable);
    }
    await roundTrip({ root, into });
  });

  it('with times to the microsecond, before 1970 and after 2242 too', async () => {
    const { root, into } = await setup();
    const times = [
      0,
      0.5,
      1_700_000_000.123456,
      1_999_999_999.999999,
      5e9 + 0.25,
      9e9,
      new Date(-1500),
      8_589_934_592,
    ];
    for (const [i, time] of times.entries()) {
      await plant(root, { [`d${i}/`]: '', [`d${i}/f`]: 'x' });
      await utimes(join(root, `d${i}/f`), time, time);
      await utimes(join(root, `d${i}`), time, time);
    }
    await roundTrip({ root, into });
  });

  it.runIf(isRoot)('with its owners, if root restores', async () => {
    const { root, into } = await setup();
    await plant(root, { f: 'x', 'd/': '', big: 'x' });
    await symlink('f', join(root, 'l'));
    await chown(join(root, 'f'), 1234, 5678);
    await chown(join(root, 'd'), 99, 98);
    await chown(join(root, 'big'), 2_097_152, 4_000_000_000);
    await roundTrip({ root, into });
    const mine = await tempFolder();
    const backup = await backUp(root);
    await unpackTree({ tar: createReadStream(backup.tarFile), into: mine, owners: false });
    expect((await lstat(join(mine, 'f'))).uid).toBe(process.geteuid?.());
  });

  it('with setuid bits only if told so', async () => {
    const { root, into } = await setup();
    await plant(root, { 'd/': '', f: 'x' });
    await chmod(join(root, 'f'), 0o6755);
    await chmod(join(root, 'd'), 0o3777);
    const backup = await backUp(root);
    await restore([backup], into);
    const mode = async (path: string) => (await lstat(path)).mode & 0o7777;
    expect(await mode(join(into, 'f'))).toBe(0o755);
    expect(await mode(join(into, 'd'))).toBe(0o1777);
    const trusted = await tempFolder();
    await restore([backup], trusted, { privileges: true });
    expect(await mode(join(trusted, 'f'))).toBe(0o6755);
    expect(await mode(join(trusted, 'd'))).toBe(0o3777);
  });

  it('with files of all sizes around a block and a chunk', async () => {
    const { root, into } = await setup();
    const sizes = [0, 1, 511, 512, 513, 4096, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 1_000_000];
    for (const size of sizes) await writeFile(join(root, `${size}`), Buffer.alloc(size, `content ${size} `));
    for (const size of sizes) await writeFile(join(root, `${size}-zeros`), Buffer.alloc(size));
    await roundTrip({ root, into });
  });

  it('with holes where there are 64 KiB of zeros or more, and data around zeros of all lengths', async () => {
    const { root, into } = await setup();
    const pieces = [1, 4095, 4096, 60_000, 61_440, 65_535, 65_536, 65_537, 140_000, 300_000].flatMap(
      (length) => [Buffer.from(`data ${length}`), Buffer.alloc(length)],
    );
    await writeFile(join(root, 'runs'), Buffer.concat(pieces));
    await writeFile(
      join(root, 'run'),
      Buffer.concat([Buffer.from('abc'), Buffer.alloc(65_536), Buffer.from('def')]),
    );
    await roundTrip({ root, into });
    expect((await lstat(join(into, 'run'))).blocks * 512).toBeLessThan(16 * 1024);
  });

  it('with a gigabyte of hole, which takes no gigabyte of disk', async () => {
    const { root, into } = await setup();
    const marks = { 0: 'begin', 500000001: 'middle', [2 ** 30 - 3]: 'end' };
    const file = await open(join(root, 'sparse'), 'w');
    for (const [at, mark] of Object.entries(marks)) await file.write(mark, Number(at));
    await file.close();
    // Not by way of a file: the tar has all the zeros.
    const { tar, finished } = packTree({ root, createdAt, manifest: new PassThrough().resume() });
    await unpackTree({ tar, into });
    expect(await finished).toMatchObject({ packed: 2, bytes: 2 ** 30 });
    const { size, blocks } = await lstat(join(into, 'sparse'));
    expect(size).toBe(2 ** 30);
    // The marks' own blocks; so all between them is zeros.
    expect(blocks * 512).toBeLessThan(32 * 1024);
    const copy = await open(join(into, 'sparse'));
    for (const [at, mark] of Object.entries(marks)) {
      const { buffer } = await copy.read(Buffer.alloc(mark.length), 0, mark.length, Number(at));
      expect(buffer.toString()).toBe(mark);
    }
    await copy.close();
  }, 60_000);

  it.each([2000, 10_000])('with %d files', async (count) => {
    const scene = await setup(placeForMany());
    for (let d = 0; d < 100; d++) {
      mkdirSync(join(scene.root, `d${d}`));
      for (let f = 0; f < count / 100; f++) {
        writeFileSync(join(scene.root, `d${d}`, `file-${f}`), `${d}/${f}`.repeat(f % 50));
      }
    }
    expect((await roundTrip(scene)).summary.entries).toBe(count + 101);
  }, 60_000);
});

describe('what is no file, directory or symlink', () => {
  it('is left out and told', async () => {
    const { root, into } = await setup();
    await plant(root, { f: 'x' });
    execFileSync('mkfifo', [join(root, 'fifo')]);
    const server = createServer().listen(join(root, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    const { notes, tarFile } = await backUp(root);
    server.close();
    await unpackTree({ tar: createReadStream(tarFile), into });
    expect(notes).toEqual([
      { what: 'skipped', path: 'fifo', reason: 'a fifo' },
      { what: 'skipped', path: 'socket', reason: 'a socket' },
    ]);
    expect([...stateOf(into).keys()]).toEqual(['', 'f']);
  });
});

describe.runIf(hasTar)('other tools', () => {
  it('unpack our archives to the same tree, to the nanosecond', async () => {
    const { root, into } = await setup();
    await plantOddNames(root);
    await plant(root, { 'empty/': '', 'sub/deep/': '', 'sub/deep/file': 'x'.repeat(100_000) });
    await chmod(join(root, 'sub'), 0o710);
    await symlink('/nowhere', join(root, 'l'));
    const { tarFile } = await backUp(root);
    const sealedFile = join(await tempFolder(), 'tree.tar.zst');
    const { sha256, bytes } = await seal(createReadStream(tarFile), sealedFile);
    expect((await lstat(sealedFile)).size).toBe(bytes);
    expect(execFileSync('sha256sum', [sealedFile], { encoding: 'utf8' })).toContain(sha256);
    const run = spawnSync('sh', ['-c', 'zstd -dc "$1" | tar -xp -C "$2"', 'sh', sealedFile, into]);
    expect(`${run.status} ${run.stderr}`).toMatch(/^0 /);
    const before = stateOf(root);
    const after = stateOf(into);
    expect(differences(before, after)).toEqual([]);
    for (const [path, { mtimeNs }] of before) expect(after.get(path)?.mtimeNs).toBe(mtimeNs);
  });

  it.each(['pax', 'gnu', 'ustar'])('make archives in format %s that we unpack', async (format) => {
    const { root, into } = await setup();
    await plant(root, { 'empty/': '', 'sub/deep/': '', 'sub/deep/file': 'x'.repeat(100_000), näme: 'y' });
    await mkdir(join(root, 'l'.repeat(90)));
    await writeFile(join(root, 'l'.repeat(90), 'm'.repeat(90)), 'long');
    await symlink('n'.repeat(90), join(root, 'link'));
    if (format !== 'ustar') await symlink('n'.repeat(200), join(root, 'long link'));
    for (const [path] of stateOf(root)) await lutimes(raw(`${root}/${path}`), 1.7e9, 1.7e9);
    const tar = join(await tempFolder(), 'x.tar');
    execFileSync('tar', [`--format=${format}`, '-cf', tar, '-C', root, '.']);
    await unpackTree({ tar: createReadStream(tar), into });
    expect(differences(stateOf(root), stateOf(into))).toEqual([]);
  });

  it('list no more than the manifest', async () => {
    const { root } = await setup();
    await plant(root, { a: '1', 'b/': '', 'b/c': '2' });
    const { tarFile, manifestFile } = await backUp(root);
    expect(execFileSync('tar', ['-tf', tarFile], { encoding: 'utf8' })).toBe('./\na\nb/\nb/c\n');
    const [header, ...rest] = (await readFile(manifestFile, 'utf8')).trimEnd().split('\n');
    expect(JSON.parse(header!)).toEqual({
      version: 1,
      kind: 'full',
      baseId: null,
      createdAt: '2026-03-01T02:00:00.000Z',
      rootName: 'tree',
    });
    expect(JSON.parse(rest.at(-1)!)).toEqual({ end: true, entries: 4, deleted: 0 });
  });
});
