/** The hot row of a schedule, as the commands write it; fires and ends write it in `fire-store` and `run-store`. */
import type { NotifyKind } from '../schedules/notify.ts';
import type { Tx } from './client.ts';
import { eq } from './drizzle.ts';
import { scheduleStates } from './schema.ts';

const toDateOrNull = (ms: number | null) => (ms === null ? null : new Date(ms));

/** Sets (or with null, takes away) the next time of a locked schedule; a fault is over with it. */
export async function setNext(
  tx: Tx,
  id: string,
  next: { atMs: number; dueAtMs: number } | null,
): Promise<void> {
  await tx
    .update(scheduleStates)
    .set({
      nextRunAt: toDateOrNull(next?.atMs ?? null),
      dueAt: toDateOrNull(next?.dueAtMs ?? null),
      fault: null,
    })
    .where(eq(scheduleStates.scheduleId, id));
}

/** What fires, ends and lateness are judged by without a look at the definition. */
export async function setWatch(
  tx: Tx,
  id: string,
  watch: { notifyOn: readonly NotifyKind[] | null; lateAfterMs: number | null },
): Promise<void> {
  await tx
    .update(scheduleStates)
    .set({ notifyOn: watch.notifyOn && [...watch.notifyOn], lateAfterMs: watch.lateAfterMs })
    .where(eq(scheduleStates.scheduleId, id));
}

/** A resume gives the circuit breaker a fresh count. */
export async function resetFailures(tx: Tx, id: string): Promise<void> {
  await tx.update(scheduleStates).set({ failuresInARow: 0 }).where(eq(scheduleStates.scheduleId, id));
}
