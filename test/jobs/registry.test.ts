/** The job types of a house: each findable, described, and checked before anybody relies on it. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob, type JobType } from '../../src/jobs/job.ts';
import { createJobRegistry } from '../../src/jobs/registry.ts';
import { createTaskJob } from '../../src/jobs/task/task-job.ts';
import { noopJob, testRetry } from '../support/test-jobs.ts';

function jobType(changes: Partial<JobType>): JobType {
  return {
    ...defineJob({
      type: 'copy',
      description: 'Copies.',
      input: z.strictObject({ from: z.string(), to: z.array(z.string()).min(1), limit: z.int().default(10) }),
      output: z.strictObject({ copied: z.int() }),
      taskQueue: 'heavy',
      retry: testRetry,
      timeoutMs: 5000,
      example: { from: 'a', to: ['b'] },
      run: async () => ({ copied: 0 }),
    }),
    ...changes,
  } as JobType;
}

it('finds each job type by its name and no other', () => {
  const copy = jobType({});
  const { find, catalog } = createJobRegistry([noopJob, copy]);
  expect(find('copy')).toBe(copy);
  expect(catalog.list().map((info) => info.type)).toEqual(['noop', 'copy']);
  for (const unknown of ['', 'COPY', 'constructor', '__proto__', 'toString']) {
    expect(find(unknown)).toBeUndefined();
    expect(catalog.find(unknown)).toBeUndefined();
  }
});

it('refuses two job types of one name, since which of them would run?', () => {
  expect(() => createJobRegistry([jobType({}), jobType({})])).toThrow('job type "copy" is registered twice');
});

it('refuses an example that does not fit, since the docs would show it', () => {
  expect(() => createJobRegistry([jobType({ example: { from: 'a' } })])).toThrow(
    /the example of job type "copy" is no valid input/,
  );
});

it('describes a job type as the API shows it: schemas as they are written, with what may be left out', () => {
  const info = createJobRegistry([jobType({})]).catalog.find('copy');
  expect(info).toMatchObject({
    type: 'copy',
    description: 'Copies.',
    taskQueue: 'heavy',
    timeoutMs: 5000,
    retry: testRetry,
    example: { from: 'a', to: ['b'] },
  });
  expect(info?.inputSchema).toMatchObject({
    type: 'object',
    required: ['from', 'to'],
    additionalProperties: false,
  });
  expect(info?.outputSchema).toMatchObject({ type: 'object', properties: { copied: { type: 'integer' } } });
});

it('has schemas that are plain JSON for every job type that is shipped', () => {
  const { catalog } = createJobRegistry([createTaskJob({ version: '0' })]);
  for (const info of catalog.list()) {
    expect(JSON.parse(JSON.stringify(info))).toEqual(info);
    expect(catalog.check(info.type, info.example)).toEqual([]);
  }
});

it('says of each wrong field where it is and what is wrong with it', () => {
  const { catalog } = createJobRegistry([jobType({})]);
  expect(catalog.check('copy', { from: 'a', to: ['b'] })).toEqual([]);
  const issues = catalog.check('copy', { from: 7, to: [1], limit: 'x', 'a/b~c': 1, more: 2 });
  expect(issues.map((issue) => issue.pointer).sort()).toEqual([
    '/a~1b~0c',
    '/from',
    '/limit',
    '/more',
    '/to/0',
  ]);
  expect(issues.find((issue) => issue.pointer === '/more')?.detail).toContain('more');
});

it('says of an input that is no object that it is none', () => {
  const { catalog } = createJobRegistry([jobType({})]);
  for (const input of [null, undefined, 'text', 7, []]) {
    expect(catalog.check('copy', input)).toEqual([{ pointer: '', detail: expect.any(String) }]);
  }
});

it('has nothing to say of the input of a job type that it does not know', () => {
  expect(createJobRegistry([]).catalog.check('backup', { any: 'thing' })).toEqual([]);
});
