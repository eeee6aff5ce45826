/** The times to come of schedules that are stored. */
import { type Breath, listTimes } from './breath.ts';
import type { Schedule, Trigger } from './schedule.ts';
import { type Calendars, nextAfter } from './trigger.ts';

/**
 * The next `count` nominal times of a schedule, as if it stayed active; none where nothing will fire, and of a `delay`
 * no more than the next. Fewer where they cannot be computed: its `fault` tells why, or will.
 */
export async function upcomingTimes(
  schedule: Schedule,
  nowMs: number,
  count: number,
  calendars: Calendars,
  breath: Breath,
): Promise<number[]> {
  if (schedule.status === 'stopped' || schedule.status === 'completed') return [];
  const { timing, name } = schedule.spec;
  const { nextRunAtMs } = schedule;
  const next = (afterMs: number) => nextAfter(timing, name, afterMs, calendars);
  // A stored trigger may be anything; then `next` tells the fault.
  if ((timing.trigger as Trigger | null)?.kind === 'delay') {
    if (nextRunAtMs === null) return [];
    const { delayMs } = timing.trigger as Trigger & { kind: 'delay' };
    return (await listTimes(next, nextRunAtMs - delayMs, Math.min(count, 1), breath)).timesMs;
  }
  if (nextRunAtMs === null) return (await listTimes(next, nowMs, count, breath)).timesMs;
  return [nextRunAtMs, ...(await listTimes(next, nextRunAtMs, count - 1, breath)).timesMs];
}
