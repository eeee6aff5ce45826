import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { covers, InvalidCalendar, readCalendar } from '../../src/schedules/calendar.ts';
import { DAY, MINUTE, ms } from '../support/timings.ts';
import { type OracleRule, oracleDays, ruleText } from './recurrence-oracle.ts';

const now = ms('2026-06-01T00:00:00Z');

/** A calendar of dates. */
function ofDates(entries: string[], timezone = 'UTC') {
  return readCalendar({ timezone, entries, ical: null }, now);
}

/** A calendar of an iCalendar body; `timezone` null takes what the body says. */
function ofIcal(lines: string, timezone: string | null = 'UTC', nowMs = now) {
  const body = lines
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const ical = ['BEGIN:VCALENDAR', 'VERSION:2.0', ...body, 'END:VCALENDAR', ''].join('\r\n');
  return readCalendar({ timezone, entries: [], ical }, nowMs);
}

function event(lines: string): string {
  return `BEGIN:VEVENT\n${lines}\nEND:VEVENT`;
}

/** The stretches between two instants, as text. */
function stretches({ compiled }: ReturnType<typeof readCalendar>, from: string, until: string): string[] {
  const found: string[] = [];
  let at = compiled.cover.coveredFrom(ms(from));
  while (at < ms(until)) {
    const end = compiled.cover.uncoveredFrom(at);
    found.push(`${shortIso(at)}/${shortIso(end)}`);
    at = compiled.cover.coveredFrom(end);
  }
  return found;
}

function shortIso(atMs: number): string {
  return new Date(atMs).toISOString().replace(/(:00)?\.000Z$/, 'Z');
}

/** The whole UTC days of a rule's all-day event. */
function daysOfRule(start: string, rule: string, count: number): string[] {
  const text = event(`DTSTART;VALUE=DATE:${start.replaceAll('-', '')}\nRRULE:${rule}`);
  const { cover } = ofIcal(text, 'UTC', ms(`${start}T00:00:00Z`)).compiled;
  const days: string[] = [];
  for (let at = cover.coveredFrom(-1e13); at < Infinity && days.length < count; ) {
    days.push(new Date(at).toISOString().slice(0, 10));
    at = cover.coveredFrom(at + DAY);
  }
  return days;
}

function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof InvalidCalendar) return error.message;
    throw error;
  }
  return 'taken';
}

