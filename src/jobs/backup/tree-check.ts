/**
 * Reads an archive back, writing nothing: is what the manifest says is packed in it, whole, and nothing else? Both are
 * in the order of the tree, so they are compared as they come, in constant memory.
 */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { sameData } from './base-cursor.ts';
import { isDeletion, type ManifestEntry, type ManifestLine, readManifest } from './manifest.ts';
import { comparePaths, type PathBytes, textOf } from './path-bytes.ts';
import { damaged } from './tar-format.ts';
import { readTar, type TarEntry } from './tar-reader.ts';

/** So many differences are named in the fault; then the reading ends. */
const differencesMax = 5;

export type CheckSummary = {
  /** Entries in the archive. */
  entries: number;
  /** Bytes of their content. */
  bytes: number;
};

/**
 * Errors: JobError `BackupDamaged`, which names the first entries that differ; the streams' own. `signal` is looked
 * at between entries and chunks. Both streams are closed in any case.
 */
export async function checkTree(
  tar: Readable,
  manifest: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<CheckSummary> {
  try {
    const { lines } = await readManifest(manifest);
    return await compare(tar, lines, signal);
  } finally {
    tar.destroy();
  }
}

async function compare(
  tar: Readable,
  lines: AsyncGenerator<ManifestLine, void, undefined>,
  signal?: AbortSignal,
): Promise<CheckSummary> {
  const differences: string[] = [];
  const differs = (path: PathBytes, how: string) => {
    differences.push(`${JSON.stringify(textOf(path))} ${how}`);
    if (differences.length === differencesMax) throw different(differences);
  };
  const found: CheckSummary = { entries: 0, bytes: 0 };
  try {
    let expected = await nextPacked(lines);
    for await (const { data, content } of readTar(tar)) {
      for (; expected && comparePaths(expected.path, data.path) < 0; expected = await nextPacked(lines)) {
        differs(expected.path, 'is missing');
      }
      const known = expected?.path === data.path ? expected : null;
      const sha256 = await hashOf(content, signal);
      found.entries++;
      found.bytes += data.size;
      const fault = known ? faultIn(data, sha256, known) : 'is not in the manifest';
      if (fault !== null) differs(data.path, fault);
      if (known) expected = await nextPacked(lines);
    }
    for (; expected; expected = await nextPacked(lines)) differs(expected.path, 'is missing');
  } finally {
    await lines.return();
  }
  if (differences.length > 0) throw different(differences);
  return found;
}

function different(differences: string[]) {
  return damaged(`the archive is not what its manifest says: ${differences.join('; ')}`);
}

async function nextPacked(
  lines: AsyncGenerator<ManifestLine, void, undefined>,
): Promise<ManifestEntry | null> {
  for (;;) {
    const { value, done } = await lines.next();
    if (done) return null;
    if (!isDeletion(value) && value.packed) return value;
  }
}

async function hashOf(content: AsyncIterable<Buffer>, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  const hash = createHash('sha256');
  for await (const chunk of content) {
    signal?.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest('hex');
}

function faultIn(data: TarEntry['data'], sha256: string, known: ManifestEntry): string | null {
  const { type } = data;
  if (type === 'other' || type !== known.type) return `is a ${type}, not a ${known.type}`;
  if (data.size !== known.size) return `has ${data.size} bytes, not ${known.size}`;
  if (type === 'file' && sha256 !== known.sha256) return 'has other content';
  // Both were written from the same data, so here the times are equal to the nanosecond.
  const same = data.mtimeNs === known.mtimeNs && sameData({ ...data, type }, known);
  return same ? null : 'has another mode, time, owner or target';
}
