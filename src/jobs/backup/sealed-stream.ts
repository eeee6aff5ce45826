/**
 * The outer layer of an archive: zstd, and the SHA-256 and length of what comes out, as it is stored. Level 3, zstd's
 * default; each frame carries a checksum of the content, so that plain `zstd -t` finds damage too. Constant memory:
 * what the reader does not take is not asked of the source.
 */
import { createHash } from 'node:crypto';
import { type Readable, Transform, type TransformCallback, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { JobError } from '../job.ts';
import { damaged } from './tar-format.ts';

export type Seal = {
  bytes: number;
  /** Of the compressed bytes, lower-case hex. */
  sha256: string;
};

const chunkBytes = 256 * 1024;
/** What is compressed at once: each time is a round trip to the thread pool. */
const blockBytes = 1024 * 1024;

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
  const fed = pipeline(source, (chunks) => feed(chunks, compress), { signal });
  fed.catch((error) => compress.destroy(error));
  const passed = pipeline(compress, meter, { signal });
  passed.catch((error) => source.destroy(error));
  const finished = quiet(both(fed, passed), meter, signal);
  return { content: meter, finished: told(finished.then(() => meter.seal!)) };
}

/**
 * Of two blocks, one is filled while the other is compressed. They are used again and again: large buffers that come and
 * go keep the garbage collector busier than the compressor.
 */
async function feed(source: AsyncIterable<Buffer>, compress: Writable): Promise<void> {
  let filling = Buffer.allocUnsafeSlow(blockBytes);
  let other = Buffer.allocUnsafeSlow(blockBytes);
  let otherIsFree = Promise.resolve();
  let filled = 0;
  const pass = async () => {
    await otherIsFree;
    otherIsFree = written(compress, filling.subarray(0, filled));
    [filling, other, filled] = [other, filling, 0];
  };
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const copied = chunk.copy(filling, filled, at);
      at += copied;
      filled += copied;
      if (filled === blockBytes) await pass();
    }
  }
  await pass();
  await otherIsFree;
  compress.end();
}

/** Until the stream needs the bytes no longer. A stream that is destroyed tells nothing of the write it is at. */
function written(stream: Writable, bytes: Buffer): Promise<void> {
  return told(
    new Promise((done, fail) => {
      const onClose = () => fail(stream.errored ?? new Error('the stream was closed'));
      stream.once('close', onClose);
      stream.write(bytes, (error) => {
        stream.off('close', onClose);
        if (error) fail(error);
        else done();
      });
    }),
  );
}

/** Until both have ended; the fault of the one that failed first. */
async function both(one: Promise<void>, other: Promise<void>): Promise<void> {
  await Promise.all([one, other]).finally(() => Promise.allSettled([one, other]));
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
