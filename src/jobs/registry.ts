/** The job types of a house (house-jobs.ts), to be found by name, described, and asked whether an input fits. */
import { z } from 'zod';
import type { Issue } from '../errors.ts';
import type { JobCatalog, JobTypeInfo } from '../schedules/job-catalog.ts';
import { inputIssues } from './input-issues.ts';
import type { JobType } from './job.ts';

export type JobRegistry = {
  find(type: string): JobType | undefined;
  catalog: JobCatalog;
};

/** Throws when two job types share a name or an example does not fit its own schema: both are faults of the program. */
export function createJobRegistry(jobs: readonly JobType[]): JobRegistry {
  const byType = new Map<string, JobType>();
  for (const job of jobs) {
    if (byType.has(job.type)) throw new Error(`job type "${job.type}" is registered twice`);
    const fits = job.input.safeParse(job.example);
    if (!fits.success)
      throw new Error(`the example of job type "${job.type}" is no valid input: ${fits.error.message}`);
    byType.set(job.type, job);
  }
  const infos = new Map([...byType].map(([type, job]) => [type, describe(job)]));
  return {
    find: (type) => byType.get(type),
    catalog: {
      list: () => [...infos.values()],
      find: (type) => infos.get(type),
      check: (type, input) => issuesOf(byType.get(type), input),
    },
  };
}

function describe(job: JobType): JobTypeInfo {
  return {
    type: job.type,
    description: job.description,
    taskQueue: job.taskQueue,
    timeoutMs: job.timeoutMs,
    retry: job.retry,
    inputSchema: z.toJSONSchema(job.input, { io: 'input' }),
    outputSchema: z.toJSONSchema(job.output, { io: 'input' }),
    example: job.example,
  };
}

/** Named as callers see it: the input stands in a schedule's job or in the body of a trigger. */
function issuesOf(job: JobType | undefined, input: unknown): Issue[] {
  return job === undefined ? [] : inputIssues(job.input, input, ['input']);
}
