/** Job types that only tests register. */
import { z } from 'zod';
import { defineJob, JobError, type JobType } from '../../src/jobs/job.ts';
import type { RetryPolicy } from '../../src/runs/retry-policy.ts';

/** Waits of 1 s, 2 s, 4 s … up to 10 s; five tries. */
export const testRetry: RetryPolicy = {
  maxAttempts: 5,
  initialIntervalMs: 1000,
  maxIntervalMs: 10_000,
  backoffCoefficient: 2,
  nonRetryableErrorTypes: ['InvalidConfiguration'],
};

export const noopJob = defineJob({
  type: 'noop',
  description: 'Does nothing, well.',
  input: z.strictObject({}),
  output: z.strictObject({}),
  taskQueue: 'default',
  retry: testRetry,
  timeoutMs: 60_000,
  example: {},
  run: async () => ({}),
});

export const echoJob = defineJob({
  type: 'echo',
  description: 'Answers with its input.',
  input: z.strictObject({
    text: z.string(),
    tags: z.record(z.string(), z.string()).optional(),
  }),
  output: z.strictObject({ text: z.string() }),
  taskQueue: 'echoes',
  retry: testRetry,
  timeoutMs: 60_000,
  example: { text: 'hello' },
  run: async (_context, input) => ({ text: input.text }),
});

export const failingJob = defineJob({
  type: 'failing',
  description: 'Fails with the error that its input names.',
  input: z.strictObject({
    errorType: z.string(),
    message: z.string().default('as asked'),
    retryable: z.boolean().default(true),
  }),
  output: z.strictObject({}),
  taskQueue: 'default',
  retry: testRetry,
  timeoutMs: 60_000,
  example: { errorType: 'Broken' },
  async run(_context, { errorType, message, retryable }) {
    throw new JobError(errorType, message, { retryable });
  },
});

export const testJobs: readonly JobType[] = [noopJob, echoJob, failingJob];
