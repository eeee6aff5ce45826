/** A schedule with what a reader wants beside it. */
import type { Clock } from '../clock.ts';
import type { Db, Tx } from '../db/client.ts';
import { findRuns, listActiveRuns } from '../db/run-history-store.ts';
import type { StoredSchedule } from '../db/schedule-store.ts';
import { createBreath } from './breath.ts';
import type { CalendarBook } from './calendar-book.ts';
import type { ScheduleView } from './schedule.ts';
import { upcomingTimes } from './upcoming.ts';

const upcomingShown = 5;
const runningShown = 20;

export type ViewParts = { book: CalendarBook; clock: Clock };

export async function viewsOf(
  db: Db | Tx,
  { book, clock }: ViewParts,
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
  const breath = createBreath(clock);
  const views: ScheduleView[] = [];
  for (const { lastRunId, ...schedule } of found) {
    const isActive = schedule.status === 'active';
    const upcomingMs = isActive ? await upcomingTimes(schedule, nowMs, upcomingShown, calendars, breath) : [];
    views.push({
      ...schedule,
      // The end of the last run did not look at the exclusions of a `delay`.
      nextRunAtMs: upcomingMs[0] ?? schedule.nextRunAtMs,
      upcomingMs,
      lastRun: (lastRunId === null ? undefined : lastRuns.get(lastRunId)) ?? null,
      runningRuns: running.filter((run) => run.scheduleId === schedule.id),
    });
  }
  return views;
}

export async function viewOf(
  db: Db | Tx,
  parts: ViewParts,
  schedule: StoredSchedule,
  nowMs: number,
): Promise<ScheduleView> {
  return (await viewsOf(db, parts, [schedule], nowMs))[0]!;
}