describe('dates', () => {
  it('are whole days on the clock of the calendar', () => {
    const calendar = ofDates(['2026-12-25'], 'Asia/Shanghai').compiled;
    expect(covers(calendar, ms('2026-12-24T15:59:59.999Z'))).toBe(false);
    expect(covers(calendar, ms('2026-12-24T16:00:00Z'))).toBe(true);
    expect(covers(calendar, ms('2026-12-25T15:59:59.999Z'))).toBe(true);
    expect(covers(calendar, ms('2026-12-25T16:00:00Z'))).toBe(false);
  });

  it('in a range include both ends, and neighbours become one stretch', () => {
    const calendar = ofDates(['2026-10-01..2026-10-07', '2026-10-08', '2026-10-10/2026-10-10', '2026-10-03']);
    expect(calendar.compiled.intervals).toBe(2);
    expect(stretches(calendar, '2026-01-01', '2027-01-01')).toEqual([
      '2026-10-01T00:00Z/2026-10-09T00:00Z',
      '2026-10-10T00:00Z/2026-10-11T00:00Z',
    ]);
    expect(calendar.spec.entries).toEqual([
      '2026-10-01..2026-10-07',
      '2026-10-08',
      '2026-10-10',
      '2026-10-03',
    ]);
  });

  it.each([
    ['Europe/Berlin', '2026-03-29', ['2026-03-28T23:00Z/2026-03-29T22:00Z'], 'a day of 23 hours'],
    ['Europe/Berlin', '2026-10-25', ['2026-10-24T22:00Z/2026-10-25T23:00Z'], 'a day of 25 hours'],
    [
      'America/Santiago',
      '2026-09-06',
      ['2026-09-06T04:00Z/2026-09-07T03:00Z'],
      'a midnight that does not exist',
    ],
    ['America/Havana', '2026-11-01', ['2026-11-01T04:00Z/2026-11-02T05:00Z'], 'a midnight that comes twice'],
    ['Pacific/Apia', '2011-12-30', [], 'a day that was skipped'],
    [
      'America/Goose_Bay',
      '2010-11-06',
      ['2010-11-06T03:00Z/2010-11-07T03:00Z', '2010-11-07T03:01Z/2010-11-07T04:00Z'],
      'a day that goes on after a minute of the next',
    ],
  ])('in %s on %s: %s (%s)', (timezone, day, expected) => {
    expect(stretches(ofDates([day], timezone), '2000-01-01', '2100-01-01')).toEqual(expected);
  });

  it('over centuries cost no more than at their ends, and have no holes', () => {
    const calendar = ofDates(['1970-01-01..9999-12-30'], 'America/New_York');
    expect(stretches(calendar, '1960-01-01', '9999-12-31T12:00:00Z')).toEqual([
      '1970-01-01T05:00Z/9999-12-31T05:00Z',
    ]);
  });

  it.each([
    ['25.12.2026', 0, /neither a date/],
    ['2026-02-30', 0, /2026-02-30 is not in the calendar/],
    ['2026-12-31..2026-12-24', 0, /before it begins/],
    ['1969-12-31', 0, /between 1970 and 9999/],
    ['', 0, /neither a date/],
    ['* * 1 1 *', 0, /neither a date/],
  ])('%j is refused', (text, entry, message) => {
    try {
      ofDates([text]);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidCalendar);
      expect((error as InvalidCalendar).entry).toBe(entry);
      expect((error as InvalidCalendar).message).toMatch(message);
    }
  });

  it('are at most 10,000, in a zone of the IANA list', () => {
    expect(refusal(() => ofDates(Array.from({ length: 10_001 }, () => '2026-01-01')))).toMatch(
      /10000 entries/,
    );
    expect(refusal(() => ofDates(['2026-01-01'], 'Mars/Phobos'))).toMatch(/not a time zone/);
  });
});

