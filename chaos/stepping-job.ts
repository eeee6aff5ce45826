/** A job type of a user's own, as docs/writing-a-job.md says: three steps that call the witness. Copied into a house. */
import { z } from 'zod';
import { defineJob, JobError } from '../src/jobs/job.ts';

export const steppingJob = defineJob({
  type: 'stepping',
  description: 'Calls an address from each of three steps.',
  input: z.strictObject({ url: z.string(), ignoresAbort: z.boolean() }),
  output: z.object({ attempt: z.int(), steps: z.array(z.int()) }),
  taskQueue: 'default',
  retry: {
    maxAttempts: 3,
    initialIntervalMs: 1000,
    maxIntervalMs: 3000,
    backoffCoefficient: 2,
    nonRetryableErrorTypes: [],
  },
  timeoutMs: 60_000,
  example: { url: 'http://127.0.0.1:3000/healthz', ignoresAbort: false },
  async run(context, { url, ignoresAbort }) {
    const steps: number[] = [];
    for (const name of ['first', 'second', 'third']) {
      steps.push(
        await context.step(name, async ({ signal, idempotencyKey }) => {
          const response = await fetch(`${url}&step=${name}`, {
            headers: {
              'x-carillon-run-id': context.runId,
              'x-carillon-attempt': String(context.attempt),
              'idempotency-key': idempotencyKey,
            },
            ...(ignoresAbort ? {} : { signal }),
          });
          if (!response.ok) throw new JobError('Refused', `The witness answered ${response.status}.`);
          return ((await response.json()) as { attempt: number }).attempt;
        }),
      );
    }
    return { attempt: context.attempt, steps };
  },
});
