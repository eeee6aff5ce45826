/** The `workers` table: who executes runs, and until when its lease is good. */
import { toIso } from '../clock.ts';
import { arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { and, eq, isNull, lt, sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { workers } from './schema.ts';

export type NewWorker = {
  id: string;
  host: string;
  pid: number;
  taskQueues: readonly string[];
  nowMs: number;
};

export async function insertWorker(db: Db | Tx, worker: NewWorker): Promise<void> {
  const now = new Date(worker.nowMs);
  await db.insert(workers).values({
    id: worker.id,
    host: worker.host,
    pid: worker.pid,
    taskQueues: [...worker.taskQueues],
    startedAt: now,
    heartbeatAt: now,
    poolIds: [],
  });
}

/** False when the worker has been declared lost: it must stop all it does and register anew. */
export async function renewLease(
  db: Db | Tx,
  id: string,
  poolIds: readonly string[],
  nowMs: number,
): Promise<boolean> {
  const renewed = await db
    .update(workers)
    .set({ heartbeatAt: new Date(nowMs), poolIds: [...poolIds] })
    .where(and(eq(workers.id, id), isNull(workers.goneAt)))
    .returning({ id: workers.id });
  return renewed.length === 1;
}

export type LostWorker = { id: string; host: string; pid: number; poolIds: string[] };

/** Locks workers whose last heartbeat is older than `before` and declares them gone. */
export async function takeLostWorkers(
  tx: Tx,
  beforeMs: number,
  nowMs: number,
  limit: number,
): Promise<LostWorker[]> {
  const lost = await tx
    .select({ id: workers.id })
    .from(workers)
    .where(and(isNull(workers.goneAt), lt(workers.heartbeatAt, new Date(beforeMs))))
    .orderBy(workers.heartbeatAt)
    .limit(limit)
    .for('update', { skipLocked: true });
  if (lost.length === 0) return [];
  const ids = lost.map((row) => row.id);
  const { rows } = await tx.execute<LostWorker>(sql`
    update workers set gone_at = ${toIso(nowMs)} where id = any(${arrayParam(ids)}::uuid[])
    returning id, host, pid, pool_ids as "poolIds"`);
  return rows;
}

export async function markGone(db: Db | Tx, id: string, nowMs: number): Promise<void> {
  await db
    .update(workers)
    .set({ goneAt: new Date(nowMs), poolIds: [] })
    .where(eq(workers.id, id));
}

/** Task queues that some living worker serves, and since when (epoch milliseconds). */
export async function servedTaskQueues(db: Db | Tx): Promise<Map<string, number>> {
  const { rows } = await db.execute<{ queue: string; since: number }>(sql`
    select queue, ${epochMs('min(started_at)')} as since
    from workers, unnest(task_queues) as queue where gone_at is null group by queue`);
  return new Map(rows.map((row) => [row.queue, row.since]));
}

/** Rows of workers that are long gone; kept for a while, as attempts name their worker by it. */
export async function pruneWorkers(db: Db | Tx, goneBeforeMs: number): Promise<void> {
  await db.delete(workers).where(lt(workers.goneAt, new Date(goneBeforeMs)));
}
