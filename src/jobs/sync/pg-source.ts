/**
 * A Postgres table or query as a source: pages in the order of (watermark, key), each asked for behind the last row of
 * the one before. Rows of one watermark may so lie on both sides of a border, and rows that change while pages are read
 * come again with their new watermark. Watermarks are texts as Postgres writes them, to the microsecond.
 */
import type { LogLevel } from '../job.ts';
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { ColumnPlan, SourceColumn } from './column-plan.ts';
import { parseExactly } from './exact-json.ts';
import { findTable, isIndexed } from './pg-catalog.ts';
import { PgLink, type PgStatement, quoted } from './pg-link.ts';
import type { SourceInput } from './sync-input.ts';
import type { BadRecord, JsonRecord, Mark, SyncPage, SyncRow, SyncSource, SyncStart } from './sync-page.ts';

/** Behind this row. */
type Position = { watermark: string; key: string[] };
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
    for (;;) {
      const found = await this.#link.rows(this.#statement(plan, start.mark, position), signal);
      if (found.length === 0) return;
      const page = this.#read(plan, found, { start: start.mark, before: mark });
      ({ mark, position } = page);
      yield page;
      if (found.length < this.#input.pageSize) return;
    }
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

  #typeOf(column: string): string {
    return this.#columns.get(column)?.type ?? 'text';
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

  #statement(plan: ColumnPlan, mark: Mark | null, position: Position | undefined): PgStatement {
    const { watermark, key, tombstone, pageSize, lookback } = this.#input;
    const values: unknown[] = [];
    const param = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
    const columnOf = (name: string) => `s.${quoted(name)}`;
    const order = [watermark, ...key].map(columnOf);
    const at = columnOf(watermark);
    const ofKey = (texts: readonly string[]) =>
      texts.map((text, index) => param(text, this.#typeOf(key[index]!)));
    const type = this.#typeOf(watermark);

    let where = `${at} is not null`;
    if (position !== undefined) {
      const behind = [param(position.watermark, type), ...ofKey(position.key)];
      where = `(${order.join(', ')}) > (${behind.join(', ')})`;
    } else if (mark !== null && lookback !== undefined) {
      const since = param(mark.watermark, type);
      const back =
        typeof lookback === 'number'
          ? param(String(lookback), type)
          : `make_interval(secs => ${param(lookback.ms / 1000, 'float8')})`;
      where = `${at} >= ${since} - ${back}`;
    } else if (mark !== null) {
      where = `${at} >= ${param(mark.watermark, type)}`;
    }
    // Inside of the window that is read again the watermark stays where it is.
    const isPast: string[] = [];
    if (mark !== null) {
      const known = mark.keys?.length === 1 ? mark.keys[0]! : null;
      const past =
        known === null
          ? `${at} > ${param(mark.watermark, type)}`
          : `(${order.join(', ')}) > (${[param(mark.watermark, type), ...ofKey(known)].join(', ')})`;
      isPast.push(`(${past})::text`);
    }
    const isDeleted =
      tombstone === undefined
        ? []
        : [`coalesce(${columnOf(tombstone)}::text not in ('f', 'false', '0', ''), false)::text`];
    const columns = plan.columns!;
    const data = this.#options.asCells
      ? columns.map(({ from }) => columnOf(from))
      : [
          `(select row_to_json(r)::text from (select ${columns.map(({ from, to }) => `${columnOf(from)} as ${quoted(to)}`).join(', ')}) r)`,
        ];
    return {
      // A page has the same text each time; the first may have another.
      name: position === undefined ? 'first page' : 'page',
      text: `select ${[...data, ...this.#layout(plan).added.map(columnOf), ...isDeleted, ...isPast].join(', ')}
        from ${this.#from} as s where ${where} order by ${order.join(', ')} limit ${pageSize}`,
      values,
    };
  }

  #read(
    plan: ColumnPlan,
    found: (string | null)[][],
    { start, before }: { start: Mark | null; before: Mark | null },
  ): SyncPage & { position: Position } {
    const { key, watermark, tombstone } = this.#input;
    const { at, width } = this.#layout(plan);
    const rows: SyncRow[] = [];
    const bad: BadRecord[] = [];
    for (const cells of found) {
      const rowKey = at.slice(1).map((place) => cells[place] ?? null);
      if (rowKey.includes(null)) {
        bad.push({
          record: `${watermark} ${cells[at[0]!]}`,
          message: `Its key (${key.join(', ')}) is null.`,
        });
        continue;
      }
      const deleted = tombstone !== undefined && cells[width] === 'true';
      const data = this.#options.asCells ? cells : (parseExactly(cells[0]!) as JsonRecord);
      rows.push({ key: rowKey as string[], deleted, data });
    }
    const last = found.at(-1)!;
    const [lastWatermark, ...lastKey] = at.map((place) => last[place]!);
    const position = { watermark: lastWatermark!, key: lastKey };
    const isPast = start === null || last.at(-1) === 'true';
    const mark = isPast ? { watermark: position.watermark, keys: [position.key] } : before;
    return { rows, bad, position, mark };
  }

  /** Where watermark and key stand in a row; behind the columns of the plan only what is not among them. */
  #layout(plan: ColumnPlan): { at: number[]; added: string[]; width: number } {
    const names = this.#options.asCells ? plan.columns!.map(({ from }) => from) : ['the record'];
    const added: string[] = [];
    const at = [this.#input.watermark, ...this.#input.key].map((name) => {
      const known = this.#options.asCells ? names.indexOf(name) : -1;
      return known === -1 ? names.length + added.push(name) - 1 : known;
    });
    return { at, added, width: names.length + added.length };
  }
}
