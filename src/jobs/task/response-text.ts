/** A response body as text that can be stored: decoded, bounded, and free of what Postgres cannot hold. */
import type { Transform } from 'node:stream';
import { constants, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { type HttpResponse, keptBodyBytesMax } from './http-exchange.ts';
import { KeptBytes } from './kept-bytes.ts';

export type ResponseText = {
  /** At most 64 KiB in UTF-8. */
  text: string;
  isTruncated: boolean;
  /** What a reader should know: the body could not be decoded, or only in part. */
  note: string | null;
};

/**
 * The body's text. We ask for `identity`, but a server may compress all the same; then no more is decompressed than is
 * kept, so a bomb stays at 64 KiB. Never rejects: a body that cannot be decoded is not worth a run.
 */
export async function responseText(response: HttpResponse): Promise<ResponseText> {
  const { headers, body } = response;
  const coding = headerText(headers['content-encoding']).toLowerCase();
  const plain = coding === '' || coding === 'identity' || body.length === 0;
  const decoded = plain
    ? { bytes: body, isTruncated: response.isTruncated, note: null }
    : await decompress(body, coding, response.isTruncated);
  const cut = cutText(decodeCharset(decoded.bytes, headerText(headers['content-type'])));
  return { text: cut.text, isTruncated: decoded.isTruncated || cut.isTruncated, note: decoded.note };
}

/** For messages: one line, without control characters, at most so many characters. */
export function excerpt(text: string, lengthMax: number): string {
  const line = text
    .slice(0, lengthMax * 4)
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  if (line.length <= lengthMax) return line;
  // A cut may halve a surrogate pair, and half a pair cannot be stored as JSON in Postgres.
  return `${line.slice(0, lengthMax).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

type Decompressed = { bytes: Buffer; isTruncated: boolean; note: string | null };

async function decompress(bytes: Buffer, coding: string, isCut: boolean): Promise<Decompressed> {
  const decoder = decoderFor(coding, bytes);
  if (decoder === null) {
    const note = `The response body is encoded as "${excerpt(coding, 40)}", which is not decoded: it is not kept.`;
    return { bytes: Buffer.alloc(0), isTruncated: true, note };
  }
  const kept = new KeptBytes(keptBodyBytesMax);
  const ended = Promise.withResolvers<string | null>();
  decoder.on('data', (chunk: Buffer) => {
    kept.add(chunk);
    if (!kept.isTruncated) return;
    ended.resolve(null);
    decoder.destroy();
  });
  decoder.on('end', () => ended.resolve(null));
  decoder.on('error', () =>
    ended.resolve(`The response body is not valid ${coding}: what could be decoded is kept.`),
  );
  decoder.end(bytes);
  const note = await ended.promise;
  // Compressed data that we cut off ourselves cannot end well; that is no news.
  return { bytes: kept.bytes, isTruncated: isCut || kept.isTruncated, note: isCut ? null : note };
}

/**
 * Only the codings that decode in tens of kilobytes. Brotli and zstd allocate the window that the sender chose (16 MiB
 * and more for each of hundreds of calls), and nobody sends them unasked.
 */
function decoderFor(coding: string, bytes: Buffer): Transform | null {
  // Flushing instead of finishing: what was cut off by us gives its beginning and no error.
  const options = { finishFlush: constants.Z_SYNC_FLUSH };
  if (coding === 'gzip' || coding === 'x-gzip') return createGunzip(options);
  if (coding !== 'deflate') return null;
  // RFC 9110 means the zlib format, recognisable by its first byte; some servers send deflate without that frame.
  const isZlib = ((bytes[0] ?? 0) & 0x0f) === 8;
  return isZlib ? createInflate(options) : createInflateRaw(options);
}

/** By the charset of the content type, UTF-8 without one; what is not valid becomes U+FFFD, and so does NUL (jsonb refuses it). */
function decodeCharset(bytes: Buffer, contentType: string): string {
  const label = /;\s*charset\s*=\s*"?([^\s";,]+)/i.exec(contentType)?.[1] ?? 'utf-8';
  return decoderOf(label).decode(bytes).replaceAll('\0', '\uFFFD');
}

const utf8 = new TextDecoder();

function decoderOf(label: string): TextDecoder {
  if (/^utf-?8$/i.test(label)) return utf8;
  try {
    return new TextDecoder(label);
  } catch {
    return utf8;
  }
}

/** Cut to 64 KiB of UTF-8, at the end of a character. */
function cutText(text: string): { text: string; isTruncated: boolean } {
  // No code unit needs more than three bytes.
  if (text.length * 3 <= keptBodyBytesMax || Buffer.byteLength(text) <= keptBodyBytesMax) {
    return { text, isTruncated: false };
  }
  const bytes = Buffer.from(text).subarray(0, keptBodyBytesMax);
  // `stream` holds back a character that is not complete.
  return {
    text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true }),
    isTruncated: true,
  };
}

function headerText(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value.join(', ') : (value ?? '')).trim();
}
