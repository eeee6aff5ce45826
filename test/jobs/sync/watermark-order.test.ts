/** The order of watermarks as texts, and JSON whose numbers stay as they are. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atPointer, fieldOf, parseExactly, textOf } from '../../../src/jobs/sync/exact-json.ts';
import { before, compareWatermarks, kindOfWatermark } from '../../../src/jobs/sync/watermark-order.ts';

describe('watermarks', () => {
  it.each([
    ['2026-01-01T00:00:00Z', 'time'],
    ['2026-01-01', 'time'],
    ['2026-01-01 00:00:00.123456+00', 'time'],
    ['2026-01-01T00:00:00+0530', 'time'],
    ['2026-13-01', 'text'],
    ['17', 'number'],
    ['-17.50', 'number'],
    ['1e5', 'text'],
    ['abc', 'text'],
  ])('%s is a %s', (text, kind) => {
    expect(kindOfWatermark(text)).toBe(kind);
  });

  it.each([
    ['time', '2026-01-01T00:00:00.000001Z', '2026-01-01T00:00:00.000002Z'],
    ['time', '2026-01-01T02:00:00+02:00', '2026-01-01 00:00:00.1'],
    ['time', '2026-01-01', '2026-01-01T00:00:01Z'],
    ['number', '9', '10'],
    ['number', '-10', '-9'],
    ['number', '12345678901234567890.01', '12345678901234567890.02'],
    ['text', 'B', 'a'],
  ] as const)('as a %s, %s is before %s', (kind, a, b) => {
    expect(compareWatermarks(kind, a, b)).toBeLessThan(0);
    expect(compareWatermarks(kind, b, a)).toBeGreaterThan(0);
    expect(compareWatermarks(kind, a, a)).toBe(0);
  });

  it('the same instant written in two ways is the same', () => {
    expect(compareWatermarks('time', '2026-01-01T02:00:00.10+02', '2026-01-01T00:00:00.1Z')).toBe(0);
    expect(compareWatermarks('number', '1.0', '01')).toBe(0);
  });

  it('numbers compare as numbers do', () => {
    const number = fc.tuple(fc.integer(), fc.nat(999)).map(([whole, part]) => `${whole}.${part}`);
    fc.assert(
      fc.property(number, number, (a, b) => {
        expect(Math.sign(compareWatermarks('number', a, b))).toBe(Math.sign(Number(a) - Number(b)));
      }),
    );
  });

  it.each([
    ['time', '2026-01-01T00:00:00.123456Z', 1000, '2025-12-31T23:59:59.123Z'],
    ['number', '10', 3, '7'],
    ['number', '0.5', 1, '-0.5'],
    ['number', '12345678901234567890', 1, '12345678901234567889'],
    ['text', 'b', 0, 'b'],
  ] as const)('before a %s %s by %d is %s', (kind, text, by, expected) => {
    expect(before(kind, text, by)).toBe(expected);
  });
});

describe('exact JSON', () => {
  it.each([
    '[9007199254740993]',
    '{"a":0.10}',
    '[1e400,-0,1E5]',
    '{"n":[1,{"m":123456789012345678901234567890.5}]}',
    '["0.10"]',
  ])('%s is written as it was read', (text) => {
    expect(JSON.stringify(parseExactly(text))).toBe(text);
  });

  it('all other JSON is as JSON.parse has it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false } as object), (value) => {
        const text = JSON.stringify(value);
        expect(JSON.stringify(parseExactly(text))).toBe(text);
      }),
    );
  });

  it('fields are found by name and by pointer, and told as texts', () => {
    const record = { '/odd': 1, a: { 'b/c': [{ '~': 'x' }] }, n: null };
    expect(fieldOf(record, '/odd')).toBe(1);
    expect(fieldOf(record, '/a/b~1c/0/~0')).toBe('x');
    expect(fieldOf(record, 'toString')).toBeUndefined();
    expect(atPointer(record, '/a/length')).toBeUndefined();
    expect(atPointer('text', '/length')).toBeUndefined();
    expect([textOf(parseExactly('0.10')), textOf(true), textOf({ a: 1 }), textOf(null)]).toEqual([
      '0.10',
      'true',
      '{"a":1}',
      null,
    ]);
  });
});
