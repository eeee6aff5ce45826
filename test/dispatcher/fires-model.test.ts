/**
 * Whatever happens in whatever order, the core keeps its promises: random sequences of commands, passes, outages and
 * worker outcomes against a model that is kept by hand. CARILLON_MODEL_EFFORT=20 tries twenty times as many,
 * CARILLON_MODEL_SEED=7 others.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type House, setupHouse } from '../support/house.ts';
import { choice, step } from './fires-arbitrary.ts';
import { createModel } from './fires-model.ts';

const effort = Number(process.env.CARILLON_MODEL_EFFORT ?? 1);
const seed = Number(process.env.CARILLON_MODEL_SEED ?? 20_260_301);

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
afterAll(() => house.close());

describe('whatever happens', () => {
  it(
    'every nominal time has one disposition, no run is doubled or lost, and all counts are what the rows say',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(choice, { minLength: 1, maxLength: 2 }),
          fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }),
          async (choices, steps) => {
            await house.reset();
            await house.live(0);
            const model = createModel(house, [await house.worker(), await house.worker()]);
            for (const each of choices) await model.create(each);
            for (const each of steps) {
              await model.step(each);
              await model.check();
            }
            // And when all is quiet again, nothing is left over.
            await model.step({ kind: 'live', ms: 1 });
            await model.step({ kind: 'dispatch all' });
            await model.check();
          },
        ),
        {
          seed,
          numRuns: Math.ceil(6 * effort),
          endOnFailure: process.env.CARILLON_MODEL_SHRINK === undefined,
        },
      );
    },
    20_000 * Math.max(1, effort * 3),
  );
});
