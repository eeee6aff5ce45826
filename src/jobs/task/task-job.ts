/** The job type `task`: calls an HTTP endpoint and keeps its answer. */
import type { Dispatcher } from 'undici';
import { defineJob } from '../job.ts';
import { createTaskDispatcher } from './http-dispatcher.ts';
import { runHttpTask } from './http-task.ts';
import { httpTaskInput, httpTaskOutput, timeoutMsMax } from './task-input.ts';

export type TaskJobOptions = {
  /** Where the calls go through; whoever made it closes it. By default one of its own, whose idle sockets end by themselves. */
  dispatcher?: Dispatcher;
  /** Carillon's, for the User-Agent header. */
  version: string;
};

/** The job type, bound to its connections. */
export function createTaskJob({ dispatcher = createTaskDispatcher(), version }: TaskJobOptions) {
  const parts = { dispatcher, userAgent: `carillon/${version}` };
  return defineJob({
    type: 'task',
    description:
      'Calls an HTTP endpoint. 2xx is success; 408, 425, 429, 5xx and network faults are retried, honouring Retry-After; other statuses fail the run. At most 5 redirects are followed.',
    input: httpTaskInput,
    output: httpTaskOutput,
    taskQueue: 'default',
    retry: {
      maxAttempts: 3,
      initialIntervalMs: 5_000,
      maxIntervalMs: 300_000,
      backoffCoefficient: 2,
      nonRetryableErrorTypes: ['InvalidConfiguration'],
    },
    // As long as the longest `timeout` of an input, so that the input decides and not a default it does not know of.
    timeoutMs: timeoutMsMax,
    example: { url: 'http://127.0.0.1:3000/healthz' },
    run: (context, input) => runHttpTask(parts, context, input),
  });
}
