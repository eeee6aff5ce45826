/** Labels in queries: `label=team:data`, several of them by repeating the parameter; all must match. */
import { z } from 'zod';
import { type Selector, toSelector } from '../schedules/pauses.ts';

const labelsMax = 32;

export const labelField = z
  .string()
  .max(700)
  .regex(/^[^:]+:/s, 'must be a key and a value with ":" between them, such as "team:data"');

const labels = z
  .preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(labelField).max(labelsMax))
  .transform((given, context): Selector => {
    const selector = toSelector(given);
    const keys = selector.map((label) => label.slice(0, label.indexOf(':')));
    const twice = keys.find((key, index) => keys.indexOf(key) !== index);
    if (twice !== undefined) {
      const message = `has two values for "${twice}", and no schedule can have both`;
      // At its place in the list: of the list itself it would be told that it may be given only once.
      context.issues.push({ code: 'custom', message, input: given, path: [keys.lastIndexOf(twice)] });
    }
    return selector;
  });

/** None of them: all. */
export const labelsField = labels
  .optional()
  .describe('Only schedules with this label, as `key:value`; repeated: with all of these.');

/** At least one. */
export const selectorField = z
  .preprocess((value) => value ?? [], labels)
  .refine((selector) => selector.length > 0, {
    message: 'is needed, such as `?label=team:data`: without a label it would be every schedule',
  })
  .meta({
    description: 'The schedules with this label, as `key:value`; repeated: with all of these.',
    examples: [['team:data']],
  });