describe('events', () => {
  it('of all day cover whole days, and DTEND is not included', () => {
    const calendar = ofIcal(
      `${event('DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227\nSUMMARY:Christmas')}
       ${event('DTSTART;VALUE=DATE:20270101\nSUMMARY:New Year')}
       ${event('DTSTART:20270501\nDTEND:20270501\nSUMMARY:sloppy, but clear')}
       ${event('DTSTART;VALUE=DATE:20270701\nDURATION:P1W')}`,
      'Europe/Berlin',
    );
    expect(stretches(calendar, '2026-01-01', '2028-01-01')).toEqual([
      '2026-12-24T23:00Z/2026-12-26T23:00Z',
      '2026-12-31T23:00Z/2027-01-01T23:00Z',
      '2027-04-30T22:00Z/2027-05-01T22:00Z',
      '2027-06-30T22:00Z/2027-07-07T22:00Z',
    ]);
    expect(calendar.compiled.events).toBe(4);
  });

  it('with times are in UTC, in their zone, or in the zone of the calendar', () => {
    const calendar = ofIcal(
      `${event('DTSTART:20260701T120000Z\nDTEND:20260701T130000Z')}
       ${event('DTSTART;TZID=America/New_York:20260702T120000\nDTEND;TZID=Europe/London:20260702T180000')}
       ${event('DTSTART:20260703T120000\nDURATION:PT90M')}
       ${event('DTSTART:20260704T120000')}`,
      'Asia/Shanghai',
    );
    expect(stretches(calendar, '2026-01-01', '2027-01-01')).toEqual([
      '2026-07-01T12:00Z/2026-07-01T13:00Z',
      '2026-07-02T16:00Z/2026-07-02T17:00Z',
      '2026-07-03T04:00Z/2026-07-03T05:30Z',
      '2026-07-04T04:00Z/2026-07-04T04:00:00.001Z',
    ]);
  });

  it('in the gap of a clock change are told by the offset before it, in a repeat by the first', () => {
    const calendar = ofIcal(
      `${event('DTSTART;TZID=Europe/Berlin:20270328T023000\nDURATION:PT10M')}
       ${event('DTSTART;TZID=Europe/Berlin:20271031T023000\nDURATION:PT10M')}`,
    );
    expect(stretches(calendar, '2027-01-01', '2028-01-01')).toEqual([
      '2027-03-28T01:30Z/2027-03-28T01:40Z',
      '2027-10-31T00:30Z/2027-10-31T00:40Z',
    ]);
  });

  it('last a day of the calendar with P1D, and 24 hours with a DTEND', () => {
    const start = 'DTSTART;TZID=Europe/Berlin:20270320T120000';
    const last = (text: string) =>
      stretches(ofIcal(event(`${start}\n${text}`)), '2027-03-27T13:00:00Z', '2027-03-28T20:00:00Z');
    // The Sunday on which Berlin's clocks are set forward.
    expect(last('DURATION:P1D\nRRULE:FREQ=WEEKLY;COUNT=2')).toEqual(['2027-03-27T13:00Z/2027-03-28T10:00Z']);
    expect(last('DTEND;TZID=Europe/Berlin:20270321T120000\nRRULE:FREQ=WEEKLY;COUNT=2')).toEqual([
      '2027-03-27T13:00Z/2027-03-28T11:00Z',
    ]);
  });

  it('that are cancelled do not count, transparent and tentative ones do', () => {
    const calendar = ofIcal(
      `${event('DTSTART;VALUE=DATE:20260101\nTRANSP:TRANSPARENT')}
       ${event('DTSTART;VALUE=DATE:20260201\nSTATUS:TENTATIVE')}
       ${event('DTSTART;VALUE=DATE:20260301\nSTATUS:CANCELLED')}`,
    );
    expect(stretches(calendar, '2026-01-01', '2027-01-01')).toEqual([
      '2026-01-01T00:00Z/2026-01-02T00:00Z',
      '2026-02-01T00:00Z/2026-02-02T00:00Z',
    ]);
    expect(calendar.compiled.events).toBe(2);
  });

  it('name their zone through X-WR-TIMEZONE when the caller names none, else it is UTC', () => {
    const body = `X-WR-TIMEZONE:Asia/Shanghai\n${event('DTSTART;VALUE=DATE:20261001')}`;
    expect(ofIcal(body, null).spec.timezone).toBe('Asia/Shanghai');
    expect(ofIcal(body, 'Europe/Berlin').spec.timezone).toBe('Europe/Berlin');
    expect(ofIcal(event('DTSTART;VALUE=DATE:20261001'), null).spec.timezone).toBe('UTC');
  });

  it('add to the dates of the calendar', () => {
    const ical = `BEGIN:VCALENDAR\n${event('DTSTART;VALUE=DATE:20261226')}\nEND:VCALENDAR`;
    const both = readCalendar({ timezone: 'UTC', entries: ['2026-12-25'], ical }, now);
    expect(stretches(both, '2026-01-01', '2027-01-01')).toEqual(['2026-12-25T00:00Z/2026-12-27T00:00Z']);
    expect(both.spec).toEqual(JSON.parse(JSON.stringify(both.spec)));
  });

  it('are read from folded lines, with any line ends, quotes and properties of others', () => {
    const ical =
      '\uFEFFBEGIN:VCALENDAR\nPRODID:-//x//y\nBEGIN:VEVENT\nDESCRIPTION;X="a;b:c":free te\n  xt; and = signs\nDTST\n ART;VALUE=DA\n\tTE:20261225\nATTENDEE;CN="x":mailto:x\nBEGIN:VALARM\nDURATION:PT1H\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR';
    const calendar = readCalendar({ timezone: 'UTC', entries: [], ical }, now);
    expect(stretches(calendar, '2026-01-01', '2027-01-01')).toEqual(['2026-12-25T00:00Z/2026-12-26T00:00Z']);
  });

  it('with a zone of Outlook are told by its VTIMEZONE', () => {
    const calendar = ofIcal(
      `BEGIN:VTIMEZONE
       TZID:W. Europe Standard Time
       BEGIN:STANDARD
       DTSTART:16010101T030000
       TZOFFSETFROM:+0200
       TZOFFSETTO:+0100
       RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
       END:STANDARD
       BEGIN:DAYLIGHT
       DTSTART:16010101T020000
       TZOFFSETFROM:+0100
       TZOFFSETTO:+0200
       RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
       END:DAYLIGHT
       END:VTIMEZONE
       ${event('DTSTART;TZID=W. Europe Standard Time:20270115T090000\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;COUNT=7')}
       ${event('DTSTART;TZID="W. Europe Standard Time":20270328T023000\nDURATION:PT1M')}
       ${event('DTSTART;TZID="W. Europe Standard Time":20271031T023000\nDURATION:PT1M')}`,
    );
    expect(stretches(calendar, '2027-01-01', '2028-01-01')).toEqual([
      '2027-01-15T08:00Z/2027-01-15T09:00Z',
      '2027-02-15T08:00Z/2027-02-15T09:00Z',
      '2027-03-15T08:00Z/2027-03-15T09:00Z',
      '2027-03-28T01:30Z/2027-03-28T01:31Z',
      '2027-04-15T07:00Z/2027-04-15T08:00Z',
      '2027-05-15T07:00Z/2027-05-15T08:00Z',
      '2027-06-15T07:00Z/2027-06-15T08:00Z',
      '2027-07-15T07:00Z/2027-07-15T08:00Z',
      '2027-10-31T00:30Z/2027-10-31T00:31Z',
    ]);
  });
});

