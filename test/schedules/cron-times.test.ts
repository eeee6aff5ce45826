import { describe, expect, it } from 'vitest';
import { parseCron } from '../../src/schedules/cron-expression.ts';
import { DST_DEFAULT, type DstPolicy, nextCron, previousCron } from '../../src/schedules/cron-times.ts';
import { offsetAt } from '../../src/schedules/zone.ts';

/** An instant with its local offset, to the minute or the second: 2026-03-29T03:00+02:00. */
function stamp(instant: number | null, zone: string): string | null {
  if (instant === null) return null;
  const offset = offsetAt(zone, instant);
  const size = Math.abs(offset) / 1_000;
  const two = (n: number) => String(Math.floor(n)).padStart(2, '0');
  const seconds = size % 60 === 0 ? '' : `:${two(size % 60)}`;
  const local = new Date(instant + offset).toISOString().replace(/(:00)?\.000Z$/, '');
  return `${local}${offset < 0 ? '-' : '+'}${two(size / 3_600)}:${two((size / 60) % 60)}${seconds}`;
}

/** The fires after `start`, as many as wanted, and then the same ones backwards. */
function timetable(spec: string, zone: string, start: string, count: number, dst: DstPolicy) {
  const cron = parseCron(spec, 'seed');
  const forward: (number | null)[] = [];
  let t: number | null = Date.parse(start);
  while (forward.length < count && t !== null) {
    t = nextCron(cron, zone, dst, t);
    forward.push(t);
  }
  const backward: (number | null)[] = [];
  let before: number | null = t === null ? null : t + 1;
  while (backward.length < count && before !== null) {
    before = previousCron(cron, zone, dst, before);
    backward.unshift(before);
  }
  if (t !== null) expect(backward, 'backwards').toEqual(forward);
  return forward.map((fire) => stamp(fire, zone));
}

type Row = [spec: string, start: string, ...fires: string[]];

function check(zone: string, rows: Row[], dst: Partial<DstPolicy> = {}) {
  for (const [spec, start, ...fires] of rows) {
    expect(timetable(spec, zone, start, fires.length, { ...DST_DEFAULT, ...dst }), spec).toEqual(fires);
  }
}

