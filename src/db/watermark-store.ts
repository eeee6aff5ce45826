/** The `sync_watermarks` table: one row for a schedule whose runs have synced something. */
import { toIso } from '../clock.ts';
import type { SyncWatermark } from '../runs/sync-watermark.ts';
import { type Db, executePrepared, type Tx } from './client.ts';
import { eq, sql } from './drizzle.ts';
import { toJsonb } from './json.ts';
import { syncWatermarks } from './schema.ts';

/** Null: no run has stored anything, and nobody has set it. */
export async function findWatermark(db: Db | Tx, scheduleId: string): Promise<SyncWatermark | null> {
  const [row] = await db
    .select()
    .from(syncWatermarks)
    .where(eq(syncWatermarks.scheduleId, scheduleId))
    .limit(1);
  if (row === undefined) return null;
  const { scheduleId: _, updatedAt, ...rest } = row;
  return { ...rest, updatedAtMs: updatedAt.getTime() };
}

const json = (value: unknown) => sql`${toJsonb(value)}::jsonb`;

/**
 * Moves it for a run, as long as that is at this attempt: `false`, and nothing is written, when it went on elsewhere, has
 * ended, or its schedule is gone.
 */
export async function moveWatermark(
  db: Db | Tx,
  run: { id: string; attempt: number; scheduleId: string },
  to: Omit<SyncWatermark, 'runId'>,
): Promise<boolean> {
  const { rows } = await executePrepared(
    db,
    'move_watermark',
    sql`
    with mine as materialized (
      select id from runs where id = ${run.id} and attempt = ${run.attempt} and status = 'running' for share
    ),
    its as materialized (
      select id from schedules where id = ${run.scheduleId} and exists (select from mine) for key share
    )
    insert into sync_watermarks (schedule_id, watermark, keys, about, run_id, run_state, updated_at)
    select its.id, ${to.watermark}, ${json(to.keys)}, ${to.about}, ${run.id}, ${json(to.runState)},
      ${toIso(to.updatedAtMs)}
    from its
    on conflict (schedule_id) do update set watermark = excluded.watermark, keys = excluded.keys,
      about = excluded.about, run_id = excluded.run_id, run_state = excluded.run_state,
      updated_at = excluded.updated_at
    returning schedule_id`,
  );
  return rows.length === 1;
}

/** By hand; what is at it, or after it, is read again. */
export async function setWatermark(
  tx: Tx,
  scheduleId: string,
  watermark: string | null,
  atMs: number,
): Promise<void> {
  const values = {
    watermark,
    keys: null,
    about: null,
    runId: null,
    runState: null,
    updatedAt: new Date(atMs),
  };
  await tx
    .insert(syncWatermarks)
    .values({ scheduleId, ...values })
    .onConflictDoUpdate({ target: syncWatermarks.scheduleId, set: values });
}
