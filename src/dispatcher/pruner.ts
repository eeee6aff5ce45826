/** The pruner: deletes ended runs, notifications and events past the retention, a small batch at a time so that no lateness shows; and old outages. */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { pruneNotifications } from '../db/notification-store.ts';
import { pruneEvents } from '../db/notify-event-store.ts';
import { pruneOutages } from '../db/outage-store.ts';
import { type PrunedRuns, pruneRuns } from '../db/run-history-store.ts';

export const pruneEveryMs = 60_000;
/** Between two batches of a backlog. */
export const prunePauseMs = 200;
const pruneBatchMax = 1000;

export async function prunePass(parts: { db: Db; clock: Clock; retentionDays: number }): Promise<PrunedRuns> {
  const nowMs = parts.clock.now();
  await pruneOutages(parts.db, nowMs);
  const untilMs = nowMs - parts.retentionDays * 86_400_000;
  const messages = await pruneNotifications(parts.db, untilMs, pruneBatchMax);
  const events = await pruneEvents(parts.db, untilMs, pruneBatchMax);
  const pruned = await pruneRuns(parts.db, untilMs, pruneBatchMax);
  return { ...pruned, more: pruned.more || Math.max(messages, events) === pruneBatchMax };
}