describe('on a clock that is never changed', () => {
  it('fires at the usual times', () => {
    check('UTC', [
      ['* * * * *', '2026-01-01T00:00:30Z', '2026-01-01T00:01+00:00', '2026-01-01T00:02+00:00'],
      ['*/15 * * * *', '2026-01-01T23:40Z', '2026-01-01T23:45+00:00', '2026-01-02T00:00+00:00'],
      ['0 2 * * *', '2026-12-31T02:00Z', '2027-01-01T02:00+00:00', '2027-01-02T02:00+00:00'],
      ['59 23 31 12 *', '2026-01-01T00:00Z', '2026-12-31T23:59+00:00', '2027-12-31T23:59+00:00'],
      [
        '0 9-17/4 * * MON-FRI',
        '2026-01-02T12:00Z',
        '2026-01-02T13:00+00:00',
        '2026-01-02T17:00+00:00',
        '2026-01-05T09:00+00:00',
      ],
      ['30 */2 * * SUN', '2026-01-03T12:00Z', '2026-01-04T00:30+00:00', '2026-01-04T02:30+00:00'],
      ['0 0 1 */3 *', '2026-01-01T00:00Z', '2026-04-01T00:00+00:00', '2026-07-01T00:00+00:00'],
      ['@weekly', '2026-01-01T00:00Z', '2026-01-04T00:00+00:00', '2026-01-11T00:00+00:00'],
    ]);
  });

  it('counts seconds in six fields', () => {
    check('UTC', [
      [
        '*/20 * * * * *',
        '2026-01-01T00:00:05Z',
        '2026-01-01T00:00:20+00:00',
        '2026-01-01T00:00:40+00:00',
        '2026-01-01T00:01+00:00',
      ],
      ['59 59 23 * * *', '2026-02-28T23:59:58Z', '2026-02-28T23:59:59+00:00', '2026-03-01T23:59:59+00:00'],
      ['30-31 0 * * * *', '2026-01-01T00:00:30Z', '2026-01-01T00:00:31+00:00', '2026-01-01T01:00:30+00:00'],
    ]);
  });

  it('ORs the two day fields when neither begins with a star, else ANDs them', () => {
    check('UTC', [
      [
        '0 0 13 * 5',
        '2026-11-01T00:00Z',
        '2026-11-06T00:00+00:00',
        '2026-11-13T00:00+00:00',
        '2026-11-20T00:00+00:00',
      ],
      ['0 0 13 * *', '2026-11-01T00:00Z', '2026-11-13T00:00+00:00', '2026-12-13T00:00+00:00'],
      [
        '0 0 */2 * 1',
        '2026-11-01T00:00Z',
        '2026-11-09T00:00+00:00',
        '2026-11-23T00:00+00:00',
        '2026-12-07T00:00+00:00',
      ],
      [
        '0 0 13 * */5',
        '2026-01-01T00:00Z',
        '2026-02-13T00:00+00:00',
        '2026-03-13T00:00+00:00',
        '2026-09-13T00:00+00:00',
      ],
      [
        '0 0 1-31/2 * 1',
        '2026-11-01T00:00Z',
        '2026-11-02T00:00+00:00',
        '2026-11-03T00:00+00:00',
        '2026-11-05T00:00+00:00',
      ],
      ['0 0 ? * 1', '2026-11-01T00:00Z', '2026-11-02T00:00+00:00', '2026-11-09T00:00+00:00'],
      ['0 0 15 * ?', '2026-11-01T00:00Z', '2026-11-15T00:00+00:00', '2026-12-15T00:00+00:00'],
    ]);
  });

  it('knows last days, nth weekdays and nearest weekdays', () => {
    check('UTC', [
      [
        '0 0 L * *',
        '2026-01-31T00:00Z',
        '2026-02-28T00:00+00:00',
        '2026-03-31T00:00+00:00',
        '2026-04-30T00:00+00:00',
      ],
      ['0 0 L 2 *', '2027-01-01T00:00Z', '2027-02-28T00:00+00:00', '2028-02-29T00:00+00:00'],
      ['0 0 L-2 * *', '2026-01-30T00:00Z', '2026-02-26T00:00+00:00', '2026-03-29T00:00+00:00'],
      [
        '0 0 * * 5L',
        '2026-01-01T00:00Z',
        '2026-01-30T00:00+00:00',
        '2026-02-27T00:00+00:00',
        '2026-03-27T00:00+00:00',
      ],
      [
        '0 0 * * 1#1',
        '2026-01-06T00:00Z',
        '2026-02-02T00:00+00:00',
        '2026-03-02T00:00+00:00',
        '2026-04-06T00:00+00:00',
      ],
      [
        '0 0 * * 5#5',
        '2026-01-01T00:00Z',
        '2026-01-30T00:00+00:00',
        '2026-05-29T00:00+00:00',
        '2026-07-31T00:00+00:00',
      ],
      // Saturday the 15th: Friday the 14th. Sunday the 15th: Monday the 16th.
      [
        '0 0 15W * *',
        '2026-08-01T00:00Z',
        '2026-08-14T00:00+00:00',
        '2026-09-15T00:00+00:00',
        '2026-10-15T00:00+00:00',
        '2026-11-16T00:00+00:00',
      ],
      // The 1st is a Saturday: not July, but Monday the 3rd.
      ['0 0 1W * *', '2026-07-02T00:00Z', '2026-08-03T00:00+00:00', '2026-09-01T00:00+00:00'],
      // The 31st is a Sunday: not June, but Friday the 29th. A month of 30 days has no 31W.
      ['0 0 31W * *', '2026-05-01T00:00Z', '2026-05-29T00:00+00:00', '2026-07-31T00:00+00:00'],
      [
        '0 0 LW * *',
        '2026-01-01T00:00Z',
        '2026-01-30T00:00+00:00',
        '2026-02-27T00:00+00:00',
        '2026-03-31T00:00+00:00',
      ],
      [
        '0 0 L 1 1#1',
        '2026-01-01T00:00Z',
        '2026-01-05T00:00+00:00',
        '2026-01-31T00:00+00:00',
        '2027-01-04T00:00+00:00',
      ],
    ]);
  });

  it('waits for leap years, over the century without one too', () => {
    check('UTC', [
      ['0 0 29 2 *', '2026-01-01T00:00Z', '2028-02-29T00:00+00:00', '2032-02-29T00:00+00:00'],
      ['0 0 29 2 *', '2096-03-01T00:00Z', '2104-02-29T00:00+00:00'],
      [
        '0 0 29 2 */7',
        '2026-01-01T00:00Z',
        '2032-02-29T00:00+00:00',
        '2060-02-29T00:00+00:00',
        '2088-02-29T00:00+00:00',
        '2128-02-29T00:00+00:00',
      ],
      ['0 0 29 2 */7', '1880-02-29T00:00Z', '1920-02-29T00:00+00:00'],
    ]);
  });
});

