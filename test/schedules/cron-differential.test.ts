/**
 * The same questions put to croner 11, where its rules are ours: no `*` at the head of a list, no steps but on
 * `*` (croner holds `0-59/5` for an interval, crontab(5) does not), no OR-ed day field with a `*`,
 * shifts that do not skip midnight (croner makes up for a lost time on its own day only).
 */
import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCron } from '../../src/schedules/cron-expression.ts';
import { DST_DEFAULT, nextCron, previousCron } from '../../src/schedules/cron-times.ts';

const effort = Number(process.env.CARILLON_CRON_EFFORT ?? 0.5);
const seed = Number(process.env.CARILLON_CRON_SEED ?? 20_260_101);

const plain = (min: number, max: number) => {
  const value = fc.integer({ min, max });
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  return fc
    .array(fc.oneof(value.map(String), range), { minLength: 1, maxLength: 3 })
    .map((items) => items.join(','));
};
const wild = (max: number) =>
  fc.oneof(
    fc.constant('*'),
    fc.integer({ min: 1, max }).map((step) => `*/${step}`),
  );
const time = fc.tuple(fc.oneof(wild(59), plain(0, 59)), fc.oneof(wild(23), plain(0, 3), plain(0, 23)));
const date = fc.oneof(plain(1, 31), fc.constantFrom('L', 'LW', '15W', '1W', '31W'));
const weekday = fc.oneof(plain(0, 7), fc.constantFrom('MON-FRI', '5L', 'SUN#2', '1#1,3#3', 'FRI-SUN'));
const days = fc.oneof(
  fc.constant(['*', '*', '*']),
  fc.tuple(fc.constant('*'), fc.oneof(fc.constant('*'), plain(1, 12)), weekday),
  fc.tuple(date, fc.oneof(fc.constant('*'), plain(1, 12)), fc.constant('*')),
  fc.tuple(date, fc.constant('*'), weekday),
);
const expression = fc
  .tuple(time, days)
  .map(([ofDay, ofYear]) => [...ofDay, ...ofYear].join(' '))
  .filter((text) => {
    try {
      parseCron(text, 'seed');
      return true;
    } catch {
      return false;
    }
  });

const MIDNIGHT_GAPS = [
  'America/Santiago',
  'Africa/Cairo',
  'Asia/Beirut',
  'America/Havana',
  'America/Asuncion',
];
const zone = fc.constantFrom(
  ...Intl.supportedValuesOf('timeZone').filter((name) => !MIDNIGHT_GAPS.includes(name)),
  'UTC',
);
const instant = fc.integer({ min: Date.parse('2021-01-01T00:00Z'), max: Date.parse('2035-01-01T00:00Z') });

const readable = (fires: readonly number[]) => fires.map((fire) => new Date(fire).toISOString());

describe('croner', { timeout: 60_000 * Math.max(1, effort) }, () => {
  it('names the same next and previous times at any instant', () => {
    fc.assert(
      fc.property(expression, zone, instant, (text, timezone, start) => {
        const cron = parseCron(text, 'seed');
        const theirs = new Cron(text, { timezone, fixedTimeRule: 'no-wildcard', mode: '5-part' });
        const ours: number[] = [];
        for (let t: number | null = start; ours.length < 3 && t !== null; ) {
          t = nextCron(cron, timezone, DST_DEFAULT, t);
          if (t !== null) ours.push(t);
        }
        const wanted = theirs.nextRuns(3, new Date(start)).map((run) => run.getTime());
        expect(readable(ours), `${text} in ${timezone}`).toEqual(readable(wanted));
        const [last] = theirs.previousRuns(1, new Date(start));
        expect(previousCron(cron, timezone, DST_DEFAULT, start), `before, ${text} in ${timezone}`).toBe(
          last?.getTime() ?? null,
        );
      }),
      { numRuns: 1_000 * effort, seed },
    );
  });

  it('names the same times in the days around clock changes', () => {
    const changing = [
      'Europe/Berlin',
      'America/New_York',
      'Australia/Lord_Howe',
      'Antarctica/Troll',
      'Europe/Dublin',
      'Africa/Casablanca',
    ];
    const nearby = fc.constantFrom(...changing).chain((timezone) => {
      const changes: number[] = [];
      let at = Temporal.Instant.from('2021-01-01T00:00Z').toZonedDateTimeISO(timezone);
      for (;;) {
        const next = at.getTimeZoneTransition('next');
        if (next === null || next.year > 2034) break;
        changes.push(next.epochMilliseconds);
        at = next;
      }
      const shift = fc.integer({ min: -30 * 3_600_000, max: 4 * 3_600_000 });
      return fc.tuple(fc.constant(timezone), fc.constantFrom(...changes), shift);
    });
    fc.assert(
      fc.property(time, nearby, ([minute, hour], [timezone, change, shift]) => {
        const text = `${minute} ${hour} * * *`;
        const cron = parseCron(text, 'seed');
        const theirs = new Cron(text, { timezone, fixedTimeRule: 'no-wildcard', mode: '5-part' });
        const ours: number[] = [];
        for (let t: number | null = change + shift; ours.length < 6 && t !== null; ) {
          t = nextCron(cron, timezone, DST_DEFAULT, t);
          if (t !== null) ours.push(t);
        }
        const wanted = theirs.nextRuns(6, new Date(change + shift)).map((run) => run.getTime());
        expect(readable(ours), `${text} in ${timezone}`).toEqual(readable(wanted));
      }),
      { numRuns: 1_000 * effort, seed },
    );
  });
});
