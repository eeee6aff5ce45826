/** A schedule with what a reader wants beside it. */
import type { Db, Tx } from '../db/client.ts';
import { findRuns, listActiveRuns } from '../db/run-history-store.ts';
import type { StoredSchedule } from '../db/schedule-store.ts';
import type { CalendarBook } from './calendar-book.ts';
import type { ScheduleView } from './schedule.ts';
import { upcomingTimes } from './schedule-next.ts';

const upcomingShown = 5;
const runningShown = 20;

export async function viewsOf(
  db: Db | Tx,
  book: CalendarBook,
  found: readonly StoredSchedule[],
  nowMs: number,
): Promise<ScheduleView[]> {
  const calendars = await book.read(
    db,
    found.map(({ spec }) => spec.timing),
  );
  const lastRuns = await findRuns(
    db,
    found.flatMap((schedule) => schedule.lastRunId ?? []),
  );
  const busy = found.filter((schedule) => schedule.activeRuns > 0).map((schedule) => schedule.id);
  const running = await listActiveRuns(db, busy, runningShown);
  return found.map(({ lastRunId, ...schedule }) => {
    const isActive = schedule.status === 'active';
    const upcomingMs = isActive ? upcomingTimes(schedule, nowMs, upcomingShown, calendars) : [];
    return {
      ...schedule,
      // The end of the last run did not look at the exclusions of a `delay`.
      nextRunAtMs: upcomingMs[0] ?? schedule.nextRunAtMs,
      upcomingMs,
      lastRun: (lastRunId === null ? undefined : lastRuns.get(lastRunId)) ?? null,
      runningRuns: running.filter((run) => run.scheduleId === schedule.id),
    };
  });
}

export async function viewOf(
  db: Db | Tx,
  book: CalendarBook,
  schedule: StoredSchedule,
  nowMs: number,
): Promise<ScheduleView> {
  return (await viewsOf(db, book, [schedule], nowMs))[0]!;
}
