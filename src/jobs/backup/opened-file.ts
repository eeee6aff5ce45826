/**
 * A file that is open for reading. For small files, round trips to the thread pool are nearly all of the work: opening
 * and reading take one each, since they may wait for a disk. What the system knows of an open file, and closing it, does
 * not, and is done at once.
 */
import { type BigIntStats, closeSync, constants, fstatSync, open, read } from 'node:fs';
import { promisify } from 'node:util';

const openDescriptor = promisify(open);
const readDescriptor = promisify(read);

/** Neither through a symlink that took the file's place, nor waiting for the other end of a fifo. */
const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Errors of all: those of the file system. Whoever opens it closes it. */
export class OpenedFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  stat(): BigIntStats {
    return fstatSync(this.#descriptor, { bigint: true });
  }

  /** From where the last one ended, into what follows `at`. How many bytes came; 0 at the end. */
  async read(into: Buffer, at: number): Promise<number> {
    const { bytesRead } = await readDescriptor(this.#descriptor, into, at, into.length - at, null);
    return bytesRead;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

export async function openRead(place: string | Buffer): Promise<OpenedFile> {
  return new OpenedFile(await openDescriptor(place, readOnly));
}
