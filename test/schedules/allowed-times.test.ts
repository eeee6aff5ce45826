import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BaseTimes,
  type LookBudget,
  looksMax,
  nextAllowed,
  type OnExcluded,
} from '../../src/schedules/allowed-times.ts';
import { readCalendar } from '../../src/schedules/calendar.ts';
import { compileFilter, type Filter, parseExclusion } from '../../src/schedules/exclusion.ts';
import type { Timing } from '../../src/schedules/schedule.ts';
import { nextAfter } from '../../src/schedules/trigger.ts';
import { at, cron, DAY, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

function filterOf(spec: { exclude?: string[]; only?: string[] }, timezone = 'UTC'): Filter {
  const read = (texts: string[] = []) => texts.map((text) => parseExclusion(text, 'seed'));
  return compileFilter({ exclude: read(spec.exclude), only: read(spec.only) }, timezone, new Map());
}

const baseOf = (timing: Timing): BaseTimes => ({ next: (after) => nextAfter(timing, 'seed', after) });

/**
 * The fires after an instant, told by the clock of the zone: `2026-12-24T02:00` or `… < 2026-12-26T02:00`
 * when moved.
 */
function timetable(
  timing: Timing,
  exclude: string[],
  onExcluded: OnExcluded,
  from: string,
  count: number,
  timezone = 'UTC',
): string[] {
  const filter = filterOf({ exclude }, timezone);
  const stamp = (instant: number) =>
    Temporal.Instant.fromEpochMilliseconds(instant)
      .toZonedDateTimeISO(timezone)
      .toString({
        timeZoneName: 'never',
        smallestUnit: 'minute',
        offset: timezone === 'UTC' ? 'never' : 'auto',
      });
  const rows: string[] = [];
  let after = ms(from);
  while (rows.length < count) {
    const found = nextAllowed(baseOf(timing), filter, onExcluded, timezone, after);
    if (found === null) break;
    rows.push(
      found.movedFromMs === null
        ? stamp(found.atMs)
        : `${stamp(found.atMs)} < ${stamp(found.movedFromMs).slice(0, 16)}`,
    );
    after = found.atMs;
  }
  return rows;
}

describe('skip', () => {
  it('leaves out what is excluded', () => {
    expect(timetable(cron('0 2 * * *'), ['2026-12-24..2026-12-26'], 'skip', '2026-12-22T12:00Z', 3)).toEqual([
      '2026-12-23T02:00',
      '2026-12-27T02:00',
      '2026-12-28T02:00',
    ]);
  });

  it('ends with the trigger', () => {
    const timing = at(ms('2026-12-24T02:00Z'), ms('2026-12-28T02:00Z'));
    expect(timetable(timing, ['2026-12-24'], 'skip', '2026-12-01T00:00Z', 5)).toEqual(['2026-12-28T02:00']);
    expect(timetable(timing, ['2026-12-28'], 'skip', '2026-12-25T00:00Z', 5)).toEqual([]);
  });
});

describe('next_allowed', () => {
  it('moves to the same time on the next allowed day, once for all that land there', () => {
    const weekends = ['* * * * 0,6'];
    expect(timetable(cron('0 2 1 * *'), weekends, 'next_allowed', '2026-07-15T00:00Z', 3)).toEqual([
      '2026-08-03T02:00 < 2026-08-01T02:00',
      '2026-09-01T02:00',
      '2026-10-01T02:00',
    ]);
    expect(timetable(cron('0 2 * * *'), weekends, 'next_allowed', '2026-07-16T12:00Z', 3)).toEqual([
      '2026-07-17T02:00',
      '2026-07-20T02:00',
      '2026-07-21T02:00',
    ]);
    expect(timetable(cron('0 2 * * 0,6'), weekends, 'next_allowed', '2026-07-16T12:00Z', 2)).toEqual([
      '2026-07-20T02:00 < 2026-07-19T02:00',
      '2026-07-27T02:00 < 2026-07-26T02:00',
    ]);
  });

  it('finds a moved time between two times of the trigger', () => {
    const timing = cron(['0 2 * * 6', '0 4 * * 1']);
    expect(timetable(timing, ['* * * * 6,0'], 'next_allowed', '2026-07-17T00:00Z', 4)).toEqual([
      '2026-07-20T02:00 < 2026-07-18T02:00',
      '2026-07-20T04:00',
      '2026-07-27T02:00 < 2026-07-25T02:00',
      '2026-07-27T04:00',
    ]);
  });

  it('does not stop at a day on which only that time is excluded', () => {
    const exclude = ['2026-07-18', '* 2 19 7 *', '* 3 20 7 *'];
    expect(timetable(cron('0 2 18 7 *'), exclude, 'next_allowed', '2026-07-01T00:00Z', 1)).toEqual([
      '2026-07-20T02:00 < 2026-07-18T02:00',
    ]);
  });

  it('moves the last time of a trigger that has ended', () => {
    const timing = at(ms('2026-12-25T02:00Z'));
    const exclude = ['2026-12-24..2026-12-26'];
    expect(timetable(timing, exclude, 'next_allowed', '2026-12-25T12:00Z', 2)).toEqual([
      '2026-12-27T02:00 < 2026-12-25T02:00',
    ]);
    expect(timetable(timing, exclude, 'next_allowed', '2026-12-27T02:00Z', 2)).toEqual([]);
  });

  it('moves over 366 days at most', () => {
    const timing = at(ms('2026-12-31T02:00Z'));
    expect(timetable(timing, ['2026-12-31..2027-12-31'], 'next_allowed', '2026-06-01T00:00Z', 1)).toEqual([
      '2028-01-01T02:00 < 2026-12-31T02:00',
    ]);
    expect(timetable(timing, ['2026-12-31..2028-01-01'], 'next_allowed', '2026-06-01T00:00Z', 1)).toEqual([]);
  });

  it('lands at the end of a gap, and at the first of two times', () => {
    const berlin = { timezone: 'Europe/Berlin' };
    expect(
      timetable(
        cron('30 2 27 3 *', berlin),
        ['2027-03-27'],
        'next_allowed',
        '2027-01-01T00:00Z',
        1,
        'Europe/Berlin',
      ),
    ).toEqual(['2027-03-28T03:00+02:00 < 2027-03-27T02:30']);
    expect(
      timetable(
        cron('30 2 30 10 *', berlin),
        ['2027-10-30'],
        'next_allowed',
        '2027-01-01T00:00Z',
        1,
        'Europe/Berlin',
      ),
    ).toEqual(['2027-10-31T02:30+02:00 < 2027-10-30T02:30']);
  });

  it('lands at the end of a gap also when nothing else of that day is excluded', () => {
    const timing = cron('30 2 27 3 *', { timezone: 'Europe/Berlin' });
    expect(
      timetable(timing, ['* 2 27 3 *'], 'next_allowed', '2027-03-27T12:00Z', 1, 'Europe/Berlin'),
    ).toEqual(['2027-03-28T03:00+02:00 < 2027-03-27T02:30']);
  });

  it('moves the second of two times also when the first is not excluded', () => {
    const ical = `BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART:20271031T010000Z
DTEND:20271031T020000Z
END:VEVENT
END:VCALENDAR`;
    const secondPass = readCalendar({ timezone: 'UTC', entries: [], ical }, ms('2027-01-01T00:00Z')).compiled;
    const exclude = [parseExclusion('calendar:second-pass', 'seed')];
    const filter = compileFilter(
      { exclude, only: [] },
      'Europe/Berlin',
      new Map([['second-pass', secondPass]]),
    );
    const timing = cron('30 2 31 10 *', {
      timezone: 'Europe/Berlin',
      dst: { gap: 'run', repeat: 'last' },
    });
    const next = (after: string) =>
      nextAllowed(baseOf(timing), filter, 'next_allowed', 'Europe/Berlin', ms(after));
    const moved = { atMs: ms('2027-11-01T01:30Z'), movedFromMs: ms('2027-10-31T01:30Z') };
    expect(next('2027-10-30T00:00Z')).toEqual(moved);
    expect(next('2027-10-31T20:00Z')).toEqual(moved);
  });
});

describe('previous_allowed', () => {
  it('moves to the same time on the previous allowed day, which lies before the trigger’s own', () => {
    expect(
      timetable(cron('0 18 L * *'), ['* * * * 0,6'], 'previous_allowed', '2026-01-01T00:00Z', 6),
    ).toEqual([
      '2026-01-30T18:00 < 2026-01-31T18:00',
      '2026-02-27T18:00 < 2026-02-28T18:00',
      '2026-03-31T18:00',
      '2026-04-30T18:00',
      '2026-05-29T18:00 < 2026-05-31T18:00',
      '2026-06-30T18:00',
    ]);
  });

  it('is over when the day that it would move to is past', () => {
    const saturday = at(ms('2026-07-18T02:00Z'));
    expect(timetable(saturday, ['* * * * 0,6'], 'previous_allowed', '2026-07-17T01:00Z', 1)).toEqual([
      '2026-07-17T02:00 < 2026-07-18T02:00',
    ]);
    expect(timetable(saturday, ['* * * * 0,6'], 'previous_allowed', '2026-07-17T02:00Z', 1)).toEqual([]);
  });

  it('of times every second lands before a holiday, second by second', () => {
    const rows = timetable(every(SECOND), ['2026-07-18'], 'previous_allowed', '2026-07-17T23:59:57Z', 3);
    expect(rows).toEqual(['2026-07-17T23:59', '2026-07-17T23:59', '2026-07-19T00:00']);
  });
});

/**
 * The rule taken literally: every time of the trigger far around, each moved day by day, sorted, the first
 * one after.
 */
function oracle(
  timing: Timing,
  filter: Filter,
  onExcluded: OnExcluded,
  timezone: string,
  after: number,
  daysAround: number,
): number | null {
  const times = new Set<number>();
  const base = baseOf(timing);
  for (let time = base.next(after - daysAround * DAY); time !== null; time = base.next(time)) {
    if (time > after + daysAround * DAY) break;
    const moved = filter.allows(time) ? time : movedOf(time, filter, onExcluded, timezone, daysAround);
    if (moved !== null && moved > after) times.add(moved);
  }
  return times.size === 0 ? null : Math.min(...times);
}

function movedOf(
  time: number,
  filter: Filter,
  onExcluded: OnExcluded,
  timezone: string,
  daysMax: number,
): number | null {
  if (onExcluded === 'skip') return null;
  const local = Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO(timezone).toPlainDateTime();
  for (let days = 1; days <= daysMax; days++) {
    const wanted = local.add({ days: onExcluded === 'next_allowed' ? days : -days });
    let placed = wanted.toZonedDateTime(timezone, { disambiguation: 'earlier' });
    if (!placed.toPlainDateTime().equals(wanted)) placed = placed.getTimeZoneTransition('next')!;
    if (filter.allows(placed.epochMilliseconds)) return placed.epochMilliseconds;
  }
  return null;
}

const iso = (at: number | null | undefined) => (at == null ? null : new Date(at).toISOString());

/** Days around that the oracle looks at. */
const sight = 15;

const zones = ['UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/Santiago', 'Antarctica/Troll'];
const changes = ['2026-03-29', '2026-04-05', '2026-09-06', '2026-10-04', '2026-10-25'];

/** Few long stretches and many short ones, about a day on which some clock changes. */
const anyFilter = fc.record({
  exclude: fc.array(
    fc.oneof(
      fc.constantFrom(
        ...changes,
        '2026-03-28..2026-03-30',
        '2026-10-23..2026-10-26',
        '2026-09-05..2026-09-08',
      ),
      fc.constantFrom('* * * * 0,6', '* 0-11 * * *', '* 2 * * *', '*/2 * * * *', '30 2 * * *', '* * */2 * *'),
      fc.constantFrom('0 0-5 * * *', '* 2,3 * * 6', '15-45 1-2 25-29 * *', '* * 1-3,25-31 * *'),
    ),
    { minLength: 1, maxLength: 3 },
  ),
  only: fc.oneof(
    { weight: 3, arbitrary: fc.constant<string[]>([]) },
    { weight: 1, arbitrary: fc.constantFrom<string[]>(['* * * * 1-5'], ['* 1-3 * * *', '* * 28 * *']) },
  ),
});

const anyTiming = (timezone: string): fc.Arbitrary<Timing> =>
  fc.oneof(
    fc
      .constantFrom('30 2 * * *', '0 * * * *', '15 2,3 * * 6', '0 12 L * *', '*/20 1-3 * * *', '0 0 * * 0')
      .chain((text) =>
        fc
          .constantFrom('auto', 'first', 'both', 'last')
          .map((repeat) => cron(text, { timezone, dst: { gap: 'run', repeat } })),
      ),
    fc.constantFrom(
      every(7 * HOUR),
      every(90 * MINUTE, 7 * MINUTE),
      every(25 * HOUR),
      every(6 * DAY, 2.5 * HOUR),
    ),
  );

describe('for any trigger and filter', () => {
  it.each<OnExcluded>([
    'skip',
    'next_allowed',
    'previous_allowed',
  ])('%s does what its words say', (onExcluded) => {
    fc.assert(
      fc.property(
        fc.constantFrom(...zones).chain((timezone) => fc.tuple(fc.constant(timezone), anyTiming(timezone))),
        anyFilter,
        fc.constantFrom(...changes),
        fc.integer({ min: -3 * 24 * 4, max: 3 * 24 * 4 }),
        ([timezone, timing], spec, day, quarters) => {
          const filter = filterOf(spec, timezone);
          const after = ms(`${day}T00:00:00Z`) + quarters * 15 * MINUTE;
          const expected = oracle(timing, filter, onExcluded, timezone, after, sight);
          const found = nextAllowed(baseOf(timing), filter, onExcluded, timezone, after);
          if (iso(found?.atMs) !== iso(expected)) {
            // The oracle sees so many days around only; what it does not see must come from beyond.
            const { atMs, movedFromMs } = found!;
            expect(atMs).toBeLessThan(expected ?? Infinity);
            const origin = movedFromMs ?? atMs;
            const sightMs = (sight - 1) * DAY;
            expect(Math.max(Math.abs(origin - after), Math.abs(origin - atMs))).toBeGreaterThan(sightMs);
          }
          if (found !== null && found.movedFromMs !== null) {
            expect(filter.allows(found.movedFromMs)).toBe(false);
            expect(movedOf(found.movedFromMs, filter, onExcluded, timezone, 366)).toBe(found.atMs);
            expect(baseOf(timing).next(found.movedFromMs - 1)).toBe(found.movedFromMs);
          } else if (found !== null) {
            expect(baseOf(timing).next(found.atMs - 1)).toBe(found.atMs);
          }
        },
      ),
      { seed: Number(process.env.CARILLON_CALENDAR_SEED ?? 366), numRuns: 200 },
    );
  }, 120_000);

  it('times are strictly ascending, and nothing lies between', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<OnExcluded>('next_allowed', 'previous_allowed'),
        anyTiming('Europe/Berlin'),
        anyFilter,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (onExcluded, timing, spec, part) => {
          const filter = filterOf(spec, 'Europe/Berlin');
          const after = ms('2026-10-23T00:00:00Z');
          const next = (from: number) =>
            nextAllowed(baseOf(timing), filter, onExcluded, 'Europe/Berlin', from)?.atMs ?? null;
          const first = next(after);
          if (first === null) return;
          expect(first).toBeGreaterThan(after);
          expect(next(after + Math.floor((first - 1 - after) * part))).toBe(first);
        },
      ),
      { seed: 367, numRuns: 200 },
    );
  });
});

