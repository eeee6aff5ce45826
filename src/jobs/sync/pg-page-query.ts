/** The statement for one page of a Postgres source, and what its answer says. */
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { ColumnPlan, SourceColumn } from './column-plan.ts';
import { parseExactly } from './exact-json.ts';
import { isBinary, isPackable, type PackedColumn, PackedRows } from './packed-rows.ts';
import { type PgStatement, quoted } from './pg-link.ts';
import type { SourceInput } from './sync-input.ts';
import type { BadRecord, JsonRecord, Mark, SyncPage, SyncRow } from './sync-page.ts';

/** Behind this row. */
export type Position = { watermark: string; key: string[] };
/** Undefined: where the run begins. */
export type PageStart = { position: Position | undefined; mark: Mark | null };
export type PgPage = SyncPage & { position: Position };

/** Of a column of a page. A text may have half a gigabyte in V8 (2^29 - 24), and base64 makes 77 of 57 bytes. */
const columnBytesMax = { text: 500_000_000, binary: 370_000_000 };

export type PgPageQueryParts = {
  input: SourceInput;
  plan: ColumnPlan;
  /** The table or the query, as SQL. */
  from: string;
  columns: ReadonlyMap<string, SourceColumn>;
  /** For a target that takes Postgres' own texts; else as JSON. */
  asCells: boolean;
  /** The mark that the run began with. */
  begin: Mark | null;
  bytesMax?: typeof columnBytesMax;
};

export class PgPageQuery {
  readonly #parts: PgPageQueryParts;
  /** Of the columns that are read, those of the plan come first; watermark and key only if they are not among them. */
  readonly #names: readonly string[];
  /** Where in them watermark and key stand. */
  readonly #at: readonly number[];

