/**
 * Restores a tree from a tar stream. Full backup first, then for each incremental one `applyDeletions` and
 * `unpackTree` with `over`. The archive may be hostile: nothing is written outside of `into` (restore-ground.ts), what
 * is there is replaced and never written through, and only files, directories and symlinks are made.
 *
 * Modes and times are those of the archive, of directories when the last entry below them is done. Owners too if this
 * process is root. setuid and setgid bits are dropped unless `privileges` is said: whoever can write an archive into
 * the target could else have root make him a root shell.
 */
import { constants } from 'node:fs';
import { type FileHandle, lchown, lutimes, mkdir, open, readdir, symlink } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { JobError } from '../job.ts';
import { comparePaths, type PathBytes, parentOf, pathOfText, rootPath, textOf } from './path-bytes.ts';
import { hostile, mustStayInside, RestoreGround, type Rights, timesOf } from './restore-ground.ts';
import { SparseFile } from './sparse-file.ts';
import { readTar, type TarEntry } from './tar-reader.ts';
import { WritesAside } from './writes-aside.ts';

export type UnpackOptions = {
  /** Closed in any case. */
  tar: Readable;
  /** Made if missing. */
  into: string;
  signal?: AbortSignal;
  /** Also into a directory that has something in it. What the archive names is replaced, directories too. */
  over?: boolean;
  /** Default: whether this process is root. */
  owners?: boolean;
  /** Default false. */
  privileges?: boolean;
  /** After each entry. */
  onProgress?(progress: { path: string; entries: number; bytes: number }): void;
};

export type UnpackSummary = { entries: number; bytes: number };

export function rightsOf(options: Partial<Rights>): Rights {
  return { owners: options.owners ?? process.geteuid?.() === 0, privileges: options.privileges ?? false };
}

/** Files up to this are written aside, some at a time: round trips to the thread pool are most of the work. */
const smallBytesMax = 64 * 1024;
const filesAsideMax = 16;

/**
 * Errors: JobError `TargetNotEmpty`, `BackupUnsafe` for a hostile archive, `BackupDamaged` for one that is none; the
 * reason of `signal`, those of the file system. What was restored until then stays.
 */
export async function unpackTree(options: UnpackOptions): Promise<UnpackSummary> {
  try {
    options.signal?.throwIfAborted();
    await mkdir(options.into, { recursive: true });
    if (!options.over && (await readdir(options.into)).length > 0) {
      throw new JobError('TargetNotEmpty', `${options.into} is not empty: nothing was restored`, {
        retryable: false,
      });
    }
    return await unpackAll(options);
  } finally {
    options.tar.destroy();
  }
}

async function unpackAll(options: UnpackOptions): Promise<UnpackSummary> {
  const { tar, signal, onProgress } = options;
  const aside = new WritesAside(filesAsideMax);
  const ground = new RestoreGround(pathOfText(resolve(options.into)), rightsOf(options), () =>
    aside.settled(),
  );
  const summary: UnpackSummary = { entries: 0, bytes: 0 };
  let furthest = rootPath;
  try {
    for await (const entry of readTar(tar)) {
      signal?.throwIfAborted();
      const { path } = entry.data;
      // In the order of our own archives each name is new, and nothing done aside can be in its way.
      const inOrder = comparePaths(path, furthest) > 0;
      if (inOrder) furthest = path;
      else await aside.settled();
      await unpackEntry(ground, aside, entry, { signal, isNew: inOrder && !options.over });
      summary.entries++;
      summary.bytes += entry.data.size;
      onProgress?.({ path: textOf(entry.data.path), ...summary });
    }
    await ground.close();
  } finally {
    await aside.over();
  }
  return summary;
}

async function unpackEntry(
  ground: RestoreGround,
  aside: WritesAside,
  entry: TarEntry,
  { signal, isNew }: { signal?: AbortSignal; isNew: boolean },
): Promise<void> {
  const { data, content } = entry;
  const { path, type } = data;
  mustStayInside(path);
  if (path === rootPath) {
    if (type !== 'directory') throw hostile(path, 'takes the place of the directory itself');
    await ground.enter(rootPath, true);
    return ground.leaveAs(data);
  }
  if (type === 'other') throw hostile(path, 'is neither file, directory nor symlink');
  await ground.enter(parentOf(path), true);
  if (type === 'directory') {
    if (!(await ground.isDirectory(path))) await anew(ground, path, () => mkdir(ground.place(path), 0o700));
    await ground.enter(path, false);
    return ground.leaveAs(data);
  }
  if (type === 'symlink') {
    const target = data.linkTarget!;
    if (target === '' || target.includes('\0')) throw hostile(path, 'is a symlink to nowhere');
    await anew(ground, path, () => symlink(Buffer.from(target, 'latin1'), ground.place(path)));
    if (ground.owners) await lchown(ground.place(path), data.uid, data.gid);
    return lutimes(ground.place(path), ...timesOf(data));
  }
  if (data.size > smallBytesMax) {
    return fillFile(await createFile(ground, path), ground, data, content, signal);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk);
  // What may have to replace something is made now; what goes on aside then knows only its open file.
  const made = isNew ? null : await createFile(ground, path);
  await aside.add(async () => {
    const file = made ?? (await open(ground.place(path), createOnly, 0o600));
    await fillFile(file, ground, data, chunks, signal);
  });
}

/** Exclusive: it is a file that did not exist, and nothing is followed to get there. */
const createOnly = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

const createFile = (ground: RestoreGround, path: PathBytes) =>
  anew(ground, path, () => open(ground.place(path), createOnly, 0o600));

async function fillFile(
  file: FileHandle,
  ground: RestoreGround,
  data: TarEntry['data'],
  content: Iterable<Buffer> | AsyncIterable<Buffer>,
  signal?: AbortSignal,
): Promise<void> {
  try {
    const sparse = new SparseFile(file);
    for await (const chunk of content) {
      signal?.throwIfAborted();
      await sparse.write(chunk);
    }
    await sparse.end();
    // In this order: a new owner takes the special bits away.
    if (ground.owners) await file.chown(data.uid, data.gid);
    await file.chmod(ground.modeOf(data));
    await file.utimes(...timesOf(data));
  } finally {
    await file.close();
  }
}

/** Makes an entry, and takes away what is in its place if something is. */
async function anew<T>(ground: RestoreGround, path: PathBytes, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  await ground.remove(path);
  return make();
}
