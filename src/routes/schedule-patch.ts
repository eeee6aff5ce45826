/**
 * The shape of a PATCH body: the fields of a schedule, each optional, null to take it away. Only names are checked
 * here, so that a null for an unknown or read-only field does not vanish in the merge; values are checked after it.
 */
import { z } from 'zod';
import { scheduleInput } from './schedule-wire.ts';
import { readOnlyFields } from './zod-validation.ts';

export const patchInput = z
  .strictObject(patchedShape(scheduleInput))
  .register(readOnlyFields, readOnlyFields.get(scheduleInput) ?? { names: [] })
  .meta({
    id: 'SchedulePatch',
    description: 'A JSON merge patch (RFC 7396): what it omits stays, null takes a field away.',
    examples: [{ description: 'Every night', jitter: '30s', labels: { team: 'data' } }],
  });

function patchedShape(schema: z.ZodObject): Record<string, z.ZodType> {
  return Object.fromEntries(
    Object.entries(schema.shape).map(([name, field]) => [name, patched(field as z.ZodType)]),
  );
}

function patched(field: z.ZodType): z.ZodType {
  const inner = unwrapped(field);
  if (inner instanceof z.ZodObject) return z.strictObject(patchedShape(inner)).nullable().optional();
  const { $schema, description, ...documented } = z.toJSONSchema(inner, {
    io: 'input',
    unrepresentable: 'any',
  });
  return z
    .unknown()
    .optional()
    .meta({ ...(description && { description }), anyOf: [documented, { type: 'null' }] });
}

/** Without what says that a field may be left out. */
function unwrapped(field: z.ZodType): z.ZodType {
  const isWrapped = field instanceof z.ZodOptional || field instanceof z.ZodDefault;
  return isWrapped ? unwrapped(field.unwrap() as z.ZodType) : field;
}
