import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jitterOf } from '../../src/schedules/jitter.ts';
import { MINUTE, SECOND } from '../support/timings.ts';

const seed = 20_260_301;
const id = fc.uuid();
const instant = fc.integer({ min: 0, max: 4e12 });

describe('jitter', () => {
  it('is nothing when the schedule has none', () => {
    expect(jitterOf('some-id', 1000, null, 2000)).toBe(0);
    expect(jitterOf('some-id', 1000, 0, 2000)).toBe(0);
  });

  it('is the same for everyone who computes it', () => {
    // Written down: other values would move the fires of a running installation at an upgrade.
    const jitters = [1, 2, 3].map((n) => jitterOf(`schedule-${n}`, 1_772_323_200_000, MINUTE, null));
    expect(jitters).toEqual([46_265, 42_066, 21_229]);
  });

  it('lies in its range, in whole milliseconds, and before the next nominal time', () => {
    fc.assert(
      fc.property(
        id,
        instant,
        fc.integer({ min: 1, max: 864e5 }),
        fc.option(fc.integer({ min: 1, max: 864e5 })),
        (schedule, atMs, jitterMs, gapMs) => {
          const jitter = jitterOf(schedule, atMs, jitterMs, gapMs === null ? null : atMs + gapMs);
          expect(Number.isInteger(jitter)).toBe(true);
          expect(jitter).toBeGreaterThanOrEqual(0);
          expect(jitter).toBeLessThan(Math.min(jitterMs, gapMs ?? jitterMs));
        },
      ),
      { seed },
    );
  });

  it('keeps the order of the fires, however long it is', () => {
    fc.assert(
      fc.property(
        id,
        fc.uniqueArray(instant, { minLength: 2, maxLength: 30 }),
        fc.integer({ min: 1, max: 4e12 }),
        (schedule, instants, jitterMs) => {
          const nominal = instants.sort((a, b) => a - b);
          const due = nominal.map((at, n) => at + jitterOf(schedule, at, jitterMs, nominal[n + 1] ?? null));
          expect(due).toEqual(due.toSorted((a, b) => a - b));
          expect(new Set(due).size).toBe(due.length);
        },
      ),
      { seed },
    );
  });

  it('spreads schedules that share a nominal time evenly', () => {
    const counts = new Array<number>(10).fill(0);
    for (let n = 0; n < 10_000; n += 1) {
      const tenth = Math.floor(jitterOf(`schedule-${n}`, 1_772_323_200_000, 10 * SECOND, null) / SECOND);
      counts[tenth] = (counts[tenth] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('of one schedule differs from fire to fire', () => {
    const jitters = Array.from({ length: 100 }, (_, n) => jitterOf('one', n * MINUTE, MINUTE, null));
    expect(new Set(jitters).size).toBeGreaterThan(90);
  });
});