describe('clock set forward: Europe/Berlin skips 02:00 to 03:00 on 2026-03-29', () => {
  const zone = 'Europe/Berlin';

  it('fires a fixed expression once, at the end of the gap', () => {
    check(zone, [
      [
        '30 2 * * *',
        '2026-03-28T00:00Z',
        '2026-03-28T02:30+01:00',
        '2026-03-29T03:00+02:00',
        '2026-03-30T02:30+02:00',
      ],
      ['0 2 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T02:00+02:00'],
      ['30 0 2 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T02:00:30+02:00'],
    ]);
  });

  it('fires once although several of its times are lost, or the end of the gap is one of its times', () => {
    check(zone, [
      ['0,15,30,45 2 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T02:00+02:00'],
      [
        '30 2,3 * * *',
        '2026-03-28T12:00Z',
        '2026-03-29T03:00+02:00',
        '2026-03-29T03:30+02:00',
        '2026-03-30T02:30+02:00',
      ],
      ['0 2,3 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T02:00+02:00'],
      [
        '0 1-4 * * *',
        '2026-03-28T22:00Z',
        '2026-03-29T01:00+01:00',
        '2026-03-29T03:00+02:00',
        '2026-03-29T04:00+02:00',
      ],
      [
        '* 0 2 * * *',
        '2026-03-28T12:00Z',
        '2026-03-29T03:00+02:00',
        '2026-03-30T02:00+02:00',
        '2026-03-30T02:00:01+02:00',
      ],
    ]);
  });

  it('does not touch an expression that has no time in the gap', () => {
    check(zone, [
      ['59 1 * * *', '2026-03-28T12:00Z', '2026-03-29T01:59+01:00', '2026-03-30T01:59+02:00'],
      ['0 3 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T03:00+02:00'],
      ['30 2 30 3 *', '2026-03-28T12:00Z', '2026-03-30T02:30+02:00'],
      ['30 2 * * MON', '2026-03-28T12:00Z', '2026-03-30T02:30+02:00'],
    ]);
  });

  it('lets a wildcard expression follow the wall clock', () => {
    check(zone, [
      [
        '*/30 * * * *',
        '2026-03-29T00:00Z',
        '2026-03-29T01:30+01:00',
        '2026-03-29T03:00+02:00',
        '2026-03-29T03:30+02:00',
      ],
      ['15 * * * *', '2026-03-29T00:00Z', '2026-03-29T01:15+01:00', '2026-03-29T03:15+02:00'],
      ['*/20 2 * * *', '2026-03-28T12:00Z', '2026-03-30T02:00+02:00', '2026-03-30T02:20+02:00'],
      ['30 */2 * * *', '2026-03-28T23:00Z', '2026-03-29T00:30+01:00', '2026-03-29T04:30+02:00'],
    ]);
  });

  it('fires for no time that did not exist under gap "skip"', () => {
    check(
      zone,
      [
        ['30 2 * * *', '2026-03-28T00:00Z', '2026-03-28T02:30+01:00', '2026-03-30T02:30+02:00'],
        ['0 2,3 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T02:00+02:00'],
        ['30 2 29 3 *', '2026-03-28T00:00Z', '2027-03-29T02:30+02:00', '2028-03-29T02:30+02:00'],
        ['*/30 * * * *', '2026-03-29T00:00Z', '2026-03-29T01:30+01:00', '2026-03-29T03:00+02:00'],
      ],
      { gap: 'skip' },
    );
  });

  it('finds the end of the gap from anywhere before it, and not from there on', () => {
    const cron = parseCron('30 2 * * *', 'seed');
    const gapEnd = Date.parse('2026-03-29T01:00Z');
    for (const early of [1, 999, 1_000, 1_001, 60_000, 3_600_000, 80_000_000]) {
      expect(nextCron(cron, zone, DST_DEFAULT, gapEnd - early)).toBe(gapEnd);
      expect(previousCron(cron, zone, DST_DEFAULT, gapEnd + early)).toBe(gapEnd);
    }
    expect(nextCron(cron, zone, DST_DEFAULT, gapEnd)).toBe(Date.parse('2026-03-30T00:30Z'));
    expect(previousCron(cron, zone, DST_DEFAULT, gapEnd)).toBe(Date.parse('2026-03-28T01:30Z'));
  });
});

