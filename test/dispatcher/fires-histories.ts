/**
 * Random histories of schedules, played to a house and to the model of it that is kept by hand. CARILLON_MODEL_EFFORT=20
 * plays twenty times as many, CARILLON_MODEL_SEED=7 others, and CARILLON_MODEL_SHRINK=1 looks for a short one that fails.
 */
import fc from 'fast-check';
import type { House } from '../support/house.ts';
import { choice, step } from './fires-arbitrary.ts';
import { createModel } from './fires-model.ts';

const effort = Number(process.env.CARILLON_MODEL_EFFORT ?? 1);
const seed = Number(process.env.CARILLON_MODEL_SEED ?? 20_260_301);

export const historiesTimeoutMs = 20_000 * Math.max(1, effort * 3);

export type Histories = {
  /** How many, with the usual effort. */
  count: number;
  stepsMin: number;
  stepsMax: number;
};

/** After each step the house is as its model; after the last one of a history it is judged. */
export async function playHistories(
  house: House,
  { count, stepsMin, stepsMax }: Histories,
  judge: (model: ReturnType<typeof createModel>) => Promise<void>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(choice, { minLength: 1, maxLength: 2 }),
      fc.array(step, { minLength: stepsMin, maxLength: stepsMax, size: 'max' }),
      async (choices, steps) => {
        await house.reset();
        await house.live(0);
        const model = createModel(house, [await house.worker(), await house.worker()]);
        for (const each of choices) await model.create(each);
        for (const each of steps) {
          await model.step(each);
          await model.check();
        }
        await judge(model);
      },
    ),
    {
      seed,
      numRuns: Math.ceil(count * effort),
      endOnFailure: process.env.CARILLON_MODEL_SHRINK === undefined,
    },
  );
}
