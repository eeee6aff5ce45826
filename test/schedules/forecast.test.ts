import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileFilter, parseExclusion } from '../../src/schedules/exclusion.ts';
import { bucketsMax, type ForecastGroup, forecast } from '../../src/schedules/forecast.ts';
import { type ForecastItem, startGroups } from '../../src/schedules/forecast-groups.ts';
import type { Timing } from '../../src/schedules/schedule.ts';
import { nextAfter } from '../../src/schedules/trigger.ts';
import { at, cron, DAY, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

const from = ms('2026-10-24T00:00:00Z');
const day = { fromMs: from, untilMs: from + DAY, bucketMs: HOUR, budget: 100_000 };

function groupTimings(items: readonly ForecastItem[]): ForecastGroup[] {
  const grouping = startGroups();
  for (const item of items) grouping.add(item);
  return grouping.groups();
}

const one = (timing: Timing, count = 1, seedName = 'seed'): ForecastGroup => ({ timing, seedName, count });
const fires = (groups: ForecastGroup[], options = day) =>
  forecast(groups, options).buckets.map((bucket) => bucket.fires);

/** Time by time, schedule by schedule. */
function oracle(items: { timing: Timing; seedName: string }[], options: typeof day): number[] {
  const first = Math.floor(options.fromMs / options.bucketMs);
  const counts = new Array<number>(Math.ceil(options.untilMs / options.bucketMs) - first).fill(0);
  for (const { timing, seedName } of items) {
    let time = nextAfter(timing, seedName, options.fromMs - 1);
    while (time !== null && time < options.untilMs) {
      counts[Math.floor(time / options.bucketMs) - first]! += 1;
      time = nextAfter(timing, seedName, time);
    }
  }
  return counts;
}

describe('a forecast', () => {
  it('counts what comes, in all buckets, the first instant included and the last not', () => {
    const groups = [
      one(cron('0 0 * * *'), 3),
      one(every(HOUR)),
      one(at(from, from + 90 * MINUTE, from + DAY)),
    ];
    const { buckets, ...rest } = forecast(groups, day);
    expect(buckets).toHaveLength(24);
    expect(buckets.slice(0, 3)).toEqual([
      { startMs: from, fires: 5 },
      { startMs: from + HOUR, fires: 2 },
      { startMs: from + 2 * HOUR, fires: 1 },
    ]);
    expect(rest).toEqual({ truncated: false, estimatedFires: 0, schedulesCounted: 5, schedulesLeftOut: 0 });
  });

  it('begins its buckets at whole hours, also when the range does not', () => {
    const range = { ...day, fromMs: from + 10 * MINUTE, untilMs: from + 130 * MINUTE };
    const { buckets } = forecast([one(every(5 * MINUTE))], range);
    expect(buckets).toEqual([
      { startMs: from, fires: 10 },
      { startMs: from + HOUR, fires: 12 },
      { startMs: from + 2 * HOUR, fires: 2 },
    ]);
  });

  it('counts intervals by division, in their window, whatever their length', () => {
    const window = { startAtMs: from + HOUR, endAtMs: from + 2 * HOUR };
    expect(fires([one(every(SECOND, 0, window))]).slice(0, 4)).toEqual([0, 3_600, 1, 0]);
    expect(fires([one(every(SECOND), 100_000)], { ...day, budget: 24 })).toEqual(Array(24).fill(360_000_000));
    expect(fires([one(every(30 * DAY))]).reduce((a, b) => a + b)).toBeLessThanOrEqual(1);
    expect(fires([one(every(HOUR, 0, { endAtMs: from - 1 }))])).toEqual(Array(24).fill(0));
  });

  it('leaves out what is excluded, and counts what is moved where it lands', () => {
    const exclude = [parseExclusion('* 2 * * *', 'seed')];
    const filter = compileFilter({ exclude, only: [] }, 'UTC', new Map());
    expect(fires([{ ...one(every(30 * MINUTE)), filter }]).slice(0, 4)).toEqual([2, 2, 0, 2]);
    const friday = compileFilter(
      { exclude: [parseExclusion('2026-10-23', 'seed')], only: [] },
      'UTC',
      new Map(),
    );
    const moved = {
      ...one(cron('0 5 23 10 *')),
      filter: friday,
      onExcluded: 'next_allowed' as const,
    };
    expect(fires([moved])[5]).toBe(1);
    expect(fires([{ ...moved, onExcluded: 'skip' }])[5]).toBe(0);
  });

  it('is that of a slow count, for any schedules', () => {
    const anyTiming = fc.oneof(
      fc
        .constantFrom('0 2 * * *', '*/7 * * * *', 'H H * * *', 'H/20 * * * *', '30 2 * * *', '*/20 0 3 * * *')
        .chain((text) =>
          fc
            .constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe')
            .map((timezone) => cron([text, '5 5 * * 0'], { timezone })),
        ),
      fc
        .tuple(fc.integer({ min: 1, max: 500 }), fc.nat(60))
        .map(([n, k]) => every(n * 7 * SECOND, k * SECOND)),
      fc.array(fc.integer({ min: -10, max: 1_500 }), { maxLength: 5 }).map((list) => {
        return at(...[...new Set(list)].sort((a, b) => a - b).map((minute) => from + minute * MINUTE));
      }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.record({ timing: anyTiming, seedName: fc.constantFrom('a', 'b', 'c') }), {
          maxLength: 8,
        }),
        fc.constantFrom(MINUTE, HOUR),
        fc.integer({ min: 0, max: 30 }),
        (items, bucketMs, shift) => {
          const options = {
            fromMs: from + shift * 100 * SECOND,
            untilMs: from + DAY + shift * 77 * SECOND,
            bucketMs,
            budget: 1e6,
          };
          expect(fires(groupTimings(items), options)).toEqual(oracle(items, options));
        },
      ),
      { seed: 100_000, numRuns: 150 },
    );
  });
});

