import { describe, expect, it } from 'vitest';
import { InvalidCron, neverFires, parseCron } from '../../src/schedules/cron-expression.ts';
import type { CronField } from '../../src/schedules/cron-field.ts';

const parse = (text: string, seedName = 'a') => parseCron(text, seedName);
const range = (from: number, to: number, step = 1) =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);

function refusal(text: string): InvalidCron {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof InvalidCron) return error;
    throw error;
  }
  return expect.fail(`${JSON.stringify(text)} was accepted`);
}

describe('a range of Sundays', () => {
  it.each(['0-0', '7-7', 'SUN-SUN', 'SUN-0', 'sun'])('%s is Sunday', (days) => {
    expect(parse(`0 0 * * ${days}`)).toEqual({ ...parse('0 0 * * 0'), source: expect.anything() });
  });
});

describe('what is read', () => {
  it.each<[string, Partial<ReturnType<typeof parse>>]>([
    ['0 2 * * *', { seconds: [0], minutes: [0], hours: [2], months: range(1, 12), hasSeconds: false }],
    ['15 0 2 * * *', { seconds: [15], minutes: [0], hours: [2], hasSeconds: true }],
    ['*/15 * * * *', { minutes: [0, 15, 30, 45], hours: range(0, 23) }],
    ['*/60 */24 * * *', { minutes: [0], hours: [0] }],
    ['10-20/5,3,59 1,1,1 * * *', { minutes: [3, 10, 15, 20, 59], hours: [1] }],
    ['5/20 20/2 * * *', { minutes: [5, 25, 45], hours: [20, 22] }],
    ['1,*/30 * * * *', { minutes: [0, 1, 30] }],
    ['00 02 * * *', { minutes: [0], hours: [2] }],
    ['0 0 * jan,MAR-may,Dec *', { months: [1, 3, 4, 5, 12] }],
    ['0 0 * JAN-DEC/3 *', { months: [1, 4, 7, 10] }],
    ['  0\t2  * * * ', { source: '0\t2  * * *', minutes: [0], hours: [2] }],
  ])('reads %j', (text, want) => {
    expect(parse(text)).toMatchObject(want);
  });

  it.each([
    ['*', range(0, 6)],
    ['?', range(0, 6)],
    ['0', [0]],
    ['7', [0]],
    ['0,7', [0]],
    ['5-7', [0, 5, 6]],
    ['0-7', range(0, 6)],
    ['7-7', [0]],
    ['mon-fri', range(1, 5)],
    ['SUN-TUE', [0, 1, 2]],
    ['FRI-SUN', [0, 5, 6]],
    ['SUN', [0]],
    ['*/2', [0, 2, 4, 6]],
    ['*/7', [0]],
    ['1/2', [1, 3, 5]],
    ['7/2', [0]],
    ['L', [6]],
  ])('reads day-of-week %s', (field, want) => {
    expect(parse(`0 0 * * ${field}`).dayOfWeek.weekdays).toEqual(want);
  });

  it('reads L, n#k and plain days of the week in one list', () => {
    expect(parse('0 0 * * 1,FRIL,7L,3#2,sun#1').dayOfWeek).toEqual({
      star: false,
      weekdays: [1],
      last: [0, 5],
      nth: [
        { weekday: 0, nth: 1 },
        { weekday: 3, nth: 2 },
      ],
    });
  });

  it('reads L, W and plain days of the month in one list', () => {
    expect(parse('0 0 1,L,L-3,15W,1w,LW,L-2W * *').dayOfMonth).toEqual({
      star: false,
      days: [1],
      beforeLast: [0, 3],
      weekdayNearest: [1, 15],
      weekdayNearestBeforeLast: [0, 2],
    });
  });

  it.each([
    ['@hourly', '0 * * * *'],
    ['@daily', '0 0 * * *'],
    ['@midnight', '0 0 * * *'],
    ['@weekly', '0 0 * * 0'],
    ['@monthly', '0 0 1 * *'],
    ['@yearly', '0 0 1 1 *'],
    ['@Annually', '0 0 1 1 *'],
  ])('reads %s as %s', (nickname, meaning) => {
    expect(parse(nickname)).toEqual({ ...parse(meaning), source: nickname });
  });

  it.each([
    ['* 2 * * *', true],
    ['*/5 2 * * *', true],
    ['*,5 2 * * *', true],
    ['30 * * * *', true],
    ['30 */2 * * *', true],
    ['30 2 * * *', false],
    ['0-59 2 * * *', false],
    ['5,* 2 * * *', false],
    ['0/5 2 * * *', false],
    ['H H * * *', false],
    ['H/15 2 * * *', false],
    ['H * * * *', true],
    ['* 30 2 * * *', false],
    ['*/10 30 2 * * *', false],
    ['0 * 2 * * *', true],
    ['30 2 */2 */2 */2', false],
    ['@hourly', true],
    ['@daily', false],
  ])('holds %s for wildcard: %s', (text, wildcard) => {
    expect(parse(text).wildcard).toBe(wildcard);
  });

  it.each([
    ['*', '*', true, true],
    ['?', '1', true, false],
    ['1', '?', false, true],
    ['*/2', '1-5', true, false],
    ['1,*', '*/2,1', false, true],
    ['L', 'H', false, false],
  ])('knows whether day fields %s and %s begin with a star', (day, weekday, dayStar, weekdayStar) => {
    const cron = parse(`0 0 ${day} * ${weekday}`);
    expect([cron.dayOfMonth.star, cron.dayOfWeek.star]).toEqual([dayStar, weekdayStar]);
  });
});

