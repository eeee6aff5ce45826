import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrayLiteral } from '../../src/db/array-literal.ts';
import { type House, setupHouse } from '../support/house.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
afterAll(async () => await house?.close());

const back = async (values: readonly (string | number | boolean | null)[], type: string) =>
  (await house.pool.query(`select $1::${type}[] as values`, [arrayLiteral(values)])).rows[0].values;

describe('an array literal', () => {
  it('gives any texts back as they were', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }).filter((each) => !each.includes('\0') && each.isWellFormed()),
      fc.constantFrom('', 'NULL', 'null', '{}', '{"a": "b\\"c"}', '"', '\\', ',', ' x ', 'a b', '-', '\n'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(text)), async (texts) => {
        expect(await back(texts, 'text')).toEqual(texts);
      }),
      { seed: 20_260_301, numRuns: 200 },
    );
  });

  it('gives numbers, truths and nulls back', async () => {
    const numbers = [0, -1, 1.5, 1_795_360_087_941.25, 1e21, 5e-324, null];
    expect(await back(numbers, 'float8')).toEqual(numbers);
    expect(await back([true, false, null], 'bool')).toEqual([true, false, null]);
    expect(await back([], 'uuid')).toEqual([]);
  });
});
