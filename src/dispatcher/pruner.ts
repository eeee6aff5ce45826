/**
 * The pruner: deletes what is past the retention, a small batch at a time so that no lateness shows. `pruneHistory` walks
 * through the runs, schedule by schedule (`db/retention-store.ts`); `prunePass` deletes what goes by age alone: tasks,
 * notifications and events, superseded versions, old outages and backfills.
 */
import type { Clock } from '../clock.ts';
import { pruneBackfills } from '../db/backfill-store.ts';
import type { Db } from '../db/client.ts';
import { pruneNotifications } from '../db/notification-store.ts';
import { pruneEvents } from '../db/notify-event-store.ts';
import { pruneOutages } from '../db/outage-store.ts';
import { pruneTasks } from '../db/queue-task-store.ts';
import { type PrunedSlice, pruneSlice } from '../db/retention-store.ts';
import { pruneVersions } from '../db/schedule-version-store.ts';
import type { Retention } from '../runs/retention.ts';

export const pruneEveryMs = 60_000;
/** Between two batches of a backlog. */
export const prunePauseMs = 200;
const pruneBatchMax = 1000;
const schedulesLookedMax = 500;
/** Looking takes one part in so many of the time; deleting, one in `pruneRest` + 1. */
const lookRest = 200;
const pruneRest = 2;

export type Pruned = {
  tasks: number;
  /** True when there may be more to prune. */
  more: boolean;
};

export async function prunePass(parts: { db: Db; clock: Clock; ageMsMax: number }): Promise<Pruned> {
  const nowMs = parts.clock.now();
  const beforeMs = nowMs - parts.ageMsMax;
  await pruneOutages(parts.db, nowMs);
  await pruneBackfills(parts.db, beforeMs, pruneBatchMax);
  const tasks = await pruneTasks(parts.db, beforeMs, pruneBatchMax);
  const versions = await pruneVersions(parts.db, beforeMs, pruneBatchMax);
  const messages = await pruneNotifications(parts.db, beforeMs, pruneBatchMax);
  const events = await pruneEvents(parts.db, beforeMs, pruneBatchMax);
  const more = tasks.more || Math.max(versions, messages, events) === pruneBatchMax;
  return { tasks: tasks.tasks, more };
}

/** One slice of the walk; null when another node is at it. */
export async function pruneHistory(
  parts: { db: Db; clock: Clock; retention: Retention },
  limits = { schedulesMax: schedulesLookedMax, runsMax: pruneBatchMax },
): Promise<PrunedSlice | null> {
  return await pruneSlice(parts.db, parts.retention, parts.clock.now(), limits);
}

/** How long to rest after a slice that took `tookMs`: a busy database makes it slower, and the rests longer. */
export function restMsAfter(slice: PrunedSlice | null, tookMs: number): number {
  if (slice === null || slice.next === 'over') return pruneEveryMs;
  const rest = slice.runs > 0 ? Math.max(tookMs * pruneRest, prunePauseMs) : tookMs * lookRest;
  return Math.min(rest, pruneEveryMs);
}
