import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseInstant } from '../../src/routes/instant-wire.ts';
import { presentLocal } from '../../src/schedules/local-time.ts';

describe('an instant', () => {
  test.each([
    ['2026-12-24T18:00:00+01:00', '2026-12-24T17:00:00.000Z'],
    ['2026-12-24T17:00:00Z', '2026-12-24T17:00:00.000Z'],
    ['2026-12-24t17:00:00z', '2026-12-24T17:00:00.000Z'],
    ['2026-12-24T17:00:00.5Z', '2026-12-24T17:00:00.500Z'],
    ['2026-12-24T17:00:00.123456789Z', '2026-12-24T17:00:00.123Z'],
    ['2026-12-24T17:00:00.9999999999999999Z', '2026-12-24T17:00:00.999Z'],
    ['2026-12-24T17:00:00-00:00', '2026-12-24T17:00:00.000Z'],
    ['2026-01-01T00:00:00+14:00', '2025-12-31T10:00:00.000Z'],
    ['2026-01-01T00:00:00-09:30', '2026-01-01T09:30:00.000Z'],
    ['2028-02-29T00:00:00Z', '2028-02-29T00:00:00.000Z'],
    ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is %s', (text, iso) => {
    expect(parseInstant(text)).toBe(Date.parse(iso));
  });

  test.each([
    ['', /RFC 3339/],
    ['tomorrow', /RFC 3339/],
    ['2026-12-24', /RFC 3339/],
    ['2026-12-24T18:00:00', /offset/],
    ['2026-12-24 18:00:00Z', /RFC 3339/],
    ['2026-12-24T18:00Z', /RFC 3339/],
    ['2026-12-24T18:00:00+0100', /RFC 3339/],
    ['2026-12-24T18:00:00.Z', /RFC 3339/],
    ['+12026-12-24T18:00:00Z', /RFC 3339/],
    [' 2026-12-24T18:00:00Z', /RFC 3339/],
    ['2026-12-24T18:00:00Z\n', /RFC 3339/],
    ['２026-12-24T18:00:00Z', /RFC 3339/],
    ['1800000000', /RFC 3339/],
    [`2026-12-24T18:00:00.${'0'.repeat(100)}Z`, /RFC 3339/],
    ['2026-13-01T00:00:00Z', /calendar/],
    ['2026-00-10T00:00:00Z', /calendar/],
    ['2026-02-30T00:00:00Z', /calendar/],
    ['2027-02-29T00:00:00Z', /calendar/],
    ['2026-04-31T00:00:00Z', /calendar/],
    ['0050-01-01T00:00:00Z', /calendar|1970/],
    ['2026-12-24T24:00:00Z', /time of day/],
    ['2026-12-24T12:60:00Z', /time of day/],
    ['2026-12-24T23:59:60Z', /leap second/],
    ['2026-12-24T12:00:00+24:00', /offset/],
    ['2026-12-24T12:00:00+01:60', /offset/],
    ['1969-12-31T23:59:59Z', /1970/],
    ['1970-01-01T00:00:00+01:00', /1970/],
    ['9999-12-31T23:59:59-01:00', /9999/],
  ])('is not %s', (text, reason) => {
    expect(parseInstant(text)).toEqual({ reason: expect.stringMatching(reason) });
  });

  test('is read back from what Date writes', () => {
    const dates = fc.date({
      min: new Date(0),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(dates, (date) => {
        expect(parseInstant(date.toISOString())).toBe(date.getTime());
      }),
    );
  });
});

test.each([
  ['Europe/Berlin', '2027-03-28T00:59:59Z', '2027-03-28T01:59:59+01:00'],
  ['Europe/Berlin', '2027-03-28T01:00:00Z', '2027-03-28T03:00:00+02:00'],
  ['UTC', '2027-03-28T01:00:00.250Z', '2027-03-28T01:00:00.250+00:00'],
  ['America/St_Johns', '2027-01-01T00:00:00Z', '2026-12-31T20:30:00-03:30'],
  ['Australia/Lord_Howe', '2027-01-01T00:00:00Z', '2027-01-01T11:00:00+11:00'],
  ['Pacific/Kiritimati', '2027-01-01T00:00:00Z', '2027-01-01T14:00:00+14:00'],
  ['Africa/Monrovia', '1971-01-01T00:00:00Z', '1970-12-31T23:15:30-00:45'],
])('the clocks of %s show %s as %s', (zone, instant, local) => {
  expect(presentLocal(zone, Date.parse(instant))).toBe(local);
});
