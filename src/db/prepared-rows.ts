/**
 * Statements that are made once. For each query drizzle puts the words together anew and asks of each column what it is;
 * on the path of a request that costs more than Postgres' answer. Here the text is made at the first use, is planned once
 * per connection, and its rows are read by a list of columns that is there already.
 */
import type { Db, Tx } from './client.ts';
import { dialect, getTableColumns, type InferSelectModel, type PgTable, type SQL, sql } from './drizzle.ts';

type Tables = Readonly<Record<string, PgTable>>;
export type RowOf<T extends Tables> = { [Key in keyof T]: InferSelectModel<T[Key]> };

/**
 * `statement` must answer all columns of these tables, table by table in this order (`columnsOf`); what differs from one
 * execution to the next is a placeholder in it. `name` is its own in this house.
 */
export function prepareRows<T extends Tables>(
  name: string,
  tables: T,
  statement: SQL,
): (db: Db | Tx, values: Readonly<Record<string, unknown>>) => Promise<RowOf<T>[]> {
  const query = dialect.sqlToQuery(statement);
  const parts = Object.entries(tables).map(([key, table]) => ({
    key,
    columns: Object.entries(getTableColumns(table)),
  }));
  const read = (rows: unknown[][]) =>
    rows.map((row) => {
      let at = 0;
      const found: Record<string, unknown> = {};
      for (const { key, columns } of parts) {
        const part: Record<string, unknown> = {};
        for (const [field, column] of columns) {
          const value = row[at++] ?? null;
          part[field] = value === null ? null : column.mapFromDriverValue(value);
        }
        found[key] = part;
      }
      return found as RowOf<T>;
    });
  return async (db, values) =>
    (await db._.session
      .prepareQuery(query, undefined, name, true, read as never)
      .execute(values)) as RowOf<T>[];
}

/**
 * All columns of a table that goes by this name in a statement, in the order in which `prepareRows` reads them. They are
 * read by their place: with a name of its own for each, the driver would build an object of fifty for every answer.
 */
export function columnsOf(table: PgTable, alias: string): SQL {
  const names = Object.values(getTableColumns(table)).map(({ name }) => `${alias}.${name} as c`);
  return sql.raw(names.join(', '));
}
