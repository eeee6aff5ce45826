import { describe, expect, it } from 'vitest';
import {
  INSTANT_MAX_MS,
  isTimeZone,
  nearestTimeZone,
  offsetAt,
  offsetSpanAt,
  toInstants,
  toLocal,
  transitionsBetween,
} from '../../src/schedules/zone.ts';
import { intlLocal } from './cron-oracle.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const at = (text: string) => Date.parse(text);
const zones = [...Intl.supportedValuesOf('timeZone'), 'UTC'];

describe('names of zones', () => {
  it.each([
    'UTC',
    'GMT',
    'Etc/UTC',
    'Etc/GMT-14',
    'Etc/GMT+12',
    'Asia/Shanghai',
    'Asia/Calcutta',
    'Asia/Kolkata',
    'Asia/Katmandu',
    'US/Pacific',
    'America/Argentina/ComodRivadavia',
    'America/Port-au-Prince',
    'EST',
    'EST5EDT',
    'GB',
    'Europe/Kyiv',
  ])('knows %s', (name) => {
    expect(isTimeZone(name)).toBe(true);
  });

  it.each([
    '',
    ' ',
    'utc ',
    ' UTC',
    'foo',
    'Mars/Olympus',
    '+08:00',
    '-0800',
    '08:00',
    'GMT+1',
    'UTC+8',
    'Z',
    'PST',
    'Etc/Unknown',
    'SystemV/AST4',
    'localtime',
    '2020-01-01T00:00[Europe/Berlin]',
    '2020-01-01T00:00Z',
    'Europe/Berlin\n',
    'Europe/Berlin\0',
    'Europe/Berlın',
    '../etc/passwd',
    'A'.repeat(100_000),
  ])('refuses %j', (name) => {
    expect(isTimeZone(name)).toBe(false);
    expect(() => offsetSpanAt(name, 0)).toThrow(RangeError);
  });

  it.each([
    ['Asia/Shangai', 'Asia/Shanghai'],
    ['europe/berln', 'Europe/Berlin'],
    ['berlin', 'Europe/Berlin'],
    ['New York', 'America/New_York'],
    ['UTC ', 'UTC'],
    ['Mars/Olympus', null],
    ['UTC+8', null],
    ['', null],
    ['A'.repeat(100_000), null],
  ])('knows what %j may mean', (given, meant) => {
    expect(isTimeZone(given)).toBe(false);
    expect(nearestTimeZone(given)).toBe(meant);
  });

  it('takes letters of either case, with the same offsets', () => {
    for (const name of ['europe/berlin', 'EUROPE/BERLIN', 'Europe/Berlin']) {
      expect(isTimeZone(name)).toBe(true);
      expect(offsetAt(name, at('2026-07-01T00:00Z'))).toBe(2 * HOUR);
    }
  });

  it('knows every name that the platform lists', () => {
    for (const zone of zones) expect(isTimeZone(zone), zone).toBe(true);
  });

  it('stays right after more spellings than it keeps', () => {
    const name = 'america/argentina/buenos_aires';
    for (let n = 0; n < 5_000; n++) {
      const spelling = [...name].map((c, i) => ((n >> (i % 13)) & 1 ? c.toUpperCase() : c)).join('');
      expect(offsetAt(spelling, at('2026-01-01T00:00Z'))).toBe(-3 * HOUR);
    }
  });
});

