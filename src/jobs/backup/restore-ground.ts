/**
 * The directory that a tree is restored into, and the way down from it to where work is done now. An archive may be
 * hostile, so a path is split by hand, and each directory on the way is looked at before anything is done in it: it
 * must be one, not a symlink. Whoever else can write below `into` meanwhile could still swap one; nobody should.
 *
 * What happens in a directory changes its mtime. So on the way up each one gets the data that the archive has for it,
 * or, if it has none, those that it had before. Memory: the directories on the way down.
 */
import { chmod, chown, lstat, mkdir, readdir, rmdir, unlink, utimes } from 'node:fs/promises';
import { JobError } from '../job.ts';
import { childOf, isBelow, type PathBytes, parentOf, placeOf, rootPath, textOf } from './path-bytes.ts';
import { type EntryData, entryOf } from './tree-walk.ts';

export type Attributes = Pick<EntryData, 'mode' | 'uid' | 'gid' | 'mtimeNs'>;

export type Rights = {
  /** Give entries the owner that the archive names; only root can. */
  owners: boolean;
  /** Keep setuid and setgid bits. */
  privileges: boolean;
};

export function hostile(path: PathBytes, why: string): JobError {
  return new JobError(
    'BackupUnsafe',
    `nothing is restored from ${JSON.stringify(textOf(path))} on: it ${why}`,
    {
      retryable: false,
    },
  );
}

/** Throws JobError `BackupUnsafe` for what is not a plain path below the root, or the root. */
export function mustStayInside(path: PathBytes): void {
  if (path === rootPath) return;
  if (path.includes('\0')) throw hostile(path, 'has a NUL in its name');
  if (path.split('/').some((name) => name === '' || name === '.' || name === '..')) {
    throw hostile(path, 'names a place outside of the directory, or not plainly');
  }
}

type Level = { path: PathBytes; leaveAs: Attributes };

export class RestoreGround {
  readonly into: PathBytes;
  readonly #rights: Rights;
  readonly #levels: Level[] = [];
  /** Waited for before a directory is left: what is still being written in it. */
  readonly #settled: () => Promise<void>;

  constructor(into: PathBytes, rights: Rights, settled: () => Promise<void> = async () => {}) {
    this.into = into;
    this.#rights = rights;
    this.#settled = settled;
  }

  place(path: PathBytes): Buffer {
    return placeOf(this.into, path);
  }

  /**
   * Goes to a directory. With `make`, missing ones on the way are made, and a symlink or file on the way is a JobError
   * `BackupUnsafe`; without, false says that there is no such directory.
   */
  async enter(directory: PathBytes, make: boolean): Promise<boolean> {
    mustStayInside(directory);
    await this.#upTo((level) => level === directory || isBelow(directory, level));
    const top = this.#levels.at(-1)?.path;
    if (top === directory) return true;
    if (directory !== rootPath && !(await this.enter(parentOf(directory), make))) return false;
    return this.#descend(directory, make);
  }

  async #descend(path: PathBytes, make: boolean): Promise<boolean> {
    // The root may be a symlink: whoever restores has named it.
    const look = path === rootPath ? `${this.into}/.` : `${this.into}/${path}`;
    let stats = await lstat(Buffer.from(look, 'latin1'), { bigint: true }).catch(nullIfMissing);
    if (stats === null) {
      if (!make) return false;
      await mkdir(this.place(path), { mode: 0o755 });
      stats = await lstat(this.place(path), { bigint: true });
    }
    if (!stats.isDirectory() && !make) return false;
    if (!stats.isDirectory()) throw hostile(path, 'should be a directory to go through, and is none');
    const leaveAs = entryOf(path, 'directory', stats);
    // Root may write anywhere; others need the right to, for the time.
    if ((leaveAs.mode & 0o700) !== 0o700) await chmod(this.place(path), leaveAs.mode | 0o700);
    this.#levels.push({ path, leaveAs });
    return true;
  }

  /** The directory that was entered last shall have these data in the end. */
  leaveAs(attributes: Attributes): void {
    this.#levels.at(-1)!.leaveAs = { ...attributes, mode: this.modeOf(attributes) };
  }

  /** Of an entry in the directory that was entered last; a symlink is none. */
  async isDirectory(path: PathBytes): Promise<boolean> {
    const stats = await lstat(this.place(path)).catch(nullIfMissing);
    return stats?.isDirectory() ?? false;
  }

  /** Removes an entry of the directory that was entered last, and all below it. False: it was not there. */
  async remove(path: PathBytes): Promise<boolean> {
    const stats = await lstat(this.place(path)).catch(nullIfMissing);
    if (stats === null) return false;
    if (!stats.isDirectory()) {
      await unlink(this.place(path));
      return true;
    }
    // Not with `rm`: that reads names as text.
    await chmod(this.place(path), 0o700);
    const names = await readdir(this.place(path), { encoding: 'latin1' });
    for (const name of names) await this.remove(childOf(path, name));
    await rmdir(this.place(path));
    return true;
  }

  /** Up to the root and out. */
  async close(): Promise<void> {
    await this.#upTo(() => false);
  }

  async #upTo(stays: (level: PathBytes) => boolean): Promise<void> {
    for (let top = this.#levels.at(-1); top && !stays(top.path); top = this.#levels.at(-1)) {
      await this.#settled();
      this.#levels.pop();
      const place = this.place(top.path);
      if (this.#rights.owners) await chown(place, top.leaveAs.uid, top.leaveAs.gid);
      await chmod(place, top.leaveAs.mode);
      await utimes(place, ...timesOf(top.leaveAs));
    }
  }

  /** Bits that lend the owner's rights to whoever executes are only for archives that are trusted. */
  modeOf({ mode }: Attributes): number {
    return this.#rights.privileges ? mode : mode & 0o1777;
  }

  get owners(): boolean {
    return this.#rights.owners;
  }
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}

type Time = number | Date;

/** Access and modification time, as `utimes` takes them: both are the modification time. */
export function timesOf({ mtimeNs }: Attributes): [Time, Time] {
  const time = timeOf(mtimeNs);
  return [time, time];
}

/**
 * Node takes seconds as a double, which is exact to 0.24 µs in our days, and the system cuts it to nanoseconds. So the
 * next double that is not too early: setting a time that was read back changes nothing. Before 1970, Node takes only
 * Dates, whole milliseconds.
 */
function timeOf(ns: bigint): Time {
  if (ns < 0n) return new Date(Number(ns / 1_000_000n));
  const [seconds] = new Float64Array([Number(ns) / 1e9]);
  return nsOf(seconds!) < ns ? nextAfter(seconds!) : seconds!;
}

function nsOf(seconds: number): bigint {
  const whole = Math.trunc(seconds);
  return BigInt(whole) * 1_000_000_000n + BigInt(Math.trunc((seconds - whole) * 1e9));
}

function nextAfter(value: number): number {
  const double = new Float64Array([value]);
  new BigInt64Array(double.buffer)[0]! += 1n;
  return double[0]!;
}
