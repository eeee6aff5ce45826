import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createTaskJob } from '../src/jobs/task/task-job.ts';
import { unknownFieldWords } from '../src/zod-fields.ts';

const retry = z.strictObject({ maxAttempts: z.int(), initialInterval: z.string() }).meta({ id: 'Retry' });
const schema = z
  .strictObject({
    every: z.string().optional(),
    timezone: z.string().default('UTC'),
    at: z.string(),
    on: z.array(z.string()),
    notify: z.array(z.strictObject({ webhook: z.string() })).nullable(),
    job: z.strictObject({ retry: retry.optional() }).transform((job) => job),
    sources: z.record(
      z.string(),
      z.union([z.strictObject({ table: z.string() }), z.strictObject({ query: z.string() })]),
    ),
  })
  .superRefine(() => {});

const told = (field: string, place: readonly PropertyKey[] = [], of: z.ZodType = schema) =>
  unknownFieldWords(of, place, field);
const nothingNear = 'is not a known field; check its spelling or leave it out';

describe('an unknown field', () => {
  it.each([
    ['a letter left out', 'evry', [], 'every'],
    ['a letter too many', 'everyy', [], 'every'],
    ['two letters exchanged', 'evrey', [], 'every'],
    ['another case', 'timeZone', [], 'timezone'],
    ['underscores', 'max_attempts', ['job', 'retry'], 'maxAttempts'],
    ['an item of an array', 'webhok', ['notify', 0], 'webhook'],
    ['one form of several', 'tabel', ['sources', 'any'], 'table'],
    ['the other form', 'querry', ['sources', 'any'], 'query'],
  ])('with %s is told with the field that was meant', (_what, field, place, meant) => {
    expect(told(field, place)).toBe(`is not a known field; perhaps \`${meant}\` is meant`);
  });

  it('that is like none is told without one', () => {
    for (const field of ['color', 'x', '', 'a', 'ab', 'every'.repeat(500), '__proto__', 'constructor'])
      expect(told(field)).toBe(nothingNear);
    expect(told('every', ['job'])).toBe(nothingNear);
    for (const place of [['nowhere'], ['every', 'deeper'], ['__proto__'], ['notify', 'webhook']])
      expect(told('every', place)).toBe(nothingNear);
  });

  it('of a task is told, though zod only runs its input', () => {
    const { input } = createTaskJob({ version: '1' });
    expect(told('methd', [], input)).toContain('`method`');
    expect(told('comand', [], input)).toContain('`command`');
  });

  it('of a query is called a parameter', () => {
    expect(unknownFieldWords(schema, [], 'evry', 'parameter')).toBe(
      'is not a known parameter; perhaps `every` is meant',
    );
  });
});
