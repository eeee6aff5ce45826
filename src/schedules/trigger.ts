/**
 * The times of a trigger, as pure functions of values. `nextAfter` is the seam between "when" and everything else:
 * dispatcher, preview, catch-up and the API ask nothing else.
 */
import { createCronCache } from './cron-cache.ts';
import type { CronExpression } from './cron-expression.ts';
import type { Timing, Trigger } from './schedule.ts';

/** Many schedules share few expressions: a herd of equal ones costs one search. It changes the cost and nothing else. */
const cache = createCronCache(10_000);

/** Time ends with the year 9999: RFC 3339 has four digits for a year, and Postgres reads no more. */
export const lastMs = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/**
 * The first nominal time strictly after `afterMs` (epoch milliseconds) and inside the window, or null.
 * `seedName` is the schedule's name: `H` in an expression is a hash of it.
 * Throws InvalidCron, RangeError or TypeError for a trigger that was stored by a program that knew more than this one.
 */
export function nextAfter(timing: Timing, seedName: string, afterMs: number): number | null {
  const { trigger, startAtMs, endAtMs } = timing;
  // Both ends of the window are included, and fires are strictly after.
  const from = startAtMs === null ? afterMs : Math.max(afterMs, startAtMs - 1);
  const next = nextOf(trigger, seedName, from);
  if (next === null) return null;
  // An unknown kind or an interval of nothing must become a fault, and not a time that never moves on.
  if (!(typeof next === 'number' && next > from)) {
    throw new RangeError(`the stored trigger names no time: ${JSON.stringify(trigger).slice(0, 200)}`);
  }
  return next > Math.min(endAtMs ?? lastMs, lastMs) ? null : next;
}

/** The next `count` nominal times, ascending; fewer when the trigger ends. */
export function nextTimes(timing: Timing, seedName: string, afterMs: number, count: number): number[] {
  const times: number[] = [];
  let at: number | null = afterMs;
  while (times.length < count) {
    at = nextAfter(timing, seedName, at);
    if (at === null) break;
    times.push(at);
  }
  return times;
}

function nextOf(trigger: Trigger, seedName: string, afterMs: number): number | null {
  switch (trigger.kind) {
    case 'cron':
      return earliest(
        trigger.expressions.map((text) => cache.next(text, seedName, trigger.timezone, trigger.dst, afterMs)),
      );
    case 'every': {
      const { everyMs, offsetMs } = trigger;
      return (Math.floor((afterMs - offsetMs) / everyMs) + 1) * everyMs + offsetMs;
    }
    case 'at':
      return trigger.atMs.find((at) => at > afterMs) ?? null;
  }
}

function earliest(times: readonly (number | null)[]): number | null {
  let least: number | null = null;
  for (const time of times) if (time !== null && (least === null || time < least)) least = time;
  return least;
}

/** As parseCron, but remembers what it has read. */
export function parsed(text: string, seedName: string): CronExpression {
  return cache.parse(text, seedName);
}
