/**
 * A page between two Postgres databases, each column as one array: the source makes them, the target takes them apart, and
 * here nobody looks into them, which is most of what a page would cost. Only when the target refuses something are they
 * taken apart here, to find what.
 */
import type { Cells, SyncRow } from './sync-page.ts';

/** Kinds of types (typcategory) of which Postgres makes an array and takes it apart again; others go as texts. */
export function isPackable(category: string | null): boolean {
  return category !== null && 'NSDBTIU'.includes(category);
}

/** As `format_type` calls them: built in, and with a binary form that all versions of Postgres share. */
const binaryTypes = new Set([
  'smallint',
  'integer',
  'bigint',
  'real',
  'double precision',
  'numeric',
  'boolean',
  'text',
  'character varying',
  'uuid',
  'bytea',
  'json',
  'jsonb',
  'date',
  'time without time zone',
  'timestamp without time zone',
  'timestamp with time zone',
  'interval',
]);

/** Whether an array goes as the bytes that Postgres computes with: of texts, writing and reading them is the dearest part. */
export function isBinary(from: string | null, to: string | null): boolean {
  return from !== null && from === to && binaryTypes.has(from);
}

/** The text of an array, or its binary form. */
export type PackedColumn = string | Buffer;

export class PackedRows {
  readonly length: number;
  /** In the order of the plan's columns. */
  readonly columns: readonly PackedColumn[];
  readonly #keyAt: readonly number[];
  readonly #texts: () => Promise<readonly string[]>;

  /** `keyAt`: which of the columns are the key. `texts`: all columns as texts. */
  constructor(
    columns: readonly PackedColumn[],
    parts: { length: number; keyAt: readonly number[]; texts: () => Promise<readonly string[]> },
  ) {
    this.length = parts.length;
    this.columns = columns;
    this.#keyAt = parts.keyAt;
    this.#texts = parts.texts;
  }

  async rows(): Promise<SyncRow[]> {
    const columns = (await this.#texts()).map(readArray);
    return Array.from({ length: this.length }, (_, row) => {
      const data: Cells = columns.map((column) => column[row] ?? null);
      return { key: this.#keyAt.map((place) => data[place] ?? ''), deleted: false, data };
    });
  }
}

/** One column of the rows as the text of an array. */
export function arrayLiteral(rows: readonly Cells[], index: number): string {
  let text = '{';
  for (let row = 0; row < rows.length; row += 1) {
    const cell = rows[row]![index];
    if (row > 0) text += ',';
    if (cell === null || cell === undefined) text += 'NULL';
    else text += /["\\]/.test(cell) ? `"${cell.replace(/["\\]/g, '\\$&')}"` : `"${cell}"`;
  }
  return `${text}}`;
}

/** The other direction, of an array of one dimension as Postgres writes it. */
export function readArray(text: string): Cells {
  const cells: Cells = [];
  const element = /"((?:[^"\\]|\\.)*)"|([^",{}]+)/gs;
  for (const [, quoted, plain] of text.slice(1, -1).matchAll(element)) {
    if (quoted !== undefined) cells.push(quoted.includes('\\') ? quoted.replace(/\\(.)/gs, '$1') : quoted);
    else cells.push(plain === 'NULL' ? null : plain!);
  }
  return cells;
}
