/** A job type in a process of its own that does what can go wrong there. */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { machineMs } from '../../src/clock.ts';
import type { JobModule } from '../../src/jobs/isolated-protocol.ts';
import { defineJob, JobError, type JobType } from '../../src/jobs/job.ts';
import { testRetry } from './test-jobs.ts';

export const isolatedModule: JobModule = { url: import.meta.url, settings: null };

export function jobs(): readonly JobType[] {
  return [
    defineJob({
      type: 'isolated',
      description: 'Misbehaves in a process of its own.',
      input: z.looseObject({ does: z.string() }),
      output: z.unknown(),
      taskQueue: 'default',
      retry: testRetry,
      timeoutMs: 60_000,
      isolated: true,
      example: { does: 'pid' },
      async run(context, { does, url }) {
        switch (does) {
          case 'pid':
            context.log('hello from afar');
            return { pid: process.pid, attempt: context.attempt, clockAheadMs: context.now() - machineMs() };
          case 'fail':
            throw new JobError('Broken', 'on purpose', { retryable: false });
          case 'loop':
            await context.step('begin', () => process.pid);
            for (;;);
          case 'hog': {
            const kept: unknown[] = [];
            for (;;) kept.push(new Array(1_000_000).fill(Math.random()));
          }
          case 'exit':
            await context.step('begin', ({ attempt }) => attempt);
            return process.exit(7);
          case 'steps': {
            const pid = await context.step('first', () => process.pid);
            context.progress(1, 2, 'steps');
            const { sum } = await context.step('second', { startToCloseTimeout: '5s' }, () => ({ sum: 3 }));
            return { pid, sum };
          }
          case 'hold':
            await context.step('begin', () => process.pid);
            await pause(60_000, undefined, { signal: context.signal });
            return null;
          case 'stop':
            while (!context.stopRequested) await pause(20, undefined, { signal: context.signal });
            return { status: 'stopped' };
          default:
            throw new Error(`it cannot ${does} ${url}`);
        }
      },
    }),
  ];
}
