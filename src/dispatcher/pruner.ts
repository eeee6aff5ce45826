/**
 * The pruner: deletes ended runs past the retention, a small batch at a time so that no lateness shows; and versions of
 * schedules that were superseded before it, and old outages.
 */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { pruneOutages } from '../db/outage-store.ts';
import { type PrunedRuns, pruneRuns } from '../db/run-history-store.ts';
import { pruneVersions } from '../db/schedule-version-store.ts';

export const pruneEveryMs = 60_000;
/** Between two batches of a backlog. */
export const prunePauseMs = 200;
const pruneBatchMax = 1000;

export async function prunePass(parts: { db: Db; clock: Clock; retentionDays: number }): Promise<PrunedRuns> {
  const nowMs = parts.clock.now();
  await pruneOutages(parts.db, nowMs);
  const beforeMs = nowMs - parts.retentionDays * 86_400_000;
  const versions = await pruneVersions(parts.db, beforeMs, pruneBatchMax);
  const { runs, more } = await pruneRuns(parts.db, beforeMs, pruneBatchMax);
  return { runs, more: more || versions === pruneBatchMax };
}
