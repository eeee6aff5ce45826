/**
 * What is in a directory, one entry after the other, in the order of `comparePaths`. Nothing is opened and no symlink
 * is followed, but for the root, which may be one. Memory: the names of the directories on the way down, some 40 bytes
 * each, and the data of 64 entries.
 *
 * A single entry that cannot be read is told and passed over; only a root that cannot be read ends the walk.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import { messageOf } from '../../errors.ts';
import { JobError } from '../job.ts';
import { childOf, type PathBytes, placeOf, rootPath } from './path-bytes.ts';

export const entryTypes = ['file', 'directory', 'symlink'] as const;
export type EntryType = (typeof entryTypes)[number];

/** What lstat says of an entry, and what makes two states of it the same. */
export type EntryData = {
  path: PathBytes;
  type: EntryType;
  /** Bytes of content; 0 for all but files. */
  size: number;
  /** Nanoseconds since the epoch. */
  mtimeNs: bigint;
  /** The twelve permission bits; a symlink's mean nothing. */
  mode: number;
  uid: number;
  gid: number;
  /** Of symlinks, as stored: bytes, relative or not, existing or not. */
  linkTarget?: PathBytes;
};

export type Seen =
  | { kind: 'entry'; entry: EntryData }
  /** A socket, fifo or device: not for backups. */
  | { kind: 'skipped'; path: PathBytes; reason: string }
  /** Was in the directory's list, and is gone. */
  | { kind: 'vanished'; path: PathBytes }
  /** It is there, but it, or what is below it, cannot be read. A directory may come as `entry` just before. */
  | { kind: 'unreadable'; path: PathBytes; reason: string };

/** Entries that are looked at side by side: the round trips to the thread pool overlap. */
const lookAheadEntries = 64;

/**
 * `root` may have any bytes. Errors: JobError `InvalidConfiguration` for a root that is no directory, the reason of
 * `signal` when aborted.
 */
export async function* walk(root: PathBytes, signal?: AbortSignal): AsyncGenerator<Seen, void, undefined> {
  signal?.throwIfAborted();
  let entry: EntryData;
  let names: string[];
  try {
    entry = entryOf(rootPath, 'directory', await stat(placeOf(root, rootPath), { bigint: true }));
    names = await namesIn(root, rootPath);
  } catch (cause) {
    const message = `the directory to back up cannot be read: ${messageOf(cause)}`;
    throw new JobError('InvalidConfiguration', message, { retryable: false, cause });
  }
  yield { kind: 'entry', entry };
  yield* below(root, rootPath, names, signal);
}

async function* below(
  root: PathBytes,
  directory: PathBytes,
  names: string[],
  signal?: AbortSignal,
): AsyncGenerator<Seen, void, undefined> {
  for (let from = 0; from < names.length; from += lookAheadEntries) {
    const some = names.slice(from, from + lookAheadEntries);
    for (const seen of await Promise.all(some.map((name) => look(root, childOf(directory, name))))) {
      signal?.throwIfAborted();
      if (seen.kind !== 'entry' || seen.entry.type !== 'directory') {
        yield seen;
        continue;
      }
      const { path } = seen.entry;
      let children: string[] = [];
      let fault: Seen | null = null;
      try {
        children = await namesIn(root, path);
      } catch (cause) {
        fault = faultOf(path, cause);
      }
      if (fault?.kind !== 'vanished') yield seen;
      if (fault) yield fault;
      else yield* below(root, path, children, signal);
    }
  }
}

/** Sorted by their bytes: in latin1, one character is one byte. */
async function namesIn(root: PathBytes, path: PathBytes): Promise<string[]> {
  const names = await readdir(placeOf(root, path), { encoding: 'latin1' });
  return names.sort((a, b) => (a < b ? -1 : 1));
}

async function look(root: PathBytes, path: PathBytes): Promise<Seen> {
  try {
    const place = placeOf(root, path);
    const stats = await lstat(place, { bigint: true });
    const type = typeOf(stats);
    if (type === null) return { kind: 'skipped', path, reason: whatItIs(stats) };
    const entry = entryOf(path, type, stats);
    if (type === 'symlink') entry.linkTarget = (await readlink(place, { encoding: 'latin1' })) as PathBytes;
    return { kind: 'entry', entry };
  } catch (cause) {
    return faultOf(path, cause);
  }
}

/** ENOENT and its like say that it is gone since the directory was read; all else, that it is there. */
export function faultOf(path: PathBytes, cause: unknown): Extract<Seen, { path: PathBytes }> {
  const code = (cause as NodeJS.ErrnoException | null)?.code ?? '';
  // EINVAL: readlink of what is no symlink any more. ELOOP: a file that became one, opened.
  if (['ENOENT', 'ENOTDIR', 'EINVAL', 'ELOOP'].includes(code)) return { kind: 'vanished', path };
  return { kind: 'unreadable', path, reason: code || messageOf(cause) };
}

export function typeOf(stats: BigIntStats): EntryType | null {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : null;
}

function whatItIs(stats: BigIntStats): string {
  if (stats.isSocket()) return 'a socket';
  if (stats.isFIFO()) return 'a fifo';
  if (stats.isBlockDevice() || stats.isCharacterDevice()) return 'a device';
  return 'neither file, directory nor symlink';
}

export function entryOf(path: PathBytes, type: EntryType, stats: BigIntStats): EntryData {
  return {
    path,
    type,
    size: type === 'file' ? Number(stats.size) : 0,
    mtimeNs: stats.mtimeNs,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  };
}
