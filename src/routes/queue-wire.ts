/** Tasks of queues on the wire. A task is the input of an HTTP task and, beside it, what concerns its place in the queue. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { invalid, invalidAll } from '../errors.ts';
import {
  dedupeKeyLengthMax,
  type EnqueuedTask,
  maxAttemptsDefault,
  maxAttemptsMax,
  type NewTask,
  priorityMax,
  type Queue,
  type QueueTask,
  taskStatuses,
  tasksPerRequestMax,
} from '../queues/queue-task.ts';
import { presentInstant } from './instant-wire.ts';
import { instantField } from './query-wire.ts';

const time = z.string().meta({ format: 'date-time' });

const placeFields = {
  dedupeKey: z
    .string()
    .min(1)
    .max(dedupeKeyLengthMax)
    .optional()
    .describe(
      'Of several tasks with one key in a queue only the first is made, for as long as that one is kept.',
    ),
  priority: z
    .int()
    .min(-priorityMax)
    .max(priorityMax)
    .optional()
    .meta({ default: 0, description: 'The greater goes first.' }),
  notBefore: instantField.optional().describe('Not taken before. Default: at once.'),
  maxAttempts: z
    .int()
    .min(1)
    .max(maxAttemptsMax)
    .optional()
    .meta({ default: maxAttemptsDefault, description: 'Tries in all; after the last one it is dead.' }),
};

/** Described here, checked by the job type's own schema. */
const httpFields = {
  url: z
    .unknown()
    .optional()
    .meta({ type: 'string', format: 'uri', description: 'As in the input of a `task`.' }),
  method: z.unknown().optional().meta({ type: 'string' }),
  headers: z.unknown().optional().meta({ type: 'object' }),
  body: z.unknown().optional(),
  expectStatus: z.unknown().optional(),
  timeout: z.unknown().optional().meta({ type: 'string' }),
};

const one = z
  .looseObject({ ...httpFields, ...placeFields })
  .meta({ id: 'QueueTaskDefinition', description: 'The input of a `task`, and its place in the queue.' });

export const tasksInput = z
  .looseObject({
    ...httpFields,
    ...placeFields,
    tasks: z
      .array(one)
      .min(1)
      .max(tasksPerRequestMax)
      .optional()
      .describe('Several tasks; then nothing else.'),
  })
  .meta({
    id: 'QueueTasks',
    description: `One task, or up to ${tasksPerRequestMax} as \`{"tasks": […]}\`.`,
    anyOf: [{ required: ['url'] }, { required: ['tasks'] }],
    examples: [{ url: 'http://127.0.0.1:3000/healthz', dedupeKey: 'order-1' }],
  });

type TaskFields = z.output<typeof one>;

/** With where each stands in the body. DomainError `invalid` for one task and several at once. */
export function toNewTasks(body: z.output<typeof tasksInput>): { tasks: NewTask[]; pointers: string[] } {
  const { tasks, ...rest } = body;
  if (tasks === undefined) return { tasks: [toNewTask(rest)], pointers: [''] };
  const others = Object.keys(rest);
  if (others.length > 0) {
    throw invalidAll(others.slice(0, 20).map((name) => invalidBeside(name)));
  }
  return { tasks: tasks.map(toNewTask), pointers: tasks.map((_, index) => `/tasks/${index}`) };
}

function invalidBeside(name: string) {
  const detail = `\`${name}\` must not stand beside \`tasks\`: put it into each of them.`;
  return invalid(`/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, detail).issues[0]!;
}

function toNewTask({ dedupeKey, priority, notBefore, maxAttempts, ...input }: TaskFields): NewTask {
  return {
    input,
    dedupeKey: dedupeKey ?? null,
    priority: priority ?? 0,
    notBeforeMs: notBefore ?? null,
    maxAttempts: maxAttempts ?? maxAttemptsDefault,
  };
}

const statusAnswer = z.enum(taskStatuses);

export const enqueuedAnswer = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    status: statusAnswer,
    dedupeKey: z.string().nullable(),
    created: z.boolean().describe('False: the task that has this `dedupeKey` already.'),
  })
  .meta({ id: 'EnqueuedTask', description: 'A task that is in the queue now.' });

export const enqueuedManyAnswer = z.object({ tasks: z.array(enqueuedAnswer) });

export function presentEnqueued(task: EnqueuedTask): z.output<typeof enqueuedAnswer> {
  return { id: task.id, status: task.status, dedupeKey: task.dedupeKey, created: task.created };
}

export const taskAnswer = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    queue: z.string(),
    status: statusAnswer.describe(
      '`waiting`: until `dueAt`; `dead`: given up; `pending`, `waiting` and `running` have not ended.',
    ),
    priority: z.int(),
    dueAt: time.describe('From when it may be taken: `notBefore`, or the end of its backoff.'),
    attempt: z.int().describe('Tries that were begun.'),
    failures: z.int().describe('Tries that failed.'),
    maxAttempts: z.int(),
    dedupeKey: z.string().nullable(),
    runId: z.string().nullable().describe('The run that executes it or did so last.'),
    createdAt: time,
    startedAt: time.nullable(),
    finishedAt: time.nullable(),
    input: z.unknown(),
    output: z.unknown(),
    error: z.object({ type: z.string(), message: z.string() }).nullable().describe('Of the last try.'),
  })
  .meta({ id: 'QueueTask', description: 'A task of a queue.' });

export function presentTask(task: QueueTask): z.output<typeof taskAnswer> {
  return {
    id: task.id,
    queue: task.queue,
    status: task.status,
    priority: task.priority,
    dueAt: toIso(task.dueAtMs),
    attempt: task.attempt,
    failures: task.failures,
    maxAttempts: task.maxAttempts,
    dedupeKey: task.dedupeKey,
    runId: task.runId,
    createdAt: toIso(task.createdAtMs),
    startedAt: presentInstant(task.startedAtMs),
    finishedAt: presentInstant(task.finishedAtMs),
    input: task.input,
    output: task.output,
    error: task.error,
  };
}

const count = z.int().min(0);

export const queueAnswer = z
  .object({
    name: z.string(),
    createdAt: time,
    counts: z
      .object({
        pending: count,
        waiting: count,
        running: count,
        succeeded: count,
        dead: count,
        cancelled: count,
      })
      .describe(
        '`succeeded` and `cancelled`: since the queue was made, also those that are not kept any more.',
      ),
    oldestPendingSeconds: z
      .number()
      .nullable()
      .describe('How long the pending task that has waited longest could have begun; null without one.'),
  })
  .meta({ id: 'Queue', description: 'A named list of tasks.' });

export function presentQueue(queue: Queue, nowMs: number): z.output<typeof queueAnswer> {
  const { oldestPendingMs: oldest } = queue;
  return {
    name: queue.name,
    createdAt: toIso(queue.createdAtMs),
    counts: queue.counts,
    oldestPendingSeconds: oldest === null ? null : Math.max(0, Math.round(nowMs - oldest) / 1000),
  };
}