describe('H', () => {
  it('stands for the same time in every version (changing these moves stored schedules)', () => {
    const cron = parse('H H H H H H', 'daily-backup');
    expect([
      cron.seconds,
      cron.minutes,
      cron.hours,
      cron.dayOfMonth.days,
      cron.months,
      cron.dayOfWeek.weekdays,
    ]).toEqual([[26], [6], [21], [19], [8], [6]]);
    expect(cron.usesHash).toBe(true);
  });

  it('depends on the name and on nothing else', () => {
    expect(parse('H H * * *', 'x')).toEqual(parse('H H * * *', 'x'));
    expect(parse('H H * * *', 'x').minutes).not.toEqual(parse('H H * * *', 'y').minutes);
    expect(parse('5 4 * * THU', 'x')).toEqual(parse('5 4 * * THU', 'y'));
    expect(parse('5 4 * MAR THU', 'x').usesHash).toBe(false);
  });

  it('stays within its field and spreads names evenly', () => {
    const minutes = new Map<number, number>();
    for (let n = 0; n < 6_000; n++) {
      const cron = parse('H H H H H', `job-${n}`);
      const [minute] = cron.minutes;
      minutes.set(minute!, (minutes.get(minute!) ?? 0) + 1);
      expect(cron.dayOfMonth.days[0]).toBeLessThanOrEqual(28);
      expect(cron.dayOfWeek.weekdays[0]).toBeLessThanOrEqual(6);
    }
    expect(minutes.size).toBe(60);
    for (const count of minutes.values()) expect(count).toBeGreaterThan(50);
    for (const count of minutes.values()) expect(count).toBeLessThan(160);
  });

  it('keeps H(a-b) within a-b, and H/n and H(a-b)/n at steps of n', () => {
    for (let n = 0; n < 300; n++) {
      const { minutes, hours } = parse('H/15 H(2-4) * * *', `job-${n}`);
      expect(minutes).toEqual(range(minutes[0]!, 59, 15));
      expect(minutes[0]).toBeLessThan(15);
      expect(minutes).toHaveLength(4);
      expect([[2], [3], [4]]).toContainEqual(hours);
      const within = parse('H(10-29)/5 H * * *', `job-${n}`).minutes;
      expect(within).toEqual(range(within[0]!, 29, 5));
      expect(within[0]).toBeGreaterThanOrEqual(10);
      expect(within[0]).toBeLessThan(15);
      expect(parse('0 0 * * H(FRI-SUN)', `job-${n}`).dayOfWeek.weekdays[0]).toBeOneOf([5, 6, 0]);
    }
  });

  it('is every value with a step of one', () => {
    expect(parse('H/1 0 * * *').minutes).toEqual(range(0, 59));
  });
});

