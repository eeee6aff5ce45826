import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  durationField,
  durationMsMax,
  formatDuration,
  parseDuration,
  readDuration,
} from '../src/duration.ts';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['90s', 90_000],
    ['15m', 900_000],
    ['1h30m', 5_400_000],
    ['24h', 86_400_000],
    ['1d', 86_400_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['1m500ms', 60_500],
    ['0s', 0],
    ['007s', 7_000],
    ['PT15M', 900_000],
    ['PT90S', 90_000],
    ['P1D', 86_400_000],
    ['P1DT2H', 93_600_000],
    ['PT1H1S', 3_601_000],
    ['P2W', 1_209_600_000],
    ['3653d', durationMsMax],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    ' ',
    '90',
    's',
    '-5s',
    '+5s',
    '1.5h',
    '1.5x',
    '1,5h',
    '1 h',
    ' 1h',
    '1h ',
    '1h\n',
    '30m1h',
    '1h1h',
    '500ms1s',
    '15M',
    '1H',
    '1w',
    '1y',
    '1e3s',
    '0x10s',
    '٣s',
    'Infinity',
    'P',
    'PT',
    'P1DT',
    'P1M',
    'P1Y',
    'P1W2D',
    'PT1.5S',
    'PT-5M',
    '-PT5M',
    'PT1S1M',
    'pt15m',
    'P15M',
    '3654d',
    '3653d1ms',
    '99999999999999999999d',
  ])('refuses %j', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it('refuses texts of absurd length', () => {
    expect(parseDuration(`${'9'.repeat(400)}s`)).toBeNull();
    expect(parseDuration(`${'0'.repeat(1_000_000)}s`)).toBeNull();
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [1, '1ms'],
    [999.6, '1s'],
    [60_000, '1m'],
    [90_000, '1m30s'],
    [300_000, '5m'],
    [5_400_000, '1h30m'],
    [86_400_000, '24h'],
    [90_000_500, '25h500ms'],
    [7 * 86_400_000, '168h'],
  ])('writes %d ms as its one form', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('throws for %d', (ms) => {
    expect(() => formatDuration(ms)).toThrow(RangeError);
  });

  it('gives a text that reads as the same value', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: durationMsMax }),
        (ms) => parseDuration(formatDuration(ms)) === ms,
      ),
    );
  });

  it('is canonical: what was formatted once is formatted the same again', () => {
    const part = (unit: string) => fc.integer({ min: 0, max: 100 }).map((count) => `${count}${unit}`);
    fc.assert(
      fc.property(fc.tuple(part('d'), part('h'), part('m'), part('s'), part('ms')), (parts) => {
        const text = formatDuration(parseDuration(parts.join('')) ?? Number.NaN);
        expect(formatDuration(parseDuration(text) ?? Number.NaN)).toBe(text);
      }),
    );
  });
});

describe('readDuration', () => {
  it.each([
    ['90s', '90s'],
    ['300s', '300s'],
    ['1d', '1d'],
    ['007s', '007s'],
    ['PT15M', '15m'],
    ['PT90S', '1m30s'],
    ['P1D', '24h'],
  ])('tells %s again as %s', (text, again) => {
    expect(readDuration(text)).toEqual({ ms: parseDuration(text), text: again });
  });

  it('gives null for what is no duration', () => {
    expect(readDuration('90')).toBeNull();
  });
});

describe('durationField', () => {
  const field = durationField({ minMs: 1_000, maxMs: 3_600_000, description: 'How long to wait.' });

  it('yields milliseconds, both ends included', () => {
    expect(field.parse('1s')).toBe(1_000);
    expect(field.parse('PT1H')).toBe(3_600_000);
  });

  it('says which forms there are when it cannot read the text', () => {
    const message = field.safeParse('1.5x').error?.issues[0]?.message;
    expect(message).toBe('Not a duration: write it like "90s", "15m", "1h30m" or "PT15M".');
    expect(field.safeParse(90).error?.issues[0]?.message).toContain('"90s"');
  });

  it.each(['0s', '999ms', '1h1ms'])('names the range when %s is outside it', (text) => {
    expect(field.safeParse(text).error?.issues[0]?.message).toBe('Must be a duration from 1s to 1h.');
  });

  it('is a string with a pattern, examples and a text as default in the JSON Schema of the input', () => {
    const schema = z.toJSONSchema(z.object({ wait: field.prefault('90s') }), { io: 'input' });
    expect(schema.required).toBeUndefined();
    expect(schema.properties?.wait).toMatchObject({
      type: 'string',
      default: '90s',
      description: 'How long to wait. A duration from 1s to 1h.',
      examples: ['90s', '15m', 'PT15M'],
    });
  });

  it('has a pattern that agrees with the parser', () => {
    const schema = z.toJSONSchema(field, { io: 'input' });
    const pattern = new RegExp(schema.pattern ?? '');
    const piece = fc.constantFrom(
      'P',
      'T',
      '1',
      '20',
      'd',
      'h',
      'm',
      's',
      'ms',
      'W',
      'D',
      'H',
      'M',
      'S',
      '-',
      '.',
      '',
    );
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, (candidate) => {
        // Beyond ten years only the parser knows.
        fc.pre(!/\d{4}/.test(candidate));
        expect(pattern.test(candidate)).toBe(parseDuration(candidate) !== null);
      }),
      { numRuns: 5_000 },
    );
  });
});
