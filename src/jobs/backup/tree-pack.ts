/**
 * A directory as a tar stream and a manifest, in one pass over the tree and, if there is a base, over its manifest:
 *
 *   1. tree-plan.ts says what becomes of an entry; what equals the base's is not packed and keeps its hash;
 *   2. a file is opened when it is packed, and its header is that of the open file (file-blocks.ts);
 *   3. its line goes to the manifest once its content is hashed.
 *
 * Equal data (type, size, mtime to the microsecond, mode, owner, link target) are taken for equal content. So a write
 * that keeps size and mtime is missed, as in every backup that goes by them. What could not be read is not a deletion:
 * the base's entry stays, marked `stale`. Hard links are packed as files of their own.
 *
 * Nothing here knows where the streams go. Memory: see tree-walk.ts and read-ahead.ts, and some blocks of 1 MiB.
 */
import { basename, resolve } from 'node:path';
import { Readable, type Writable, finished as whenOver } from 'node:stream';
import { heardLater } from '../../errors.ts';
import { BaseCursor } from './base-cursor.ts';
import { type FileRead, fileBlocks, openFile } from './file-blocks.ts';
import { type ManifestEntry, ManifestWriter, manifestVersion } from './manifest.ts';
import { type PathBytes, pathOfText, textOf } from './path-bytes.ts';
import { type Loaded, readAhead } from './read-ahead.ts';
import { encodeHeader, endOfArchive } from './tar-format.ts';
import { type Fault, type PlanStep, planTree } from './tree-plan.ts';
import { type EntryData, faultOf } from './tree-walk.ts';

/** Something that was not as it should be with one entry; the backup goes on. */
export type TreeNote = {
  what: 'skipped' | 'vanished' | 'unreadable' | 'changed';
  /** As text, for people. */
  path: string;
  reason: string;
};

export type TreeProgress = {
  /** As text: what is being read now. */
  path: string;
  /** Entries of the tree that are done with, packed or not. */
  entries: number;
  /** Bytes of content that were read. */
  bytes: number;
};

export type TreeSummary = {
  kind: 'full' | 'incremental';
  /** Lines of the manifest that are part of the tree, and those of them that the archive has. */
  entries: number;
  packed: number;
  deleted: number;
  /** Content of the packed files, bytes. */
  bytes: number;
  /** Of each kind of note, how many there were. */
  notes: Record<TreeNote['what'], number>;
  /** Entries that are the base's because they could not be read. */
  stale: number;
};

export type PackOptions = {
  root: string;
  /** The manifest goes here at its pace; ended by packTree, or destroyed with the fault. Must be read side by side. */
  manifest: Writable;
  /** RFC 3339, UTC: for the manifest's header. */
  createdAt: string;
  base?: { id: string; manifest: AsyncIterable<Uint8Array> };
  signal?: AbortSignal;
  /** Before each read, and after each entry. */
  onProgress?(progress: TreeProgress): void;
  note?(note: TreeNote): void;
};

/**
 * `finished` settles once `tar` was read to its end and the manifest is written, or once all is closed after a fault:
 * JobError `InvalidConfiguration` for a root that cannot be read, `BackupDamaged` for a base that cannot, the reason
 * of `signal`, or the manifest stream's own. It need not be looked at.
 */
export function packTree(options: PackOptions): { tar: Readable; finished: Promise<TreeSummary> } {
  const { signal, manifest } = options;
  const packer = new Packer(options);
  const tar = Readable.from(packer.blocks(), { objectMode: false, highWaterMark: 1024 * 1024 });
  // Else a reader that gave up would end the process.
  tar.on('error', () => {});
  manifest.on('error', () => {});
  const abort = () => void tar.destroy(signal?.reason);
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort, { once: true });
  const finished = new Promise<TreeSummary>((done, fail) => {
    whenOver(tar, (error) => {
      signal?.removeEventListener('abort', abort);
      if (!error) return done(packer.summary);
      const reason = signal?.aborted ? signal.reason : error;
      // Also when the tar was destroyed before its first block, and the packer never ran.
      manifest.destroy(reason);
      fail(reason);
    });
  });
  return { tar, finished: heardLater(finished) };
}

class Packer {
  readonly #options: PackOptions;
  readonly #root: PathBytes;
  readonly #manifest: ManifestWriter;
  readonly summary: TreeSummary;

