/**
 * Whatever happens in whatever order, the core keeps its promises: random sequences of commands, passes, outages and
 * worker outcomes against a model that is kept by hand. CARILLON_MODEL_EFFORT=20 tries twenty times as many,
 * CARILLON_MODEL_SEED=7 others.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { catchUpPolicies, overlapPolicies } from '../../src/schedules/schedule.ts';
import { type House, setupHouse } from '../support/house.ts';
import { SECOND } from '../support/timings.ts';
import { createModel, type ScheduleChoice, type Step, type TimingChoice, windowsMs } from './fires-model.ts';

const effort = Number(process.env.CARILLON_MODEL_EFFORT ?? 1);
const seed = Number(process.env.CARILLON_MODEL_SEED ?? 20_260_301);

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
afterAll(() => house.close());

const timing = fc.constantFrom<TimingChoice>('every second', 'every 7 s', 'cron', 'union', 'three instants');
const choice: fc.Arbitrary<ScheduleChoice> = fc.record({
  timing,
  jitterMs: fc.constantFrom(null, null, 700, 5 * SECOND),
  overlap: fc.constantFrom(...overlapPolicies),
  catchUp: fc.constantFrom(...catchUpPolicies),
  catchUpWindowMs: fc.constantFrom(...windowsMs),
  maxRuns: fc.constantFrom(null, null, 3, 8),
  pauseAfterFailures: fc.constantFrom(null, 2),
});

const which = fc.nat(30);
const who = fc.nat(1);
const kind = <K extends string>(...kinds: K[]) => fc.constantFrom(...kinds);
const step: fc.Arbitrary<Step> = fc.oneof(
  // Fractions, since the clock has them.
  {
    weight: 8,
    arbitrary: fc.record({ kind: kind('live'), ms: fc.constantFrom(1, 999.5, 1000, 3000, 12_345.6) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('down'), ms: fc.constantFrom(500, 2000.5, 9000, 15_000, 150_000) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: kind('dispatch', 'dispatch all') }) },
  { weight: 5, arbitrary: fc.record({ kind: kind('take'), who, limit: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: kind('succeed', 'fail', 'fail for good', 'time out', 'heed'), who, which }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('lose worker'), who }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('late outcome'), which }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('create'), choice }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('pause', 'pause', 'stop', 'remove', 'describe'), which }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: kind('resume'), which, catchUp: fc.constantFrom(...catchUpPolicies) }),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      { kind: kind('trigger'), which, overlap: fc.constantFrom(...overlapPolicies) },
      { requiredKeys: ['kind', 'which'] },
    ),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('reschedule'), which, timing }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('limit'), which, maxRuns: fc.constantFrom(null, 1, 4) }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('cancel', 'retry'), which }) },
);

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
          numRuns: Math.ceil(10 * effort),
          endOnFailure: process.env.CARILLON_MODEL_SHRINK === undefined,
        },
      );
    },
    20_000 * Math.max(1, effort * 3),
  );
});
