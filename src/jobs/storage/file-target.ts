/**
 * Files in a folder. A file gets its name when all of it is on the disk: written under a passing name, synced,
 * renamed, and the folder synced, in this order. A power cut leaves the old file or the new one, never half of one.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { codeOf, heardLater } from '../../errors.ts';
import type { Abortable, PutOptions, StorageTarget, StoredFile, TargetOptions } from './storage-target.ts';
import { backupMissing, fileFault, invalidConfiguration } from './target-faults.ts';
import { byBytes, checkName } from './target-name.ts';
import { relayed } from './target-stream.ts';

const partPattern = /^\.carillon-[0-9a-f]{16}\.part$/;
/** What is read of a file at once. */
const chunkBytes = 512 * 1024;
/** What was written is sent to the disk each time it is so much: else the disk would rest until the last byte. */
const syncEachBytes = 16 * 1024 * 1024;
/** What is older was left by a killed process: whoever still writes keeps its file young. */
const partAgeMsMax = 24 * 60 * 60 * 1000;

export function openFileTarget(location: string, options: Pick<TargetOptions, 'now'>): StorageTarget {
  return new FileTarget(folderOf(location), options);
}

class FileTarget implements StorageTarget {
  readonly location: string;
  readonly #folder: string;
  readonly #clock: Pick<TargetOptions, 'now'>;

  constructor(folder: string, clock: Pick<TargetOptions, 'now'>) {
    this.#folder = folder;
    this.#clock = clock;
    this.location = pathToFileURL(folder.endsWith('/') ? folder : `${folder}/`).href;
  }

  async check(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await this.#sweep();
    const part = this.#partPath();
    try {
      const handle = await open(part, 'wx', 0o600);
      try {
        await handle.writeFile('Carillon looks whether it may write here.\n');
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw fileFault(error, this.#folder);
    } finally {
      await rm(part, { force: true }).catch(() => undefined);
    }
  }

  async put(name: string, content: Readable, { signal }: PutOptions = {}): Promise<{ bytes: number }> {
    const part = this.#partPath();
    try {
      const path = join(this.#folder, checkName(name));
      signal?.throwIfAborted();
      const bytes = await this.#write(part, content, signal);
      signal?.throwIfAborted();
      await this.#do(() => rename(part, path));
      await this.#do(() => syncFolder(this.#folder));
      return { bytes };
    } catch (error) {
      content.destroy();
      // After the rename there is no part, and the file is whole: then only its name may not outlive a power cut.
      await rm(part, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async get(name: string, { signal }: Abortable = {}): Promise<Readable> {
    const path = join(this.#folder, checkName(name));
    signal?.throwIfAborted();
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      if (!(await handle.stat()).isFile()) throw backupMissing(name, this.location);
      const fault = (error: Error) => fileFault(error, this.#folder);
      return relayed(handle.createReadStream({ highWaterMark: chunkBytes }), { fault, signal });
    } catch (error) {
      await handle?.close();
      if (codeOf(error) !== 'ENOENT') throw fileFault(error, this.#folder);
      await this.#do(() => stat(this.#folder)); // a folder that is away is another fault than a file that is
      throw backupMissing(name, this.location);
    }
  }

  async stat(name: string, { signal }: Abortable = {}): Promise<{ bytes: number } | null> {
    const path = join(this.#folder, checkName(name));
    signal?.throwIfAborted();
    try {
      const found = await stat(path);
      return found.isFile() ? { bytes: found.size } : null;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw fileFault(error, this.#folder);
    }
  }

  async *list(prefix = '', { signal }: Abortable = {}): AsyncIterable<StoredFile> {
    const names = (await this.#do(() => readdir(this.#folder))).sort(byBytes);
    for (const name of names) {
      signal?.throwIfAborted();
      if (name.startsWith('.') || !name.startsWith(prefix)) continue;
      const found = await stat(join(this.#folder, name)).catch(() => undefined); // removed in between
      if (!found?.isFile()) continue;
      yield { name, bytes: found.size, modifiedAtMs: Math.floor(found.mtimeMs) };
    }
  }

  async delete(name: string, { signal }: Abortable = {}): Promise<void> {
    const path = join(this.#folder, checkName(name));
    signal?.throwIfAborted();
    await this.#do(() => rm(path, { force: true }));
  }

  close(): void {
    // It holds nothing between calls.
  }

  async #write(part: string, content: Readable, signal: AbortSignal | undefined): Promise<number> {
    const handle = await this.#do(() => open(part, 'wx', 0o600));
    let bytes = 0;
    let early = Promise.resolve();
    let earlyBytes = 0;
    try {
      // Faults of the content must stay what they are: only those of the writing are the target's.
      await pipeline(
        content,
        async (chunks: AsyncIterable<Buffer | string>) => {
          for await (const chunk of chunks) {
            await this.#do(() => handle.writeFile(chunk)); // from where the last one ended
            bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.length;
            if (bytes - earlyBytes < syncEachBytes) continue;
            // A disk that is slower than the content holds it up here; and its fault is told only once, so not unheard.
            await this.#do(() => early);
            early = heardLater(handle.datasync());
            earlyBytes = bytes;
          }
        },
        { signal },
      );
      await this.#do(() => early);
      await this.#do(() => handle.sync());
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    } finally {
      await this.#do(() => handle.close()); // waits for a write in flight; a network drive tells its faults here
    }
    return bytes;
  }

  async #sweep(): Promise<void> {
    const oldest = this.#clock.now() - partAgeMsMax;
    for (const name of await this.#do(() => readdir(this.#folder))) {
      if (!partPattern.test(name)) continue;
      const path = join(this.#folder, name);
      const found = await stat(path).catch(() => undefined);
      if (found !== undefined && found.mtimeMs < oldest)
        await rm(path, { force: true }).catch(() => undefined);
    }
  }

  #partPath(): string {
    return join(this.#folder, `.carillon-${randomBytes(8).toString('hex')}.part`);
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw fileFault(error, this.#folder);
    }
  }
}

function folderOf(location: string): string {
  const url = URL.canParse(location) ? new URL(location) : undefined;
  if (url === undefined || !/^file:\/\//i.test(location)) {
    throw invalidConfiguration('A folder is written as file:///folder/, with three slashes.');
  }
  if (url.host !== '' || url.search !== '' || url.hash !== '') {
    throw invalidConfiguration(
      'A folder is written as file:///folder/: without a host (mount its share instead), "?" and "#"' +
        ' (in a name: %3F and %23).',
    );
  }
  try {
    const folder = fileURLToPath(url);
    if (!folder.includes('\0')) return folder.length > 1 ? folder.replace(/\/+$/, '') || '/' : folder;
  } catch {
    // %2F, or a broken escape
  }
  throw invalidConfiguration('A folder is written as file:///folder/, its path in valid %-escapes.');
}

/** Makes the rename last. Some systems cannot sync a folder and need not. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM', 'EACCES'].includes(codeOf(error))) throw error;
  }
}