describe('series', () => {
  it('of holidays come every year up to 40 years ahead, and the past stays', () => {
    const calendar = ofIcal(
      `${event('SUMMARY:Tag der Deutschen Einheit\nDTSTART;VALUE=DATE:19901003\nRRULE:FREQ=YEARLY')}
       ${event('SUMMARY:Thanksgiving\nDTSTART;VALUE=DATE:20201126\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH')}
       ${event('SUMMARY:Spring Bank Holiday\nDTSTART;VALUE=DATE:20200525\nRRULE:FREQ=YEARLY;BYDAY=-1MO;BYMONTH=5')}`,
    );
    const day = (text: string) => covers(calendar.compiled, ms(`${text}T12:00:00Z`));
    for (const holiday of ['1990-10-03', '2020-11-26', '2026-11-26', '2027-11-25', '2065-10-03']) {
      expect(day(holiday), holiday).toBe(true);
    }
    for (const holiday of ['2026-05-25', '2027-05-31', '2066-05-31'])
      expect(day(holiday), holiday).toBe(true);
    for (const working of ['1989-10-03', '2026-11-19', '2026-05-18', '2066-10-03', '2067-05-30']) {
      expect(day(working), working).toBe(false);
    }
    expect(calendar.spec.untilMs).toBe(ms('2066-06-01T00:00:00Z'));
  });

  it('of a maintenance window know COUNT, UNTIL, EXDATE, RDATE and overrides', () => {
    const calendar = ofIcal(
      `${event(`UID:window
       DTSTART;TZID=Europe/Berlin:20261001T220000
       DTEND;TZID=Europe/Berlin:20261001T235900
       RRULE:FREQ=WEEKLY;UNTIL=20261119T210000Z
       EXDATE;TZID=Europe/Berlin:20261008T220000
       EXDATE;VALUE=DATE:20261112
       RDATE;TZID=Europe/Berlin:20261224T220000
       RDATE;VALUE=PERIOD:20261231T100000Z/PT1H,20270101T100000Z/20270101T110000Z`)}
       ${event('UID:window\nRECURRENCE-ID;TZID=Europe/Berlin:20261015T220000\nDTSTART;TZID=Europe/Berlin:20261016T060000\nDURATION:PT1H')}
       ${event('UID:window\nRECURRENCE-ID:20261022T200000Z\nDTSTART;TZID=Europe/Berlin:20261022T220000\nSTATUS:CANCELLED')}`,
    );
    expect(stretches(calendar, '2026-01-01', '2028-01-01')).toEqual([
      '2026-10-01T20:00Z/2026-10-01T21:59Z',
      '2026-10-16T04:00Z/2026-10-16T05:00Z',
      '2026-10-29T21:00Z/2026-10-29T22:59Z',
      '2026-11-05T21:00Z/2026-11-05T22:59Z',
      '2026-11-19T21:00Z/2026-11-19T22:59Z',
      '2026-12-24T21:00Z/2026-12-24T22:59Z',
      '2026-12-31T10:00Z/2026-12-31T11:00Z',
      '2027-01-01T10:00Z/2027-01-01T11:00Z',
    ]);
  });

  it('of whole days know EXDATE and overrides too', () => {
    const calendar = ofIcal(
      `${event('UID:a\nDTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=5\nEXDATE;VALUE=DATE:20260112\nRDATE;VALUE=DATE:20260301')}
       ${event('UID:a\nRECURRENCE-ID;VALUE=DATE:20260119\nDTSTART;VALUE=DATE:20260120')}`,
    );
    expect(stretches(calendar, '2026-01-01', '2027-01-01').map((text) => text.slice(0, 10))).toEqual([
      '2026-01-05',
      '2026-01-20',
      '2026-01-26',
      '2026-02-02',
      '2026-03-01',
    ]);
  });

  // The examples of RFC 5545, 3.8.5.3, with its dates.
  it.each<[start: string, rule: string, days: string[]]>([
    [
      '1997-09-01',
      'FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,WE,FR;COUNT=6',
      ['1997-09-01', '1997-09-03', '1997-09-05', '1997-09-15', '1997-09-17', '1997-09-19'],
    ],
    ['1997-08-05', 'FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO', days('1997-08', 5, 10, 19, 24)],
    ['1997-08-05', 'FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU', days('1997-08', 5, 17, 19, 31)],
    [
      '1997-09-05',
      'FREQ=MONTHLY;COUNT=5;BYDAY=1FR',
      ['1997-09-05', '1997-10-03', '1997-11-07', '1997-12-05', '1998-01-02'],
    ],
    [
      '1997-09-22',
      'FREQ=MONTHLY;COUNT=6;BYDAY=-2MO',
      ['1997-09-22', '1997-10-20', '1997-11-17', '1997-12-22', '1998-01-19', '1998-02-16'],
    ],
    [
      '1997-09-28',
      'FREQ=MONTHLY;BYMONTHDAY=-3',
      ['1997-09-28', '1997-10-29', '1997-11-28', '1997-12-29', '1998-01-29', '1998-02-26'],
    ],
    [
      '1997-01-01',
      'FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200',
      ['1997-01-01', '1997-04-10', '1997-07-19', '2000-01-01', '2000-04-09', '2000-07-18', '2003-01-01'],
    ],
    ['1997-05-19', 'FREQ=YEARLY;BYDAY=20MO', ['1997-05-19', '1998-05-18', '1999-05-17']],
    ['1997-05-12', 'FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO', ['1997-05-12', '1998-05-11', '1999-05-17']],
    [
      '1997-09-02',
      'FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13',
      ['1998-02-13', '1998-03-13', '1998-11-13', '1999-08-13', '2000-10-13'],
    ],
    [
      '1996-11-05',
      'FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8',
      ['1996-11-05', '2000-11-07', '2004-11-02'],
    ],
    [
      '1997-09-04',
      'FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3',
      ['1997-09-04', '1997-10-07', '1997-11-06'],
    ],
    [
      '1997-09-29',
      'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2',
      ['1997-09-29', '1997-10-30', '1997-11-27', '1997-12-30', '1998-01-29'],
    ],
    [
      '2007-01-15',
      'FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5',
      ['2007-01-15', '2007-01-30', '2007-02-15', '2007-03-15', '2007-03-30'],
    ],
    ['2024-02-29', 'FREQ=YEARLY', ['2024-02-29', '2028-02-29', '2032-02-29']],
    ['2026-01-31', 'FREQ=MONTHLY', ['2026-01-31', '2026-03-31', '2026-05-31', '2026-07-31']],
    ['2026-01-01', 'FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=31', []],
    ['2026-01-01', 'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30', []],
    ['2026-01-01', 'FREQ=DAILY;BYMONTHDAY=-1;COUNT=3', ['2026-01-31', '2026-02-28', '2026-03-31']],
    ['2026-01-01', 'FREQ=YEARLY;INTERVAL=1000000000', ['2026-01-01']],
  ])('from %s by %s', (start, rule, expected) => {
    expect(daysOfRule(start, rule, Math.max(1, expected.length))).toEqual(expected);
  });

  it('have several times a day with BYHOUR and BYMINUTE', () => {
    const calendar = ofIcal(
      event('DTSTART:20260102T090000Z\nDURATION:PT1M\nRRULE:FREQ=DAILY;BYHOUR=9,16;BYMINUTE=0,30;COUNT=5'),
    );
    expect(stretches(calendar, '2026-01-01', '2027-01-01').map((text) => text.slice(0, 17))).toEqual([
      '2026-01-02T09:00Z',
      '2026-01-02T09:30Z',
      '2026-01-02T16:00Z',
      '2026-01-02T16:30Z',
      '2026-01-03T09:00Z',
    ]);
  });

  it('are those of a slow oracle for any rule', () => {
    fc.assert(
      fc.property(anyRule, fc.integer({ min: 0, max: 900 }), (rule, after) => {
        const start = ms('2023-11-20T00:00:00Z') + after * DAY;
        const first = new Date(start).toISOString().slice(0, 10);
        const expected = oracleDays(rule, start / DAY, start / DAY + 1_500).map((day) =>
          new Date(day * DAY).toISOString().slice(0, 10),
        );
        const found = daysOfRule(first, ruleText(rule), expected.length + 1);
        const horizon = new Date(start + 1_500 * DAY).toISOString().slice(0, 10);
        expect(found.filter((day) => day < horizon)).toEqual(expected);
      }),
      { seed: Number(process.env.CARILLON_CALENDAR_SEED ?? 5_545), numRuns: 50 },
    );
  }, 120_000);
});

