/**
 * A folder or a bucket as a target: a file per page, named after `target.url`, the run's time and the page, so that names
 * sort by age and a page that is written again replaces itself. Whoever reads them takes of records with the same key the
 * last one. A file is there whole or not at all.
 */
import { Readable } from 'node:stream';
import type { StorageTarget } from '../storage/storage-target.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { ColumnPlan } from './column-plan.ts';
import { textOf } from './exact-json.ts';
import type { FilePlace } from './file-place.ts';
import { keyRecord } from './http-target.ts';
import type { JsonRecord, SyncRow, SyncTarget, Written } from './sync-page.ts';

/** Marks a record that is deleted; its other fields are the key alone. */
export const deletedField = '_deleted';

export type FilePagesOptions = {
  storage: StorageTarget;
  place: FilePlace;
  runId: string;
  scheduledForMs: number;
  /** Whether the source tells of deletions. */
  hasTombstones: boolean;
};

export class FilePages implements SyncTarget {
  readonly #options: FilePagesOptions;
  readonly #stem: string;
  readonly #extension: string;
  #plan: ColumnPlan | undefined;

  constructor(options: FilePagesOptions) {
    this.#options = options;
    const { place, runId, scheduledForMs } = options;
    const dot = place.name.lastIndexOf('.');
    const time = new Date(scheduledForMs).toISOString().replaceAll(/\D/g, '').slice(0, 14);
    this.#stem = `${place.name.slice(0, dot)}-${time}-${runId.slice(-8)}`;
    this.#extension = place.name.slice(dot);
  }

  async describe(): Promise<null> {
    return null;
  }

  async prepare(plan: ColumnPlan, signal: AbortSignal): Promise<void> {
    if (this.#options.place.format === 'csv' && plan.columns === null)
      throw invalidConfiguration('A CSV target needs to know its columns: name them in `source.columns`.');
    await this.#options.storage.check(signal);
    this.#plan = plan;
  }

  async write(rows: readonly SyncRow[], name: string, signal: AbortSignal): Promise<Written> {
    const { storage, place } = this.#options;
    const lines = place.format === 'csv' ? this.#csv(rows) : rows.map((row) => this.#json(row));
    const content = Readable.from([`${lines.join('\n')}\n`], { objectMode: false });
    await storage.put(`${this.#stem}-${name}${this.#extension}`, content, { signal });
    const deleted = rows.reduce((count, row) => count + (row.deleted ? 1 : 0), 0);
    return { changed: null, deleted };
  }

  close(): void {
    this.#options.storage.close();
  }

  #json(row: SyncRow): string {
    return JSON.stringify(row.deleted ? { ...keyRecord(this.#plan!, row), [deletedField]: true } : row.data);
  }

  #csv(rows: readonly SyncRow[]): string[] {
    const { hasTombstones } = this.#options;
    const names = this.#plan!.columns!.map(({ to }) => to);
    const heading = [...names, ...(hasTombstones ? [deletedField] : [])].map(csvCell).join(',');
    return [
      heading,
      ...rows.map((row) => {
        const record = (row.deleted ? keyRecord(this.#plan!, row) : row.data) as JsonRecord;
        const cells = names.map((name) => csvCell(textOf(record[name])));
        if (hasTombstones) cells.push(row.deleted ? 'true' : 'false');
        return cells.join(',');
      }),
    ];
  }
}

/** RFC 4180; null is an empty cell, an empty text `""`. */
function csvCell(text: string | null): string {
  if (text === null) return '';
  return text === '' || /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
