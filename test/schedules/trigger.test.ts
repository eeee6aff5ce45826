import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Timing, Trigger } from '../../src/schedules/schedule.ts';
import { nextAfter, nextTimes } from '../../src/schedules/trigger.ts';
import { at, cron, DAY, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

const seed = 20_260_301;
const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());

/** The fires strictly after `from`, as text. */
function fires(timing: Timing, from: string, count: number): string[] {
  return nextTimes(timing, 'seed', ms(from), count).map((time) => new Date(time).toISOString());
}

describe('cron', () => {
  it('fires strictly after the instant, also when the instant is a fire', () => {
    expect(iso(nextAfter(cron('0 2 * * *'), 'seed', ms('2026-03-01T02:00:00Z')))).toBe(
      '2026-03-02T02:00:00.000Z',
    );
    expect(iso(nextAfter(cron('0 2 * * *'), 'seed', ms('2026-03-01T02:00:00Z') - 1))).toBe(
      '2026-03-01T02:00:00.000Z',
    );
  });

  it('fires in its time zone', () => {
    expect(fires(cron('0 2 * * *', { timezone: 'Asia/Shanghai' }), '2026-03-01T00:00:00Z', 2)).toEqual([
      '2026-03-01T18:00:00.000Z',
      '2026-03-02T18:00:00.000Z',
    ]);
  });

  it('keeps its time of day through a clock change', () => {
    expect(fires(cron('30 8 * * *', { timezone: 'Europe/Berlin' }), '2026-03-27T12:00:00Z', 3)).toEqual([
      '2026-03-28T07:30:00.000Z',
      '2026-03-29T06:30:00.000Z',
      '2026-03-30T06:30:00.000Z',
    ]);
  });

  it('of several expressions is their union, and a time that they share fires once', () => {
    expect(fires(cron(['*/20 * * * *', '0,30 * * * *']), '2026-03-01T00:00:00Z', 6)).toEqual([
      '2026-03-01T00:20:00.000Z',
      '2026-03-01T00:30:00.000Z',
      '2026-03-01T00:40:00.000Z',
      '2026-03-01T01:00:00.000Z',
      '2026-03-01T01:20:00.000Z',
      '2026-03-01T01:30:00.000Z',
    ]);
  });

  it('with one expression twice fires as with it once', () => {
    const twice = fires(cron(['0 2 * * *', '0 2 * * *']), '2026-03-01T00:00:00Z', 5);
    expect(twice).toEqual(fires(cron('0 2 * * *'), '2026-03-01T00:00:00Z', 5));
  });

  it('with H fires at times that hang on the name of the schedule, and only on it', () => {
    const day = ms('2026-03-01T00:00:00Z');
    const times = Array.from({ length: 20 }, (_, n) => nextAfter(cron('H H * * *'), `job-${n}`, day));
    expect(new Set(times).size).toBeGreaterThan(10);
    expect(nextAfter(cron('H H * * *'), 'job-3', day)).toBe(times[3]);
  });

  it('throws what parseCron throws for an expression that another program stored', () => {
    expect(() => nextAfter(cron('every full moon'), 'seed', 0)).toThrow(/field|expression/);
    expect(() => nextAfter(cron('0 2 * * *', { timezone: 'Mars/Phobos' }), 'seed', 0)).toThrow(RangeError);
  });
});

describe('every', () => {
  it('counts from the epoch, not from when it is asked', () => {
    expect(fires(every(15 * MINUTE), '2026-03-01T00:07:11.123Z', 3)).toEqual([
      '2026-03-01T00:15:00.000Z',
      '2026-03-01T00:30:00.000Z',
      '2026-03-01T00:45:00.000Z',
    ]);
  });

  it('is shifted by its offset', () => {
    expect(fires(every(15 * MINUTE, 2 * MINUTE), '2026-03-01T00:00:00Z', 3)).toEqual([
      '2026-03-01T00:02:00.000Z',
      '2026-03-01T00:17:00.000Z',
      '2026-03-01T00:32:00.000Z',
    ]);
  });

  it('that does not divide the day drifts through it, since it counts elapsed time', () => {
    expect(fires(every(7 * HOUR), '1970-01-01T00:00:00Z', 4)).toEqual([
      '1970-01-01T07:00:00.000Z',
      '1970-01-01T14:00:00.000Z',
      '1970-01-01T21:00:00.000Z',
      '1970-01-02T04:00:00.000Z',
    ]);
  });

  it('fires at the epoch itself and before it by the same rule', () => {
    expect(nextAfter(every(SECOND), 'seed', -1)).toBe(0);
    expect(nextAfter(every(SECOND), 'seed', -1000)).toBe(0);
    expect(nextAfter(every(SECOND, 300), 'seed', -1000)).toBe(-700);
  });

  it('takes an instant with a fraction of a millisecond', () => {
    expect(nextAfter(every(SECOND), 'seed', 1000.5)).toBe(2000);
    expect(nextAfter(every(SECOND), 'seed', 999.999)).toBe(1000);
  });
});