describe('clock set back: Europe/Berlin repeats 02:00 to 03:00 on 2026-10-25', () => {
  const zone = 'Europe/Berlin';

  it('fires a fixed expression at the first of the two only', () => {
    check(zone, [
      ['30 2 * * *', '2026-10-24T12:00Z', '2026-10-25T02:30+02:00', '2026-10-26T02:30+01:00'],
      [
        '0,30 2 * * *',
        '2026-10-24T12:00Z',
        '2026-10-25T02:00+02:00',
        '2026-10-25T02:30+02:00',
        '2026-10-26T02:00+01:00',
      ],
      ['0 3 * * *', '2026-10-24T12:00Z', '2026-10-25T03:00+01:00', '2026-10-26T03:00+01:00'],
      ['59 1 * * *', '2026-10-24T12:00Z', '2026-10-25T01:59+02:00', '2026-10-26T01:59+01:00'],
      [
        '*/30 30 2 * * *',
        '2026-10-24T12:00Z',
        '2026-10-25T02:30+02:00',
        '2026-10-25T02:30:30+02:00',
        '2026-10-26T02:30+01:00',
      ],
    ]);
  });

  it('fires a wildcard expression at both', () => {
    check(zone, [
      [
        '30 * * * *',
        '2026-10-24T23:30Z',
        '2026-10-25T02:30+02:00',
        '2026-10-25T02:30+01:00',
        '2026-10-25T03:30+01:00',
      ],
      [
        '*/30 2 * * *',
        '2026-10-24T12:00Z',
        '2026-10-25T02:00+02:00',
        '2026-10-25T02:30+02:00',
        '2026-10-25T02:00+01:00',
        '2026-10-25T02:30+01:00',
        '2026-10-26T02:00+01:00',
      ],
    ]);
  });

  it('does as repeat says for either kind', () => {
    const first: Row[] = [
      ['30 2 * * *', '2026-10-24T12:00Z', '2026-10-25T02:30+02:00', '2026-10-26T02:30+01:00'],
      [
        '30 * * * *',
        '2026-10-24T23:00Z',
        '2026-10-25T01:30+02:00',
        '2026-10-25T02:30+02:00',
        '2026-10-25T03:30+01:00',
      ],
    ];
    const both: Row[] = [
      [
        '30 2 * * *',
        '2026-10-24T12:00Z',
        '2026-10-25T02:30+02:00',
        '2026-10-25T02:30+01:00',
        '2026-10-26T02:30+01:00',
      ],
      [
        '30 * * * *',
        '2026-10-24T23:00Z',
        '2026-10-25T01:30+02:00',
        '2026-10-25T02:30+02:00',
        '2026-10-25T02:30+01:00',
      ],
    ];
    const last: Row[] = [
      ['30 2 * * *', '2026-10-24T12:00Z', '2026-10-25T02:30+01:00', '2026-10-26T02:30+01:00'],
      [
        '30 * * * *',
        '2026-10-24T23:00Z',
        '2026-10-25T01:30+02:00',
        '2026-10-25T02:30+01:00',
        '2026-10-25T03:30+01:00',
      ],
    ];
    check(zone, first, { repeat: 'first' });
    check(zone, both, { repeat: 'both' });
    check(zone, last, { repeat: 'last' });
  });

  it('starts right from within either of the two hours', () => {
    const cron = parseCron('30 2 * * *', 'seed');
    const next = (repeat: DstPolicy['repeat'], after: string) =>
      stamp(nextCron(cron, zone, { gap: 'run', repeat }, Date.parse(after)), zone);
    expect(next('first', '2026-10-25T00:30Z')).toBe('2026-10-26T02:30+01:00');
    expect(next('first', '2026-10-25T01:10Z')).toBe('2026-10-26T02:30+01:00');
    expect(next('both', '2026-10-25T00:45Z')).toBe('2026-10-25T02:30+01:00');
    expect(next('last', '2026-10-25T00:10Z')).toBe('2026-10-25T02:30+01:00');
    expect(next('last', '2026-10-25T01:30Z')).toBe('2026-10-26T02:30+01:00');
    const previous = (repeat: DstPolicy['repeat'], before: string) =>
      stamp(previousCron(cron, zone, { gap: 'run', repeat }, Date.parse(before)), zone);
    expect(previous('first', '2026-10-25T01:45Z')).toBe('2026-10-25T02:30+02:00');
    expect(previous('both', '2026-10-25T01:15Z')).toBe('2026-10-25T02:30+02:00');
    expect(previous('last', '2026-10-25T01:15Z')).toBe('2026-10-24T02:30+02:00');
    expect(previous('last', '2026-10-25T00:45Z')).toBe('2026-10-24T02:30+02:00');
  });
});

