/** Pages that end where enough was looked at, for filters that no index tells apart. */
import type { Db, Tx } from './client.ts';
import { and, desc, type SQL } from './drizzle.ts';
import type { runs, schedules } from './schema.ts';

/**
 * Where the page after goes on: the last of the `lookedMax` newest rows of this walk. Null when there were fewer, and
 * all of them were looked at.
 */
export async function lastLooked(
  db: Db | Tx,
  table: typeof runs | typeof schedules,
  walked: readonly SQL[],
  lookedMax: number,
): Promise<string | null> {
  const [last] = await db
    .select({ id: table.id })
    .from(table)
    .where(and(...walked))
    .orderBy(desc(table.id))
    .offset(lookedMax - 1)
    .limit(1);
  return last?.id ?? null;
}
