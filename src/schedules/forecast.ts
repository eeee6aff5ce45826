/**
 * How many runs are coming, per minute or per hour, for the schedules of a whole installation: a picture of
 * the load.
 *
 * 1. Equal timings are computed once and counted as often as there are schedules (forecast-groups.ts).
 * 2. An interval is counted by division, everything else time by time.
 * 3. The times of one group, and of all together, are limited. A group beyond its limit goes on in the rest
 *    of the range as often as before, by its mean; a group that finds the budget used up is left out. Both
 *    are said in the answer.
 *
 * Nominal times are counted: jitter, overlap and pauses are not looked at. Pure; `start` lets a caller take
 * breaks.
 */
import { nextAllowed, type OnExcluded } from './allowed-times.ts';
import { parsed } from './cron-memory.ts';
import { nextCron } from './cron-times.ts';
import type { Filter } from './exclusion.ts';
import type { Timing } from './schedule.ts';
import { nextAfter } from './trigger.ts';

/** Schedules with one timing. */
export type ForecastGroup = {
  timing: Timing;
  seedName: string;
  /** How many schedules. */
  count: number;
  /** With a filter the group is computed time by time. */
  filter?: Filter | null;
  onExcluded?: OnExcluded;
  timezone?: string;
  /** Fewer than the group budget, for times that are dear. */
  timesMax?: number;
};

export type ForecastOptions = {
  /** Epoch ms; included. */
  fromMs: number;
  /** Not included. */
  untilMs: number;
  /** A minute or an hour; buckets begin at its multiples since the epoch. */
  bucketMs: number;
  /** Times that may be computed for all groups together. A million take about half a second. */
  budget: number;
  /** Times that may be computed for one group. Default: a tenth of the budget. */
  groupBudget?: number;
};

export type ForecastBucket = { startMs: number; fires: number };

export type Forecast = {
  /** All buckets of the range, also the empty ones. */
  buckets: ForecastBucket[];
  /** Some numbers are estimates, or schedules were left out: see the other two. */
  truncated: boolean;
  /** Fires that were not computed but estimated from the mean of their group. */
  estimatedFires: number;
  schedulesCounted: number;
  schedulesLeftOut: number;
};

/** Buckets that a range may have: a week of minutes. */
export const bucketsMax = 10_080;

export type ForecastRun = {
  /** Costs at most the group's budget. */
  add(group: ForecastGroup): void;
  result(): Forecast;
};

/** All groups at once; those with the most schedules first, so that what is left out weighs least. */
export function forecast(groups: Iterable<ForecastGroup>, options: ForecastOptions): Forecast {
  const run = startForecast(options);
  for (const group of [...groups].sort((a, b) => b.count - a.count)) run.add(group);
  return run.result();
}

/** Throws RangeError for a range that is empty or has too many buckets. */
export function startForecast(options: ForecastOptions): ForecastRun {
  const { fromMs, untilMs, bucketMs, budget, groupBudget = Math.max(1, Math.floor(budget / 10)) } = options;
  const first = Math.floor(fromMs / bucketMs);
  const size = Math.ceil(untilMs / bucketMs) - first;
  if (!(size >= 1 && size <= bucketsMax)) {
    throw new RangeError(`a forecast has 1 to ${bucketsMax} buckets, and not ${size}`);
  }
  const fires = new Float64Array(size);
  let left = budget;
  let estimatedFires = 0;
  let schedulesCounted = 0;
  let schedulesLeftOut = 0;

  function add(group: ForecastGroup): void {
    if (left <= 0) {
      schedulesLeftOut += group.count;
      return;
    }
    schedulesCounted += group.count;
    const { trigger } = group.timing;
    if (trigger.kind === 'every' && (group.filter ?? null) === null) {
      left -= Math.min(size, countEvery(group, trigger.everyMs, trigger.offsetMs));
      return;
    }
    const next = nextOf(group);
    const limit = Math.min(left, groupBudget, group.timesMax ?? Number.POSITIVE_INFINITY);
    let at = next(fromMs - 1);
    for (let computed = 0; at !== null && at < untilMs; computed += 1) {
      if (computed >= limit) {
        estimate(group.count, computed, at);
        break;
      }
      left -= 1;
      const index = Math.floor(at / bucketMs) - first;
      fires[index] = fires[index]! + group.count;
      at = next(at);
    }
  }

  /** By division: per bucket or, when they are fewer, per time. Returns how many steps it took. */
  function countEvery({ timing, count }: ForecastGroup, everyMs: number, offsetMs: number): number {
    const from = Math.max(fromMs, timing.startAtMs ?? fromMs);
    const until = Math.min(untilMs, timing.endAtMs === null ? untilMs : timing.endAtMs + 1);
    const before = (ms: number) => Math.ceil((ms - offsetMs) / everyMs);
    if (until <= from) return 0;
    const times = before(until) - before(from);
    if (times <= size) {
      for (let k = before(from); k < before(until); k++) {
        const index = Math.floor((k * everyMs + offsetMs) / bucketMs) - first;
        fires[index] = fires[index]! + count;
      }
      return times;
    }
    for (let index = 0; index < size; index++) {
      const start = Math.max(from, (first + index) * bucketMs);
      const end = Math.min(until, (first + index + 1) * bucketMs);
      if (end > start) fires[index] = fires[index]! + count * (before(end) - before(start));
    }
    return size;
  }

  /** The rest of the range as often as the part before `atMs`, in which there were `computed` times. */
  function estimate(count: number, computed: number, atMs: number): void {
    const perMs = (count * computed) / (atMs - fromMs);
    for (let index = Math.floor(atMs / bucketMs) - first; index < size; index++) {
      const start = Math.max(atMs, (first + index) * bucketMs);
      const end = Math.min(untilMs, (first + index + 1) * bucketMs);
      fires[index] = fires[index]! + perMs * (end - start);
      estimatedFires += perMs * (end - start);
    }
  }

  return {
    add,
    result: () => ({
      buckets: Array.from(fires, (sum, index) => ({
        startMs: (first + index) * bucketMs,
        fires: Math.round(sum),
      })),
      truncated: estimatedFires > 0 || schedulesLeftOut > 0,
      estimatedFires: Math.round(estimatedFires),
      schedulesCounted,
      schedulesLeftOut,
    }),
  };
}

function nextOf({ timing, seedName, filter, onExcluded, timezone }: ForecastGroup) {
  const base = { next: plainNext(timing, seedName) };
  if (filter === undefined || filter === null) return base.next;
  const { trigger } = timing;
  const zone = timezone ?? (trigger.kind === 'cron' ? trigger.timezone : 'UTC');
  return (afterMs: number) => nextAllowed(base, filter, onExcluded ?? 'skip', zone, afterMs)?.atMs ?? null;
}

/** For one expression without a window the evaluator is asked directly, which is twice as fast. */
function plainNext(timing: Timing, seedName: string): (afterMs: number) => number | null {
  const { trigger, startAtMs, endAtMs } = timing;
  const [text] = trigger.kind === 'cron' ? trigger.expressions : [];
  if (trigger.kind !== 'cron' || trigger.expressions.length !== 1 || startAtMs !== null || endAtMs !== null) {
    return (afterMs) => nextAfter(timing, seedName, afterMs);
  }
  const expression = parsed(text!, seedName);
  return (afterMs) => nextCron(expression, trigger.timezone, trigger.dst, afterMs);
}