describe('at', () => {
  const [first, second, third] = [1000, 5000, 5001];
  const timing = at(first, second, third);

  it('fires at each instant once, and then never again', () => {
    expect(nextTimes(timing, 'seed', 0, 10)).toEqual([first, second, third]);
    expect(nextAfter(timing, 'seed', third)).toBeNull();
  });

  it('fires strictly after', () => {
    expect(nextAfter(timing, 'seed', first)).toBe(second);
    expect(nextAfter(timing, 'seed', first - 0.5)).toBe(first);
  });

  it('without instants never fires', () => {
    expect(nextAfter(at(), 'seed', 0)).toBeNull();
  });
});

describe('startAt and endAt', () => {
  const start = ms('2026-03-01T12:00:00Z');

  it('are both included', () => {
    const timing = every(HOUR, 0, { startAtMs: start, endAtMs: start + 2 * HOUR });
    expect(nextTimes(timing, 'seed', 0, 10)).toEqual([start, start + HOUR, start + 2 * HOUR]);
  });

  it('between two fires cut those outside off', () => {
    const timing = every(HOUR, 0, { startAtMs: start + 1, endAtMs: start + 2 * HOUR - 1 });
    expect(nextTimes(timing, 'seed', 0, 10)).toEqual([start + HOUR]);
  });

  it('do not move the times of an interval', () => {
    const timing = every(HOUR, 0, { startAtMs: start + 20 * MINUTE });
    expect(nextAfter(timing, 'seed', 0)).toBe(start + HOUR);
  });

  it('hold for cron and at too', () => {
    const window = { startAtMs: start, endAtMs: start + DAY };
    expect(nextTimes(cron('0 12 * * *', window), 'seed', 0, 10)).toEqual([start, start + DAY]);
    const instants = { ...at(start - 1, start, start + DAY, start + DAY + 1), ...window };
    expect(nextTimes(instants, 'seed', 0, 10)).toEqual([start, start + DAY]);
  });

  it('do not bring back what is past', () => {
    const timing = every(HOUR, 0, { startAtMs: start });
    expect(nextAfter(timing, 'seed', start + HOUR)).toBe(start + 2 * HOUR);
  });
});

describe('nextTimes', () => {
  it('answers fewer than were asked for when the trigger ends', () => {
    expect(nextTimes(at(1000, 2000), 'seed', 1500, 5)).toEqual([2000]);
    expect(nextTimes(at(1000), 'seed', 1500, 5)).toEqual([]);
  });

  it('answers none when none is asked for', () => {
    expect(nextTimes(every(SECOND), 'seed', 0, 0)).toEqual([]);
  });
});

describe('the end of time', () => {
  it('is the last millisecond of the year 9999, the last that the wire and Postgres can write', () => {
    const last = ms('9999-12-31T23:59:59.999Z');
    expect(iso(nextAfter(every(HOUR), 'seed', last - HOUR))).toBe('9999-12-31T23:00:00.000Z');
    expect(nextAfter(every(HOUR), 'seed', last - 1)).toBeNull();
    expect(nextAfter(every(HOUR, 0, { startAtMs: last }), 'seed', 0)).toBeNull();
    expect(nextAfter(cron('0 0 1 1 *'), 'seed', last - HOUR)).toBeNull();
    expect(nextAfter(at(last, last + 1), 'seed', last - 1)).toBe(last);
    expect(nextAfter(at(last, last + 1), 'seed', last)).toBeNull();
  });
});

