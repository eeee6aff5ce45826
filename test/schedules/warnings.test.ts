import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { compileFilter, parseExclusion } from '../../src/schedules/exclusion.ts';
import { herdWarning } from '../../src/schedules/herd-warning.ts';
import type { Timing } from '../../src/schedules/schedule.ts';
import { nextTimes } from '../../src/schedules/trigger.ts';
import { warningParts, warningTexts } from '../../src/schedules/warning-words.ts';
import { type WarningInput, warningsFor, warningsMax } from '../../src/schedules/warnings.ts';
import { at, cron, DAY, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';
import { anyFiveFields, anyPolicy } from './cron-arbitrary.ts';

const from = ms('2026-06-01T00:00:00Z');
const berlin = { timezone: 'Europe/Berlin' };

function warnings(timing: Timing, more: Partial<WarningInput> = {}) {
  return warningsFor({ timing, seedName: 'nightly', fromMs: from, ...more });
}

const codes = (timing: Timing, more: Partial<WarningInput> = {}) =>
  warnings(timing, more).map(({ code }) => code);

const only = (exclude: string[], timezone = 'UTC') =>
  compileFilter(
    { exclude: exclude.map((text) => parseExclusion(text, 'seed')), only: [] },
    timezone,
    new Map(),
  );

describe('clock changes', () => {
  it('of the next 400 days are told with date, time and zone', () => {
    expect(warnings(cron('30 2 * * *', berlin))).toEqual([
      {
        code: 'dst_repeat_first',
        message: '02:30 comes twice on 2026-10-25 in Europe/Berlin; runs at the first of the two only.',
        at: ms('2026-10-25T00:30:00Z'),
      },
      {
        code: 'dst_gap_moved',
        message:
          'Will not run at 02:30 on 2027-03-28, which does not exist in Europe/Berlin; runs at 03:00 instead.',
        at: ms('2027-03-28T01:00:00Z'),
      },
    ]);
    expect(warnings(cron('30 2 * * *', berlin), { locale: 'zh_CN' }).map(({ message }) => message)).toEqual([
      'Europe/Berlin 的 2026-10-25 有两个 02:30，只在第一个运行。',
      'Europe/Berlin 的 2027-03-28 没有 02:30，届时不会运行，改在 03:00 运行。',
    ]);
  });

  test.each<[string, Timing, string[]]>([
    [
      'skip and both',
      cron('30 2 * * *', { ...berlin, dst: { gap: 'skip', repeat: 'both' } }),
      ['dst_repeat_twice 2026-10-25T00:30', 'dst_gap_skipped 2027-03-28T01:00'],
    ],
    [
      'last',
      cron('30 2 * * *', { ...berlin, dst: { gap: 'run', repeat: 'last' } }),
      ['dst_repeat_last 2026-10-25T01:30', 'dst_gap_moved 2027-03-28T01:00'],
    ],
    [
      'a wildcard that names an hour',
      cron('*/15 2 * * *', berlin),
      ['dst_repeat_twice 2026-10-25T00:00', 'dst_gap_skipped 2027-03-28T01:00'],
    ],
    ['a wildcard of every hour, which surprises nobody', cron('*/15 * * * *', berlin), []],
    ['a time that is not concerned', cron('30 12 * * *', berlin), []],
    ['a day that is not concerned', cron('30 2 * * 1', berlin), []],
    ['a zone without changes', cron('30 2 * * *', { timezone: 'Asia/Shanghai' }), []],
    [
      'midnight in Santiago',
      cron('0 0 * * *', { timezone: 'America/Santiago' }),
      ['dst_gap_moved 2026-09-06T04:00'],
    ],
    [
      'half an hour on Lord Howe',
      cron('15 2 * * *', { timezone: 'Australia/Lord_Howe' }),
      ['dst_gap_moved 2026-10-03T15:30'],
    ],
    [
      'a window that ends before',
      cron('30 2 * * *', { ...berlin, endAtMs: ms('2026-12-01T00:00:00Z') }),
      ['dst_repeat_first 2026-10-25T00:30'],
    ],
    [
      'two expressions, told once each',
      cron(['30 2 * * *', '45 2 * * *'], berlin),
      [
        'dst_repeat_first 2026-10-25T00:30',
        'dst_repeat_first 2026-10-25T00:45',
        'dst_gap_moved 2027-03-28T01:00',
      ],
    ],
  ])('%s', (_, timing, expected) => {
    const found = warnings(timing).map(
      (warning) => `${warning.code} ${new Date(warning.at!).toISOString().slice(0, 16)}`,
    );
    expect(found).toEqual(expected);
  });

  it('on an excluded day are nobody’s concern', () => {
    const filter = only(['2027-03-28'], 'Europe/Berlin');
    expect(codes(cron('30 2 * * *', berlin), { filter })).toEqual(['dst_repeat_first']);
  });

  it('are where the fires say they are, for any expression and policy', () => {
    fc.assert(
      fc.property(anyFiveFields, anyPolicy, (text, dst) => {
        const timing = cron(text, { ...berlin, dst });
        const fires = (around: number) => {
          const times = nextTimes(timing, 'nightly', around - 12 * HOUR, 5_000);
          return times.filter((time) => time < around + 12 * HOUR);
        };
        fc.pre(isCron(timing));
        for (const { code, at: instant } of warnings(timing)) {
          if (instant === undefined || !code.startsWith('dst_')) continue;
          const around = fires(instant);
          if (code === 'dst_gap_moved') expect(around).toContain(instant);
          if (code === 'dst_repeat_first') expect(around).toContain(instant);
          if (code === 'dst_repeat_last') expect(around).toContain(instant);
          if (code === 'dst_repeat_first') expect(around).not.toContain(instant + HOUR);
          if (code === 'dst_repeat_last') expect(around).not.toContain(instant - HOUR);
          if (code === 'dst_repeat_twice') {
            expect(around).toContain(instant);
            expect(around).toContain(instant + HOUR);
          }
        }
      }),
      { seed: 400, numRuns: 300 },
    );
  });
});

function isCron(timing: Timing): boolean {
  try {
    return nextTimes(timing, 'nightly', from, 1).length > 0;
  } catch {
    return false;
  }
}

describe('the syntax', () => {
  test.each<[string, string[]]>([
    ['0 2 * * *', []],
    ['0 0 1 * *', []],
    ['0 0 L * *', []],
    ['0 0 * * 1-5', []],
    ['*/5 * * * *', []],
    ['0 */6 * * *', []],
    ['@monthly', []],
    ['* * * * *', []],
    ['* 2 * * *', ['every_minute_of_hour']],
    ['* * * * * *', ['every_second']],
    ['*/10 * * * * *', []],
    ['*/7 * * * *', ['step_restarts']],
    ['0 */5 * * *', ['step_restarts']],
    ['*/45 * * * *', []],
    ['0 0 */2 * *', ['step_restarts']],
    ['0 0 13 * 5', ['days_ored']],
    ['0 0 L * 5', ['days_ored']],
    ['0 0 ? * 5', []],
    ['0 0 */10 * 1', ['days_anded', 'step_restarts']],
    ['0 0 31 * *', ['only_31_day_months']],
    ['0 0 31 1,3,5 *', []],
    ['0 0 31W * *', ['only_31_day_months']],
    ['0 0 30 * *', ['never_in_february']],
    ['0 0 30,31 * *', ['never_in_february']],
    ['0 0 15,31 * *', []],
    ['0 0 29 * *', ['february_in_leap_years']],
    ['0 0 29 2 *', ['leap_day_only']],
    ['0 0 31 * 1', ['days_ored']],
    ['0 0 * * 5#5', ['fifth_weekday_only']],
    ['0 0 * * 5#4', []],
    ['0 0 29 2 */7', ['days_anded', 'leap_day_only']],
    ['0 0 1 1 */7', ['days_anded', 'less_than_yearly']],
    ['H H * * *', []],
  ])('%s: %j', (text, expected) => {
    expect(codes(cron(text))).toEqual(expected);
  });

  it('is told with the next dates where they are rare', () => {
    expect(warnings(cron('0 0 29 2 *'))[0]?.message).toMatch(/next on 2028-02-29\.$/);
    expect(warnings(cron('0 0 1 1 */7')).at(-1)?.message).toBe(
      'Fires less than once a year: on 2034-01-01, and then on 2040-01-01.',
    );
  });
});

describe('other triggers', () => {
  test.each<[string, Timing, Partial<WarningInput>, string[]]>([
    ['every quarter of an hour', every(15 * MINUTE), berlin, []],
    ['every second', every(SECOND), {}, ['every_second']],
    ['faster than that', every(500), {}, ['faster_than_a_second']],
    ['every 7 hours', every(7 * HOUR), {}, ['every_drifts']],
    ['every 90 seconds', every(90 * SECOND), {}, []],
    ['every day in a zone with clock changes', every(DAY), berlin, ['every_ignores_dst']],
    ['every day without', every(DAY), { timezone: 'Asia/Shanghai' }, []],
    ['every hour', every(HOUR), berlin, []],
    ['every 12 hours', every(12 * HOUR), berlin, ['every_ignores_dst']],
    ['instants to come', at(from + 1, from + 2), {}, []],
    ['instants partly past', at(from - 1, from, from + 1), {}, ['at_past']],
    ['instants all past', at(from - 1, from), {}, ['never_fires']],
    ['a window that is over', cron('0 2 * * *', { endAtMs: from }), {}, ['never_fires']],
  ])('%s', (_, timing, more, expected) => {
    expect(codes(timing, more)).toEqual(expected);
  });
});

describe('exclusions and jitter', () => {
  it('that leave nothing for a year are told', () => {
    const filter = only(['2026-06-01..2027-07-01']);
    expect(codes(cron('0 2 * * *'), { filter })).toEqual(['excluded_all_year']);
    expect(codes(cron('0 2 * * *'), { filter: only(['0 2 * * *']) })).toEqual(['excluded_all_year']);
    expect(codes(cron('0 2 * * *'), { filter: only(['* * * * 0,6']) })).toEqual([]);
    // With the rule of the next allowed day it fires after all.
    const saturdays = { filter: only(['* * * * 6']), onExcluded: 'next_allowed' as const };
    expect(codes(cron('0 2 * * 6'), saturdays)).toEqual([]);
    expect(codes(cron('0 2 * * 6'), { filter: only(['* * * * 6']) })).toEqual(['excluded_all_year']);
  });

  it('of more than the gap between two fires is told', () => {
    expect(codes(cron('*/5 * * * *'), { jitterMs: 10 * MINUTE })).toEqual(['jitter_cut']);
    expect(codes(cron('*/5 * * * *'), { jitterMs: 5 * MINUTE })).toEqual([]);
    expect(codes(cron(['0 2 * * *', '1 2 * * *']), { jitterMs: 2 * MINUTE })).toEqual(['jitter_cut']);
    expect(codes(at(from + 1), { jitterMs: DAY })).toEqual([]);
  });
});

describe('a herd', () => {
  const day = (fires: (minute: number) => number) =>
    Array.from({ length: 1_440 }, (_, minute) => ({ startMs: from + minute * MINUTE, fires: fires(minute) }));

  it('is told with its time, and as all of them where it is', () => {
    const buckets = day((minute) => (minute === 120 ? 40 : 0));
    expect(herdWarning({ buckets, schedules: 40, timezone: 'Europe/Berlin' })).toEqual({
      code: 'herd',
      message:
        'All 40 of your schedules fire at 04:00 on 2026-06-01 in Europe/Berlin: consider H (a time by the name of each) or jitter.',
      at: from + 2 * HOUR,
    });
    expect(herdWarning({ buckets, schedules: 90, timezone: 'UTC' })?.message).toMatch(
      /^40 runs of 90 schedules/,
    );
    expect(herdWarning({ buckets, schedules: 40, timezone: 'UTC', locale: 'zh_CN' })?.message).toMatch(
      /^全部 40 个计划都在 UTC 的 2026-06-01 02:00 触发/,
    );
  });

  it('is none where runs are few, or as many all the time', () => {
    expect(herdWarning({ buckets: day(() => 500), schedules: 500, timezone: 'UTC' })).toBeNull();
    expect(
      herdWarning({ buckets: day((minute) => (minute === 0 ? 19 : 0)), schedules: 19, timezone: 'UTC' }),
    ).toBeNull();
    expect(herdWarning({ buckets: [], schedules: 0, timezone: 'UTC' })).toBeNull();
  });
});

describe('the texts', () => {
  it('have the same parts in all languages', () => {
    const parts = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
    for (const { en, zh_CN } of [...Object.values(warningTexts), ...Object.values(warningParts)]) {
      expect(parts(zh_CN)).toEqual(parts(en));
    }
  });

  it('are at most twenty and without a hole, for any expressions', () => {
    fc.assert(
      fc.property(
        fc.array(anyFiveFields, { minLength: 1, maxLength: 20 }),
        fc.constantFrom('en' as const, 'zh_CN' as const),
        (texts, locale) => {
          const timing = cron(
            texts.filter((text) => isCron(cron(text))),
            berlin,
          );
          const found = warnings(timing, { locale });
          expect(found.length).toBeLessThanOrEqual(warningsMax);
          for (const { message } of found) expect(message).not.toMatch(/[{}]|undefined|NaN/);
          expect(new Set(found.map(({ message }) => message)).size).toBe(found.length);
        },
      ),
      { seed: 20, numRuns: 100 },
    );
  });
});
