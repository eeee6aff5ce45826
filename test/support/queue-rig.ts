/** The worker rig with the job type `queue`, whose tasks call a function of the test. */
import type { z } from 'zod';
import { insertTasks } from '../../src/db/queue-store.ts';
import type { JobContext } from '../../src/jobs/job.ts';
import { createQueueJob } from '../../src/jobs/queue/queue-job.ts';
import type { HttpTaskContext } from '../../src/jobs/task/http-task.ts';
import type { HttpTaskInput } from '../../src/jobs/task/task-input.ts';
import type { EnqueuedTask, NewTask } from '../../src/queues/queue-task.ts';
import type { Run } from '../../src/runs/run.ts';
import type { JobSpec } from '../../src/schedules/schedule.ts';
import { testRetry } from './test-jobs.ts';
import { setupRig, type WorkerRig } from './worker-rig.ts';

export type TaskCall = (context: HttpTaskContext, input: HttpTaskInput) => unknown;

export type QueueRig = WorkerRig & {
  /** What the drains see of their runs, in the order in which they began. */
  contexts: JobContext[];
  /** Tasks of the queue `q`, told apart by the last part of their address. */
  enqueue(names: readonly string[], fields?: Partial<NewTask>): Promise<EnqueuedTask[]>;
  /** A run that drains `q`. */
  drain(input?: Record<string, unknown>, job?: Partial<JobSpec>): Promise<Run>;
  /** Status → names of the tasks, sorted. */
  tasks(): Promise<Record<string, string[]>>;
};

export const nameOf = (input: { url: string }) => input.url.split('/').at(-1)!;

export async function setupQueueRig(call: TaskCall): Promise<QueueRig> {
  const contexts: JobContext[] = [];
  const rig = await setupRig({
    moreJobs(parts) {
      const job = createQueueJob({
        ...parts,
        call: async (context, input) => {
          const answer = await call(context, input);
          return { statusCode: 200, durationMs: 0, body: String(answer ?? '') };
        },
      });
      return [
        {
          ...job,
          run(context, input) {
            contexts.push(context);
            return job.run(context, input as z.output<typeof job.input>);
          },
        },
      ];
    },
  });
  return {
    ...rig,
    contexts,
    enqueue: (names, fields = {}) =>
      insertTasks(
        rig.db,
        'q',
        names.map((name) => ({
          input: { url: `http://127.0.0.1:1/${name}` },
          dedupeKey: null,
          priority: 0,
          notBeforeMs: null,
          maxAttempts: 3,
          ...fields,
        })),
        performance.timeOrigin + performance.now(),
      ),
    drain: (input = {}, job = {}) =>
      rig.trigger('drain', { type: 'queue', input: { queueName: 'q', ...input }, retry: testRetry, ...job }),
    async tasks() {
      const rows = await rig.sql.rows<{ status: string; names: string[] }>(
        `select status, array_agg(split_part(input->>'url', '/', 4) order by input->>'url') as names
         from queue_tasks group by status`,
      );
      return Object.fromEntries(rows.map(({ status, names }) => [status, names]));
    },
  };
}
