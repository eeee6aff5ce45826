/** What a database says of a table: its SQL name, its columns, what is unique. */
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { TargetColumn } from './column-plan.ts';
import { type PgLink, quoted } from './pg-link.ts';

export type PgTable = {
  oid: string /** Quoted, as the session may call it. */;
  sql: string /** r, p, v, m, f */;
  kind: string;
};

/**
 * `sales.orders` is first looked for as a table of a schema, then as a table whose name has a dot. A name with quotation
 * marks is taken as SQL has it.
 *
 * @throws JobError `InvalidConfiguration`: there is none
 */
export async function findTable(link: PgLink, name: string, signal: AbortSignal): Promise<PgTable> {
  const dot = name.indexOf('.');
  const spellings = [
    ...(dot > 0 ? [`${quoted(name.slice(0, dot))}.${quoted(name.slice(dot + 1))}`] : []),
    quoted(name),
    ...(/^("([^"]|"")+"|[a-z_][a-z0-9_]*)(\.("([^"]|"")+"|[a-z_][a-z0-9_]*))?$/.test(name) ? [name] : []),
  ];
  for (const spelling of spellings) {
    const [row] = await link.rows(
      {
        text: 'select c.oid::text, c.oid::regclass::text, c.relkind::text from pg_class c where c.oid = to_regclass($1)',
        values: [spelling],
      },
      signal,
    );
    if (row !== undefined && 'rpvmf'.includes(row[2]!)) return { oid: row[0]!, sql: row[1]!, kind: row[2]! };
  }
  throw invalidConfiguration(
    `There is no table "${name}" in ${link.label}, or its schema is not visible: create it, or correct the name.`,
  );
}

/**
 * Types without length or precision: a cast to those would cut silently, where the column itself refuses.
 */
export async function columnsOf(link: PgLink, table: PgTable, signal: AbortSignal): Promise<TargetColumn[]> {
  const rows = await link.rows(
    {
      text: `select a.attname, format_type(a.atttypid, -1), t.typcategory::text,
          (a.attgenerated <> '')::text,
          (a.attnotnull and not a.atthasdef and a.attidentity = '')::text
        from pg_attribute a join pg_type t on t.oid = a.atttypid
        where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum`,
      values: [table.oid],
    },
    signal,
  );
  return rows.map(([name, type, category, generated, required]) => ({
    name: name!,
    type: type!,
    category: category!,
    isGenerated: generated === 'true',
    isRequired: required === 'true',
  }));
}

/** Whether `on conflict` may name just these columns. A view is believed. */
export async function isUnique(
  link: PgLink,
  table: PgTable,
  columns: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  if (table.kind === 'v' || table.kind === 'f') return true;
  const rows = await link.rows(
    {
      text: `select 1 from pg_index i
        where i.indrelid = $1::oid and i.indisunique and i.indisvalid and i.indimmediate
          and i.indpred is null and i.indexprs is null and i.indnkeyatts = cardinality($2::text[])
          and not exists (
            select from unnest(i.indkey::int2[]) with ordinality k(attnum, place)
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
            where k.place <= i.indnkeyatts and a.attname <> all ($2::text[]))`,
      values: [table.oid, [...columns]],
    },
    signal,
  );
  return rows.length > 0;
}

/** Whether an index begins with the column, so that pages in its order are cheap. */
export async function isIndexed(
  link: PgLink,
  table: PgTable,
  column: string,
  signal: AbortSignal,
): Promise<boolean> {
  const rows = await link.rows(
    {
      text: `select 1 from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = $1::oid and i.indisvalid and i.indpred is null and a.attname = $2`,
      values: [table.oid, column],
    },
    signal,
  );
  return rows.length > 0;
}
