import { describe, expect, it } from 'vitest';
import { InvalidCalendar, readCalendar } from '../../src/schedules/calendar.ts';
import { ms } from '../support/timings.ts';

/** Close to the limit of 1 MiB. */
const bytes = 1_000_000;

/** What a calendar is refused with, or the number of its stretches; any other error fails the test. */
function outcome(ical: string): string {
  try {
    const { compiled } = readCalendar({ timezone: 'UTC', entries: [], ical }, ms('2026-06-01T00:00:00Z'));
    return `${compiled.intervals} stretches`;
  } catch (error) {
    if (error instanceof InvalidCalendar) return error.message;
    throw error;
  }
}

function calendar(...lines: string[]): string {
  return ['BEGIN:VCALENDAR', ...lines, 'END:VCALENDAR'].join('\n');
}

function event(...lines: string[]): string {
  return ['BEGIN:VEVENT', ...lines, 'END:VEVENT'].join('\n');
}

function zone(name: string, ...parts: string[]): string {
  return ['BEGIN:VTIMEZONE', `TZID:${name}`, ...parts, 'END:VTIMEZONE'].join('\n');
}

function standard(start: string, to: string, rule: string): string {
  const offsets = ['TZOFFSETFROM:+0000', `TZOFFSETTO:${to}`];
  return ['BEGIN:STANDARD', `DTSTART:${start}`, ...offsets, `RRULE:${rule}`, 'END:STANDARD'].join('\n');
}

/** As often as fits into a body. */
function filled(text: string): string {
  return text.repeat(Math.floor(bytes / Buffer.byteLength(text)));
}

function numbers(until: number): string {
  return Array.from({ length: until }, (_, n) => n).join(',');
}

// The API process reads these while nobody else is served, so the limit of time is what is tested.
// Ten seconds leave room for a busy machine.
describe('a hostile body is answered within a second or so', { timeout: 10_000 }, () => {
  it.each([
    ['FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30'],
    ['FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30'],
    ['FREQ=MONTHLY;BYDAY=1TH;BYSETPOS=2'],
    ['FREQ=WEEKLY;BYMONTH=2;BYSETPOS=9'],
    ['FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30'],
    ['FREQ=DAILY;BYHOUR=9;BYSETPOS=2;COUNT=2000000000'],
    [
      `FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=${numbers(24)};BYMINUTE=${numbers(60)};BYSECOND=${numbers(60)}`,
    ],
  ])('that repeats by %s, which no day matches', (rule) => {
    expect(outcome(calendar(event('DTSTART:20260101T000000Z', `RRULE:${rule}`)))).toBe('0 stretches');
  });

  it.each([
    ['HOURLY', /must have one of FREQ=YEARLY, MONTHLY, WEEKLY, DAILY/],
    ['MINUTELY', /must have one of FREQ=/],
    ['SECONDLY;BYMONTH=2;BYMONTHDAY=30', /must have one of FREQ=/],
    ['DAILY;COUNT=2000000000', /^14762 stretches/],
    ['YEARLY;INTERVAL=1000000000', /^1 stretches/],
    [`DAILY;BYHOUR=${numbers(24)};BYMINUTE=${numbers(60)}`, /more than 50000 times/],
    [
      `YEARLY;BYDAY=SU,MO,TU,WE,TH,FR,SA;BYHOUR=${numbers(24)};BYMINUTE=${numbers(60)};BYSECOND=${numbers(60)}`,
      /take too long to expand/,
    ],
  ])('that repeats by FREQ=%s', (rule, expected) => {
    expect(outcome(calendar(event('DTSTART:20260101T000000Z', `RRULE:FREQ=${rule}`)))).toMatch(expected);
  });

  it.each([
    ['00000101', /before 1601/],
    ['00010101', /before 1601/],
    ['16010101', /more than 50000 times/],
    ['19700101', /^1 stretches/],
    ['99991231', /^0 stretches/],
    ['99999999', /not in the calendar/],
  ])('that begins on %s and repeats for ever', (start, expected) => {
    expect(outcome(calendar(event(`DTSTART:${start}`, 'RRULE:FREQ=DAILY')))).toMatch(expected);
  });

  it.each<[string, string, RegExp]>([
    ['noise', filled('x'), /Line 1/],
    ['empty lines', filled('\n'), /Line 1/],
    ['nothing but ends', filled('END:VCALENDAR\n'), /Line 1/],
    ['components in components', filled('BEGIN:VCALENDAR\n'), /Line 9: components are nested too deeply/],
    ['components side by side', calendar(filled('BEGIN:VTODO\nEND:VTODO\n')), /^0 stretches/],
    ['one folded line', `BEGIN:VCALENDAR\nX:${filled('\n x')}`, /never ends/],
    ['one line of parameters', calendar(event(`DTSTART${filled(';a=b')}:20260101`)), /too many parts/],
    ['one open quote', calendar(event(`DTSTART;X="${filled('a:')}`)), /quotes are broken/],
    ['one line of dates', calendar(event('DTSTART:20260101', `RDATE:${filled('20260101,')}`)), /Line 4/],
    ['one line of commas', calendar(event('DTSTART:20260101', `RDATE:${filled(',')}`)), /Line 4/],
    [
      'a number without end',
      calendar(event('DTSTART:20260101', `RRULE:FREQ=DAILY;INTERVAL=${filled('1')}x`)),
      /Line 4/,
    ],
    [
      'a list without end',
      calendar(event('DTSTART:20260101', `RRULE:FREQ=DAILY;BYMONTH=${filled('1,')}x`)),
      /Line 4/,
    ],
    [
      'a list of one day',
      calendar(event('DTSTART:20260101', `RRULE:FREQ=DAILY;BYMONTHDAY=${filled('1,')}1`)),
      /^486/,
    ],
  ])('of %s', (_, text, expected) => {
    expect(outcome(text)).toMatch(expected);
  });

  it('of thousands of zones that change their offset each month since 1601', () => {
    const zones = Array.from({ length: 2_000 }, (_, n) => {
      const described = zone(`X${n}`, standard('16010101T000000', '+0100', 'FREQ=MONTHLY'));
      return `${described}\n${event(`DTSTART;TZID=X${n}:20260101T000000`)}`;
    });
    expect(outcome(calendar(...zones))).toMatch(/^The event on line \d+: .*take too long to expand/);
  });

  it('of a zone with a hundred offsets', () => {
    const parts = Array.from({ length: 100 }, (_, n) =>
      standard(
        '20000101T000000',
        `+${String(n)
          .padStart(4, '0')
          .replace(/[6-9](?=.$)/, '0')}`,
        'FREQ=MONTHLY;COUNT=90',
      ),
    );
    const text = calendar(zone('X', ...parts), event('DTSTART;TZID=X:20260101T000000'));
    expect(outcome(text)).toMatch(/VTIMEZONE on line 2 changes the clock too often/);
  });

  it('of a zone whose rule never matches', () => {
    const never = standard('16010101T000000', '+0100', 'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30');
    expect(outcome(calendar(zone('X', never), event('DTSTART;TZID=X:20260101T000000')))).toBe('1 stretches');
  });

  it('of ten thousand events that repeat for ever', () => {
    const daily = `${event('DTSTART:16010101', 'RRULE:FREQ=DAILY')}\n`;
    expect(outcome(calendar(daily.repeat(9_999)))).toMatch(/more than 50000 times/);
    const never = `${event('DTSTART:20260101', 'RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30')}\n`;
    expect(outcome(calendar(never.repeat(9_999)))).toMatch(/take too long/);
    expect(outcome(calendar(never.repeat(999)))).toBe('0 stretches');
  });
});