describe('offsets', { timeout: 60_000 }, () => {
  it.each([
    ['a half-hour shift', 'Australia/Lord_Howe', '2026-04-04T15:00Z', 11, 10.5],
    ['a two-hour shift', 'Antarctica/Troll', '2026-03-29T01:00Z', 0, 2],
    ['a gap at midnight in Chile', 'America/Santiago', '2026-09-06T04:00Z', -4, -3],
    ['a gap at midnight in Lebanon', 'Asia/Beirut', '2026-03-28T22:00Z', 2, 3],
    ['a gap at midnight in Egypt', 'Africa/Cairo', '2026-04-23T22:00Z', 2, 3],
    ['the day that Samoa skipped', 'Pacific/Apia', '2011-12-30T10:00Z', -10, 14],
    ['negative DST in Ireland', 'Europe/Dublin', '2026-10-25T01:00Z', 1, 0],
    ['an offset with seconds, until 1972', 'Africa/Monrovia', '1972-01-07T00:44:30Z', -44.5 / 60, 0],
    ['a day that came twice', 'Pacific/Kwajalein', '1969-09-30T13:00Z', 11, -12],
    ['the day that Kwajalein skipped', 'Pacific/Kwajalein', '1993-08-21T12:00Z', -12, 12],
  ])('has %s (%s at %s: %d h to %d h)', (_, zone, instant, before, after) => {
    const t = at(instant);
    expect(offsetAt(zone, t - 1)).toBe(before * HOUR);
    expect(offsetAt(zone, t)).toBe(after * HOUR);
    expect(offsetSpanAt(zone, t)).toMatchObject({
      start: t,
      offset: after * HOUR,
      offsetBefore: before * HOUR,
    });
    expect(offsetSpanAt(zone, t - 1)).toMatchObject({
      end: t,
      offset: before * HOUR,
      offsetAfter: after * HOUR,
    });
  });

  it('has one span without ends for a zone that was never changed', () => {
    const always = { start: -Infinity, end: Infinity, offsetBefore: 0, offsetAfter: 0, offset: 0 };
    for (const t of [-INSTANT_MAX_MS, 0, INSTANT_MAX_MS]) expect(offsetSpanAt('UTC', t)).toEqual(always);
    expect(offsetAt('Etc/GMT-14', 0)).toBe(14 * HOUR);
    expect(offsetAt('Pacific/Kiritimati', at('2026-01-01T00:00Z'))).toBe(14 * HOUR);
  });

  it('refuses instants that no Date can hold', () => {
    for (const t of [Number.NaN, Infinity, -Infinity, INSTANT_MAX_MS + 1]) {
      expect(() => offsetSpanAt('Europe/Berlin', t)).toThrow(RangeError);
    }
  });

  it('agrees with Intl in all zones every five days of 2020-2035, which no two transitions share', () => {
    for (const zone of zones) {
      for (let t = at('2020-01-01T00:00Z'); t < at('2036-01-01T00:00Z'); t += 5 * DAY) {
        if (toLocal(zone, t) !== intlLocal(zone, t)) expect.fail(`${zone} at ${new Date(t).toISOString()}`);
      }
    }
  });

  it('agrees with Intl at both edges of every transition from 1900 to 2060 in every fourth zone', () => {
    let count = 0;
    for (const zone of zones.filter((_, index) => index % 4 === 0)) {
      for (const { at: t, offsetBefore, offsetAfter } of transitionsBetween(
        zone,
        at('1900-01-01T00:00Z'),
        at('2060-01-01T00:00Z'),
      )) {
        count += 1;
        if (t - 1_000 + offsetBefore !== intlLocal(zone, t - 1_000)) expect.fail(`before ${zone} at ${t}`);
        if (t + offsetAfter !== intlLocal(zone, t)) expect.fail(`from ${zone} at ${t}`);
      }
    }
    expect(count).toBeGreaterThan(5_000);
  });

  it('has transitions on whole seconds and more than five days apart', () => {
    for (const zone of zones) {
      let last = -Infinity;
      for (const { at: t } of transitionsBetween(zone, at('1840-01-01T00:00Z'), at('2040-01-01T00:00Z'))) {
        if (t % 1_000 !== 0 || t - last < 5 * DAY) expect.fail(`${zone} at ${new Date(t).toISOString()}`);
        last = t;
      }
    }
  });

  it('joins spans without a seam, chunk by chunk', () => {
    for (const zone of ['America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca']) {
      let span = offsetSpanAt(zone, at('1880-01-01T00:00Z'));
      while (span.end < at('2250-01-01T00:00Z')) {
        const next = offsetSpanAt(zone, span.end);
        expect(next.start).toBe(span.end);
        expect(next.offset).toBe(span.offsetAfter);
        expect(next.offsetBefore).toBe(span.offset);
        expect(offsetSpanAt(zone, span.end - 1)).toEqual(span);
        span = next;
      }
    }
  });
});

describe('wall clock to instant', () => {
  const local = (text: string) => Date.parse(`${text}Z`);

  it('finds one instant, none in a gap, two in a repeat', () => {
    expect(toInstants('Europe/Berlin', local('2026-07-01T12:00'))).toEqual([at('2026-07-01T10:00Z')]);
    expect(toInstants('Europe/Berlin', local('2026-03-29T02:30'))).toEqual([]);
    expect(toInstants('Europe/Berlin', local('2026-03-29T03:00'))).toEqual([at('2026-03-29T01:00Z')]);
    expect(toInstants('Europe/Berlin', local('2026-10-25T02:30'))).toEqual([
      at('2026-10-25T00:30Z'),
      at('2026-10-25T01:30Z'),
    ]);
    expect(toInstants('Pacific/Apia', local('2011-12-30T12:00'))).toEqual([]);
    expect(toInstants('Australia/Lord_Howe', local('2026-04-05T01:45'))).toHaveLength(2);
  });

  it('turns back what the wall clock shows around each transition of every zone', () => {
    for (const zone of zones) {
      for (const { at: t } of transitionsBetween(zone, at('2020-01-01T00:00Z'), at('2030-01-01T00:00Z'))) {
        for (const instant of [t - DAY, t - 20 * 60_000, t, t + 20 * 60_000, t + DAY]) {
          if (!toInstants(zone, toLocal(zone, instant)).includes(instant))
            expect.fail(`${zone} at ${instant}`);
        }
      }
    }
  });
});
