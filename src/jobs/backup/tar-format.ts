/**
 * Tar headers as bytes, after POSIX.1-2017 (pax, "ustar interchange format" and "pax extended header").
 *
 * Not with the tar-stream package, whose headers are text: it gives mode 0000 as 0644, cannot keep names that are not
 * UTF-8, cuts mtimes to 32 bits of seconds, and reads an extended header of any length into memory.
 */
import { isUtf8 } from 'node:buffer';
import { JobError } from '../job.ts';
import { bytesOf, type PathBytes, pathOfBytes, rootPath } from './path-bytes.ts';
import type { EntryData, EntryType } from './tree-walk.ts';

export const blockBytes = 512;
/** Extended headers longer than this are refused: two paths of Linux are 8 KiB. */
export const extendedBytesMax = 1 << 20;
export const endOfArchive = Buffer.alloc(2 * blockBytes);

const zeros = Buffer.alloc(blockBytes);
const nsPerS = 1_000_000_000n;
const flags: Record<EntryType, string> = { file: '0', directory: '5', symlink: '2' };

export function damaged(message: string, cause?: unknown): JobError {
  return new JobError('BackupDamaged', message, { retryable: false, cause });
}

/** What fills the last block of content of this many bytes. */
export function paddingAfter(sizeBytes: number): Buffer {
  return zeros.subarray(0, (blockBytes - (sizeBytes % blockBytes)) % blockBytes);
}

/**
 * The header of an entry, with an extended one before it for what the plain one cannot say: long or non-ASCII names,
 * files of 8 GiB and more, large owner ids, and times with fractions, before 1970 or after 2242.
 */
export function encodeHeader(entry: EntryData): Buffer {
  const name = bytesOf((entry.path === rootPath ? './' : nameInTar(entry)) as PathBytes);
  const link = bytesOf(entry.linkTarget ?? ('' as PathBytes));
  const seconds = entry.mtimeNs / nsPerS;
  const records: Buffer[] = [];
  if (!isUtf8(name) || !isUtf8(link)) records.push(record('hdrcharset', 'BINARY'));
  if (!fits(name)) records.push(record('path', name));
  if (!fits(link)) records.push(record('linkpath', link));
  if (entry.size > octalMax(11)) records.push(record('size', `${entry.size}`));
  if (entry.uid > octalMax(7)) records.push(record('uid', `${entry.uid}`));
  if (entry.gid > octalMax(7)) records.push(record('gid', `${entry.gid}`));
  if (entry.mtimeNs % nsPerS !== 0n || seconds < 0n || seconds > octalMax(11)) {
    records.push(record('mtime', decimalSeconds(entry.mtimeNs)));
  }
  const plain = plainHeader({ ...entry, name, link, flag: flags[entry.type], seconds });
  if (records.length === 0) return plain;
  const extended = Buffer.concat(records);
  const before = plainHeader({
    name: Buffer.concat([Buffer.from('PaxHeaders/'), name]),
    link: Buffer.alloc(0),
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: extended.length,
    seconds,
    flag: 'x',
  });
  return Buffer.concat([before, extended, paddingAfter(extended.length), plain]);
}

/** A directory ends in a slash; older readers go by that. */
const nameInTar = (entry: EntryData) => (entry.type === 'directory' ? `${entry.path}/` : entry.path);

type PlainHeader = {
  name: Buffer;
  link: Buffer;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  seconds: bigint;
  flag: string;
};

function plainHeader({ name, link, mode, uid, gid, size, seconds, flag }: PlainHeader): Buffer {
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, digits: number) =>
    block.write(Math.min(value, octalMax(digits)).toString(8).padStart(digits, '0'), at, 'latin1');
  name.copy(block, 0, 0, 100);
  octal(mode, 100, 7);
  octal(uid, 108, 7);
  octal(gid, 116, 7);
  octal(size, 124, 11);
  octal(Math.max(0, Number(seconds)), 136, 11);
  block.fill(' ', 148, 156);
  block.write(flag, 156, 'latin1');
  link.copy(block, 157, 0, 100);
  block.write('ustar\x0000', 257, 'latin1');
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

