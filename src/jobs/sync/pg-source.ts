/**
 * A Postgres table or query as a source: pages in the order of (watermark, key), each asked for behind the last row of
 * the one before. Rows of one watermark may so lie on both sides of a border, and rows that change while pages are read
 * come again with their new watermark. Watermarks are texts as Postgres writes them, to the microsecond.
 */
import type { LogLevel } from '../job.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { ColumnPlan, SourceColumn } from './column-plan.ts';
import { findTable, isIndexed } from './pg-catalog.ts';
import { PgLink } from './pg-link.ts';
import { type PageStart, type PgPage, PgPageQuery, type Position } from './pg-page-query.ts';
import type { SourceInput } from './sync-input.ts';
import type { SyncPage, SyncSource, SyncStart } from './sync-page.ts';

/** `asCells`: for a target that takes Postgres' own texts. */
type PgSourceOptions = { asCells: boolean; log(message: string, level?: LogLevel): void };

export class PgSource implements SyncSource {
  readonly sorted = true;
  readonly #input: SourceInput;
  readonly #options: PgSourceOptions;
  readonly #link: PgLink;
  #from = '';
  #columns = new Map<string, SourceColumn>();

  constructor(input: SourceInput, options: PgSourceOptions) {
    this.#input = input;
    this.#options = options;
    this.#link = new PgLink(input.url, 'source');
  }

  async describe(signal: AbortSignal): Promise<readonly SourceColumn[]> {
    const { table, query, watermark } = this.#input;
    if (table !== undefined) {
      const found = await findTable(this.#link, table, signal);
      this.#from = found.sql;
      if (found.kind !== 'v' && !(await isIndexed(this.#link, found, watermark, signal)))
        this.#options.log(
          `no index of "${table}" begins with "${watermark}": each page reads the whole table. Create one on ("${watermark}", ${this.#input.key.map((name) => `"${name}"`).join(', ')}).`,
          'warn',
        );
    } else {
      // The line break ends a comment at the query's end.
      this.#from = `(${query!.trim().replace(/(\s*;)+$/, '')}\n)`;
    }
    const columns = await this.#columnsOf(signal);
    this.#columns = new Map(columns.map((column) => [column.name, column]));
    if (this.#columns.size < columns.length)
      throw invalidConfiguration('Two columns of the query have the same name: give one of them another.');
    this.#checkLookback();
    return columns;
  }

  async *pages(
    plan: ColumnPlan,
    start: SyncStart,
    signal: AbortSignal,
  ): AsyncGenerator<SyncPage, void, undefined> {
    let position = start.goOn?.position as Position | undefined;
    let mark = start.goOn?.mark ?? start.mark;
    if (position === undefined && start.mark?.keys?.length === 1 && this.#input.lookback === undefined) {
      position = { watermark: start.mark.watermark, key: start.mark.keys[0]! };
    }
    const query = new PgPageQuery({
      input: this.#input,
      plan,
      from: this.#from,
      columns: this.#columns,
      asCells: this.#options.asCells,
      begin: start.mark,
    });
    for (;;) {
      const page = await this.#page(query, { position, mark }, signal);
      if (page === null) return;
      ({ mark, position } = page);
      yield page;
      if (page.rows.length + page.bad.length < this.#input.pageSize) return;
    }
  }

  /** Packed where it can be; row by row to find a key that is null. */
  async #page(query: PgPageQuery, at: PageStart, signal: AbortSignal): Promise<PgPage | null> {
    if (query.isPackable) {
      const [row] = await this.#link.rows(query.packed(at.position), signal);
      const page = query.readPacked(row!, at.mark, (statement) => this.#link.rows(statement, signal));
      if (page !== 'has a null key') return page;
    }
    return query.read(await this.#link.rows(query.rows(at.position), signal), at.mark);
  }

  close(): void {
    this.#link.close();
  }

  async #columnsOf(signal: AbortSignal): Promise<SourceColumn[]> {
    try {
      const { fields } = await this.#link.ask({ text: `select * from ${this.#from} as s limit 0` }, signal);
      const types = await this.#link.rows(
        {
          text: 'select oid::text, format_type(oid, -1), typcategory::text from pg_type where oid = any ($1::oid[])',
          values: [[...new Set(fields.map((field) => field.dataTypeID))]],
        },
        signal,
      );
      const byOid = new Map(types.map(([oid, ...rest]) => [oid, rest]));
      return fields.map(({ name, dataTypeID }) => {
        const [type = null, category = null] = byOid.get(String(dataTypeID)) ?? [];
        return { name, type, category };
      });
    } catch (error) {
      throw signal.aborted ? signal.reason : this.#link.fault(error);
    }
  }

  #checkLookback(): void {
    const { lookback, watermark } = this.#input;
    const column = this.#columns.get(watermark);
    if (lookback === undefined || column === undefined) return;
    const wants = typeof lookback === 'number' ? 'N' : 'D';
    if (column.category === wants) return;
    throw invalidConfiguration(
      `\`source.lookback\` is a ${wants === 'N' ? 'number' : 'duration'}, and the watermark "${watermark}" is ${column.type}: write it as ${column.category === 'N' ? 'a number' : column.category === 'D' ? 'a duration' : 'neither, and leave it out'}.`,
    );
  }
}