describe('the cost', () => {
  /** Counts the questions put to trigger and filter. */
  function counted(timing: Timing, filter: Filter) {
    const count = { asked: 0 };
    const counting = <A extends unknown[], R>(ask: (...of: A) => R) => {
      return (...of: A): R => {
        count.asked += 1;
        return ask(...of);
      };
    };
    const base: BaseTimes = { next: counting(baseOf(timing).next) };
    const counted: Filter = {
      allows: counting(filter.allows),
      rule: filter.rule,
      excludedUntil: counting(filter.excludedUntil),
      allowedUntil: counting(filter.allowedUntil),
    };
    return { base, filter: counted, count };
  }

  it.each<
    [what: string, timing: Timing, spec: { exclude?: string[]; only?: string[] }, OnExcluded, asked: number]
  >([
    ['nothing excluded nearby', cron('0 2 * * *'), { exclude: ['2030-01-01'] }, 'next_allowed', 12],
    ['weekends', cron('0 2 * * *'), { exclude: ['* * * * 0,6'] }, 'next_allowed', 40],
    ['a year without, every second', every(SECOND), { exclude: ['2026-06-02..2027-06-02'] }, 'skip', 8],
    [
      'a year without, every second, moved',
      every(SECOND),
      { exclude: ['2026-06-02..2027-06-01'] },
      'next_allowed',
      3_000,
    ],
    ['nothing is ever allowed', every(SECOND), { exclude: ['* * * * *'] }, 'next_allowed', 20],
    [
      'nothing is ever allowed, in halves',
      every(SECOND),
      { exclude: ['* 0-11 * * *', '* 12-23 * * *'] },
      'skip',
      25_000,
    ],
    ['only a past day', every(SECOND), { only: ['2020-01-01'] }, 'previous_allowed', 20],
    ['the time itself is excluded every day', cron('0 2 * * *'), { exclude: ['0 2 * * *'] }, 'skip', 25_000],
    [
      'the time itself is excluded every day, moved',
      cron('0 2 * * *'),
      { exclude: ['0 2 * * *'] },
      'next_allowed',
      60_000,
    ],
    ['nights excluded, hourly', cron('0 * * * *'), { exclude: ['0 0-5 * * *'] }, 'next_allowed', 100],
    [
      'every other minute, monthly',
      cron('0 0 1 * *'),
      { exclude: ['1-59/2 * * * *'] },
      'next_allowed',
      25_000,
    ],
  ])('%s: is bounded', (_, timing, spec, onExcluded, asked) => {
    const { base, filter, count } = counted(timing, filterOf(spec));
    nextAllowed(base, filter, onExcluded, 'UTC', ms('2026-06-01T23:00:00Z'));
    expect(count.asked).toBeLessThanOrEqual(asked);
  });

  it('of giving up is told apart from an end', () => {
    const ended: LookBudget = { looksLeft: looksMax };
    expect(nextAllowed(baseOf(at(1_000)), filterOf({}), 'skip', 'UTC', 1_000, ended)).toBeNull();
    expect(ended.looksLeft).toBeGreaterThan(0);
    const gaveUp: LookBudget = { looksLeft: looksMax };
    const never = filterOf({ exclude: ['*/2 * * * *'] });
    expect(nextAllowed(baseOf(cron('*/2 * * * *')), never, 'skip', 'UTC', 0, gaveUp)).toBeNull();
    expect(gaveUp.looksLeft).toBeLessThanOrEqual(0);
  });
});
