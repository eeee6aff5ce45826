const empty = Buffer.alloc(0);

/**
 * The first bytes of a stream of unknown length. Chunks are copied: a slice would keep the whole buffer alive that it
 * was cut from, and a receiver that sends one byte at a time would make us hold thousands of them.
 */
export class KeptBytes {
  readonly #maxBytes: number;
  #buffer: Buffer = empty;
  #length = 0;
  #isTruncated = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps what there is room for. */
  add(chunk: Uint8Array): void {
    const room = this.#maxBytes - this.#length;
    if (chunk.length > room) this.#isTruncated = true;
    const taken = Math.min(chunk.length, room);
    if (taken === 0) return;
    this.#makeRoomFor(this.#length + taken);
    this.#buffer.set(chunk.subarray(0, taken), this.#length);
    this.#length += taken;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** True once something was left out. */
  get isTruncated(): boolean {
    return this.#isTruncated;
  }

  #makeRoomFor(length: number): void {
    if (length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(length, this.#buffer.length * 2)));
    larger.set(this.bytes);
    this.#buffer = larger;
  }
}
