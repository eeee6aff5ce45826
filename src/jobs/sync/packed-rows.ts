/**
 * A page between two Postgres databases as the texts of arrays, one for each column: the source makes them, the target
 * takes them apart, and here nobody looks into them, which is most of what a page would cost. Only when the target refuses
 * something are they taken apart here, to find what.
 */
import type { Cells, SyncRow } from './sync-page.ts';

/** Kinds of types (typcategory) of which Postgres makes an array and takes it apart again; others go as texts. */
export function isPackable(category: string | null): boolean {
  return category !== null && 'NSDBTIU'.includes(category);
}

export class PackedRows {
  readonly length: number;
  /** In the order of the plan's columns. */
  readonly columns: readonly string[];
  readonly #keyAt: readonly number[];

  /** `keyAt`: which of the columns are the key. */
  constructor(length: number, columns: readonly string[], keyAt: readonly number[]) {
    this.length = length;
    this.columns = columns;
    this.#keyAt = keyAt;
  }

  rows(): SyncRow[] {
    const columns = this.columns.map(readArray);
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
