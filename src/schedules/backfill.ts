/** A backfill: the fires of a past range, asked for on purpose. Types, and the decision; pure. Times are epoch milliseconds. */
import { scheduledRunId } from '../runs/run-id.ts';
import type { PlannedFire } from './fire-plan.ts';
import { createOverlapTurn } from './overlap-turn.ts';
import type { OverlapPolicy, Schedule } from './schedule.ts';

export type Backfill = {
  id: string;
  scheduleId: string;
  scheduleName: string;
  /** Both included. */
  startMs: number;
  endMs: number;
  overlap: OverlapPolicy;
  /** Nominal times of the range. */
  total: number;
  createdAtMs: number;
  cancelledAtMs: number | null;
};

/** How far its runs are, by what they are now; fewer than `total` once history has been pruned. */
export type BackfillProgress = {
  /** Queued, and not to start before others have ended. */
  held: number;
  queued: number;
  running: number;
  retrying: number;
  succeeded: number;
  failed: number;
  timedOut: number;
  cancelled: number;
  skipped: number;
};

export type BackfillView = Backfill & { status: BackfillStatus; progress: BackfillProgress };

export const backfillStatuses = ['running', 'completed', 'cancelled'] as const;
export type BackfillStatus = (typeof backfillStatuses)[number];

/** More nominal times than this are refused. */
export const backfillTimesMax = 10_000;

/**
 * What becomes of the times of a range, all at once, by the overlap policy: with `skip` the first runs where nothing is
 * active, and the others are skipped. Held runs of a backfill have a limit of their own and are in the way of no live
 * fire. The run's id is of the backfill and the nominal time: two backfills of one range are two runs for each time.
 */
export function planBackfill(
  schedule: Schedule,
  timesMs: readonly number[],
  { id, overlap, nowMs }: { id: string; overlap: OverlapPolicy; nowMs: number },
): { fires: readonly PlannedFire[]; replacing: readonly string[] } {
  const turn = createOverlapTurn<PlannedFire>({
    overlap,
    activeRuns: schedule.activeRuns,
    heldRuns: schedule.held.backfills,
    heldMax: backfillTimesMax,
  });
  for (const atMs of timesMs) {
    turn.add({
      runId: scheduledRunId(id, atMs),
      scheduleId: schedule.id,
      cause: 'backfill',
      scheduledForMs: atMs,
      dueAtMs: Math.floor(nowMs),
      status: 'queued',
      reason: null,
      missedCount: null,
      missedUntilMs: null,
    });
  }
  return { fires: turn.fires, replacing: turn.replacing.map(({ runId }) => runId) };
}

export function statusOfBackfill(
  { cancelledAtMs }: Pick<Backfill, 'cancelledAtMs'>,
  { held, queued, running, retrying }: BackfillProgress,
): BackfillStatus {
  if (cancelledAtMs !== null) return 'cancelled';
  return held + queued + running + retrying > 0 ? 'running' : 'completed';
}