describe('a trigger that this program would not store', () => {
  const broken: [string, unknown][] = [
    ['of no kind', {}],
    ['that is null', null],
    ['of a kind to come', { kind: 'moon', phase: 'full' }],
    ['every 0 ms', { kind: 'every', everyMs: 0, offsetMs: 0 }],
    ['every so many ms backwards', { kind: 'every', everyMs: -1000, offsetMs: 0 }],
    ['without an interval', { kind: 'every' }],
    ['with a text for an interval', { kind: 'every', everyMs: 'hourly', offsetMs: 0 }],
    ['at no list', { kind: 'at', atMs: 7 }],
    ['at texts', { kind: 'at', atMs: ['9999'] }],
    ['without expressions', { kind: 'cron', timezone: 'UTC', dst: { gap: 'run', repeat: 'auto' } }],
    ['without clock-change rules', { kind: 'cron', expressions: ['* * * * *'], timezone: 'UTC', dst: null }],
  ];
  it.each(broken)('%s throws, and never answers something that is no time', (_, trigger) => {
    const timing: Timing = { trigger: trigger as Trigger, startAtMs: null, endAtMs: null };
    expect(() => nextAfter(timing, 'seed', 1000)).toThrow();
  });
});

describe('for every trigger', () => {
  const instant = fc.integer({ min: 0, max: ms('2100-01-01T00:00:00Z') });
  const anyEvery = fc
    .tuple(fc.integer({ min: 1, max: 40 * DAY }), fc.nat())
    .map(([everyMs, offset]) => every(everyMs, offset % everyMs));
  const anyAt = fc
    .uniqueArray(instant, { maxLength: 20 })
    .map((instants) => at(...instants.sort((a, b) => a - b)));
  const anyCron = fc
    .subarray(['*/7 * * * *', '0 2 * * *', '30 2 * * 0', '15 */3 1,15 * *', '*/20 5 4 * * *', '0 0 L * *'], {
      minLength: 1,
    })
    .chain((expressions) =>
      fc
        .constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu')
        .map((timezone) => cron(expressions, { timezone })),
    );
  const anyTiming = fc
    .tuple(fc.oneof(anyEvery, anyAt, anyCron), fc.option(instant), fc.option(instant))
    .map(([timing, a, b]): Timing => {
      const swapped = a !== null && b !== null && a > b;
      return { ...timing, startAtMs: swapped ? b : a, endAtMs: swapped ? a : b };
    });

  it('the next time is strictly after, a whole millisecond, and inside the window', () => {
    fc.assert(
      fc.property(anyTiming, instant, (timing, after) => {
        const next = nextAfter(timing, 'seed', after);
        if (next === null) return;
        expect(next).toBeGreaterThan(after);
        expect(Number.isSafeInteger(next)).toBe(true);
        expect(next).toBeGreaterThanOrEqual(timing.startAtMs ?? next);
        expect(next).toBeLessThanOrEqual(timing.endAtMs ?? next);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('nothing lies between an instant and its next time', () => {
    fc.assert(
      fc.property(anyTiming, instant, fc.double({ min: 0, max: 1, noNaN: true }), (timing, after, part) => {
        const next = nextAfter(timing, 'seed', after);
        const end = next ?? after + 400 * DAY;
        const between = Math.min(after + Math.floor((end - after) * part), end - 1);
        expect(nextAfter(timing, 'seed', between)).toBe(next);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('the times are those of its parts, merged', () => {
    fc.assert(
      fc.property(anyCron, instant, (timing, after) => {
        if (timing.trigger.kind !== 'cron') return;
        const { expressions, timezone } = timing.trigger;
        const parts = expressions.flatMap((text) => nextTimes(cron(text, { timezone }), 'seed', after, 12));
        const merged = [...new Set(parts)].sort((a, b) => a - b).slice(0, 12);
        expect(nextTimes(timing, 'seed', after, 12)).toEqual(merged);
      }),
      { seed, numRuns: 200 },
    );
  });

  it('the window only cuts: what is inside is what it would be without', () => {
    fc.assert(
      fc.property(anyTiming, instant, (timing, after) => {
        const start = timing.startAtMs ?? 0;
        const free = { ...timing, startAtMs: null, endAtMs: null };
        const expected = nextAfter(free, 'seed', Math.max(after, start - 1));
        const inside = expected === null || (timing.endAtMs !== null && expected > timing.endAtMs);
        expect(nextAfter(timing, 'seed', after)).toBe(inside ? null : expected);
      }),
      { seed, numRuns: 500 },
    );
  });
});
