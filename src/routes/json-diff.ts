/** What differs between two JSON values, by JSON Pointer (RFC 6901). Arrays are told whole. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { jsonPointer } from './json-limits.ts';

export const changeAnswer = z
  .object({
    pointer: z.string().describe('Where in the schedule: a JSON Pointer.'),
    before: z.unknown().optional().describe('Left out when it was not there.'),
    after: z.unknown().optional().describe('Left out when it is not there any more.'),
  })
  .meta({ id: 'Change', description: 'One field, before and after.' });

export type FieldChange = z.output<typeof changeAnswer>;

export function diff(before: unknown, after: unknown, path: readonly string[] = []): FieldChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isObject(before) || !isObject(after)) return [{ pointer: jsonPointer(path), before, after }];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => {
    const [was, is] = [Object.hasOwn(before, key), Object.hasOwn(after, key)];
    if (was && is) return diff(before[key], after[key], [...path, key]);
    const pointer = jsonPointer([...path, key]);
    return [was ? { pointer, before: before[key] } : { pointer, after: after[key] }];
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
