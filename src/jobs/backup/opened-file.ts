/**
 * A file that is open for reading. For small files, round trips to the thread pool are nearly all of the work: opening
 * and reading take one each, since they may wait for a disk. What the system knows of an open file, and closing it, does
 * not, and is done at once.
 */
import { type BigIntStats, closeSync, constants, fstatSync, open, read } from 'node:fs';

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
  read(into: Buffer, at: number): Promise<number> {
    return new Promise((done, fail) => {
      read(this.#descriptor, into, at, into.length - at, null, (error, bytes) => {
        if (error) fail(error);
        else done(bytes);
      });
    });
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

export function openRead(place: string | Buffer): Promise<OpenedFile> {
  return new Promise((done, fail) => {
    open(place, readOnly, (error, descriptor) => {
      if (error) fail(error);
      else done(new OpenedFile(descriptor));
    });
  });
}
