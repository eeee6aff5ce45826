/** Writes a page to a target, and finds the records in it that the target refuses. */
import { PackedRows } from './packed-rows.ts';
import { nameOf } from './record-reader.ts';
import { type BadRecord, RecordsRefused, type SyncRow, type SyncTarget, type Written } from './sync-page.ts';

export type PageWritten = {
  /** Upserts that were taken. */
  synced: number;
  changed: number | null;
  deleted: number;
  bad: BadRecord[];
};

export type PageToWrite = {
  rows: readonly SyncRow[] | PackedRows;
  /** The same when the page is written again. */
  name: string;
  /** The names of the key, for messages. */
  key: readonly string[];
  /** More bad records than this need not be found. */
  badMax: number;
};

/**
 * What is refused as a whole is tried in halves, so that the good records of a page are stored and each bad one is known:
 * some 2 · log2(n) more writes for one of n.
 */
export async function writePage(
  target: SyncTarget,
  page: PageToWrite,
  signal: AbortSignal,
): Promise<PageWritten> {
  const written: PageWritten = { synced: 0, changed: 0, deleted: 0, bad: [] };

  async function write(rows: readonly SyncRow[], name: string): Promise<void> {
    if (rows.length === 0 || written.bad.length > page.badMax) return;
    signal.throwIfAborted();
    try {
      const { changed, deleted } = await target.write(rows, name, signal);
      written.deleted += deleted;
      written.synced += rows.reduce((count, row) => count + (row.deleted ? 0 : 1), 0);
      written.changed = changed === null || written.changed === null ? null : written.changed + changed;
    } catch (error) {
      if (!(error instanceof RecordsRefused)) throw error;
      if (rows.length === 1) {
        written.bad.push({ record: nameOf(page.key, rows[0]!.key), message: error.message });
        return;
      }
      const half = Math.ceil(rows.length / 2);
      await write(rows.slice(0, half), `${name}a`);
      await write(rows.slice(half), `${name}b`);
    }
  }

  if (page.rows instanceof PackedRows) {
    const whole = await writeWhole(target, page.rows, signal);
    if (whole !== null) return { ...whole, synced: page.rows.length, bad: [] };
  }
  const rows = page.rows instanceof PackedRows ? await page.rows.rows() : page.rows;
  await write(lastOfEach(rows), page.name);
  return written;
}

/** Null: something in it is refused. */
async function writeWhole(
  target: SyncTarget,
  rows: PackedRows,
  signal: AbortSignal,
): Promise<Written | null> {
  try {
    return (await target.writePacked?.(rows, signal)) ?? null;
  } catch (error) {
    if (error instanceof RecordsRefused) return null;
    throw error;
  }
}

/** Of records with the same key the last one, in their order: no statement may write a row twice. */
export function lastOfEach(rows: readonly SyncRow[]): readonly SyncRow[] {
  const last = new Map<string, SyncRow>();
  for (const row of rows) {
    const text = row.key.length === 1 ? row.key[0]! : JSON.stringify(row.key);
    last.delete(text);
    last.set(text, row);
  }
  return last.size === rows.length ? rows : [...last.values()];
}