  constructor(options: PackOptions) {
    const { root, base, createdAt, manifest } = options;
    const kind = base ? 'incremental' : 'full';
    this.#options = options;
    this.#root = pathOfText(resolve(root));
    this.#manifest = new ManifestWriter(manifest, {
      version: manifestVersion,
      kind,
      baseId: base?.id ?? null,
      createdAt,
      rootName: basename(resolve(root)),
    });
    const notes = { skipped: 0, vanished: 0, unreadable: 0, changed: 0 };
    this.summary = { kind, entries: 0, packed: 0, deleted: 0, bytes: 0, notes, stale: 0 };
  }

  async *blocks(): AsyncGenerator<Buffer, void, undefined> {
    const { base: from, signal } = this.#options;
    const base = from ? await BaseCursor.over(from.manifest) : null;
    try {
      const steps = planTree(this.#root, base, signal);
      for await (const { step, loaded } of readAhead(this.#root, steps, (path) => this.#tell(path, 0))) {
        if (step.kind === 'pack') yield* this.#pack(step, loaded);
        else if (step.kind === 'trust') await this.#record(step.entry);
        else if (step.kind === 'stale') await this.#keep(step.old);
        else if (step.kind === 'gone') await this.#gone(step.old);
        else this.#noteFault(step.fault);
      }
      await this.#manifest.end();
      yield endOfArchive;
    } finally {
      await base?.close();
    }
  }

  async *#pack(step: Pack, loaded: Promise<Loaded> | null): AsyncGenerator<Buffer, void, undefined> {
    const { entry } = step;
    if (entry.type !== 'file') {
      yield encodeHeader(entry);
      return this.#record({ ...entry, packed: true });
    }
    const found = await this.#open(step, loaded);
    if (found === null) return;
    const { file, whole } = found;
    if (whole) {
      yield whole.block;
      return this.#recordFile(file.entry, whole.read);
    }
    try {
      const { path } = file.entry;
      await this.#recordFile(file.entry, yield* fileBlocks(file, (doneBytes) => this.#tell(path, doneBytes)));
    } finally {
      await file.handle.close();
    }
  }

  /** Null: it is not to be had any more, which is noted. */
  async #open({ entry, old }: Pack, loaded: Promise<Loaded> | null): Promise<Loaded> {
    let fault: Fault = { kind: 'vanished', path: entry.path };
    try {
      const found = await (loaded ?? this.#openNow(entry.path));
      if (found !== null) return found;
    } catch (error) {
      fault = faultOf(entry.path, error);
    }
    this.#noteFault(fault);
    // A directory that became a file nobody can read: what was in it is gone in any case.
    if (old)
      await (fault.kind === 'unreadable' && old.type !== 'directory' ? this.#keep(old) : this.#gone(old));
    return null;
  }

  async #openNow(path: PathBytes): Promise<Loaded> {
    const file = await openFile(this.#root, path);
    return file && { file };
  }

  async #recordFile(entry: EntryData, { sha256, changed }: FileRead): Promise<void> {
    if (changed !== null) this.#note('changed', entry.path, `the file ${changed} while it was read`);
    this.summary.bytes += entry.size;
    await this.#record({ ...entry, sha256, packed: true, ...(changed !== null && { changed: true }) });
  }

  async #gone({ path }: ManifestEntry): Promise<void> {
    this.summary.deleted++;
    await this.#manifest.write({ path, deleted: true });
  }

  async #keep(old: ManifestEntry): Promise<void> {
    this.summary.stale++;
    await this.#record({ ...old, packed: false, stale: true });
  }

  async #record(entry: ManifestEntry): Promise<void> {
    this.summary.entries++;
    if (entry.packed) this.summary.packed++;
    await this.#manifest.write(entry);
    this.#tell(entry.path, 0);
  }

  #tell(path: PathBytes, doneBytes: number): void {
    const { entries, bytes } = this.summary;
    this.#options.onProgress?.({ path: textOf(path), entries, bytes: bytes + doneBytes });
  }

  #noteFault(fault: Fault): void {
    const reason = fault.kind === 'vanished' ? 'it is gone since its directory was read' : fault.reason;
    this.#note(fault.kind, fault.path, reason);
  }

  #note(what: TreeNote['what'], path: PathBytes, reason: string): void {
    this.summary.notes[what]++;
    this.#options.note?.({ what, path: textOf(path), reason });
  }
}

type Pack = Extract<PlanStep, { kind: 'pack' }>;
