/**
 * What is to become of each entry of a tree and of its base. Both come in the order of the tree and are merged as they
 * come: what the base has before the entry that the walk names next is gone. Steps come in that order too.
 */
import { type BaseCursor, sameData } from './base-cursor.ts';
import type { ManifestEntry } from './manifest.ts';
import { comparePaths, isBelow, type PathBytes } from './path-bytes.ts';
import { type EntryData, type Seen, walk } from './tree-walk.ts';

export type Fault = Exclude<Seen, { kind: 'entry' }>;

export type PlanStep =
  /** New or other than in the base, which had `old`. */
  | { kind: 'pack'; entry: EntryData; old: ManifestEntry | null }
  /** As in the base. */
  | { kind: 'trust'; entry: ManifestEntry }
  /** The base has it, it is there, and it cannot be read: the base's entry stays. */
  | { kind: 'stale'; old: ManifestEntry }
  | { kind: 'gone'; old: ManifestEntry }
  | { kind: 'tell'; fault: Fault };

/** Errors: those of `walk` and of the base's manifest. */
export async function* planTree(
  root: PathBytes,
  base: BaseCursor | null,
  signal?: AbortSignal,
): AsyncGenerator<PlanStep, void, undefined> {
  /** What could not be read: that the walk names nothing below it does not say that nothing is there. */
  let dark: PathBytes | null = null;
  const passed = (old: ManifestEntry): PlanStep => {
    return dark !== null && isBelow(old.path, dark) ? { kind: 'stale', old } : { kind: 'gone', old };
  };
  for await (const seen of walk(root, signal)) {
    const path = seen.kind === 'entry' ? seen.entry.path : seen.path;
    for (let old = base?.entry; old && comparePaths(old.path, path) < 0; old = base?.entry) {
      yield passed(old);
      await base!.next();
    }
    const old = base?.entry?.path === path ? base.entry : null;
    if (seen.kind === 'entry') {
      yield stepFor(seen.entry, old);
    } else {
      yield { kind: 'tell', fault: seen };
      if (seen.kind === 'unreadable') dark = path;
      if (old) yield seen.kind === 'unreadable' ? { kind: 'stale', old } : { kind: 'gone', old };
    }
    if (old) await base!.next();
  }
  for (let old = base?.entry; old; old = base?.entry) {
    yield passed(old);
    await base!.next();
  }
}

function stepFor(entry: EntryData, old: ManifestEntry | null): PlanStep {
  if (old === null || old.changed || !sameData(old, entry)) return { kind: 'pack', entry, old };
  return { kind: 'trust', entry: { ...entry, ...(old.sha256 && { sha256: old.sha256 }), packed: false } };
}
