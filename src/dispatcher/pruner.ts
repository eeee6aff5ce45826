/**
 * The pruner: deletes ended runs, tasks, notifications and events past the retention, a small batch at a time so that
 * no lateness shows;
 * and versions of schedules that were superseded before it, and old outages and backfills.
 */
import type { Clock } from '../clock.ts';
import { pruneBackfills } from '../db/backfill-store.ts';
import type { Db } from '../db/client.ts';
import { pruneNotifications } from '../db/notification-store.ts';
import { pruneEvents } from '../db/notify-event-store.ts';
import { pruneOutages } from '../db/outage-store.ts';
import { pruneTasks } from '../db/queue-task-store.ts';
import { type PrunedRuns, pruneRuns } from '../db/run-history-store.ts';
import { pruneVersions } from '../db/schedule-version-store.ts';

export const pruneEveryMs = 60_000;
/** Between two batches of a backlog. */
export const prunePauseMs = 200;
const pruneBatchMax = 1000;

export type Pruned = PrunedRuns & { tasks: number };

export async function prunePass(parts: { db: Db; clock: Clock; retentionDays: number }): Promise<Pruned> {
  const nowMs = parts.clock.now();
  const beforeMs = nowMs - parts.retentionDays * 86_400_000;
  await pruneOutages(parts.db, nowMs);
  await pruneBackfills(parts.db, beforeMs, pruneBatchMax);
  const runs = await pruneRuns(parts.db, beforeMs, pruneBatchMax);
  const tasks = await pruneTasks(parts.db, beforeMs, pruneBatchMax);
  const versions = await pruneVersions(parts.db, beforeMs, pruneBatchMax);
  const messages = await pruneNotifications(parts.db, beforeMs, pruneBatchMax);
  const events = await pruneEvents(parts.db, beforeMs, pruneBatchMax);
  const more = runs.more || tasks.more || Math.max(versions, messages, events) === pruneBatchMax;
  return { runs: runs.runs, tasks: tasks.tasks, more };
}