describe('a body of odd values', () => {
  const names = ['RRULE', 'DTSTART', 'DTEND', 'DURATION', 'EXDATE', 'RDATE', 'RECURRENCE-ID', 'UID'];
  const zoneNames = ['TZID', 'TZOFFSETFROM', 'TZOFFSETTO'];
  const types =
    'RECUR PERIOD TEXT BINARY DATE UTC-OFFSET BOOLEAN INTEGER FLOAT X-A A,B DURATION TIME DATE-TIME';
  const params = ['', ...types.split(' ').map((type) => `;VALUE=${type}`), ';TZID=', ';TZID=a,b', ';=', ';;'];
  const values = [
    ...['', ';', ',', '=', ':', '1', 'x', '/', 'P', 'PT', 'P1D', '-P1D', '+0100', '20260101'],
    ...['20260101T000000', '20260101T000000Z/', '20260101T000000Z/P1D,', '20260101/20260102', '/P'],
    ...['UNTIL=x', 'BYDAY=1', 'BYDAY=,', 'COUNT=-1', '__proto__=1', '=', ';'].map(
      (part) => `FREQ=DAILY;${part}`,
    ),
  ];

  it.each([...names, ...zoneNames])('of %s is taken or refused, and breaks nothing', (name) => {
    const when = 'DTSTART;TZID=X:20260101T000000';
    for (const param of params) {
      for (const value of values) {
        const odd = `${name}${param}:${value}`;
        const start = ['BEGIN:STANDARD', 'TZOFFSETFROM:+0000', 'DTSTART:20200101', 'TZOFFSETTO:+0100'];
        const described = zone('X', ...start, odd, 'END:STANDARD');
        outcome(calendar(described, event(when, 'UID:u', odd), event('UID:u', odd), event(odd, when)));
        outcome(
          calendar(zone('X', odd, 'BEGIN:STANDARD', odd, ...start.slice(1), 'END:STANDARD'), event(when)),
        );
        outcome(calendar(`BEGIN:VTIMEZONE\n${odd}\nEND:VTIMEZONE`, event(when)));
      }
    }
  });
});
