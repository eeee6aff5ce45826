/**
 * Whatever happens in whatever order, the core keeps its promises: random sequences of commands, passes, outages and
 * worker outcomes (`fires-histories.ts`).
 */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type House, setupHouse } from '../support/house.ts';
import { historiesTimeoutMs, playHistories } from './fires-histories.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
afterAll(() => house.close());

describe('whatever happens', () => {
  it(
    'every nominal time has one disposition, no run is doubled or lost, and all counts are what the rows say',
    async () => {
      await playHistories(house, { count: 6, stepsMin: 10, stepsMax: 40 }, async (model) => {
        // When all is quiet again, nothing is left over.
        await model.step({ kind: 'live', ms: 1 });
        await model.step({ kind: 'dispatch all' });
        await model.check();
      });
    },
    historiesTimeoutMs,
  );
});
