import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isUuid, leastId, newId, scheduledRunId } from '../../src/runs/run-id.ts';

const seed = 20_260_301;
const instant = fc.integer({ min: 0, max: 253_402_300_799_999 });
/** RFC 9562 §5.7: version 7, variant 10. */
const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const timeOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);

describe('every id', () => {
  it('is a UUIDv7 whose first 48 bits are its time', () => {
    fc.assert(
      fc.property(fc.uuid(), instant, (scheduleId, atMs) => {
        for (const id of [newId(atMs), scheduledRunId(scheduleId, atMs), leastId(atMs)]) {
          expect(id).toMatch(uuidV7);
          expect(timeOf(id)).toBe(atMs);
        }
      }),
      { seed },
    );
  });

  it('sorts by its time, as text and so as a uuid', () => {
    fc.assert(
      fc.property(fc.uuid(), instant, instant, (scheduleId, a, b) => {
        fc.pre(a < b);
        expect(newId(a) < newId(b)).toBe(true);
        expect(scheduledRunId(scheduleId, a) < scheduledRunId(scheduleId, b)).toBe(true);
      }),
      { seed },
    );
  });

  it('takes a time with a fraction, and one before the epoch, for a whole one that it can write', () => {
    expect(timeOf(newId(1234.9))).toBe(1234);
    expect(timeOf(newId(-5))).toBe(0);
  });
});

describe('the id of a scheduled run', () => {
  it('is the same for everyone who computes it, now and after an upgrade', () => {
    // Written down: with another value a node of the next version would fire again what one of this has fired.
    expect(scheduledRunId('018f3c9e-7b00-7000-8000-000000000001', 1_772_323_200_000)).toBe(
      '019ca6b1-dc00-78fb-84a0-db73ce9252ae',
    );
  });

  it('differs between schedules and between nominal times', () => {
    const ids = new Set<string>();
    for (let n = 0; n < 1000; n += 1) {
      ids.add(scheduledRunId(`schedule-${n}`, 1_772_323_200_000));
      ids.add(scheduledRunId('schedule-0', 1_772_323_200_000 + n));
    }
    // The one that both loops make.
    expect(ids.size).toBe(1999);
  });
});

describe('newId', () => {
  it('differs each time', () => {
    expect(new Set(Array.from({ length: 1000 }, () => newId(1000))).size).toBe(1000);
  });
});

describe('leastId', () => {
  it('is not above any id of its time, and above all of the time before', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.integer({ min: 1, max: 4e12 }), (scheduleId, atMs) => {
        expect(leastId(atMs) <= scheduledRunId(scheduleId, atMs)).toBe(true);
        expect(leastId(atMs) <= newId(atMs)).toBe(true);
        expect(leastId(atMs) > scheduledRunId(scheduleId, atMs - 1)).toBe(true);
        expect(leastId(atMs) > newId(atMs - 1)).toBe(true);
      }),
      { seed },
    );
  });
});

describe('isUuid', () => {
  it.each([
    '018f3c9e-7b00-7000-8000-000000000001',
    '018F3C9E-7B00-7000-8000-00000000000A',
  ])('takes %s', (text) => {
    expect(isUuid(text)).toBe(true);
  });

  it.each([
    '',
    'daily-backup',
    '018f3c9e7b0070008000000000000001',
    '018f3c9e-7b00-7000-8000-00000000000g',
    '018f3c9e-7b00-7000-8000-0000000000011',
    ' 018f3c9e-7b00-7000-8000-000000000001',
    '018f3c9e-7b00-7000-8000-000000000001\n',
  ])('refuses %j', (text) => {
    expect(isUuid(text)).toBe(false);
  });
});
