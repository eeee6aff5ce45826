/** Archives and manifests that are damaged, or were made to do harm. */
import { createReadStream, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { chmod, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PathBytes, pathOfText } from '../../../src/jobs/backup/path-bytes.ts';
import { encodeHeader, endOfArchive, paddingAfter } from '../../../src/jobs/backup/tar-format.ts';
import { checkTree } from '../../../src/jobs/backup/tree-check.ts';
import { applyDeletions } from '../../../src/jobs/backup/tree-deletions.ts';
import { unpackTree } from '../../../src/jobs/backup/tree-unpack.ts';
import type { EntryData } from '../../../src/jobs/backup/tree-walk.ts';
import { backUp, plant, stateOf, tempFolder } from '../../support/tree-scene.ts';

type Forged = { path: string; type?: EntryData['type']; content?: string; link?: string; flag?: string };

/** An archive of what no packer would pack. */
function forge(entries: Forged[]): Buffer {
  const parts = entries.flatMap(({ path, type = 'file', content = '', link, flag }) => {
    const header = encodeHeader({
      path: path as PathBytes,
      type,
      size: content.length,
      mtimeNs: 1_700_000_000_000_000_000n,
      mode: 0o755,
      uid: process.geteuid?.() ?? 0,
      gid: process.getegid?.() ?? 0,
      ...(link !== undefined && { linkTarget: pathOfText(link) }),
    });
    if (flag) reflag(header, flag);
    return [header, Buffer.from(content), paddingAfter(content.length)];
  });
  return Buffer.concat([...parts, endOfArchive]);
}

function reflag(header: Buffer, flag: string): void {
  header.fill(' ', 148, 156);
  header.write(flag, 156);
  const sum = header.subarray(-512).reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
}

async function setup() {
  const folder = await tempFolder();
  const into = join(folder, 'into');
  const outside = join(folder, 'outside');
  mkdirSync(into);
  mkdirSync(outside);
  writeFileSync(join(outside, 'precious'), 'precious');
  const before = stateOf(outside);
  return {
    into,
    outside,
    unpack: (entries: Forged[], over = false) =>
      unpackTree({ tar: Readable.from([forge(entries)]), into, over }),
    untouched: () => {
      expect([...stateOf(outside)]).toEqual([...before]);
      expect([...stateOf(folder).keys()].filter((path) => !/^(into|outside|$)/.test(path))).toEqual([]);
    },
  };
}

const unsafe = { type: 'BackupUnsafe', retryable: false };
const damaged = { type: 'BackupDamaged', retryable: false };

describe('an archive that would write outside', () => {
  it.each([
    '../escaped',
    'a/../../escaped',
    '/tmp/carillon-escaped',
    '..',
    'a/..',
    'a//b',
    'a/./b',
    '//etc/x',
    // Not ASCII, so that it goes into an extended header, which has room for it.
    'nul\0\xe4',
    '/',
  ])('is refused: %j', async (path) => {
    const { unpack, untouched } = await setup();
    for (const type of ['file', 'directory', 'symlink'] as const) {
      await expect(
        unpack([{ path, type, ...(type === 'symlink' && { link: 'x' }) }], true),
      ).rejects.toMatchObject(unsafe);
    }
    untouched();
  });

  it('by way of a symlink that it planted is refused', async () => {
    const { unpack, untouched, outside } = await setup();
    const planted = { path: 'd', type: 'symlink', link: outside } as const;
    await expect(unpack([planted, { path: 'd/precious', content: 'gotcha' }])).rejects.toMatchObject(unsafe);
    await expect(unpack([planted, { path: 'd/sub/new', content: 'x' }], true)).rejects.toMatchObject(unsafe);
    await expect(unpack([planted, { path: 'd/new', type: 'directory' }], true)).rejects.toMatchObject(unsafe);
    untouched();
  });

  it('by way of a directory that it turned into a symlink is refused', async () => {
    const { unpack, untouched, outside } = await setup();
    const entries: Forged[] = [
      { path: 'd', type: 'directory' },
      { path: 'd/a', content: 'x' },
      { path: 'd', type: 'symlink', link: outside },
      { path: 'd/precious', content: 'gotcha' },
    ];
    await expect(unpack(entries)).rejects.toMatchObject(unsafe);
    untouched();
  });

  it('by way of symlinks that were there replaces them and does not write through', async () => {
    const { into, unpack, untouched, outside } = await setup();
    symlinkSync(join(outside, 'precious'), join(into, 'file'));
    symlinkSync(outside, join(into, 'dir'));
    symlinkSync(outside, join(into, 'gone'));
    await unpack(
      [
        { path: 'file', content: 'new' },
        { path: 'dir', type: 'directory' },
        { path: 'dir/precious', content: 'new' },
        { path: 'gone', content: 'a file now' },
      ],
      true,
    );
    untouched();
    expect(await readFile(join(into, 'dir/precious'), 'utf8')).toBe('new');
    expect(await readFile(join(into, 'file'), 'utf8')).toBe('new');
  });

  it.each(['1', '3', '4', '6', 'S', 'Z'])('with entries of type %j is refused', async (flag) => {
    const { unpack, untouched } = await setup();
    await expect(unpack([{ path: 'x', flag }])).rejects.toMatchObject(unsafe);
    untouched();
  });

  it('with the same name again and again keeps the last', async () => {
    const { into, unpack } = await setup();
    await unpack(Array.from({ length: 100 }, (_, i) => ({ path: 'same', content: `${i}` })));
    expect(await readFile(join(into, 'same'), 'utf8')).toBe('99');
  });

  it('as the root a file or a symlink is refused', async () => {
    const { unpack, untouched, outside } = await setup();
    await expect(unpack([{ path: '.', type: 'symlink', link: outside }])).rejects.toMatchObject(unsafe);
    untouched();
  });
});

describe('a directory that has something in it', () => {
  it('is not restored into unless told', async () => {
    const { into, unpack } = await setup();
    writeFileSync(join(into, 'mine'), 'mine');
    await expect(unpack([{ path: 'x' }])).rejects.toMatchObject({ type: 'TargetNotEmpty', retryable: false });
    expect([...stateOf(into).keys()]).toEqual(['', 'mine']);
    await unpack([{ path: 'x' }], true);
    expect([...stateOf(into).keys()].sort()).toEqual(['', 'mine', 'x']);
  });
});

describe('a manifest that would delete outside', () => {
  const manifest = (paths: string[]) => {
    const header = {
      version: 1,
      kind: 'incremental',
      baseId: 'b',
      createdAt: '2026-01-01T00:00:00Z',
      rootName: 'r',
    };
    const lines = paths.map((path) => ({ path, deleted: true }));
    const all = [header, ...lines, { end: true, entries: 0, deleted: lines.length }];
    return Readable.from([Buffer.from(all.map((line) => `${JSON.stringify(line)}\n`).join(''))]);
  };

  it.each(['../outside/precious', '..', '/tmp', '.', 'a/../../outside'])('is refused: %j', async (path) => {
    const { into, untouched } = await setup();
    await expect(applyDeletions(manifest([path]), into)).rejects.toMatchObject(unsafe);
    untouched();
  });

  it('does not go through symlinks, and takes them away as what they are', async () => {
    const { into, untouched, outside } = await setup();
    symlinkSync(outside, join(into, 'l'));
    expect(await applyDeletions(manifest(['l/precious']), into)).toBe(0);
    expect(await applyDeletions(manifest(['l', 'l/precious', 'never']), into)).toBe(1);
    untouched();
  });
});

describe('the check of an archive', () => {
  async function archive() {
    const root = await tempFolder();
    await plant(root, { a: 'alpha', 'd/': '', 'd/b': 'x'.repeat(200_000), z: 'omega' });
    const backup = await backUp(root);
    const tar = await readFile(backup.tarFile);
    const check = (bytes: Buffer, manifest = createReadStream(backup.manifestFile)) =>
      checkTree(Readable.from([bytes]), manifest);
    return { root, backup, tar, check };
  }

  it('names what differs', async () => {
    const { root, check, tar } = await archive();
    await expect(check(tar)).resolves.toEqual({ entries: 5, bytes: 200_010 });
    const flipped = Buffer.from(tar);
    flipped[tar.indexOf('alpha')]! ^= 1;
    await expect(check(flipped)).rejects.toMatchObject({
      ...damaged,
      message: expect.stringContaining('"a" has other content'),
    });
    await writeFile(join(root, 'extra'), 'x');
    await truncate(join(root, 'd/b'), 10);
    await chmod(join(root, 'z'), 0o600);
    const other = await readFile((await backUp(root)).tarFile);
    await expect(check(other)).rejects.toThrow(
      '"d/b" has 10 bytes, not 200000; "extra" is not in the manifest; "z" has another mode, time, owner or target',
    );
  });

  it('tells of what is missing', async () => {
    const { check } = await archive();
    await expect(check(forge([]))).rejects.toMatchObject({
      ...damaged,
      message: expect.stringContaining('"d/b" is missing'),
    });
  });

  it('tells of archives that were cut or go on, wherever', async () => {
    const { check, tar } = await archive();
    for (const end of [
      0,
      100,
      512,
      1024,
      2048,
      100_000,
      tar.length - 1024,
      tar.length - 512,
      tar.length - 1,
    ]) {
      await expect(check(tar.subarray(0, end))).rejects.toMatchObject(damaged);
    }
    await expect(check(Buffer.concat([tar, Buffer.alloc(9000)]))).resolves.toBeDefined();
    await expect(check(Buffer.concat([tar, tar]))).rejects.toMatchObject(damaged);
  });

  it('finds any byte that is other, or it does not matter', async () => {
    const { check, tar, backup } = await archive();
    const manifest = () => Readable.from([manifestBytes]);
    const manifestBytes = await readFile(backup.manifestFile);
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: tar.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, bits) => {
          const flipped = Buffer.from(tar);
          flipped[at]! ^= bits;
          const fault: unknown = await checkTree(Readable.from([flipped]), manifest()).catch(
            (error) => error,
          );
          // Padding, the names of extended headers and the blank after a checksum are nobody's content.
          if (fault instanceof Error) expect(fault).toMatchObject(damaged);
          else {
            const isBlank = at % 512 === 155 && tar[at] === 0x20;
            expect(tar[at] === 0 || isBlank || tar.subarray(at - 40, at + 40).includes('Pax')).toBe(true);
          }
        },
      ),
      { numRuns: 300 },
    );
    await expect(check(tar)).resolves.toBeDefined();
  });

  it('reads a manifest to its last line', async () => {
    const { tar, backup } = await archive();
    const lines = (await readFile(backup.manifestFile, 'utf8')).trimEnd().split('\n');
    const withLines = (kept: string[]) =>
      checkTree(Readable.from([tar]), Readable.from([Buffer.from(`${kept.join('\n')}\n`)]));
    await expect(withLines(lines)).resolves.toBeDefined();
    await expect(withLines(lines.slice(0, -1))).rejects.toMatchObject(damaged);
    await expect(withLines(lines.toSpliced(2, 1))).rejects.toMatchObject(damaged);
    await expect(withLines([...lines, lines[1]!])).rejects.toMatchObject(damaged);
    await expect(withLines([lines[0]!, lines[2]!, lines[1]!, ...lines.slice(3)])).rejects.toMatchObject(
      damaged,
    );
    await expect(withLines([])).rejects.toMatchObject(damaged);
    await expect(
      withLines([lines[0]!.replace('"version":1', '"version":2'), ...lines.slice(1)]),
    ).rejects.toMatchObject(damaged);
  });
});
