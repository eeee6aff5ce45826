/** A job type that does, in the process of all others, what no job should do. */
import { EventEmitter } from 'node:events';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { defineJob, type JobContext, JobError } from '../../src/jobs/job.ts';
import { testRetry } from './test-jobs.ts';

const forever = () => new Promise<never>(() => {});
const trap = () =>
  new Proxy(new Error('x'), {
    get() {
      throw new Error('nothing can be read of it');
    },
  });

/** Each has its end in test/faults/poison-jobs.test.ts. */
const deeds: Record<string, (context: JobContext) => unknown> = {
  'throws undefined': () => Promise.reject(),
  'throws what cannot be looked at': () => Promise.reject(trap()),
  'never settles': forever,
  'settles long after its signal': async ({ signal }) => {
    await pause(60_000, undefined, { signal }).catch(() => {});
    await pause(3000);
    throw new Error('too late');
  },
  'rejects in a timer': async () => {
    setTimeout(async () => {
      throw new RangeError('left in a timer');
    }, 5);
    await forever();
  },
  'throws in a timer': async () => {
    setTimeout(() => {
      throw new JobError('Broken', 'thrown in a timer', { retryable: false });
    }, 5);
    await forever();
  },
  'leaves a rejection and succeeds': async () => {
    void Promise.reject(new Error('nobody looks'));
    await turn();
    await turn();
    return { fine: true };
  },
  'rejects undefined beside itself': async () => {
    void Promise.reject();
    await forever();
  },
  'emits an error that nobody hears': async () => {
    setImmediate(() => new EventEmitter().emit('error', new TypeError('unheard')));
    await forever();
  },
  'rejects after its end': async () => {
    setTimeout(() => void Promise.reject(new Error('after the end')), 300);
    return { fine: true };
  },
  'rejects in a step': async (context) => {
    await context.step('leaks', async () => {
      void Promise.reject(new Error('left in a step'));
      await forever();
    });
  },
  'exits the process': () => process.exit(7),
  'exits in a timer': async () => {
    setTimeout(() => process.exit(7), 5);
    await forever();
  },
  'answers a function': async () => () => 1,
  'answers a BigInt': async () => ({ n: 1n }),
  'answers what throws': async () => ({
    toJSON() {
      throw new Error('not to be written');
    },
  }),
  'answers a thenable that throws': () => ({
    // biome-ignore lint/suspicious/noThenProperty: that is the poison.
    then() {
      throw new Error('not to be awaited');
    },
  }),
  'breaks its signal': async (context) => {
    context.signal.addEventListener('abort', () => {
      throw new Error('in a listener of the signal');
    });
    await forever();
  },
};

export const poisonJob = defineJob({
  type: 'poison',
  description: 'Misbehaves in the process of all others.',
  input: z.strictObject({ does: z.enum(Object.keys(deeds)) }),
  output: z.unknown(),
  taskQueue: 'default',
  retry: testRetry,
  timeoutMs: 60_000,
  example: { does: 'never settles' },
  run: async (context, { does }) => await deeds[does]!(context),
});
