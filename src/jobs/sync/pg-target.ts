/**
 * A Postgres table as a target: one statement per page, an upsert on the key that leaves a row alone that is the same
 * already. So writing a page twice changes nothing the second time, and a window that is read again costs no writes.
 */
import { codeOf, messageOf } from '../../errors.ts';
import { invalidConfiguration, oneLine } from '../storage/target-faults.ts';
import type { ColumnPlan, TargetColumn } from './column-plan.ts';
import { arrayLiteral, isPackable, type PackedColumn, type PackedRows } from './packed-rows.ts';
import { columnsOf, findTable, isUnique, type PgTable } from './pg-catalog.ts';
import { PgLink, type PgStatement, quoted } from './pg-link.ts';
import type { TargetInput } from './sync-input.ts';
import {
  type Cells,
  type JsonRecord,
  RecordsRefused,
  type SyncRow,
  type SyncTarget,
  type Written,
} from './sync-page.ts';

/** SQLSTATEs that are about the rows: bad data, broken constraints, what a trigger raises, two rows that are one. */
const aboutRows = /^(22|23|44|P0|21000)/;

const preparedMax = 20;

export class PgTarget implements SyncTarget {
  readonly #link: PgLink;
  readonly #tableName: string;
  #table: PgTable | undefined;
  #columns = new Map<string, TargetColumn>();
  #plan: ColumnPlan | undefined;
  /** Nothing that could be in the way: a plain insert costs two thirds of an upsert. */
  #wasEmpty = false;
  readonly #names = new Map<string, string>();

  constructor(input: TargetInput) {
    this.#link = new PgLink(input.url, 'target');
    this.#tableName = input.table!;
  }

