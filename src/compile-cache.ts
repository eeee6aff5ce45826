/**
 * What V8 has compiled of the house, kept in the data directory: it is half of the next start, and nearly half of what
 * the process of an isolated run needs before it begins. Node itself sees by a source's checksum that it has changed, and
 * writes each file of the cache aside and renames it: a kill leaves the old one or the new one.
 */
import { mkdir, realpath, stat } from 'node:fs/promises';
import { constants, enableCompileCache, getCompileCacheDir } from 'node:module';
import { dirname, join } from 'node:path';
import { compileCacheName, createDataDirectory } from './db/data-directory.ts';

/**
 * For modules that are loaded from now on. The directory, which processes that are started may share
 * (`NODE_COMPILE_CACHE`), or null. Never throws: where others may write, or we may not, or the environment says something of
 * its own, nothing is kept there.
 */
export async function keepCompiled(dataDir: string): Promise<string | null> {
  if (getCompileCacheDir() !== undefined) return null;
  try {
    await createDataDirectory(dataDir);
    const owned = await realpath(dataDir);
    // Also for who starts Carillon as its owner, when this process is root: nothing of root's may be in the way.
    if (!(await isOnlyOurs(owned))) return null;
    const directory = join(owned, compileCacheName);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if (!(await isOnlyOurs(directory)) || !(await isOnlyReachedByUs(owned))) return null;
    const { status } = enableCompileCache(directory);
    return status === constants.compileCacheStatus.ENABLED ? directory : null;
  } catch {
    return null;
  }
}

/** What is in there is executed, so nobody else may change it. On Windows modes say nothing. */
async function isOnlyOurs(directory: string): Promise<boolean> {
  if (process.getuid === undefined) return true;
  const { uid, mode } = await stat(directory);
  return uid === process.getuid() && (mode & writtenByOthers) === 0;
}

/** Nor what is above, lest they put another in its place: ours or root's, and for others to write only if sticky. */
async function isOnlyReachedByUs(directory: string): Promise<boolean> {
  if (process.getuid === undefined) return true;
  for (let at = dirname(directory); ; at = dirname(at)) {
    const { uid, mode } = await stat(at);
    const isSafe = (mode & writtenByOthers) === 0 || (mode & sticky) !== 0;
    if (!isSafe || (uid !== 0 && uid !== process.getuid())) return false;
    if (at === dirname(at)) return true;
  }
}

const writtenByOthers = 0o022;
const sticky = 0o1000;
