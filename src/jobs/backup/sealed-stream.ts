/**
 * The outer layer of an archive: zstd, and the SHA-256 and length of what comes out, as it is stored. Level 3, zstd's
 * default. Every 2 MiB are a frame of their own, which zstd's programs read as one file: frames are compressed side by
 * side, and a backup is not bound to the speed of one core. Each carries a checksum of its content, so that plain
 * `zstd -t` finds damage too. Constant memory: what the reader does not take is not asked of the source.
 */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { constants, createZstdDecompress, zstdCompress } from 'node:zlib';
import { heardLater } from '../../errors.ts';
import { JobError } from '../job.ts';
import { damaged } from './tar-format.ts';

export type Seal = {
  bytes: number;
  /** Of the compressed bytes, lower-case hex. */
  sha256: string;
};

const chunkBytes = 256 * 1024;
/** The window of level 3: within a larger frame, zstd would look back no further. */
const frameBytes = 2 * 1024 * 1024;
/** Node's thread pool has four threads, and one must be left to read the files. */
const sideBySideMax = Math.min(3, availableParallelism());

const compress = promisify(zstdCompress);

/**
 * `finished` is there once the content was read to its end; it rejects with the source's fault, with the reason of
 * `signal`, or when the reader gives up, and all streams are destroyed then. It need not be looked at.
 */
export function sealed(
  source: Readable,
  signal?: AbortSignal,
): { content: Readable; finished: Promise<Seal> } {
  const meter = new Meter();
  const finished = quiet(pipeline([source, frames, meter], { signal }), meter, signal);
  return { content: meter, finished: heardLater(finished.then(() => meter.seal!)) };
}

/**
 * In their order. What is compressed is gathered in a ring of blocks that are used again and again: large buffers that
 * come and go keep the garbage collector busier than the compressor.
 */
async function* frames(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const ring = Array.from({ length: sideBySideMax + 1 }, () => Buffer.allocUnsafeSlow(frameBytes));
  const ahead: Promise<Buffer>[] = [];
  for await (const block of blocks(source, ring)) {
    // Only now, so that it is compressed while this one is filled: then the next block of the ring is free again.
    if (ahead.length === sideBySideMax) yield await ahead.shift()!;
    ahead.push(heardLater(compress(block, frameOptions)));
  }
  for (const frame of ahead) yield await frame;
}

/** ZSTD_COMPRESSBOUND (zstd.h): noise grows by a 256th at most. One byte less, and each frame of it is put together of two. */
const frameBytesMax = frameBytes + frameBytes / 256;
const frameOptions = { chunkSize: frameBytesMax, params: { [constants.ZSTD_c_checksumFlag]: 1 } };

/** Full ones, but for the last; each is the next one of `ring`. At least one, if of no bytes. */
async function* blocks(
  source: AsyncIterable<Buffer>,
  ring: Buffer[],
): AsyncGenerator<Buffer, void, undefined> {
  let turn = 0;
  let filled = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const block = ring[turn % ring.length]!;
      if (filled === block.length) {
        yield block;
        turn += 1;
        filled = 0;
        continue;
      }
      const copied = chunk.copy(block, filled, at);
      at += copied;
      filled += copied;
    }
  }
  yield ring[turn % ring.length]!.subarray(0, filled);
}

/**
 * The reverse: `source` gives the bytes that were sealed, `finished` the seal of what was read, to compare with the
 * one on record. JobError `BackupDamaged` for what is no whole zstd frame.
 */
export function opened(
  content: Readable,
  signal?: AbortSignal,
): { source: Readable; finished: Promise<Seal> } {
  const meter = new Meter();
  const decompress = createZstdDecompress({ chunkSize: chunkBytes });
  const source = new Transform({
    highWaterMark: chunkBytes,
    transform: (chunk, _encoding, done) => done(null, chunk),
    // Whoever reads shall see what the fault means, not zlib's number for it.
    destroy: (error, done) => done(error && meaning(error)),
  });
  const finished = quiet(pipeline([content, meter, decompress, source], { signal }), source, signal);
  return { source, finished: heardLater(finished.then(() => meter.seal!)) };
}

/** Passes on what comes, and counts and hashes it. */
class Meter extends Transform {
  readonly #hash = createHash('sha256');
  #bytes = 0;
  seal: Seal | null = null;

  constructor() {
    super({ highWaterMark: chunkBytes });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    this.seal = { bytes: this.#bytes, sha256: this.#hash.digest('hex') };
    done();
  }
}

/** A fault is told by the promise; an 'error' event that nobody listens to must not end the process. */
async function quiet(running: Promise<void>, last: Readable, signal?: AbortSignal): Promise<void> {
  last.on('error', () => {});
  try {
    await running;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw meaning(error as Error);
  }
}

function meaning(error: Error): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof JobError || !/^(ZSTD_error_|Z_)/.test(code ?? '')) return error;
  return damaged(`the archive cannot be decompressed: ${error.message}`, error);
}
