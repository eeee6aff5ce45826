/** What happens to files while they are read: the archive is whole all the same, and says so. */
import { createReadStream, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { lstat, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { pathOfText } from '../../../src/jobs/backup/path-bytes.ts';
import { checkTree } from '../../../src/jobs/backup/tree-check.ts';
import { unpackTree } from '../../../src/jobs/backup/tree-unpack.ts';
import { walk } from '../../../src/jobs/backup/tree-walk.ts';
import { backUp, linesOf, plant, stateOf, tempFolder } from '../../support/tree-scene.ts';

const large = 4_000_000;

/** Does `change` to `file` once `path` is at its first read, and restores what came of it. */
async function packWhile(path: string, change: (root: string) => void, atBytes = 0) {
  const root = join(await tempFolder(), 'tree');
  await mkdir(root);
  await plant(root, {
    'a-large': Buffer.alloc(large, 'a'),
    'b-small': 'small',
    'c-large': Buffer.alloc(large, 'c'),
    z: 'z',
  });
  let done = false;
  let doneBefore = 0;
  const backup = await backUp(root, {
    onProgress: (progress) => {
      if (progress.path !== path) doneBefore = progress.bytes;
      if (done || progress.path !== path || progress.bytes - doneBefore < atBytes) return;
      done = true;
      change(root);
    },
  });
  expect(done).toBe(true);
  await checkTree(createReadStream(backup.tarFile), createReadStream(backup.manifestFile));
  const into = await tempFolder();
  await unpackTree({ tar: createReadStream(backup.tarFile), into });
  const line = (name: string) => linesOf(backup).then((lines) => lines.find((each) => each.path === name));
  return { ...backup, into, line };
}

it('a file that shrinks is filled with zeros to the size that was announced', async () => {
  const { notes, into, line, summary } = await packWhile(
    'a-large',
    (root) => truncateSync(join(root, 'a-large'), 2_500_000),
    2_000_000,
  );
  expect(notes).toEqual([
    {
      what: 'changed',
      path: 'a-large',
      reason: `the file ended before its ${large} bytes while it was read`,
    },
  ]);
  expect(summary.notes.changed).toBe(1);
  expect(await line('a-large')).toMatchObject({ size: large, packed: true, changed: true });
  const content = await readFile(join(into, 'a-large'));
  expect(content.equals(Buffer.concat([Buffer.alloc(2_500_000, 'a'), Buffer.alloc(large - 2_500_000)]))).toBe(
    true,
  );
});

it('a file that grows is cut to it', async () => {
  const { notes, into, line } = await packWhile('a-large', (root) => {
    writeFileSync(join(root, 'a-large'), 'more', { flag: 'a' });
  });
  expect(notes[0]?.reason).toContain(`grew beyond its ${large} bytes`);
  expect(await line('a-large')).toMatchObject({ size: large, changed: true });
  expect((await lstat(join(into, 'a-large'))).size).toBe(large);
});

it('a file that is written to within its size is told too', async () => {
  const { notes, line } = await packWhile('a-large', (root) => utimesSync(join(root, 'a-large'), 1, 1));
  expect(notes).toMatchObject([{ what: 'changed', path: 'a-large' }]);
  expect(await line('a-large')).toMatchObject({ changed: true });
});

it('a small file that changes is told as well', async () => {
  const { notes, line } = await packWhile('b-small', (root) => truncateSync(join(root, 'b-small'), 2));
  expect(notes).toMatchObject([{ what: 'changed', path: 'b-small' }]);
  expect(await line('b-small')).toMatchObject({ size: 5, changed: true });
});

it('a file that vanishes before it is opened is left out and told', async () => {
  const { notes, into, line, summary } = await packWhile('a-large', (root) => rmSync(join(root, 'c-large')));
  expect(notes).toMatchObject([{ what: 'vanished', path: 'c-large' }]);
  expect(await line('c-large')).toBeUndefined();
  expect(summary).toMatchObject({ entries: 4, packed: 4 });
  expect([...stateOf(into).keys()]).toEqual(['', 'a-large', 'b-small', 'z']);
});

it('a file that vanishes while it is read is packed whole', async () => {
  const { notes, into } = await packWhile('a-large', (root) => rmSync(join(root, 'a-large')));
  expect(notes).toEqual([]);
  expect((await lstat(join(into, 'a-large'))).size).toBe(large);
});

it('a file that becomes a symlink is not followed', async () => {
  const { notes, into } = await packWhile('a-large', (root) => {
    rmSync(join(root, 'c-large'));
    symlinkSync('/etc/passwd', join(root, 'c-large'));
  });
  expect(notes).toMatchObject([{ what: 'vanished', path: 'c-large' }]);
  expect([...stateOf(into).keys()]).not.toContain('c-large');
});

it('a directory that vanishes is left out with what was in it', async () => {
  const root = join(await tempFolder(), 'tree');
  await mkdir(root);
  await plant(root, { 'a/': '', 'a/f': 'x', 'b/': '', 'b/c': 'x', d: 'x' });
  const seen: string[] = [];
  for await (const each of walk(pathOfText(root))) {
    seen.push(each.kind === 'entry' ? each.entry.path : `${each.path} ${each.kind}`);
    if (seen.at(-1) === 'a') rmSync(join(root, 'b'), { recursive: true });
  }
  expect(seen).toEqual(['.', 'a', 'a/f', 'b vanished', 'd']);
});
