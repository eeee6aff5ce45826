/** A schedule with what a reader wants beside it. */
import type { Db, Tx } from '../db/client.ts';
import { findRuns, listActiveRuns } from '../db/run-history-store.ts';
import type { StoredSchedule } from '../db/schedule-store.ts';
import type { ScheduleView } from './schedule.ts';
import { upcomingTimes } from './schedule-next.ts';

const upcomingShown = 5;
const runningShown = 20;

export async function viewsOf(
  db: Db | Tx,
  found: readonly StoredSchedule[],
  nowMs: number,
): Promise<ScheduleView[]> {
  const lastRuns = await findRuns(
    db,
    found.flatMap((schedule) => schedule.lastRunId ?? []),
  );
  const busy = found.filter((schedule) => schedule.activeRuns > 0).map((schedule) => schedule.id);
  const running = await listActiveRuns(db, busy, runningShown);
  return found.map(({ lastRunId, ...schedule }) => ({
    ...schedule,
    upcomingMs: schedule.status === 'active' ? upcomingTimes(schedule, nowMs, upcomingShown) : [],
    lastRun: (lastRunId === null ? undefined : lastRuns.get(lastRunId)) ?? null,
    runningRuns: running.filter((run) => run.scheduleId === schedule.id),
  }));
}

export async function viewOf(db: Db | Tx, schedule: StoredSchedule, nowMs: number): Promise<ScheduleView> {
  return (await viewsOf(db, [schedule], nowMs))[0]!;
}
