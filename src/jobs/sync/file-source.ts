/**
 * A file as a source, read from its beginning by each run: records whose watermark is not new are passed over. It may be
 * replaced by a newer one between two runs, or appended to.
 */
import { JobError } from '../job.ts';
import type { StorageTarget } from '../storage/storage-target.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { ColumnPlan, SourceColumn } from './column-plan.ts';
import type { FilePlace } from './file-place.ts';
import { csvHeading, csvRecords, ndjsonRecords } from './file-records.ts';
import { createRecordReader } from './record-reader.ts';
import type { SourceInput } from './sync-input.ts';
import type { BadRecord, SyncPage, SyncRow, SyncSource, SyncStart } from './sync-page.ts';

/** So many records of just this file are stored. */
type Position = { records: number; bytes: number; modifiedAtMs: number };

export class FileSource implements SyncSource {
  readonly sorted: boolean;
  readonly #input: SourceInput;
  readonly #storage: StorageTarget;
  readonly #place: FilePlace;
  readonly #asCells: boolean;

  /** `asCells`: for a target that takes texts as they are. */
  constructor(
    input: SourceInput,
    { storage, place, asCells }: { storage: StorageTarget; place: FilePlace; asCells: boolean },
  ) {
    this.#input = input;
    this.#storage = storage;
    this.#place = place;
    this.#asCells = asCells && place.format === 'csv';
    this.sorted = input.sorted;
  }

  async describe(signal: AbortSignal): Promise<readonly SourceColumn[] | null> {
    const content = await this.#open(signal);
    if (this.#place.format === 'ndjson') {
      content.destroy();
      return null;
    }
    const names = await csvHeading(content);
    return names.map((name) => ({ name, type: null, category: null }));
  }

  async *pages(
    plan: ColumnPlan,
    start: SyncStart,
    signal: AbortSignal,
  ): AsyncGenerator<SyncPage, void, undefined> {
    const seen = await this.#look(signal);
    const position = start.goOn?.position as Position | undefined;
    const isSame = position?.bytes === seen.bytes && position.modifiedAtMs === seen.modifiedAtMs;
    // Another file than the one that an attempt before has read from: from its beginning.
    const done = isSame ? position.records : 0;
    const reader = createRecordReader(this.#input, { plan, start, asCells: this.#asCells });
    const content = await this.#open(signal);
    let rows: SyncRow[] = [];
    let bad: BadRecord[] = [];
    let records = 0;
    const page = (): SyncPage => {
      const full = { rows, bad, mark: reader.mark, position: { records, ...seen } satisfies Position };
      rows = [];
      bad = [];
      return full;
    };
    try {
      const all = this.#place.format === 'csv' ? csvRecords(content) : ndjsonRecords(content);
      for await (const each of all) {
        records += 1;
        if (records <= done) continue;
        const place = `line ${each.line}`;
        if ('fault' in each) bad.push({ record: place, message: each.fault });
        else {
          const read = reader.read(each.record, place);
          if (read === undefined) continue;
          if ('row' in read) rows.push(read.row);
          else bad.push(read.bad);
        }
        if (rows.length + bad.length >= this.#input.pageSize) yield page();
      }
      if (rows.length + bad.length > 0) yield page();
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      content.destroy();
    }
  }

  close(): void {
    this.#storage.close();
  }

  async #open(signal: AbortSignal) {
    try {
      return await this.#storage.get(this.#place.name, { signal });
    } catch (error) {
      throw this.#missing(error);
    }
  }

  async #look(signal: AbortSignal): Promise<{ bytes: number; modifiedAtMs: number }> {
    const { name } = this.#place;
    for await (const file of this.#storage.list(name, { signal })) {
      if (file.name === name) return { bytes: file.bytes, modifiedAtMs: file.modifiedAtMs };
    }
    throw this.#missing(new JobError('BackupMissing', ''));
  }

  #missing(error: unknown): unknown {
    if (!(error instanceof JobError) || error.type !== 'BackupMissing') return error;
    return invalidConfiguration(
      `There is no file ${this.#place.name} at ${this.#storage.location}: correct \`source.url\`, or put it there.`,
    );
  }
}