describe('zones that others get wrong', () => {
  it('Australia/Lord_Howe shifts by half an hour', () => {
    check('Australia/Lord_Howe', [
      // 02:00 to 02:30 is skipped.
      ['15 2 * * *', '2026-10-03T00:00Z', '2026-10-04T02:30+11:00', '2026-10-05T02:15+11:00'],
      ['30 2 * * *', '2026-10-03T00:00Z', '2026-10-04T02:30+11:00', '2026-10-05T02:30+11:00'],
      ['0 2 * * *', '2026-10-03T00:00Z', '2026-10-04T02:30+11:00', '2026-10-05T02:00+11:00'],
      ['*/15 * * * *', '2026-10-03T15:20Z', '2026-10-04T02:30+11:00', '2026-10-04T02:45+11:00'],
      ['0 * * * *', '2026-10-03T14:00Z', '2026-10-04T01:00+10:30', '2026-10-04T03:00+11:00'],
      // 01:30 to 02:00 comes twice.
      ['45 1 * * *', '2026-04-04T00:00Z', '2026-04-05T01:45+11:00', '2026-04-06T01:45+10:30'],
      ['15 1 * * *', '2026-04-04T00:00Z', '2026-04-05T01:15+11:00', '2026-04-06T01:15+10:30'],
      [
        '45 * * * *',
        '2026-04-04T14:00Z',
        '2026-04-05T01:45+11:00',
        '2026-04-05T01:45+10:30',
        '2026-04-05T02:45+10:30',
      ],
      ['0 2 * * *', '2026-04-04T00:00Z', '2026-04-05T02:00+10:30', '2026-04-06T02:00+10:30'],
    ]);
  });

  it('Antarctica/Troll shifts by two hours', () => {
    check('Antarctica/Troll', [
      ['30 1 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T01:30+02:00'],
      ['30 2 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T02:30+02:00'],
      ['30 1,2 * * *', '2026-03-28T12:00Z', '2026-03-29T03:00+02:00', '2026-03-30T01:30+02:00'],
      ['30 * * * *', '2026-03-29T00:00Z', '2026-03-29T00:30+00:00', '2026-03-29T03:30+02:00'],
      ['30 1 * * *', '2026-10-24T12:00Z', '2026-10-25T01:30+02:00', '2026-10-26T01:30+00:00'],
      ['30 2 * * *', '2026-10-24T12:00Z', '2026-10-25T02:30+02:00', '2026-10-26T02:30+00:00'],
      [
        '30 * * * *',
        '2026-10-24T23:00Z',
        '2026-10-25T01:30+02:00',
        '2026-10-25T02:30+02:00',
        '2026-10-25T01:30+00:00',
        '2026-10-25T02:30+00:00',
      ],
    ]);
  });

  it('America/Santiago, Asia/Beirut and Africa/Cairo skip their midnight', () => {
    check('America/Santiago', [
      ['0 0 * * *', '2026-09-05T12:00Z', '2026-09-06T01:00-03:00', '2026-09-07T00:00-03:00'],
      ['0 0 6 9 *', '2026-01-01T00:00Z', '2026-09-06T01:00-03:00', '2027-09-06T00:00-03:00'],
      ['@weekly', '2026-09-05T12:00Z', '2026-09-06T01:00-03:00', '2026-09-13T00:00-03:00'],
      ['@hourly', '2026-09-06T03:00Z', '2026-09-06T01:00-03:00', '2026-09-06T02:00-03:00'],
      // The hour before midnight comes twice, on the day before.
      ['30 23 * * *', '2026-04-04T12:00Z', '2026-04-04T23:30-03:00', '2026-04-05T23:30-04:00'],
      ['0 0 * * *', '2026-04-04T12:00Z', '2026-04-05T00:00-04:00', '2026-04-06T00:00-04:00'],
    ]);
    check('Asia/Beirut', [
      ['15 0 * * *', '2026-03-28T12:00Z', '2026-03-29T01:00+03:00', '2026-03-30T00:15+03:00'],
      ['15 23 * * *', '2026-10-24T12:00Z', '2026-10-24T23:15+03:00', '2026-10-25T23:15+02:00'],
    ]);
    check('Africa/Cairo', [
      ['59 0 * * *', '2026-04-23T12:00Z', '2026-04-24T01:00+03:00', '2026-04-25T00:59+03:00'],
      ['0 0 * * FRI', '2026-04-23T12:00Z', '2026-04-24T01:00+03:00', '2026-05-01T00:00+03:00'],
    ]);
  });

  it('Pacific/Apia had no 2011-12-30: its jobs ran once, at the midnight after it', () => {
    const zone = 'Pacific/Apia';
    check(zone, [
      [
        '30 0 * * *',
        '2011-12-29T00:00Z',
        '2011-12-29T00:30-10:00',
        '2011-12-31T00:00+14:00',
        '2011-12-31T00:30+14:00',
      ],
      ['0 0 * * *', '2011-12-29T12:00Z', '2011-12-31T00:00+14:00', '2012-01-01T00:00+14:00'],
      ['0 9-17 * * *', '2011-12-30T03:30Z', '2011-12-31T00:00+14:00', '2011-12-31T09:00+14:00'],
      ['0 12 30 12 *', '2011-01-01T00:00Z', '2011-12-31T00:00+14:00', '2012-12-30T12:00+14:00'],
      ['0 12 * * FRI', '2011-12-24T00:00Z', '2011-12-31T00:00+14:00', '2012-01-06T12:00+14:00'],
      [
        '0 */12 * * *',
        '2011-12-29T11:00Z',
        '2011-12-29T12:00-10:00',
        '2011-12-31T00:00+14:00',
        '2011-12-31T12:00+14:00',
      ],
    ]);
    check(zone, [['30 0 * * *', '2011-12-29T11:00Z', '2011-12-31T00:30+14:00']], { gap: 'skip' });
  });

  it('Pacific/Kwajalein lived through 23 hours twice in 1969', () => {
    check('Pacific/Kwajalein', [
      ['0 12 * * *', '1969-09-29T12:00Z', '1969-09-30T12:00+11:00', '1969-10-01T12:00-12:00'],
      [
        '0 */12 * * *',
        '1969-09-29T12:00Z',
        '1969-09-30T00:00+11:00',
        '1969-09-30T12:00+11:00',
        '1969-09-30T12:00-12:00',
        '1969-10-01T00:00-12:00',
      ],
    ]);
  });

  it('Europe/Dublin has its standard time in summer', () => {
    check('Europe/Dublin', [
      ['30 1 * * *', '2026-03-28T12:00Z', '2026-03-29T02:00+01:00', '2026-03-30T01:30+01:00'],
      ['30 1 * * *', '2026-10-24T12:00Z', '2026-10-25T01:30+01:00', '2026-10-26T01:30+00:00'],
      ['30 * * * *', '2026-10-25T00:00Z', '2026-10-25T01:30+01:00', '2026-10-25T01:30+00:00'],
    ]);
  });

  it('Africa/Monrovia had 44 minutes 30 seconds until 1972', () => {
    check('Africa/Monrovia', [
      ['0 12 * * *', '1971-12-31T00:00Z', '1971-12-31T12:00-00:44:30', '1972-01-01T12:00-00:44:30'],
      ['30 0 * * *', '1972-01-06T12:00Z', '1972-01-07T00:44:30+00:00', '1972-01-08T00:30+00:00'],
      ['*/20 * * * *', '1972-01-07T00:30Z', '1972-01-07T01:00+00:00', '1972-01-07T01:20+00:00'],
    ]);
  });

  it('Pacific/Kiritimati is fourteen hours ahead, Africa/Casablanca goes back for Ramadan', () => {
    check('Pacific/Kiritimati', [['0 0 1 1 *', '2026-12-31T00:00Z', '2027-01-01T00:00+14:00']]);
    check('Africa/Casablanca', [
      ['30 2 * * *', '2026-02-14T12:00Z', '2026-02-15T02:30+01:00', '2026-02-16T02:30+00:00'],
      ['30 2 * * *', '2026-03-21T12:00Z', '2026-03-22T03:00+01:00', '2026-03-23T02:30+01:00'],
    ]);
  });

  it('Asia/Kathmandu and Asia/Kolkata are off by quarters and halves of an hour', () => {
    check('Asia/Kathmandu', [
      ['0 * * * *', '2026-01-01T00:00Z', '2026-01-01T06:00+05:45', '2026-01-01T07:00+05:45'],
    ]);
    check('Asia/Calcutta', [['0 9 * * *', '2026-01-01T03:29:59Z', '2026-01-01T09:00+05:30']]);
  });
});