describe('what is refused', () => {
  it.each<[string, CronField | 'expression', string]>([
    ['', 'expression', 'is empty'],
    ['   ', 'expression', 'is empty'],
    ['* * * *', 'expression', '4 fields'],
    ['*', 'expression', '1 field;'],
    ['* * * * * * *', 'expression', '7 fields'],
    ['0 0 1 1 * 2030 x', 'expression', '7 fields'],
    ['@reboot', 'expression', '"@reboot" is no time that a schedule could know; write @hourly'],
    ['0 2 * * * root', 'expression', '"root" behind the five fields, as a line of a crontab does'],
    ['0 2 * * * root /usr/bin/backup -q', 'expression', '"root" behind the five fields'],
    ['0 2 * * *\t/usr/bin/backup', 'expression', '"/usr/bin/backup" behind the five fields'],
    ['0 0 2 * * monk', 'day-of-week', 'MONK'],
    ['@', 'expression', '@hourly'],
    ['@daily @daily', 'expression', 'not known'],
    ['@__proto__', 'expression', 'not known'],
    ['0 0\n* * *', 'expression', 'control characters'],
    ['0 0 * * *\n', 'expression', 'control characters'],
    ['0 0 * * *\u0000', 'expression', 'control characters'],
    ['0\u00a00 * * *', 'expression', '4 fields'],
    [`0 0 * * ${'1,'.repeat(200)}1`, 'expression', '256'],
    [`${'1,'.repeat(60)}1 0 * * *`, 'minute', '61 items'],
    ['60 * * * *', 'minute', '60 is out of range 0-59'],
    ['60 * * * * *', 'second', '60 is out of range 0-59'],
    ['0 24 * * *', 'hour', '24 is out of range 0-23'],
    ['0 0 0 * *', 'day-of-month', '0 is out of range 1-31'],
    ['0 0 32 * *', 'day-of-month', '32 is out of range 1-31'],
    ['0 0 * 0 *', 'month', '0 is out of range 1-12'],
    ['0 0 * 13 *', 'month', '13 is out of range 1-12'],
    ['0 0 * * 8', 'day-of-week', '8 is out of range 0-7'],
    ['5-60 * * * *', 'minute', '60 in "5-60" is out of range 0-59'],
    ['*/61 * * * *', 'minute', 'step 61 in "*/61" is out of range 1-60'],
    ['*/0 * * * *', 'minute', 'step 0'],
    [`${'9'.repeat(240)} * * * *`, 'minute', 'out of range 0-59'],
    [`*/${'9'.repeat(240)} * * * *`, 'minute', 'out of range 1-60'],
    ['0 */25 * * *', 'hour', 'step 25'],
    ['0 0 */32 * *', 'day-of-month', 'step 32'],
    ['0 0 * */13 *', 'month', 'step 13'],
    ['0 0 * * */8', 'day-of-week', 'step 8'],
    ['1-5/99999999999999999999 * * * *', 'minute', 'out of range 1-60'],
    ['30-10 * * * *', 'minute', 'runs backwards'],
    ['0 22-6 * * *', 'hour', 'runs backwards'],
    ['0 0 * DEC-JAN *', 'month', 'runs backwards'],
    ['0 0 * * 5-0', 'day-of-week', 'Sunday at the end of a range is 7'],
    ['0 0 * * FRI-MON', 'day-of-week', 'runs backwards'],
    ['1,,2 * * * *', 'minute', 'empty place'],
    [',1 * * * *', 'minute', 'empty place'],
    ['1, * * * *', 'minute', 'empty place'],
    ['-1 * * * *', 'minute', 'not understood'],
    ['1- * * * *', 'minute', 'not understood'],
    ['1-2-3 * * * *', 'minute', 'not understood'],
    ['*/ * * * *', 'minute', 'not understood'],
    ['/5 * * * *', 'minute', 'not understood'],
    ['*/*/2 * * * *', 'minute', 'not understood'],
    ['** * * * *', 'minute', 'not understood'],
    ['*-5 * * * *', 'minute', 'not understood'],
    ['1.5 * * * *', 'minute', 'not understood'],
    ['1e1 * * * *', 'minute', 'not understood'],
    ['0x1 * * * *', 'minute', 'not understood'],
    ['+1 * * * *', 'minute', 'not understood'],
    ['٣ * * * *', 'minute', 'not understood'],
    ['MON * * * *', 'minute', 'not understood'],
    ['0 0 * * \u017fun', 'day-of-week', 'not understood'],
    ['0 0 * * fr\u0131', 'day-of-week', 'not understood'],
    ['0 0 MON * *', 'day-of-month', 'not understood'],
    ['0 0 * MONDAY *', 'month', 'not understood'],
    ['0 0 * * MONDAY', 'day-of-week', 'not understood'],
    ['0 0 * * JAN', 'day-of-week', 'not understood'],
    ['? * * * *', 'minute', 'not understood'],
    ['0 ? * * *', 'hour', 'not understood'],
    ['0 0 ?/2 * *', 'day-of-month', 'not understood'],
    ['0 0 ?,1 * *', 'day-of-month', 'not understood'],
    ['L * * * *', 'minute', 'not understood'],
    ['0 0 * L *', 'month', 'not understood'],
    ['0 0 5L * *', 'day-of-month', 'not understood'],
    ['0 0 W * *', 'day-of-month', 'not understood'],
    ['0 0 1-5W * *', 'day-of-month', 'not understood'],
    ['0 0 WL * *', 'day-of-month', 'not understood'],
    ['0 0 32W * *', 'day-of-month', '32 in "32W" is out of range 1-31'],
    ['0 0 0W * *', 'day-of-month', '0 in "0W" is out of range 1-31'],
    ['0 0 L-31 * *', 'day-of-month', '31 in "L-31" is out of range 0-30'],
    ['0 0 L/2 * *', 'day-of-month', 'not understood'],
    ['0 0 * * 8L', 'day-of-week', '8 in "8L" is out of range 0-7'],
    ['0 0 * * LW', 'day-of-week', 'not understood'],
    ['0 0 * * 1#0', 'day-of-week', '0 in "1#0" is out of range 1-5'],
    ['0 0 * * 1#6', 'day-of-week', '6 in "1#6" is out of range 1-5'],
    ['0 0 * * #1', 'day-of-week', 'not understood'],
    ['0 0 * * 1-5#1', 'day-of-week', 'not understood'],
    ['0 0 * * 15W', 'day-of-week', 'not understood'],
    ['H(5-1) * * * *', 'minute', 'runs backwards'],
    ['H(0-60) * * * *', 'minute', '60 in "H(0-60)" is out of range 0-59'],
    ['H(0-9)/11 * * * *', 'minute', 'out of range 1-10'],
    ['H() * * * *', 'minute', 'not understood'],
    ['H(1) * * * *', 'minute', 'not understood'],
    ['H-5 * * * *', 'minute', 'not understood'],
    ['HH * * * *', 'minute', 'not understood'],
    ['TZ=UTC 0 2 * * *', 'second', 'not understood'],
  ])('refuses %j because of its %s', (text, field, part) => {
    const { field: named, message } = refusal(text);
    expect(named).toBe(field);
    expect(message.startsWith(`${field}: `)).toBe(true);
    expect(message).toContain(part);
    expect(message.length).toBeLessThan(250);
  });

  it('does not hang on long nonsense', () => {
    for (const piece of [' ', 'x ', '*/', '1-', 'H(', ',', '1,', 'L-', '((', '#', '1#', '@']) {
      expect(() => parse(`${piece.repeat(250 / piece.length)} * * *`)).toThrow(InvalidCron);
      expect(() => parse(piece.repeat(1_000_000))).toThrow(InvalidCron);
    }
  });

  it.each([
    '0 0 30 2 *',
    '0 0 31 4,6,9,11 *',
    '0 0 30,31 2 *',
    '0 0 30W 2 *',
    '0 0 L-29 2 *',
    '0 0 L-30 4 *',
    '* * * 30 2 ?',
    '0 0 31 2 *',
    '0 0 */31 2 1#2',
    '0 0 30 2 */2',
  ])('refuses %s, which never fires', (text) => {
    const { field, message } = refusal(text);
    expect(field).toBe('day-of-month');
    expect(message).toContain('never fires');
  });

  it.each([
    '0 0 29 2 *',
    '0 0 29 2 */7',
    '0 0 30 2 1',
    '0 0 L-28 2 *',
    '0 0 31 2,3 *',
    '0 0 29W 2 */7,1',
    '0 0 * 2 1#5',
  ])('accepts %s, which fires some day', (text) => {
    expect(neverFires(parse(text))).toBe(false);
  });
});
