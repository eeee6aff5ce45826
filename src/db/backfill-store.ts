/** The `backfills` table, and the runs of a backfill as one. */
import type { Page, PageRequest } from '../runs/page.ts';
import { leastId } from '../runs/run-id.ts';
import type { Backfill, BackfillProgress } from '../schedules/backfill.ts';
import type { OverlapPolicy } from '../schedules/schedule.ts';
import { arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { and, desc, eq, lt, type SQL, sql } from './drizzle.ts';
import { pageOf } from './keyset-page.ts';
import { endUnstartedRuns } from './run-end-store.ts';
import { backfills } from './schema.ts';

export async function insertBackfill(tx: Tx, backfill: Backfill): Promise<void> {
  await tx.insert(backfills).values({
    id: backfill.id,
    scheduleId: backfill.scheduleId,
    scheduleName: backfill.scheduleName,
    startAt: new Date(backfill.startMs),
    endAt: new Date(backfill.endMs),
    overlap: backfill.overlap,
    total: backfill.total,
    createdAt: new Date(backfill.createdAtMs),
  });
}

export async function findBackfill(db: Db | Tx, id: string): Promise<Backfill | null> {
  const [row] = await db.select().from(backfills).where(eq(backfills.id, id)).limit(1);
  return row === undefined ? null : toBackfill(row);
}

/** Newest first. */
export async function listBackfills(
  db: Db | Tx,
  filter: { scheduleId?: string },
  page: PageRequest,
): Promise<Page<Backfill>> {
  const conditions: SQL[] = [];
  if (page.after !== null) conditions.push(lt(backfills.id, page.after));
  if (filter.scheduleId !== undefined) conditions.push(eq(backfills.scheduleId, filter.scheduleId));
  const rows = await db
    .select()
    .from(backfills)
    .where(and(...conditions))
    .orderBy(desc(backfills.id))
    .limit(page.limit + 1);
  return pageOf(rows, page, toBackfill);
}

/** One for each id, in the same order. */
export async function readProgress(db: Db | Tx, ids: readonly string[]): Promise<BackfillProgress[]> {
  const { rows } = await db.execute<BackfillProgress & { id: string }>(sql`
    select b.id, count(*) filter (where r.status = 'queued' and r.held)::int as held,
      count(*) filter (where r.status = 'queued' and not r.held)::int as queued,
      count(*) filter (where r.status = 'running')::int as running,
      count(*) filter (where r.status = 'retrying')::int as retrying,
      count(*) filter (where r.status = 'succeeded')::int as succeeded,
      count(*) filter (where r.status = 'failed')::int as failed,
      count(*) filter (where r.status = 'timed_out')::int as "timedOut",
      count(*) filter (where r.status = 'cancelled')::int as cancelled,
      count(*) filter (where r.status = 'skipped')::int as skipped
    from unnest(${arrayParam(ids)}::uuid[]) as b(id) left join runs r on r.backfill_id = b.id
    group by b.id`);
  const byId = new Map(rows.map(({ id, ...progress }) => [id, progress]));
  return ids.map((id) => byId.get(id)!);
}

/**
 * Ends what waits of a backfill's runs and tells what runs to cancel. The schedule is locked by the transaction, if it
 * is still there.
 */
export async function cancelBackfillRuns(
  tx: Tx,
  backfill: Backfill,
  options: { nowMs: number; served: readonly string[] },
): Promise<void> {
  const reason = 'backfill_cancelled';
  // Locked first, so that none passes from one state to another between the two statements below.
  const { rows } = await tx.execute<{ id: string; attempt: number; status: string }>(sql`
    select id, attempt, status from runs where backfill_id = ${backfill.id} and finished_at is null
    order by id for update`);
  const ends = rows
    .filter(({ status }) => status !== 'running')
    .map(({ id, attempt }) => ({
      runId: id,
      attempt,
      scheduleId: backfill.scheduleId,
      status: 'cancelled' as const,
      reason,
      output: null,
      error: null,
      finishedAtMs: options.nowMs,
    }));
  await endUnstartedRuns(tx, ends, options.served);
  await tx.execute(sql`
    update runs set signal = 'cancel', signal_reason = ${reason}
    where backfill_id = ${backfill.id} and finished_at is null and status = 'running'
      and signal is distinct from 'cancel'`);
  await tx
    .update(backfills)
    .set({ cancelledAt: new Date(options.nowMs) })
    .where(eq(backfills.id, backfill.id));
}

/** Deletes those that were asked for before `beforeMs` and have no runs left, up to `limit`. */
export async function pruneBackfills(db: Db | Tx, beforeMs: number, limit: number): Promise<void> {
  await db.execute(sql`
    delete from backfills where id in (
      select id from backfills b where id < ${leastId(beforeMs)}
        and not exists (select from runs r where r.backfill_id = b.id)
      order by id limit ${limit} for update skip locked
    )`);
}

function toBackfill(row: typeof backfills.$inferSelect): Backfill {
  return {
    id: row.id,
    scheduleId: row.scheduleId,
    scheduleName: row.scheduleName,
    startMs: row.startAt.getTime(),
    endMs: row.endAt.getTime(),
    overlap: row.overlap as OverlapPolicy,
    total: row.total,
    createdAtMs: row.createdAt.getTime(),
    cancelledAtMs: row.cancelledAt?.getTime() ?? null,
  };
}
