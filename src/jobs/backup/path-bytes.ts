/**
 * Names of files are bytes, not text: Linux forbids only NUL and the slash. So a path is kept here as a string with
 * one character per byte (latin1), which is compact, is compared byte by byte with `<`, and loses nothing. It becomes
 * a Buffer for the file system and UTF-8 text for a reader; the brand keeps the two kinds of string apart.
 */
import { isUtf8 } from 'node:buffer';

/** Relative to the root of the tree, without leading or trailing slash; `.` is the root itself. */
export type PathBytes = string & { readonly pathBytes: true };

export const rootPath = '.' as PathBytes;

export function pathOfBytes(bytes: Uint8Array): PathBytes {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') as PathBytes;
}

/** From text as people write it. */
export function pathOfText(text: string): PathBytes {
  return pathOfBytes(Buffer.from(text));
}

export function bytesOf(path: PathBytes): Buffer {
  return Buffer.from(path, 'latin1');
}

/** For messages: not valid UTF-8 is shown with replacement characters. */
export function textOf(path: PathBytes): string {
  return bytesOf(path).toString('utf8');
}

/** The text if it says the same as the bytes, otherwise null. */
export function exactTextOf(path: PathBytes): string | null {
  const bytes = bytesOf(path);
  return isUtf8(bytes) ? bytes.toString('utf8') : null;
}

export function childOf(directory: PathBytes, name: string): PathBytes {
  return (directory === rootPath ? name : `${directory}/${name}`) as PathBytes;
}

export function parentOf(path: PathBytes): PathBytes {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? rootPath : (path.slice(0, slash) as PathBytes);
}

/** Whether `path` lies below `directory`; nothing lies below itself. */
export function isBelow(path: PathBytes, directory: PathBytes): boolean {
  if (directory === rootPath) return path !== rootPath;
  return path.length > directory.length && path[directory.length] === '/' && path.startsWith(directory);
}

/** Where the path is on this machine; `root` is absolute or relative to the working directory. */
export function placeOf(root: PathBytes, path: PathBytes): Buffer {
  return bytesOf((path === rootPath ? root : `${root}/${path}`) as PathBytes);
}

/**
 * The order of a tree: a directory before what is in it, names by their bytes. That is the order of the bytes with the
 * slash below all others, so two sorted lists of paths can be merged while they are read.
 */
export function comparePaths(a: PathBytes, b: PathBytes): number {
  if (a === b) return 0;
  if (a === rootPath) return -1;
  if (b === rootPath) return 1;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

const slash = 0x2f;
const rank = (byte: number) => (byte === slash ? 0 : byte);
