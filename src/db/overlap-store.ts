/**
 * What overlap does to runs that are there already. Which fire does what is decided in `schedules/overlap.ts`; that the
 * end of the last active run releases the next one is in `run-end-store.ts`.
 */
import type { Tx } from './client.ts';
import { sql } from './drizzle.ts';
import { ring } from './queue.ts';
import { endUnstartedRuns } from './run-end-store.ts';
import { lockActiveRuns, signalRunning } from './run-store.ts';

/**
 * Makes way for the held run `runId`: others that are held, what is queued and what waits for a retry is cancelled,
 * what runs is told to. With nothing left that runs, `runId` is released here.
 * The schedule is locked by the transaction.
 */
export async function replaceActive(
  tx: Tx,
  options: { scheduleId: string; runId: string; nowMs: number; served: readonly string[] },
): Promise<void> {
  const { scheduleId, runId, nowMs, served } = options;
  await lockActiveRuns(tx, scheduleId);
  const { rows } = await tx.execute<{ id: string; attempt: number; held: boolean }>(sql`
    select id, attempt, held from runs
    where schedule_id = ${scheduleId} and finished_at is null and status in ('queued', 'retrying')
      and id <> ${runId} and not (held and cause = 'backfill')`);
  const ends = rows.map(({ id, attempt, held }) => ({
    runId: id,
    attempt,
    scheduleId,
    status: 'cancelled' as const,
    reason: held ? 'superseded' : 'cancelled_by_overlap',
    output: null,
    error: null,
    finishedAtMs: nowMs,
  }));
  await endUnstartedRuns(tx, ends, served);
  await signalRunning(tx, scheduleId, 'cancel', 'cancelled_by_overlap');
}

/** Releases everything that is held, for a schedule whose overlap policy holds nothing any more. Returns how many. */
export async function releaseHeld(tx: Tx, scheduleId: string, served: readonly string[]): Promise<number> {
  const { rows } = await tx.execute<{ rung: number }>(sql`
    with released as (
      update runs set held = false, reason = null
      where schedule_id = ${scheduleId} and finished_at is null and held
      returning id, attempt, task_queue, cause
    ),
    counted as (
      update schedule_states set active_runs = active_runs + held_runs, held_runs = 0, held_backfills = 0
      where schedule_id = ${scheduleId} and exists (select from released)
    )
    select ${ring(sql`select * from released`, served)} as rung`);
  return rows[0]!.rung;
}
