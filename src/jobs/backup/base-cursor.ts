/** The entries of a base's manifest, one at a time, for the merge with what the walk sees. */
import { isDeletion, type ManifestEntry, type ManifestLine, readManifest } from './manifest.ts';
import type { EntryData } from './tree-walk.ts';

export class BaseCursor {
  readonly #lines: AsyncGenerator<ManifestLine, void, undefined>;
  /** The next entry; null at the end. */
  entry: ManifestEntry | null = null;

  private constructor(lines: AsyncGenerator<ManifestLine, void, undefined>) {
    this.#lines = lines;
  }

  static async over(manifest: AsyncIterable<Uint8Array>): Promise<BaseCursor> {
    const { lines } = await readManifest(manifest);
    const cursor = new BaseCursor(lines);
    await cursor.next();
    return cursor;
  }

  async next(): Promise<void> {
    let step = await this.#lines.next();
    while (!step.done && isDeletion(step.value)) step = await this.#lines.next();
    this.entry = step.done ? null : (step.value as ManifestEntry);
  }

  async close(): Promise<void> {
    await this.#lines.return();
  }
}

/** Node sets times as seconds in a double, up to 0.24 µs off: a restored tree must still equal its base. */
const mtimeSlackNs = 1000n;

/** A symlink's mode means nothing, and its size is its target's. */
export function sameData(a: EntryData, b: EntryData): boolean {
  const offNs = a.mtimeNs - b.mtimeNs;
  return (
    a.type === b.type &&
    a.size === b.size &&
    offNs < mtimeSlackNs &&
    offNs > -mtimeSlackNs &&
    (a.type === 'symlink' || a.mode === b.mode) &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.linkTarget === b.linkTarget
  );
}