describe('what is too much', () => {
  it('of one group goes on by its mean, and is told as an estimate', () => {
    const range = { ...day, groupBudget: 600 };
    const { buckets, truncated, estimatedFires } = forecast([one(cron('* * * * *'), 10)], range);
    expect(buckets.map((bucket) => bucket.fires)).toEqual(Array(24).fill(600));
    expect(truncated).toBe(true);
    expect(estimatedFires).toBe(14 * 600);
  });

  it('of all groups leaves out those with the fewest schedules, and tells how many', () => {
    const groups = [one(cron('1 * * * *'), 2), one(cron('0 * * * *'), 500), one(cron('2 * * * *'), 1)];
    const { buckets, ...rest } = forecast(groups, { ...day, budget: 24, groupBudget: 24 });
    expect(buckets[0]?.fires).toBe(500);
    expect(rest).toEqual({ truncated: true, estimatedFires: 0, schedulesCounted: 500, schedulesLeftOut: 3 });
  });

  it('is a range of more than a week of minutes, and one of nothing', () => {
    expect(() => forecast([], { ...day, untilMs: from + (bucketsMax + 1) * HOUR })).toThrow(RangeError);
    expect(() => forecast([], { ...day, untilMs: from - HOUR })).toThrow(RangeError);
    expect(() => forecast([], { ...day, untilMs: Number.NaN })).toThrow(RangeError);
  });
});

describe('groups', () => {
  it('are one for equal timings, whatever the names', () => {
    const items = ['a', 'b', 'c'].map((seedName) => ({ timing: cron('0 2 * * THU'), seedName }));
    expect(groupTimings(items).map(({ count }) => count)).toEqual([3]);
  });

  it('tell zones, clock-change rules, windows and filters apart', () => {
    const items = [
      { timing: cron('0 2 * * *') },
      { timing: cron('0 2 * * *', { timezone: 'Europe/Berlin' }) },
      { timing: cron('0 2 * * *', { dst: { gap: 'skip', repeat: 'auto' } }) },
      { timing: cron('0 2 * * *', { endAtMs: from }) },
      { timing: cron('0 2 * * *'), filterKey: 'weekends' },
    ].map((item) => ({ ...item, seedName: 'a' }));
    expect(groupTimings(items)).toHaveLength(5);
  });

  it('of an H are those of the times that it stands for: 100,000 daily schedules are 1,440 groups', () => {
    const items = Array.from({ length: 100_000 }, (_, n) => ({
      timing: cron('H H * * *'),
      seedName: `job-${n}`,
    }));
    const groups = groupTimings(items);
    expect(groups).toHaveLength(1_440);
    const { buckets, truncated } = forecast(groups, { ...day, budget: 2_000 });
    expect(truncated).toBe(false);
    expect(buckets.reduce((sum, bucket) => sum + bucket.fires, 0)).toBe(100_000);
  });

  it('of an H beside L, W or # stay apart by name, and are right', () => {
    const items = ['a', 'b', 'a'].map((seedName) => ({ timing: cron('0 H L,H * *'), seedName }));
    const groups = groupTimings(items);
    expect(groups.map(({ count }) => count)).toEqual([2, 1]);
    const month = { ...day, untilMs: from + 31 * DAY };
    expect(fires(groups, month)).toEqual(oracle(items, month));
  });
});
