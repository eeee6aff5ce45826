import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toJsonb } from '../../src/db/json.ts';
import { type House, setupHouse } from '../support/house.ts';

describe('toJsonb', () => {
  it.each([[null], [undefined], [() => 1], [Symbol('x')]])('of %s is null', (value) => {
    expect(toJsonb(value)).toBeNull();
  });

  it('is JSON of what jsonb can hold', () => {
    const value = { text: 'ünï😀', list: [1, null, true, 'x'], deep: { a: { b: -0.5 } } };
    expect(JSON.parse(toJsonb(value)!)).toEqual(value);
  });

  it('puts the replacement character for null characters and lone surrogates, in keys too', () => {
    expect(JSON.parse(toJsonb({ 'k\u0000': ['a\u0000', '\ud800', { x: '\udfff!' }] })!)).toEqual({
      'k\ufffd': ['a\ufffd', '\ufffd', { x: '\ufffd!' }],
    });
  });

  it('leaves pairs of surrogates, and text that only looks like an escape', () => {
    for (const text of ['😀', '\\u0000', '\\ud800', 'C:\\users\\0000']) {
      expect(JSON.parse(toJsonb({ text })!)).toEqual({ text });
      expect(JSON.parse(toJsonb({ text, bad: '\u0000' })!)).toEqual({ text, bad: '\ufffd' });
    }
  });

  it('asks what knows how to be JSON', () => {
    const value = { at: new Date(0), none: undefined, bad: '\u0000' };
    expect(JSON.parse(toJsonb(value)!)).toEqual({ at: '1970-01-01T00:00:00.000Z', bad: '\ufffd' });
  });
});

describe('in Postgres', () => {
  let house: House;
  beforeAll(async () => {
    house = await setupHouse();
  });
  afterAll(() => house.close());

  it('every JSON value is taken, and comes back as it was but for what cannot be stored', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('\u0000', '\ud83d', '\ude00', 'a', '\\', '"') }),
    );
    const value = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(text, text, { noNullPrototype: true, maxKeys: 5 }),
      fc.array(text, { maxLength: 5 }),
    );
    await fc.assert(
      fc.asyncProperty(value, async (given) => {
        const json = toJsonb(given);
        const { rows } = await house.db.execute<{ back: unknown }>(sql`select ${json}::jsonb as back`);
        const seen: unknown = rows[0]!.back;
        // -0 is 0 in JSON, and a number beyond its digits is a matter of JSON too.
        expect(seen).toEqual(json === null ? null : JSON.parse(json));
      }),
      { seed: 20_260_301, numRuns: 80 },
    );
  });
});
