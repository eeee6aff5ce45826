/**
 * The job type `queue`, after the reference workflow TaskQueueManager: execute the tasks of a queue, so many at once,
 * until it is empty or the schedule is stopped; then end, or wait and look again.
 *
 * It has no steps: the rows of the tasks are its checkpoints, each written once per claim and once per result, and what
 * the drain has done is counted in the same statement (`queue_drains`). A step for each batch would be a second record of
 * the same, and a run may have only so many of them.
 */
import type { Clock } from '../../clock.ts';
import type { Db } from '../../db/client.ts';
import { drainTotals, nextDueMs, type TaskResult } from '../../db/queue-task-store.ts';
import { formatDuration } from '../../duration.ts';
import type { ClaimedTask } from '../../queues/queue-task.ts';
import { taskEnd } from '../../queues/task-end.ts';
import { houseBackoff } from '../../runs/retry-policy.ts';
import { defineJob, type JobContext } from '../job.ts';
import { drain } from './drain.ts';
import { batchSizeDefault, type QueueInput, queueInput, queueOutput } from './queue-input.ts';
import { createTaskSource } from './task-source.ts';
import { type TaskTryParts, tryTask } from './task-try.ts';

export type QueueJobParts = TaskTryParts & { db: Db; clock: Clock };

/** When the next task is due by now and somebody else has it in hand. */
const restMsMin = 100;

export function createQueueJob(parts: QueueJobParts) {
  return defineJob({
    type: 'queue',
    description:
      'Executes the tasks of a queue (POST /queues/{name}/tasks), so many at once, until it is empty or the schedule is stopped.',
    input: queueInput,
    output: queueOutput,
    taskQueue: 'default',
    retry: { maxAttempts: 3, ...houseBackoff(5_000) },
    timeoutMs: 86_400_000,
    example: { queueName: 'mail', batchSize: batchSizeDefault },
    run: (context, input) => drainQueue(parts, context, input),
  });
}

async function drainQueue(parts: QueueJobParts, context: JobContext, input: QueueInput) {
  const { db, clock } = parts;
  const { queueName, batchSize, idleWait } = input;
  const { signal } = context;
  const source = createTaskSource({
    db,
    clock,
    drain: { runId: context.runId, attempt: context.attempt, queue: queueName },
    signal,
    log: (message, level) => context.log(message, level),
  });
  let { processed } = await drainTotals(db, context.runId);

  async function execute(task: ClaimedTask): Promise<TaskResult | null> {
    const startedAtMs = clock.now();
    const outcome = await tryTask(parts, context, task);
    if (outcome === null) return null;
    const finishedAtMs = clock.now();
    const end = taskEnd(task, outcome, finishedAtMs);
    if (end.status === 'succeeded') {
      processed += 1;
      context.progress(processed, null, 'tasks');
    } else tell(context, task, end, finishedAtMs);
    return { id: task.id, attempt: task.attempt, startedAtMs, finishedAtMs, ...end };
  }

  for (;;) {
    const status = await drain({
      source,
      execute,
      atOnce: batchSize,
      signal,
      stopRequested: () => context.stopRequested,
      monotonic: () => clock.monotonic(),
    });
    if (status === 'stopped' || idleWait === undefined) return await answer(status);
    const dueMs = await nextDueMs(db, queueName);
    const untilDueMs = dueMs === null ? idleWait : Math.max(restMsMin, dueMs - clock.now());
    await context.rest(Math.min(idleWait, untilDueMs), `The queue "${queueName}" is empty.`);
    if (context.stopRequested) return await answer('stopped');
  }

  async function answer(status: 'empty' | 'stopped') {
    const totals = await drainTotals(db, context.runId);
    return {
      queueName,
      processedTasks: totals.processed,
      failedTasks: totals.failed,
      deadTasks: totals.dead,
      status,
    };
  }
}

function tell(
  context: JobContext,
  task: ClaimedTask,
  end: ReturnType<typeof taskEnd>,
  finishedAtMs: number,
): void {
  const what = `task ${task.id} failed (${end.error?.type}: ${end.error?.message})`;
  if (end.status === 'waiting')
    context.log(`${what}; tried again in ${formatDuration(end.dueAtMs - finishedAtMs)}`, 'warn');
  else context.log(`${what} and is dead after ${task.failures + 1} failed tries`, 'error');
}
