import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCalendar } from '../../src/schedules/calendar.ts';
import { parsed } from '../../src/schedules/cron-memory.ts';
import {
  calendarsOf,
  compileFilter,
  type Filter,
  InvalidExclusion,
  parseExclusion,
} from '../../src/schedules/exclusion.ts';
import { DAY, MINUTE, ms, SECOND } from '../support/timings.ts';
import { anyFiveFields, anySixFields } from './cron-arbitrary.ts';
import { intlLocal, oracleMatches } from './cron-oracle.ts';

const calendars = new Map([
  [
    'holidays',
    readCalendar({ timezone: 'Asia/Shanghai', entries: ['2026-10-01..2026-10-07'], ical: null }, 0).compiled,
  ],
]);

function filter(spec: { exclude?: string[]; only?: string[] }, timezone = 'UTC'): Filter {
  const read = (texts: string[] = []) => texts.map((text) => parseExclusion(text, 'seed'));
  return compileFilter({ exclude: read(spec.exclude), only: read(spec.only) }, timezone, calendars);
}

const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString().replace('.000Z', 'Z'));

describe('parseExclusion', () => {
  it.each([
    ['2026-12-25', 'days'],
    [' 2026-12-24..2026-12-31 ', 'days'],
    ['2026-12-24/2026-12-31', 'days'],
    ['calendar:cn-holidays', 'calendar'],
    ['calendar: 节假日', 'calendar'],
    ['* * 1-5 * *', 'cron'],
    ['*/10 * 2 * * SAT,SUN', 'cron'],
    ['@daily', 'cron'],
    ['H * * * *', 'cron'],
  ])('%j is %s', (text, kind) => {
    expect(parseExclusion(text, 'seed').kind).toBe(kind);
  });

  it.each([
    ['2026-02-30', /2026-02-30 is not in the calendar/],
    ['2026-12-31..2026-12-24', /ends on 2026-12-24, before it begins/],
    ['calendar:', /must name a calendar/],
    ['calendar:two words', /must name a calendar/],
    ['* * 61 * *', /no cron expression: day-of-month: 61 is out of range/],
    ['0 0 30 2 *', /never fires/],
    ['@noon', /no cron expression/],
    ['christmas', /neither a date .* nor a cron expression/],
    ['', /neither a date/],
    ['25.12.2026', /neither a date/],
    ['2026-12-24T00:00:00Z', /neither a date/],
  ])('%j is refused', (text, message) => {
    expect(() => parseExclusion(text, 'seed')).toThrow(InvalidExclusion);
    expect(() => parseExclusion(text, 'seed')).toThrow(message);
  });

  it('with a calendar is known by its name, each once', () => {
    expect(calendarsOf(['calendar:a', '2026-01-01', 'calendar: b', '* * * * *', 'calendar:a'])).toEqual([
      'a',
      'b',
    ]);
  });
});

