/** A job of three steps that tells a server where it is, so that a test can kill its process just there. */
import { z } from 'zod';
import { defineJob } from '../../src/jobs/job.ts';
import { testRetry } from './test-jobs.ts';

/** Where the job calls from, in order. `effect` is what the second step is there for. */
export const places = ['before', 'inside', 'effect', 'after effect', 'after step', 'end'] as const;
export type Place = (typeof places)[number];

export const steppingJob = defineJob({
  type: 'stepping',
  description: 'Calls a server from each place of its way.',
  input: z.strictObject({ url: z.string() }),
  output: z.strictObject({ first: z.number(), second: z.number() }),
  taskQueue: 'default',
  retry: testRetry,
  timeoutMs: 60_000,
  example: { url: 'http://127.0.0.1:1' },
  async run(context, { url }) {
    const call = async (place: string) => {
      const response = await fetch(`${url}/${encodeURIComponent(place)}`, { signal: context.signal });
      return Number(await response.text());
    };
    const first = await context.step('first', () => call('first'));
    await call('before');
    const second = await context.step('second', async () => {
      await call('inside');
      const answer = await call('effect');
      await call('after effect');
      return answer;
    });
    await call('after step');
    await context.step('third', () => call('third'));
    await call('end');
    return { first, second };
  },
});
