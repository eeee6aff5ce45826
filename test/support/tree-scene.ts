/** Directories to back up and to restore into, what is in them, and backups of them in files. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  createWriteStream,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statfsSync,
} from 'node:fs';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { onTestFinished } from 'vitest';
import { sealed } from '../../src/jobs/backup/sealed-stream.ts';
import { applyDeletions } from '../../src/jobs/backup/tree-deletions.ts';
import {
  type PackOptions,
  packTree,
  type TreeNote,
  type TreeSummary,
} from '../../src/jobs/backup/tree-pack.ts';
import { type UnpackOptions, unpackTree } from '../../src/jobs/backup/tree-unpack.ts';

export const createdAt = '2026-03-01T02:00:00.000Z';

/** Gone after the test. */
export async function tempFolder(within = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(within, 'carillon-tree-'));
  onTestFinished(() => {
    // Who is not root cannot empty a directory that he may not write to.
    if (process.geteuid?.() !== 0) spawnSync('chmod', ['-R', 'u+rwX', folder]);
    // Not Node's own: it gives up on paths that are longer than a path may be.
    execFileSync('rm', ['-rf', folder]);
  });
  return folder;
}

/** Where thousands of files are cheap, if there is such a place: in memory. */
export function placeForMany(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    return bavail * bsize > 2 ** 30 ? '/dev/shm' : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** One character per byte. */
export const raw = (path: string) => Buffer.from(path, 'latin1');

export type Backup = {
  tarFile: string;
  manifestFile: string;
  summary: TreeSummary;
  notes: TreeNote[];
};

export async function backUp(root: string, options: Partial<PackOptions> = {}): Promise<Backup> {
  const folder = await tempFolder();
  const tarFile = join(folder, 'tree.tar');
  const manifestFile = join(folder, 'tree.jsonl');
  const notes: TreeNote[] = [];
  const { tar, finished } = packTree({
    root,
    createdAt,
    manifest: createWriteStream(manifestFile),
    note: (note) => notes.push(note),
    ...options,
  });
  await pipeline(tar, createWriteStream(tarFile));
  return { tarFile, manifestFile, summary: await finished, notes };
}

/** On top of another. */
export const onTopOf = (base: Backup) => ({ id: 'base', manifest: createReadStream(base.manifestFile) });

/** A full backup and the incremental ones after it. */
export async function restore(
  backups: readonly Backup[],
  into: string,
  options: Partial<UnpackOptions> = {},
): Promise<void> {
  for (const [index, { tarFile, manifestFile }] of backups.entries()) {
    if (index > 0) await applyDeletions(createReadStream(manifestFile), into);
    await unpackTree({ tar: createReadStream(tarFile), into, over: index > 0, ...options });
  }
}

/** The lines between the first and the last. */
export async function linesOf(backup: Backup): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(backup.manifestFile, 'utf8')).trimEnd().split('\n');
  return lines.slice(1, -1).map((line) => JSON.parse(line));
}

export async function seal(source: Readable, file: string) {
  const { content, finished } = sealed(source);
  await pipeline(content, createWriteStream(file));
  return finished;
}

export type TreeState = Map<string, Record<string, unknown> & { mtimeNs: bigint }>;

/** All that is to come back, by path with one character per byte. Not async: for thousands of files that is faster. */
export function stateOf(root: string): TreeState {
  const state: TreeState = new Map();
  const look = (path: string): void => {
    const place = raw(path === '' ? `${root}/.` : `${root}/${path}`);
    const stats = lstatSync(place, { bigint: true });
    const type = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'symlink';
    state.set(path, {
      type,
      mode: type === 'symlink' ? 0 : Number(stats.mode) & 0o7777,
      owner: `${stats.uid}:${stats.gid}`,
      mtimeNs: stats.mtimeNs,
      ...(type === 'file' && { content: contentOf(place, Number(stats.size)) }),
      ...(type === 'symlink' && { target: readlinkSync(place, 'latin1') }),
    });
    if (type !== 'directory') return;
    for (const name of readdirSync(place, 'latin1')) look(path === '' ? name : `${path}/${name}`);
  };
  look('');
  return state;
}

/** Of large files, length and hash. */
function contentOf(place: Buffer, size: number): string {
  if (size < 1e6) return readFileSync(place, 'base64');
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(1 << 20);
  const file = openSync(place, 'r');
  for (let got = readSync(file, chunk); got > 0; got = readSync(file, chunk))
    hash.update(chunk.subarray(0, got));
  closeSync(file);
  return `${size} bytes, ${hash.digest('hex')}`;
}

/** In words; empty if the trees are the same, but for a microsecond. */
export function differences(was: TreeState, is: TreeState): string[] {
  const found: string[] = [];
  for (const path of new Set([...was.keys(), ...is.keys()])) {
    const a = was.get(path);
    const b = is.get(path);
    if (!a || !b) {
      found.push(`${JSON.stringify(path)}: ${a ? 'is missing' : 'is too many'}`);
      continue;
    }
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const off = key === 'mtimeNs' ? Math.abs(Number(a.mtimeNs - b.mtimeNs)) >= 1000 : a[key] !== b[key];
      if (off) found.push(`${JSON.stringify(path)}: ${key} was ${a[key]}, is ${b[key]}`);
    }
  }
  return found;
}

/** Directories end in a slash; values are contents. Made in order. */
export async function plant(root: string, tree: Record<string, string | Buffer>): Promise<void> {
  for (const [path, content] of Object.entries(tree)) {
    if (path.endsWith('/')) await mkdir(join(root, path), { recursive: true });
    else await writeFile(join(root, path), content);
  }
}
