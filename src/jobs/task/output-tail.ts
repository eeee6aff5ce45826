/** The end of a stream of unknown length, as text that can be kept. */
import type { Redact } from '../../secrets/redaction.ts';
import { valueBytesMax } from '../../secrets/secret-box.ts';

/** Of what a program writes this much is kept, in UTF-8. */
export const tailBytesMax = 65_536;
/** What is kept may be twice as long as JSON, where every character is escaped; more would be too large an output. */
const jsonBytesMax = 120 * 1_024;
/**
 * Beside what is kept: the beginning of what is in memory may be half a secret, which is not found. The longest form of
 * a secret (redaction.ts) has six characters for each byte.
 */
const marginBytes = 6 * valueBytesMax;

export class OutputTail {
  #chunks: Buffer[] = [];
  #length = 0;
  #isCut = false;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length - this.#chunks[0]!.length >= tailBytesMax + marginBytes) {
      this.#length -= this.#chunks.shift()!.length;
      this.#isCut = true;
    }
  }

  /** What is not UTF-8, and control characters other than tabs and line ends, become U+FFFD. */
  text(redact: Redact): { text: string; isTruncated: boolean } {
    const bytes = Buffer.concat(this.#chunks);
    const all = redact(printable(bytes.toString()));
    // Half a secret at the beginning ends before the margin does: what both have in common is behind it.
    const safe = this.#isCut
      ? commonEnd(all, redact(printable(bytes.subarray(marginBytes).toString())))
      : all;
    let text = lastBytes(safe, tailBytesMax);
    if (Buffer.byteLength(JSON.stringify(text)) > jsonBytesMax) text = lastBytes(text, jsonBytesMax / 2);
    return { text, isTruncated: this.#isCut || text.length < safe.length };
  }
}

/** Of escapes for terminals the rest stays, which does no harm. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: They are what is taken out.
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '\uFFFD').toWellFormed();
}

function commonEnd(a: string, b: string): string {
  let length = 0;
  while (length < a.length && length < b.length && a.at(-1 - length) === b.at(-1 - length)) length += 1;
  return a.slice(a.length - length).toWellFormed();
}

function lastBytes(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  let start = bytes.length - bytesMax;
  // Not in the middle of a character.
  while ((bytes[start]! & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start).toString();
}
