/** Instants as the house reckons with them. Pure. */
import { type SQL, sql } from './drizzle.ts';

/** An instant of a statement as epoch milliseconds, with their fraction; null stays null. `instant`: SQL of ours, as it is. */
export function epochMs(instant: string): SQL {
  return sql.raw(`(extract(epoch from ${instant}) * 1000)::float8`);
}