  async describe(signal: AbortSignal): Promise<readonly TargetColumn[]> {
    this.#table = await findTable(this.#link, this.#tableName, signal);
    const columns = await columnsOf(this.#link, this.#table, signal);
    this.#columns = new Map(columns.map((column) => [column.name, column]));
    return columns;
  }

  async prepare(plan: ColumnPlan, signal: AbortSignal): Promise<void> {
    const names = plan.key.map(({ to }) => to);
    if (!(await isUnique(this.#link, this.#table!, names, signal))) {
      const list = names.map(quoted).join(', ');
      throw invalidConfiguration(
        `The key (${list}) is not unique in "${this.#tableName}": create unique index on ${this.#table!.sql} (${list}).`,
      );
    }
    const [row] = await this.#link.rows(
      { text: `select exists (select from ${this.#table!.sql})::text` },
      signal,
    );
    this.#wasEmpty = row![0] === 'false';
    this.#plan = plan;
  }

  async write(rows: readonly SyncRow[], _name: string, signal: AbortSignal): Promise<Written> {
    let changed = 0;
    let deleted = 0;
    const gone = rows.filter((row) => row.deleted);
    const kept = gone.length === 0 ? rows : rows.filter((row) => !row.deleted);
    if (gone.length > 0) deleted = await this.#do(this.#deletion(gone), signal);
    for (const upsert of this.#upserts(kept)) changed += await this.#upsert(upsert, signal);
    return { changed, deleted };
  }

  async writePacked({ columns }: PackedRows, signal: AbortSignal): Promise<Written> {
    const names = this.#plan!.columns!.map(({ to }) => to);
    const upsert = { names, source: cellsSource, values: columns };
    return { changed: await this.#upsert(upsert, signal), deleted: 0 };
  }

  close(): void {
    this.#link.close();
  }

  async #do(statement: PgStatement, signal: AbortSignal): Promise<number> {
    try {
      return (await this.#link.ask(statement, signal)).count;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!aboutRows.test(codeOf(error))) throw this.#link.fault(error);
      const detail = (error as { detail?: unknown }).detail;
      const text = `${messageOf(error)}${typeof detail === 'string' ? ` (${detail})` : ''}`;
      throw new RecordsRefused(oneLine(this.#link.redacted(text)));
    }
  }

  async #upsert(upsert: Upsert, signal: AbortSignal): Promise<number> {
    if (this.#wasEmpty) {
      try {
        return await this.#do(this.#prepared(this.#insertText(upsert), upsert.values), signal);
      } catch (error) {
        // A row that is there by now, or twice in the page, is what upserts are for; other refusals they repeat.
        if (!(error instanceof RecordsRefused)) throw error;
        this.#wasEmpty = false;
      }
    }
    const text = `${this.#insertText(upsert)} ${this.#onConflict(upsert.names)}`;
    return await this.#do(this.#prepared(text, upsert.values), signal);
  }

  /** Records of many shapes make many statements: of those the first ones are planned once. */
  #prepared(text: string, values: readonly PackedColumn[]): PgStatement {
    const known = this.#names.get(text);
    if (known === undefined && this.#names.size >= preparedMax) return { text, values };
    const name = known ?? `page ${this.#names.size}`;
    this.#names.set(text, name);
    return { name, text, values };
  }

  #upserts(rows: readonly SyncRow[]): Upsert[] {
    if (rows.length === 0) return [];
    const planned = this.#plan!.columns?.map(({ to }) => to);
    if (planned !== undefined && Array.isArray(rows[0]!.data)) {
      const cells = rows.map((row) => row.data as Cells);
      const values = planned.map((_, index) => arrayLiteral(cells, index));
      return [{ names: planned, source: cellsSource, values }];
    }
    const records = rows.map((row) => row.data as JsonRecord);
    if (planned !== undefined)
      return [{ names: planned, source: recordsSource, values: [JSON.stringify(records)] }];
    // A field that a record does not have is left as it is, or to its default.
    const groups = new Map<string, JsonRecord[]>();
    for (const record of records) {
      const shape = JSON.stringify(Object.keys(record).sort());
      const group = groups.get(shape);
      if (group === undefined) groups.set(shape, [record]);
      else group.push(record);
    }
    return [...groups].map(([shape, group]) => ({
      names: JSON.parse(shape) as string[],
      source: recordsSource,
      values: [JSON.stringify(group)],
    }));
  }

  #insertText({ names, source }: Upsert): string {
    const typed = names.map((name): Typed => [quoted(name), this.#columns.get(name)!]);
    const overriding = this.#table!.kind === 'v' ? '' : 'overriding system value';
    const list = typed.map(([name]) => name).join(', ');
    return `insert into ${this.#table!.sql} as t (${list}) ${overriding} ${source(typed)}`;
  }

  #onConflict(names: readonly string[]): string {
    const key = this.#plan!.key.map(({ to }) => to);
    const others = names.filter((name) => !key.includes(name)).map(quoted);
    const conflict = `on conflict (${key.map(quoted).join(', ')})`;
    if (others.length === 0) return `${conflict} do nothing`;
    const sets = others.map((name) => `${name} = excluded.${name}`).join(', ');
    // As texts, since not every type has an equality; exact at that.
    const all = (from: string) => others.map((name) => `${from}.${name}::text`).join(', ');
    return `${conflict} do update set ${sets} where row(${all('t')}) is distinct from row(${all('excluded')})`;
  }

  #deletion(rows: readonly SyncRow[]): PgStatement {
    const key = this.#plan!.key.map(({ to }) => to);
    const keys = rows.map((row) => [...row.key]);
    const matches = key.map(
      (name, index) => `t.${quoted(name)} = x.k${index}::${this.#columns.get(name)!.type}`,
    );
    return {
      name: 'deletion',
      text: `delete from ${this.#table!.sql} as t
        using unnest(${key.map((_, index) => `$${index + 1}::text[]`).join(', ')}) as x(${key.map((_, index) => `k${index}`).join(', ')})
        where ${matches.join(' and ')}`,
      values: key.map((_, index) => arrayLiteral(keys, index)),
    };
  }
}

/** `source`: what makes rows of the values. */
type Upsert = {
  names: readonly string[];
  source: (typed: readonly Typed[]) => string;
  values: readonly PackedColumn[];
};
type Typed = readonly [quotedName: string, column: TargetColumn];

/**
 * Postgres' own arrays, a column each. In the select list, where the values of a row are taken as they are needed: as
 * functions in `from` all of them would be put aside first, which costs a third more.
 */
function cellsSource(typed: readonly Typed[]): string {
  const columns = typed.map(([, { type, category }], index) =>
    isPackable(category) ? `unnest($${index + 1}::${type}[])` : `unnest($${index + 1}::text[])::${type}`,
  );
  return `select ${columns.join(', ')}`;
}

/** Records as JSON: Postgres reads them, arrays and numbers of any length included. */
function recordsSource(typed: readonly Typed[]): string {
  const names = typed.map(([name]) => `x.${name}`).join(', ');
  return `select ${names} from json_to_recordset($1::json) as x(${typed.map(([name, { type }]) => `${name} ${type}`).join(', ')})`;
}
