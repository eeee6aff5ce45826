/**
 * What V8 has compiled of the house, kept in the data directory: it is half of the next start, and nearly half of what
 * the process of an isolated run needs before it begins. Node itself sees by a source's checksum that it has changed, and
 * writes each file of the cache aside and renames it: a kill leaves the old one or the new one.
 */
import { mkdir, stat } from 'node:fs/promises';
import { constants, enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { compileCacheName, createDataDirectory } from './data-directory.ts';

/**
 * For modules that are loaded from now on. The directory, which processes that are started may share
 * (`NODE_COMPILE_CACHE`), or null. Never throws: where others may write, or we may not, or the environment says something of
 * its own, nothing is kept there.
 */
export async function keepCompiled(dataDir: string): Promise<string | null> {
  const directory = join(dataDir, compileCacheName);
  try {
    await createDataDirectory(dataDir);
    await mkdir(directory, { mode: 0o700 }).catch(() => undefined);
    // What is in it is executed.
    if (!((await isOnlyOurs(dataDir)) && (await isOnlyOurs(directory)))) return null;
  } catch {
    return null;
  }
  const { status } = enableCompileCache(directory);
  return status === constants.compileCacheStatus.ENABLED ? directory : null;
}

async function isOnlyOurs(directory: string): Promise<boolean> {
  const { uid, mode } = await stat(directory);
  return uid === (process.getuid?.() ?? uid) && (mode & 0o022) === 0;
}