describe('exclude', () => {
  it.each<[string[], string, [instant: string, why: string | null][]]>([
    [
      ['2026-12-25'],
      'Asia/Shanghai',
      [
        ['2026-12-24T15:59:59Z', null],
        ['2026-12-24T16:00:00Z', '2026-12-25'],
        ['2026-12-25T15:59:59Z', '2026-12-25'],
        ['2026-12-25T16:00:00Z', null],
      ],
    ],
    [
      ['* * 1-5 * *', '2026-06-10..2026-06-11'],
      'UTC',
      [
        ['2026-05-31T23:59:59Z', null],
        ['2026-06-01T00:00:00Z', '* * 1-5 * *'],
        ['2026-06-05T23:59:59Z', '* * 1-5 * *'],
        ['2026-06-06T00:00:00Z', null],
        ['2026-06-11T23:59:59Z', '2026-06-10..2026-06-11'],
      ],
    ],
    // Five fields mean the whole minute, six the second.
    [
      ['30 2 * * *', '15 0 3 * * *'],
      'UTC',
      [
        ['2026-06-01T02:30:59.999Z', '30 2 * * *'],
        ['2026-06-01T02:31:00Z', null],
        ['2026-06-01T03:00:15.500Z', '15 0 3 * * *'],
        ['2026-06-01T03:00:16Z', null],
      ],
    ],
    // Both passes of a repeated hour; the day is that of the calendar's zone.
    [
      ['* 2 * * *', 'calendar:holidays'],
      'Europe/Berlin',
      [
        ['2026-10-25T00:30:00Z', '* 2 * * *'],
        ['2026-10-25T01:30:00Z', '* 2 * * *'],
        ['2026-10-25T02:30:00Z', null],
        ['2026-09-30T15:59:59Z', null],
        ['2026-09-30T16:00:00Z', 'calendar:holidays'],
      ],
    ],
  ])('%j in %s', (exclude, timezone, rows) => {
    const { rule, allows } = filter({ exclude }, timezone);
    expect(rows.map(([instant]) => [instant, rule(ms(instant))])).toEqual(
      rows.map(([instant, item]) => [instant, item === null ? null : { list: 'exclude', item }]),
    );
    expect(rows.map(([instant]) => allows(ms(instant)))).toEqual(rows.map(([, reason]) => reason === null));
  });

  it('with nothing allows everything, for ever', () => {
    const { allows, excludedUntil, allowedUntil, rule } = filter({});
    expect([allows(0), rule(0), excludedUntil(5), allowedUntil(5)]).toEqual([true, null, 5, null]);
  });

  it('of a calendar that is missing throws, and lets nothing through', () => {
    expect(() => filter({ exclude: ['calendar:gone'] })).toThrow(/no calendar "gone"/);
  });
});

describe('only', () => {
  it('allows what at least one of its items has, without what exclude has', () => {
    const { allows, rule } = filter({ only: ['* 9-16 * * 1-5', '2026-06-06'], exclude: ['2026-06-03'] });
    expect(allows(ms('2026-06-02T09:00:00Z'))).toBe(true);
    expect(rule(ms('2026-06-02T17:00:00Z'))).toEqual({ list: 'only', item: null });
    expect(rule(ms('2026-06-03T09:00:00Z'))).toEqual({ list: 'exclude', item: '2026-06-03' });
    expect(allows(ms('2026-06-06T23:00:00Z'))).toBe(true);
  });

  it('of a past day allows nothing any more, and says so at once', () => {
    const { excludedUntil } = filter({ only: ['2020-01-01'] });
    expect(excludedUntil(ms('2026-06-03T09:00:00Z'))).toBeNull();
  });
});

