/**
 * A cron expression as a set of instants and not as a list of fires: an instant is covered when the clocks on
 * the wall match the expression, to the minute with five fields and to the second with six. Both passes of a
 * repeated hour match, and a time that does not exist matches never, so `dst` has no say. `* * 1-5 * *`
 * covers five whole days.
 *
 * What is not covered is a union of cron expressions again, one per field that is not full: the minutes it
 * does not name of any hour, the hours it does not name of any day, and so on. So both ends of a stretch are
 * found by the evaluator, in its few hundred nanoseconds, however long the stretch is.
 */
import { shapeOf } from './cron-days.ts';
import type { CronExpression, CronSets, Set60 } from './cron-expression.ts';
import { type DstPolicy, nextCron } from './cron-times.ts';
import { localAtOrAfter, yearOf } from './cron-wall-clock.ts';
import type { Cover } from './intervals.ts';
import { toLocal } from './zone.ts';

const SECOND_MS = 1_000;

/** The wall clock as it is. */
const AS_SHOWN: DstPolicy = { gap: 'skip', repeat: 'both' };

const NO_60: Set60 = { low: 0, high: 0 };
const ALL_60: Set60 = { low: 2 ** 30 - 1, high: 2 ** 30 - 1 };
const ALL_HOURS = 2 ** 24 - 1;
const ALL_MONTHS = 2 ** 12 - 1;
const ALL_DAYS = Int32Array.from({ length: 28 }, (_, shape) => allDaysOf(shape));

/** The cover of an expression in a zone. */
export function cronCover(expression: CronExpression, zone: string): Cover {
  const matching: CronSets = {
    ...expression.sets,
    seconds: expression.hasSeconds ? expression.sets.seconds : ALL_60,
  };
  const inside = { ...expression, sets: matching };
  const outside = complement(matching).map((sets) => ({ ...expression, sets }));
  const covers = (atMs: number): boolean => {
    const local = Math.floor(toLocal(zone, atMs) / SECOND_MS) * SECOND_MS;
    return localAtOrAfter(matching, local, yearOf(local)) === local;
  };
  return {
    covers,
    uncoveredFrom(atMs) {
      if (!covers(atMs)) return atMs;
      let first = Infinity;
      for (const part of outside) first = Math.min(first, nextCron(part, zone, AS_SHOWN, atMs) ?? Infinity);
      return first;
    },
    coveredFrom: (atMs) => (covers(atMs) ? atMs : (nextCron(inside, zone, AS_SHOWN, atMs) ?? Infinity)),
  };
}

/** Sets that together match exactly what `sets` does not; none when it matches always. */
function complement(sets: CronSets): CronSets[] {
  const all = { seconds: ALL_60, minutes: ALL_60, hours: ALL_HOURS, months: ALL_MONTHS, days: ALL_DAYS };
  const parts: CronSets[] = [];
  const seconds = without60(sets.seconds);
  if (seconds !== NO_60) parts.push({ ...all, seconds });
  const minutes = without60(sets.minutes);
  if (minutes !== NO_60) parts.push({ ...all, minutes });
  const hours = ALL_HOURS & ~sets.hours;
  if (hours !== 0) parts.push({ ...all, hours });
  const months = ALL_MONTHS & ~sets.months;
  if (months !== 0) parts.push({ ...all, months });
  const days = ALL_DAYS.map((all, shape) => all & ~(sets.days[shape] ?? 0));
  if (days.some((set) => set !== 0)) parts.push({ ...all, days });
  return parts;
}

function without60(set: Set60): Set60 {
  const low = ALL_60.low & ~set.low;
  const high = ALL_60.high & ~set.high;
  return low === 0 && high === 0 ? NO_60 : { low, high };
}

function allDaysOf(shape: number): number {
  for (let length = 28; length <= 31; length++) {
    if (shape < shapeOf(length + 1, 0)) return 2 ** length - 1;
  }
  throw new RangeError(`no month has the shape ${shape}`);
}