/** Rules as oracleDays knows them: all of FREQ, INTERVAL, COUNT, WKST and the parts that name days. */
const signed = (max: number) => fc.integer({ min: 1, max }).chain((n) => fc.constantFrom(n, n, -n));
const few = <T>(item: fc.Arbitrary<T>) => fc.uniqueArray(item, { minLength: 1, maxLength: 3 });
const maybe = <T>(list: fc.Arbitrary<T[]>, weight = 2) =>
  fc.oneof({ weight, arbitrary: fc.constant<T[]>([]) }, { weight: 1, arbitrary: list });
const anyRule: fc.Arbitrary<OracleRule> = fc
  .constantFrom('YEARLY', 'MONTHLY', 'WEEKLY', 'DAILY')
  .chain((freq) => {
    const yearly = freq === 'YEARLY';
    const nth = yearly || freq === 'MONTHLY' ? fc.oneof(fc.constant(0), signed(5)) : fc.constant(0);
    return fc.record({
      freq: fc.constant(freq),
      interval: fc.integer({ min: 1, max: 3 }),
      count: fc.option(fc.integer({ min: 1, max: 30 }), { freq: 2 }),
      weekStart: fc.constantFrom(1, 1, 0, 4),
      byMonth: maybe(few(fc.integer({ min: 1, max: 12 }))),
      byMonthDay: freq === 'WEEKLY' ? fc.constant<number[]>([]) : maybe(few(signed(31))),
      byYearDay: yearly ? maybe(few(signed(366)), 6) : fc.constant<number[]>([]),
      byWeekNo: yearly ? maybe(few(signed(53)), 6) : fc.constant<number[]>([]),
      byDay: maybe(few(fc.record({ nth, weekday: fc.nat(6) })), 1),
      bySetPos: maybe(few(signed(6)), 3),
    });
  })
  .filter((rule) => rule.byWeekNo.length === 0 || rule.byDay.every(({ nth }) => nth === 0));