describe('the ends of a stretch', () => {
  it.each<[spec: { exclude?: string[]; only?: string[] }, at: string, excluded: string | null]>([
    [{ exclude: ['* * 1-5 * *'] }, '2026-06-02T12:00:00Z', '2026-06-06T00:00:00Z'],
    [{ exclude: ['* * * 1-11 *'] }, '2026-06-02T12:00:00Z', '2026-12-01T00:00:00Z'],
    [{ exclude: ['* 22-23,0-5 * * *'] }, '2026-06-02T22:30:00Z', '2026-06-03T06:00:00Z'],
    [{ exclude: ['* * 1-31 * *'] }, '2026-06-02T12:00:00Z', null],
    [{ exclude: ['* * * * *'] }, '2026-06-02T12:00:00Z', null],
    [{ exclude: ['*/5 * * * * *'] }, '2026-06-02T12:00:00Z', '2026-06-02T12:00:01Z'],
    [{ exclude: ['2026-06-02', '2026-06-03..2026-06-10'] }, '2026-06-02T12:00:00Z', '2026-06-11T00:00:00Z'],
    [{ only: ['* 9-16 * * 1-5'] }, '2026-06-05T17:00:00Z', '2026-06-08T09:00:00Z'],
    [{ exclude: ['2026-06-08'], only: ['* 9-16 * * 1-5'] }, '2026-06-08T12:00:00Z', '2026-06-09T09:00:00Z'],
  ])('%j at %s', (spec, at, expected) => {
    const { excludedUntil, allows } = filter(spec);
    const end = excludedUntil(ms(at));
    expect(iso(end)).toBe(expected);
    if (end !== null) expect(allows(end)).toBe(true);
  });

  it('hold against a minute-by-minute look, for any items, zone and day', () => {
    const zones = ['UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/St_Johns', 'America/Santiago'];
    const changes = ['2026-03-29', '2026-04-05', '2026-09-06', '2026-10-04', '2026-10-25', '2026-11-01'];
    const item = fc.oneof(anyFiveFields, fc.constantFrom(...changes, '2026-10-24..2026-10-26'));
    fc.assert(
      fc.property(
        fc.array(item, { maxLength: 2 }),
        fc.array(item, { maxLength: 2 }),
        fc.constantFrom(...zones),
        fc.constantFrom(...changes),
        (exclude, only, timezone, day) => {
          fc.pre([...exclude, ...only].every(isItem));
          const { allows, excludedUntil, allowedUntil } = filter({ exclude, only }, timezone);
          const from = ms(`${day}T00:00:00Z`) - DAY / 2;
          const to = from + DAY;
          const has = (text: string, at: number) => oracleCovers(text, timezone, at);
          const truth = Array.from({ length: DAY / MINUTE }, (_, index) => {
            const at = from + index * MINUTE;
            const kept = only.length === 0 || only.some((text) => has(text, at));
            return kept && !exclude.some((text) => has(text, at));
          });
          for (let index = 0; index < truth.length; index += 7) {
            const at = from + index * MINUTE;
            expect(allows(at)).toBe(truth[index]);
            const [own, other] = truth[index] ? [excludedUntil, allowedUntil] : [allowedUntil, excludedUntil];
            expect(own(at)).toBe(at);
            const end = Math.min(other(at) ?? Infinity, to);
            expect(end).toBeGreaterThan(at);
            const inside = truth.slice(index, Math.ceil((end - from) / MINUTE));
            expect(inside.every((value) => value === truth[index])).toBe(true);
          }
        },
      ),
      { seed: Number(process.env.CARILLON_CALENDAR_SEED ?? 11), numRuns: 60 },
    );
  }, 120_000);

  it('hold to the second for six fields', () => {
    fc.assert(
      fc.property(anySixFields, (text) => {
        fc.pre(isItem(text));
        const { excludedUntil, allowedUntil, allows } = filter({ exclude: [text] }, 'Europe/Berlin');
        const from = ms('2026-10-25T00:58:00Z');
        const truth = Array.from(
          { length: 300 },
          (_, n) => !oracleMatches(text, intlLocal('Europe/Berlin', from + n * SECOND)),
        );
        for (let index = 0; index < truth.length; index += 11) {
          const at = from + index * SECOND;
          expect(allows(at + 999)).toBe(truth[index]);
          const end = (truth[index] ? allowedUntil(at) : excludedUntil(at)) ?? Infinity;
          const other = truth.findIndex((value, n) => n > index && value !== truth[index]);
          if (other >= 0) expect(end).toBe(from + other * SECOND);
          else expect(end).toBeGreaterThanOrEqual(from + truth.length * SECOND);
        }
      }),
      { seed: 12, numRuns: 200 },
    );
  });
});

function isItem(text: string): boolean {
  try {
    parseExclusion(text, 'seed');
    return true;
  } catch (error) {
    if (error instanceof InvalidExclusion) return false;
    throw error;
  }
}

const locals = new Map<string, number>();

function oracleCovers(text: string, timezone: string, at: number): boolean {
  const key = `${timezone} ${at}`;
  const local = locals.get(key) ?? intlLocal(timezone, at);
  locals.set(key, local);
  const [from, to = from] = text.split('..');
  if (!/^\d{4}-/.test(text)) return oracleMatches(text, local);
  const day = new Date(local).toISOString().slice(0, 10);
  return day >= from! && day <= to!;
}

it('reads a cron expression once for all who write it', () => {
  expect(parsed('* * 1-5 * *', 'a')).toBe(parsed('* * 1-5 * *', 'b'));
});
