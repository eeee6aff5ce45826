/**
 * Writes a file with holes: zeros are not written where there are many of them. Looked at in blocks of 4 KiB, the
 * block of most file systems, so that a run of 64 KiB of zeros becomes a hole wherever it begins, but for its ragged
 * ends.
 */
import type { FileHandle } from 'node:fs/promises';

const blockBytes = 4096;
/** The whole blocks that any 64 KiB hold. */
const holeBytesMin = 15 * blockBytes;
const zeros = Buffer.alloc(holeBytesMin);

export class SparseFile {
  readonly #handle: FileHandle;
  /** Of the file that is written, or left out as a hole. */
  #writtenBytes = 0;
  /** Zeros seen since then. */
  #zeroBytes = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(chunk: Buffer): Promise<void> {
    const start = this.#writtenBytes + this.#zeroBytes;
    /** Of the chunk: what is to be written at the end of what is written, up to the zeros. */
    let from = 0;
    let to = 0;
    for (let at = 0; at < chunk.length; ) {
      const end = Math.min(chunk.length, at + blockBytes - ((start + at) % blockBytes));
      if (isZeros(chunk, at, end)) {
        this.#zeroBytes += end - at;
      } else {
        if (this.#zeroBytes >= holeBytesMin) {
          await this.#put(chunk.subarray(from, to));
          this.#writtenBytes += this.#zeroBytes;
          from = at;
        } else if (to === 0 && this.#zeroBytes > at) {
          // Some of them came with earlier chunks.
          await this.#put(zeros.subarray(0, this.#zeroBytes));
          from = at;
        }
        this.#zeroBytes = 0;
        to = end;
      }
      at = end;
    }
    await this.#put(chunk.subarray(from, to));
  }

  async #put(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#writtenBytes);
      done += bytesWritten;
      this.#writtenBytes += bytesWritten;
    }
  }

  /** Zeros at the end are a matter of length. */
  async end(): Promise<void> {
    if (this.#zeroBytes > 0) await this.#handle.truncate(this.#writtenBytes + this.#zeroBytes);
  }
}

function isZeros(chunk: Buffer, from: number, to: number): boolean {
  return chunk[from] === 0 && chunk[to - 1] === 0 && chunk.compare(zeros, 0, to - from, from, to) === 0;
}