  constructor(parts: PgPageQueryParts) {
    this.#parts = parts;
    const { input, plan, asCells } = parts;
    const names = asCells ? plan.columns!.map(({ from }) => from) : [];
    const first = asCells ? 0 : 1;
    this.#at = [input.watermark, ...input.key].map((name) => {
      const known = names.indexOf(name);
      return first + (known === -1 ? names.push(name) - 1 : known);
    });
    this.#names = names;
  }

  /** Deletions are told row by row. */
  get isPackable(): boolean {
    const { asCells, input, plan } = this.#parts;
    const keys = this.#at.slice(1);
    return asCells && input.tombstone === undefined && keys.every((place) => place < plan.columns!.length);
  }

  rows(position: Position | undefined): PgStatement {
    const { select, values } = this.#page(position);
    return { name: position === undefined ? 'first page' : 'page', text: select, values };
  }

  /** All of a column in one array, which the target can take as it is. */
  packed(position: Position | undefined): PgStatement {
    const { select, values } = this.#page(position);
    const { plan, begin } = this.#parts;
    const { text: textMax, binary: binaryMax } = this.#parts.bytesMax ?? columnBytesMax;
    const arrays = this.#names.map(
      (_, index) => `array_agg(p.c${index}${this.#isPackableAt(index) ? '' : '::text'}) as a${index}`,
    );
    const forms = plan.columns!.map((_, index) =>
      this.#isBinaryAt(index)
        ? `array_send(array_agg(p.c${index})) as b${index}`
        : `array_agg(p.c${index}${this.#isPackableAt(index) ? '' : '::text'})::text as t${index}`,
    );
    const fits = (text: string) => `case when octet_length(${text}) <= ${textMax} then ${text} end`;
    // The driver has texts alone for what comes.
    const columns = plan.columns!.map((_, index) =>
      this.#isBinaryAt(index)
        ? `case when octet_length(q.b${index}) <= ${binaryMax} then encode(q.b${index}, 'base64') else ${fits(`q.a${index}::text`)} end`
        : fits(`q.t${index}`),
    );
    const isNull = this.#at.slice(1).map((index) => `p.c${index} is null`);
    const past = begin === null ? [] : ['(array_agg(p.past))[count(*)] as past'];
    const inner = ['count(*) as n', `bool_or(${isNull.join(' or ')}) as bad`, ...arrays, ...forms, ...past];
    const last = this.#at.map((index) => `q.a${index}[q.n]::text`);
    const outer = ['q.n::text', 'q.bad::text', ...columns, ...last, ...(begin === null ? [] : ['q.past'])];
    return {
      name: position === undefined ? 'first packed page' : 'packed page',
      text: `select ${outer.join(', ')} from (select ${inner.join(', ')} from (${select}) as p) as q`,
      values,
    };
  }

  /** Null: there are no more. */
  read(found: readonly (string | null)[][], before: Mark | null): PgPage | null {
    const last = found.at(-1);
    if (last === undefined) return null;
    const { input, asCells } = this.#parts;
    const rows: SyncRow[] = [];
    const bad: BadRecord[] = [];
    const [watermarkAt, ...keyAt] = this.#at as [number, ...number[]];
    const width = (asCells ? 0 : 1) + this.#names.length;
    for (const cells of found) {
      const key = keyAt.map((place) => cells[place] ?? null);
      if (key.includes(null)) {
        const record = `${input.watermark} ${cells[watermarkAt]}`;
        bad.push({ record, message: `Its key (${input.key.join(', ')}) is null.` });
        continue;
      }
      const deleted = input.tombstone !== undefined && cells[width] === 'true';
      const data = asCells ? cells : (parseExactly(cells[0]!) as JsonRecord);
      rows.push({ key: key as string[], deleted, data });
    }
    const at = this.#at.map((place) => last[place]!);
    return { rows, bad, ...this.#end(at, last.at(-1) === 'true', before) };
  }

  /** `ask`: the source, for the texts of a page that the target refuses. */
  readPacked(
    row: readonly (string | null)[],
    before: Mark | null,
    ask: (statement: PgStatement) => Promise<(string | null)[][]>,
  ): PgPage | null | 'has a null key' {
    const count = Number(row[0]);
    if (count === 0) return null;
    if (row[1] === 'true') return 'has a null key';
    const width = this.#parts.plan.columns!.length;
    const columns = row.slice(2, 2 + width).map((text, index): PackedColumn => {
      if (text === null) throw this.#tooLarge(index);
      // As a text an array begins with a brace, which base64 does not have.
      return text.startsWith('{') ? text : Buffer.from(text, 'base64');
    });
    const at = row.slice(2 + width, 2 + width + this.#at.length) as string[];
    const rows = new PackedRows(columns, {
      length: count,
      keyAt: this.#at.slice(1),
      texts: async () => (await ask(this.#texts(columns)))[0] as string[],
    });
    return { rows, bad: [], ...this.#end(at, row.at(-1) === 'true', before) };
  }

  #end([watermark, ...key]: string[], isPast: boolean, before: Mark | null) {
    const position = { watermark: watermark!, key };
    const mark =
      this.#parts.begin === null || isPast ? { watermark: position.watermark, keys: [key] } : before;
    return { position, mark };
  }

  /** Columns of a page as texts, whatever they are. */
  #texts(columns: readonly PackedColumn[]): PgStatement {
    const select = columns.map((column, index) =>
      typeof column === 'string' ? `$${index + 1}::text` : `$${index + 1}::${this.#typeAt(index)}[]::text`,
    );
    return { text: `select ${select.join(', ')}`, values: columns };
  }

  #tooLarge(index: number): Error {
    const { input, plan } = this.#parts;
    return invalidConfiguration(
      `${input.pageSize} rows have too much in "${plan.columns![index]!.from}" for one page: make \`source.pageSize\` smaller.`,
    );
  }

  #typeAt(index: number): string | null {
    return this.#parts.columns.get(this.#names[index]!)?.type ?? null;
  }

  #isBinaryAt(index: number): boolean {
    return isBinary(this.#typeAt(index), this.#parts.plan.columns![index]!.type);
  }

  #isPackableAt(index: number): boolean {
    return isPackable(this.#parts.columns.get(this.#names[index]!)?.category ?? null);
  }

  /** Its columns are c0, c1, …, then whether it is deleted, then whether it is past the mark that the run began with. */
  #page(position: Position | undefined): { select: string; values: unknown[] } {
    const { input, plan, from, asCells, begin } = this.#parts;
    const values: unknown[] = [];
    const columnOf = (name: string) => `s.${quoted(name)}`;
    const param = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
    const ofColumn = (value: unknown, name: string) =>
      param(value, this.#parts.columns.get(name)?.type ?? 'text');
    const order = [input.watermark, ...input.key].map(columnOf).join(', ');
    const behind = (watermark: string, key: readonly string[]) => {
      const row = [
        ofColumn(watermark, input.watermark),
        ...key.map((text, i) => ofColumn(text, input.key[i]!)),
      ];
      return `(${order}) > (${row.join(', ')})`;
    };
    const where =
      position !== undefined
        ? behind(position.watermark, position.key)
        : this.#beginning(columnOf, ofColumn, param);
    const data = asCells
      ? []
      : [
          `(select row_to_json(r)::text from (select ${plan.columns!.map(({ from: name, to }) => `${columnOf(name)} as ${quoted(to)}`).join(', ')}) r)`,
        ];
    const columns = [...data, ...this.#names.map(columnOf)].map((column, index) => `${column} as c${index}`);
    if (input.tombstone !== undefined)
      columns.push(
        `coalesce(${columnOf(input.tombstone)}::text not in ('f', 'false', '0', ''), false)::text as gone`,
      );
    if (begin !== null) {
      // Inside of the window that is read again the watermark stays where it is.
      const known = begin.keys?.length === 1 ? begin.keys[0]! : null;
      const past =
        known === null
          ? `${columnOf(input.watermark)} > ${ofColumn(begin.watermark, input.watermark)}`
          : behind(begin.watermark, known);
      columns.push(`(${past})::text as past`);
    }
    const select = `select ${columns.join(', ')} from ${from} as s where ${where} order by ${order} limit ${input.pageSize}`;
    return { select, values };
  }

  #beginning(
    columnOf: (name: string) => string,
    ofColumn: (value: unknown, name: string) => string,
    param: (value: unknown, type: string) => string,
  ): string {
    const { input, begin } = this.#parts;
    const { lookback, watermark } = input;
    const at = columnOf(watermark);
    if (begin === null) return `${at} is not null`;
    const since = `${at} >= ${ofColumn(begin.watermark, watermark)}`;
    if (lookback === undefined) return since;
    return typeof lookback === 'number'
      ? `${since} - ${ofColumn(String(lookback), watermark)}`
      : `${since} - make_interval(secs => ${param(lookback.ms / 1000, 'float8')})`;
  }
}