function days(month: string, ...of: number[]): string[] {
  return of.map((day) => `${month}-${String(day).padStart(2, '0')}`);
}

describe('a body that cannot be taken', () => {
  it.each<[string, string, RegExp]>([
    ['is no iCalendar', 'hello', /Line 3: "hello" is no line of iCalendar/],
    ['has an event without DTSTART', event('SUMMARY:Feast'), /event "Feast" on line 3: it has no DTSTART/],
    ['has a day that is none', event('DTSTART;VALUE=DATE:20260230'), /Line 4: .*not in the calendar/],
    ['has a date with hyphens', event('DTSTART;VALUE=DATE:2026-12-25'), /Line 4: .*names no date/],
    [
      'has a rule with an odd FREQ',
      event('DTSTART:20260101\nRRULE:FREQ=FORTNIGHTLY'),
      /Line 5: .*is no rule of RFC 5545/,
    ],
    [
      'repeats by the hour',
      event('DTSTART:20260101T000000Z\nRRULE:FREQ=HOURLY'),
      /Line 5: .*FREQ=YEARLY, MONTHLY, WEEKLY, DAILY/,
    ],
    [
      'counts in another calendar',
      event('DTSTART:20260101\nRRULE:RSCALE=CHINESE;FREQ=YEARLY'),
      /RSCALE, which is not supported/,
    ],
    [
      'numbers a weekday of a week',
      event('DTSTART:20260101\nRRULE:FREQ=WEEKLY;BYDAY=2MO'),
      /numbered weekday/,
    ],
    [
      'has a rule of another type',
      event('DTSTART:20260101\nRRULE;VALUE=TEXT:FREQ=DAILY'),
      /Line 5: .*cannot be read/,
    ],
    ['has COUNT=0', event('DTSTART:20260101\nRRULE:FREQ=DAILY;COUNT=0'), /COUNT below 1/],
    [
      'has a number beyond its range',
      event('DTSTART:20260101\nRRULE:FREQ=YEARLY;BYMONTH=13'),
      /Line 5: .*is no rule of RFC 5545/,
    ],
    ...[
      'INTERVAL=0',
      'INTERVAL=-5',
      'INTERVAL=1e9',
      'COUNT=1e3',
      'BYMONTH=5L',
      'BYMONTHDAY=1,0',
      'BYSETPOS=0',
    ].map((part): [string, string, RegExp] => [
      `has ${part}`,
      event(`DTSTART:20260101\nRRULE:FREQ=YEARLY;${part}`),
      /Line 5: .*a number that RFC 5545 does not allow there/,
    ]),
    [
      'leaves a quote open',
      event('DTSTART;TZID="Europe/Berlin:20260101T000000'),
      /Line 4: .*parameters .* or their quotes are broken/,
    ],
    ['excludes by rule', event('DTSTART:20260101\nEXRULE:FREQ=WEEKLY'), /EXRULE is not supported/],
    [
      'ends before it begins',
      event('DTSTART:20260102T100000Z\nDTEND:20260102T090000Z'),
      /on line 3: it ends/,
    ],
    [
      'mixes a date and a time',
      event('DTSTART:20260102T100000Z\nDTEND;VALUE=DATE:20260103'),
      /DTEND must have/,
    ],
    ['has a broken duration', event('DTSTART:20260102T100000Z\nDURATION:1 hour'), /Line 5: .*no duration/],
    ['names no zone', event('DTSTART;TZID=Nowhere:20260102T100000'), /Line 4: the time zone "Nowhere"/],
    [
      'changes a series from some day on',
      event('UID:a\nDTSTART:20260101\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260101'),
      /RANGE=THISANDFUTURE/,
    ],
    ['withdraws', `METHOD:CANCEL\n${event('DTSTART:20260101')}`, /METHOD:CANCEL/],
    ['is cut off', 'BEGIN:VEVENT\nDTSTART:20260101', /where the VEVENT of line 3 must end first/],
    ['nests events', event(event('DTSTART:20260101')), /Line 4: a VEVENT inside a VEVENT/],
    [
      'changes the clock by the minute',
      `BEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:20260101T000000\nTZOFFSETFROM:+0000\nTZOFFSETTO:+0100\nRRULE:FREQ=DAILY;BYMINUTE=0,1,2,3,4,5,6,7,8,9\nEND:STANDARD\nEND:VTIMEZONE\n${event('DTSTART;TZID=X:20260101T000000')}`,
      /changes the clock too often/,
    ],
    [
      'has an empty VTIMEZONE',
      `BEGIN:VTIMEZONE\nTZID:X\nEND:VTIMEZONE\n${event('DTSTART;TZID=X:20260101T000000')}`,
      /neither STANDARD nor DAYLIGHT/,
    ],
    [
      'has a line of a thousand parameters',
      event(`DTSTART${';a=b'.repeat(1_000)}:20260101`),
      /too many parts/,
    ],
  ])('%s: it says so', (_, body, message) => {
    expect(refusal(() => ofIcal(body))).toMatch(message);
  });

  it('names the line also when there is no VCALENDAR around it, or it never ends', () => {
    const read = (ical: string) => refusal(() => readCalendar({ timezone: 'UTC', entries: [], ical }, now));
    expect(read('')).toMatch(/BEGIN:VCALENDAR/);
    expect(read('BEGIN:VEVENT\nEND:VEVENT')).toMatch(/Line 1: .*BEGIN:VCALENDAR/);
    expect(read('BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101')).toMatch(/line 2 never ends/);
    expect(read('BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VCALENDAR')).toMatch(/Line 3/);
  });

  it('is too large, has too many events, or expands to too much', () => {
    expect(refusal(() => ofIcal(event(`DTSTART:20260101\nX-A:${'x'.repeat(1_048_576)}`)))).toMatch(/1048576/);
    expect(refusal(() => ofIcal(event('DTSTART:20260101').concat('\n').repeat(10_001)))).toMatch(
      /10000 events/,
    );
    const daily = event('DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;BYHOUR=0,4,8,12,16,20');
    expect(refusal(() => ofIcal(`${daily}\n${daily}\n${daily}`))).toMatch(/more than 50000 times/);
    const never = event('DTSTART:20000101T000000Z\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30').concat('\n');
    expect(refusal(() => ofIcal(never.repeat(1_000)))).toMatch(/take too long to expand/);
    const often = event(
      'DTSTART;VALUE=DATE-TIME:20260101T000000Z\nRRULE:FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=0,1,2,3,4,5,6;BYMINUTE=0,1,2,3,4,5,6,7,8,9,10;BYSECOND=0,1,2,3,4,5,6,7,8,9;BYSETPOS=-1',
    );
    expect(refusal(() => ofIcal(often.concat('\n').repeat(20)))).toMatch(/take too long to expand/);
  });

  it('is never anything but an InvalidCalendar, whatever is in it', () => {
    const word = fc.constantFrom(
      ...'BEGIN END VCALENDAR VEVENT VTIMEZONE STANDARD DTSTART DTEND RRULE EXDATE RDATE DURATION TZID : ; = , FREQ YEARLY BYDAY 1MO COUNT UNTIL 20260101 20260101T000000Z VALUE DATE PERIOD / P1D PT1H RECURRENCE-ID UID x "'.split(
        ' ',
      ),
      '\n',
      '\r\n ',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 12 }), fc.boolean(), (words, inEvent) => {
        const text = words.join('');
        refusal(() => ofIcal(inEvent ? event(`DTSTART:20260101T000000Z\n${text}`) : text));
      }),
      { seed: 7, numRuns: 3_000 },
    );
  });
});

describe('covers', () => {
  it('agrees with the local date at any instant, around any clock change', () => {
    const zones = ['Europe/Berlin', 'America/Santiago', 'Africa/Cairo', 'Australia/Lord_Howe', 'Asia/Beirut'];
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.uniqueArray(fc.integer({ min: 0, max: 364 }), { minLength: 1, maxLength: 20 }),
        fc.array(fc.integer({ min: 0, max: 365 * 24 * 4 }), { minLength: 20, maxLength: 20 }),
        (timezone, numbers, quarters) => {
          const dates = numbers.map((n) => new Date(ms('2026-01-01') + n * DAY).toISOString().slice(0, 10));
          const { compiled } = ofDates(dates, timezone);
          for (const quarter of quarters) {
            const at = ms('2026-01-01T00:00:00Z') + quarter * 15 * MINUTE;
            const local = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timezone);
            expect(covers(compiled, at)).toBe(dates.includes(local.toPlainDate().toString()));
          }
        },
      ),
      { seed: 20_260_101, numRuns: 100 },
    );
  });
});