const octalMax = (digits: number) => 8 ** digits - 1;
const fits = (text: Buffer) => text.length <= 100 && text.every((byte) => byte < 0x80);

/** `"LEN KEY=VALUE\n"`, where LEN counts all of it, its own digits too. */
function record(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length + 1;
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
  return Buffer.concat([Buffer.from(`${length}`), rest]);
}

function decimalSeconds(ns: bigint): string {
  const size = ns < 0n ? -ns : ns;
  const fraction = `${size % nsPerS}`.padStart(9, '0').replace(/0+$/, '');
  return `${ns < 0n ? '-' : ''}${size / nsPerS}${fraction ? `.${fraction}` : ''}`;
}

/** What a header block says, before extended headers change it. */
export type RawHeader = {
  flag: string;
  name: PathBytes;
  link: PathBytes;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtimeNs: bigint;
};

/** Null for a block of zeros, the end of an archive. Throws JobError `BackupDamaged`. */
export function decodeHeader(block: Buffer): RawHeader | null {
  if (block.equals(zeros)) return null;
  if (number(block, 148, 8) !== checksum(block)) throw damaged('the checksum of a header is wrong');
  const ofPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = ofPosix ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  return {
    flag: block[156] === 0 ? '0' : String.fromCharCode(block[156]!),
    name: (prefix ? `${prefix}/${name}` : name) as PathBytes,
    link: text(block, 157, 100),
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtimeNs: BigInt(number(block, 136, 12)) * nsPerS,
  };
}

/** The sum of the bytes, with blanks for the checksum itself. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < blockBytes; at++) if (at < 148 || at >= 156) sum += block[at]!;
  return sum;
}

function text(block: Buffer, at: number, length: number): PathBytes {
  const end = block.subarray(at, at + length).indexOf(0);
  return pathOfBytes(block.subarray(at, at + (end < 0 ? length : end)));
}

/** Octal, or, with the top bit set, binary as GNU tar writes large numbers. */
function number(block: Buffer, at: number, length: number): number {
  let value = 0;
  if (block[at]! & 0x80) {
    for (let i = 1; i < length; i++) value = value * 256 + block[at + i]!;
    if (block[at] !== 0x80) throw damaged('a header holds a number that is too large or negative');
  } else {
    const digits = block.toString('latin1', at, at + length).replace(/^ +|[ \0].*$/gs, '');
    if (!/^[0-7]*$/.test(digits)) throw damaged('a header holds a number that is none');
    value = digits === '' ? 0 : Number.parseInt(digits, 8);
  }
  if (!Number.isSafeInteger(value)) throw damaged('a header holds a number that is too large');
  return value;
}

/** The records of an extended header; values as bytes. A later record of a key wins. */
export function decodeRecords(body: Buffer): Map<string, PathBytes> {
  const records = new Map<string, PathBytes>();
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(0x20, at);
    const digits = body.toString('latin1', at, blank < 0 ? at : Math.min(blank, at + 10));
    const end = at + Number(digits);
    const equals = body.indexOf(0x3d, blank);
    if (!/^\d+$/.test(digits) || equals < 0 || equals >= end || end > body.length || body[end - 1] !== 0x0a) {
      throw damaged('an extended header is not readable');
    }
    records.set(body.toString('latin1', blank + 1, equals), pathOfBytes(body.subarray(equals + 1, end - 1)));
    at = end;
  }
  return records;
}

/** Decimal seconds with any fraction → nanoseconds. */
export function nsOfDecimal(value: string): bigint {
  const match = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(value);
  if (!match) throw damaged(`an extended header holds "${value.slice(0, 40)}" for a time`);
  const ns = BigInt(match[2]!) * nsPerS + BigInt((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  return match[1] ? -ns : ns;
}

/** A whole number in an extended header. */
export function countOfDecimal(value: string): number {
  const count = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(count))
    throw damaged(`an extended header holds "${value.slice(0, 40)}" for a number`);
  return count;
}
