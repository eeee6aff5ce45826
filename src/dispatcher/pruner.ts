/** The pruner: deletes ended runs past the retention, a small batch at a time so that no lateness shows; and old outages and backfills. */
import type { Clock } from '../clock.ts';
import { pruneBackfills } from '../db/backfill-store.ts';
import type { Db } from '../db/client.ts';
import { pruneOutages } from '../db/outage-store.ts';
import { type PrunedRuns, pruneRuns } from '../db/run-history-store.ts';

export const pruneEveryMs = 60_000;
/** Between two batches of a backlog. */
export const prunePauseMs = 200;
const pruneBatchMax = 1000;

export async function prunePass(parts: { db: Db; clock: Clock; retentionDays: number }): Promise<PrunedRuns> {
  const nowMs = parts.clock.now();
  const beforeMs = nowMs - parts.retentionDays * 86_400_000;
  await pruneOutages(parts.db, nowMs);
  await pruneBackfills(parts.db, beforeMs, pruneBatchMax);
  return await pruneRuns(parts.db, beforeMs, pruneBatchMax);
}
