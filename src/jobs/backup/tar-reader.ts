/**
 * Reads a tar stream entry by entry, in constant memory. Knows ustar, pax and GNU's long names; other extensions come
 * as entries of type `other`, for the caller to refuse. Whatever is not exactly an archive to its last block is a
 * JobError `BackupDamaged`: a stream that was cut at a block is not taken for a short archive.
 */
import { type PathBytes, rootPath } from './path-bytes.ts';
import {
  blockBytes,
  countOfDecimal,
  damaged,
  decodeHeader,
  decodeRecords,
  extendedBytesMax,
  nsOfDecimal,
  paddingAfter,
  type RawHeader,
} from './tar-format.ts';
import type { EntryData } from './tree-walk.ts';

export type TarEntry = {
  /** `path` is as the archive has it, less leading `./` and trailing slashes: it may be hostile. */
  data: Omit<EntryData, 'type'> & { type: EntryData['type'] | 'other' };
  /** Exactly `size` bytes. What is not read of it is passed over with the next entry. */
  content: AsyncIterable<Buffer>;
};

const types: Record<string, EntryData['type']> = {
  '0': 'file',
  '7': 'file',
  '5': 'directory',
  '2': 'symlink',
};

export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void, undefined> {
  const bytes = new ByteSource(source);
  try {
    let records = new Map<string, PathBytes>();
    let always = new Map<string, PathBytes>();
    for (;;) {
      const header = decodeHeader(await bytes.exactly(blockBytes));
      if (header === null) break;
      if (isExtension(header.flag)) {
        const body = await extension(bytes, header.size);
        if (header.flag === 'x') records = new Map([...records, ...decodeRecords(body)]);
        if (header.flag === 'g') always = new Map([...always, ...decodeRecords(body)]);
        const long = body.toString('latin1').replace(/\0.*$/s, '') as PathBytes;
        if (header.flag === 'L') records.set('path', long);
        if (header.flag === 'K') records.set('linkpath', long);
        continue;
      }
      const data = dataOf(header, new Map([...always, ...records]));
      records = new Map();
      let left = data.size;
      const content = (async function* () {
        while (left > 0) {
          const chunk = await bytes.some(left);
          left -= chunk.length;
          yield chunk;
        }
      })();
      yield { data, content };
      while (left > 0) left -= (await bytes.some(left)).length;
      await bytes.exactly(paddingAfter(data.size).length);
    }
    if (records.size > 0) throw damaged('the archive ends after an extended header');
    await bytes.zerosToTheEnd();
  } finally {
    await bytes.close();
  }
}

const isExtension = (flag: string) => ['x', 'g', 'L', 'K'].includes(flag);

async function extension(bytes: ByteSource, size: number): Promise<Buffer> {
  if (size > extendedBytesMax) throw damaged(`an extended header of ${size} bytes is too long`);
  const body = await bytes.exactly(size);
  await bytes.exactly(paddingAfter(size).length);
  return body;
}

function dataOf(header: RawHeader, records: Map<string, PathBytes>): TarEntry['data'] {
  const decimal = (key: string, plain: number) => {
    const value = records.get(key);
    return value === undefined ? plain : countOfDecimal(value);
  };
  const name = records.get('path') ?? header.name;
  const mtime = records.get('mtime');
  const sparse = [...records.keys()].some((key) => key.startsWith('GNU.sparse.'));
  // Before POSIX, a directory was a file with a slash at the end.
  const type = header.flag === '0' && name.endsWith('/') ? 'directory' : types[header.flag];
  const path = name.replace(/^(\.\/+)+/, '').replace(/(?<=[^/])\/+$/, '') || rootPath;
  return {
    path: path as PathBytes,
    type: sparse || type === undefined ? 'other' : type,
    // Other types have no content, whatever a header says; that of unknown ones is passed over.
    size: type === 'directory' || type === 'symlink' ? 0 : decimal('size', header.size),
    mtimeNs: mtime === undefined ? header.mtimeNs : nsOfDecimal(mtime),
    mode: header.mode,
    uid: decimal('uid', header.uid),
    gid: decimal('gid', header.gid),
    ...(type === 'symlink' && { linkTarget: records.get('linkpath') ?? header.link }),
  };
}

/** Chunks as they come, asked for by number of bytes. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** False at the end. */
  async #fill(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) return false;
      this.#chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
    return true;
  }

  /** At least one byte and at most `bytesMax`, without a copy. */
  async some(bytesMax: number): Promise<Buffer> {
    if (this.#chunk.length === 0 && !(await this.#fill())) throw damaged('the archive ends too early');
    const part = this.#chunk.subarray(0, bytesMax);
    this.#chunk = this.#chunk.subarray(part.length);
    return part;
  }

  async exactly(count: number): Promise<Buffer> {
    if (count === 0) return Buffer.alloc(0);
    const first = await this.some(count);
    if (first.length === count) return first;
    const parts = [first];
    for (let got = first.length; got < count; got += parts.at(-1)!.length)
      parts.push(await this.some(count - got));
    return Buffer.concat(parts);
  }

  async zerosToTheEnd(): Promise<void> {
    await this.exactly(blockBytes).then(mustBeZeros);
    while (await this.#fill()) mustBeZeros(await this.some(Number.MAX_SAFE_INTEGER));
  }

  /** Lets go of the source, which a stream takes for "no more, thank you". */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

function mustBeZeros(chunk: Buffer): void {
  if (chunk.some((byte) => byte !== 0)) throw damaged('the archive goes on after its end');
}
