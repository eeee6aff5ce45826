/**
 * The outer layer of an archive: zstd, and the SHA-256 and length of what comes out, as it is stored. Level 3, zstd's
 * default; each frame carries a checksum of the content, so that plain `zstd -t` finds damage too. Constant memory:
 * what the reader does not take is not asked of the source.
 */
import { createHash } from 'node:crypto';
import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { JobError } from '../job.ts';
import { damaged } from './tar-format.ts';

export type Seal = {
  bytes: number;
  /** Of the compressed bytes, lower-case hex. */
  sha256: string;
};

const chunkBytes = 128 * 1024;

/**
 * `finished` is there once the content was read to its end; it rejects with the source's fault, with the reason of
 * `signal`, or when the reader gives up, and all streams are destroyed then. It need not be looked at.
 */
export function sealed(
  source: Readable,
  signal?: AbortSignal,
): { content: Readable; finished: Promise<Seal> } {
  const compress = createZstdCompress({
    chunkSize: chunkBytes,
    params: { [constants.ZSTD_c_checksumFlag]: 1 },
  });
  const meter = new Meter();
  const finished = quiet(pipeline([source, compress, meter], { signal }), meter, signal);
  return { content: meter, finished: told(finished.then(() => meter.seal!)) };
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
  return { source, finished: told(finished.then(() => meter.seal!)) };
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

/** Rejections that nobody waits for are not faults of the process. */
export function told<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
