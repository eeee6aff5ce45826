/**
 * One file as an entry of a tar stream. The header comes first and names the size, so the content has that size
 * whatever happens to the file meanwhile: what is missing is zeros, what is more is left out, and both are told.
 */
import { createHash } from 'node:crypto';
import { type OpenedFile, openRead } from './opened-file.ts';
import { type PathBytes, placeOf } from './path-bytes.ts';
import { encodeHeader, paddingAfter } from './tar-format.ts';
import { type EntryData, entryOf } from './tree-walk.ts';

export type OpenFile = { handle: OpenedFile; entry: EntryData };
export type FileRead = {
  /** Of what was packed, which need not be what the file was at any moment if it `changed`. */
  sha256: string;
  /** What is wrong with the content, in words, or null. */
  changed: string | null;
};

const chunkBytes = 1024 * 1024;
/** Null if it is no file any more. The data are those of the open file. Errors: those of the file system. */
export async function openFile(root: PathBytes, path: PathBytes): Promise<OpenFile | null> {
  const handle = await openRead(placeOf(root, path));
  try {
    const stats = handle.stat();
    if (stats.isFile()) return { handle, entry: entryOf(path, 'file', stats) };
  } catch (error) {
    handle.close();
    throw error;
  }
  handle.close();
  return null;
}

/** Header, content and padding. `onChunk` is told before each read how many bytes went before. */
export async function* fileBlocks(
  { handle, entry }: OpenFile,
  onChunk: (doneBytes: number) => void,
): AsyncGenerator<Buffer, FileRead, undefined> {
  const hash = createHash('sha256');
  let lead = encodeHeader(entry);
  let changed: string | null = null;
  for (let left = entry.size, first = true; first || left > 0; first = false) {
    onChunk(entry.size - left);
    const take = Math.min(left, chunkBytes);
    const padding = left === take ? paddingAfter(entry.size) : paddingAfter(0);
    // One buffer for all three, so that a small file is one chunk downstream.
    const block = Buffer.allocUnsafe(lead.length + take + padding.length);
    lead.copy(block);
    const content = block.subarray(lead.length, lead.length + take);
    padding.copy(block, lead.length + take);
    lead = paddingAfter(0);
    const got: Filled = changed === null ? await fill(handle, content) : { bytes: 0, fault: changed };
    content.fill(0, got.bytes);
    if (got.bytes < take) changed = got.fault ?? `ended before its ${entry.size} bytes`;
    hash.update(content);
    left -= take;
    yield block;
  }
  if (changed === null) {
    const after = handle.stat();
    if (Number(after.size) > entry.size) changed = `grew beyond its ${entry.size} bytes`;
    else if (after.mtimeNs !== entry.mtimeNs) changed = 'was written to';
  }
  return { sha256: hash.digest('hex'), changed };
}

type Filled = { bytes: number; fault?: string };

async function fill(handle: OpenedFile, into: Buffer): Promise<Filled> {
  let bytes = 0;
  while (bytes < into.length) {
    try {
      const read = await handle.read(into, bytes);
      if (read === 0) break;
      bytes += read;
    } catch (error) {
      return { bytes, fault: `could not be read to its end (${(error as NodeJS.ErrnoException).code})` };
    }
  }
  return { bytes };
}
