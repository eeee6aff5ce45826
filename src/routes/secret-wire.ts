/** Secrets as callers write and read them: the value goes in and never comes out. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { valueBytesMax } from '../secrets/secret-box.ts';
import type { SecretView } from '../secrets/secret-service.ts';
import { readOnlyFields } from './zod-validation.ts';

const time = z.string().meta({ format: 'date-time' });
const descriptionLengthMax = 2_000;

export const secretInput = z
  .strictObject({
    value: z
      .string()
      .min(1)
      .max(valueBytesMax)
      .meta({
        writeOnly: true,
        description: `Text, at most ${valueBytesMax} bytes in UTF-8, kept as it is, line breaks at its end too. No answer has it.`,
        examples: ['correct-horse-battery-staple'],
      }),
    description: z.string().max(descriptionLengthMax).default(''),
  })
  .register(readOnlyFields, { names: ['id', 'name', 'version', 'createdAt', 'updatedAt'] })
  .meta({
    id: 'SecretDefinition',
    description: 'What a secret is and what it is for.',
    examples: [{ value: 'correct-horse-battery-staple', description: 'The warehouse, user carillon' }],
  });

export const secretAnswer = z
  .object({
    name: z.string(),
    description: z.string(),
    version: z.int().describe('Grows by one with each change.'),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Secret', description: 'A text that jobs use and nobody reads, without that text.' });

export function presentSecret(view: SecretView): z.output<typeof secretAnswer> {
  return {
    name: view.name,
    description: view.description,
    version: view.version,
    createdAt: toIso(view.createdAtMs),
    updatedAt: toIso(view.updatedAtMs),
  };
}