describe('edges of the question', () => {
  const everySecond = parseCron('* * * * * *', 'seed');
  const daily = parseCron('0 2 * * *', 'seed');

  it('is strict on both sides, to the millisecond', () => {
    const t = Date.parse('2026-01-01T02:00Z');
    expect(nextCron(daily, 'UTC', DST_DEFAULT, t - 1)).toBe(t);
    expect(nextCron(daily, 'UTC', DST_DEFAULT, t - 0.5)).toBe(t);
    expect(nextCron(daily, 'UTC', DST_DEFAULT, t)).toBe(t + 86_400_000);
    expect(previousCron(daily, 'UTC', DST_DEFAULT, t + 1)).toBe(t);
    expect(previousCron(daily, 'UTC', DST_DEFAULT, t + 0.5)).toBe(t);
    expect(previousCron(daily, 'UTC', DST_DEFAULT, t)).toBe(t - 86_400_000);
    expect(nextCron(everySecond, 'UTC', DST_DEFAULT, t + 1)).toBe(t + 1_000);
    expect(previousCron(everySecond, 'UTC', DST_DEFAULT, t + 1)).toBe(t);
  });

  it('works before 1970 and in far centuries', () => {
    check('America/New_York', [
      ['30 2 * * *', '1883-11-17T12:00Z', '1883-11-18T02:30-04:56:02', '1883-11-19T02:30-05:00'],
      ['0 0 1 1 *', '-000300-06-01T00:00Z', '-000299-01-01T00:00-04:56:02'],
      ['30 2 * 3 SUN', '9000-03-01T00:00Z', '9000-03-02T02:30-05:00', '9000-03-09T03:00-04:00'],
    ]);
  });

  it('answers null beyond the last instant, and refuses what is none', () => {
    const end = 8.64e15;
    expect(nextCron(daily, 'UTC', DST_DEFAULT, end)).toBeNull();
    expect(nextCron(daily, 'Pacific/Kiritimati', DST_DEFAULT, end - 1_000)).toBeNull();
    expect(nextCron(parseCron('0 0 29 2 *', 'seed'), 'Europe/Berlin', DST_DEFAULT, end)).toBeNull();
    expect(previousCron(daily, 'America/Adak', DST_DEFAULT, -end)).toBeNull();
    expect(previousCron(parseCron('0 0 29 2 *', 'seed'), 'Europe/Berlin', DST_DEFAULT, -end)).toBeNull();
    expect(nextCron(everySecond, 'UTC', DST_DEFAULT, end - 1_000)).toBe(end);
    expect(previousCron(everySecond, 'UTC', DST_DEFAULT, 1_000 - end)).toBe(-end);
    for (const t of [Number.NaN, Infinity, -Infinity, end + 1, -end - 1]) {
      expect(() => nextCron(daily, 'UTC', DST_DEFAULT, t)).toThrow(RangeError);
      expect(() => previousCron(daily, 'UTC', DST_DEFAULT, t)).toThrow(RangeError);
    }
  });

  it('refuses a zone that is unknown', () => {
    expect(() => nextCron(daily, 'Mars/Olympus', DST_DEFAULT, 0)).toThrow('unknown time zone "Mars/Olympus"');
    expect(() => previousCron(daily, '+08:00', DST_DEFAULT, 0)).toThrow(RangeError);
  });
});
