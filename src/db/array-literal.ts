/**
 * Many values as one parameter: an array in Postgres' text form ("Array Input and Output Syntax", §8.15.6), for a cast such
 * as `::uuid[]`. What the driver makes of an array costs five times as much, and a herd sends some twenty per run. Pure.
 */
import { type SQL, sql } from './drizzle.ts';

export type ArrayValue = string | number | boolean | null;

/** Needs no quotes: ids, numbers, instants, words. `NULL` would be read as none. */
const plain = /^(?!null$)[\w.:+-]+$/i;

export function arrayLiteral(values: readonly ArrayValue[]): string {
  const parts = new Array<ArrayValue>(values.length);
  for (let n = 0; n < values.length; n += 1) {
    const value = values[n]!;
    if (value === null) parts[n] = 'NULL';
    else parts[n] = typeof value !== 'string' || plain.test(value) ? value : quoted(value);
  }
  return `{${parts.join(',')}}`;
}

function quoted(text: string): string {
  return `"${/["\\]/.test(text) ? text.replaceAll(/["\\]/g, '\\$&') : text}"`;
}

/** As a parameter; the statement says of what type it is. */
export function arrayParam(values: readonly ArrayValue[]): SQL {
  return sql`${arrayLiteral(values)}`;
}
