/** /queues: tasks that `queue` jobs execute. */
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { DomainError, invalid } from '../errors.ts';
import type { QueueService } from '../queues/queue-service.ts';
import { taskStatuses } from '../queues/queue-task.ts';
import { isUuid } from '../runs/run-id.ts';
import { bodyProblems, noInput, problems } from './documented.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { wordsField } from './query-wire.ts';
import {
  enqueuedAnswer,
  enqueuedManyAnswer,
  presentEnqueued,
  presentQueue,
  presentTask,
  queueAnswer,
  taskAnswer,
  tasksInput,
  toNewTasks,
} from './queue-wire.ts';
import { readName, toNewName } from './schedule-name.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['queues'];

const name = z.string().meta({ description: 'The name of the queue.', examples: ['mail'] });
const queueRef = z.object({ name });
const taskRef = z.object({
  name,
  id: z.string().meta({ description: 'The id of the task.', format: 'uuid' }),
});

/** DomainError `not_found` for what can be no name. */
function toQueueRef(text: string): string {
  const read = readName(text);
  if ('name' in read) return read.name;
  const detail = `There is no queue ${JSON.stringify(text)}: a name ${read.reason}.`;
  throw new DomainError('not_found', detail, [{ pointer: '{name}', detail }]);
}

function toTaskId(text: string): string {
  if (isUuid(text)) return text.toLowerCase();
  throw invalid('{id}', `${JSON.stringify(text)} is not the id of a task; ids are UUIDs.`);
}

export function queueRoutes(app: ZodApp, queues: QueueService, clock: Pick<Clock, 'now'>): void {
  app.post(
    '/queues/:name/tasks',
    {
      schema: {
        tags,
        operationId: 'enqueueTasks',
        summary: 'Put tasks into a queue',
        description:
          'One task, or several as `{"tasks": […]}`: all of them or none. The answer has the same form: 201 when any was made, 200 when all were there already by their `dedupeKey`. The queue is made with its first task.',
        params: queueRef,
        body: tasksInput,
        response: {
          200: z.union([enqueuedAnswer, enqueuedManyAnswer]).describe('All were there already.'),
          201: z.union([enqueuedAnswer, enqueuedManyAnswer]).describe('What is in the queue now.'),
          ...problems(...bodyProblems),
        },
      },
    },
    async (request, reply) => {
      const queue = toNewName(request.params.name);
      const { tasks, pointers } = toNewTasks(request.body);
      const enqueued = (await queues.enqueue(queue, tasks, pointers)).map(presentEnqueued);
      const [first] = enqueued;
      const isOne = request.body.tasks === undefined;
      if (enqueued.some((task) => task.created)) {
        const list = `/queues/${encodeURIComponent(queue)}/tasks`;
        reply.code(201).header('location', isOne ? `${list}/${first!.id}` : list);
      }
      return isOne ? first! : { tasks: enqueued };
    },
  );

  app.get(
    '/queues',
    {
      schema: {
        tags,
        operationId: 'listQueues',
        summary: 'List queues',
        description: 'Newest first, in pages, with their counts.',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(queueAnswer), ...problems(400) },
      },
    },
    async (request, reply) => {
      const page = await queues.list(toPageRequest('queues', request.query));
      return presentPage('queues', page, (queue) => presentQueue(queue, clock.now()), request, reply);
    },
  );

  app.get(
    '/queues/:name',
    {
      schema: {
        tags,
        operationId: 'getQueue',
        summary: 'Read a queue',
        description: 'How many tasks it has in each state, and how long the oldest has waited.',
        params: queueRef,
        response: { 200: queueAnswer, ...problems(404) },
      },
    },
    async (request) => presentQueue(await queues.get(toQueueRef(request.params.name)), clock.now()),
  );

  app.post(
    '/queues/:name/retry',
    {
      schema: {
        tags,
        operationId: 'retryQueue',
        summary: 'Try all dead tasks again',
        description: 'Those that are dead now are pending, as if never tried.',
        params: queueRef,
        body: noInput,
        response: { 200: z.object({ retried: z.int().min(0) }), ...problems(404, ...bodyProblems) },
      },
    },
    async (request) => ({ retried: await queues.retryDead(toQueueRef(request.params.name)) }),
  );

  app.get(
    '/queues/:name/tasks',
    {
      schema: {
        tags,
        operationId: 'listQueueTasks',
        summary: 'List the tasks of a queue',
        description: 'Newest first, in pages. Ended ones are kept as long as runs are.',
        params: queueRef,
        querystring: z.strictObject({
          status: wordsField(taskStatuses).optional().describe('Only these; several with commas between.'),
          ...pageQuery,
        }),
        response: { 200: pageOf(taskAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const { status = [], ...page } = request.query;
      const queue = toQueueRef(request.params.name);
      const found = await queues.tasks(queue, [...new Set(status)], toPageRequest('queue tasks', page));
      return presentPage('queue tasks', found, presentTask, request, reply);
    },
  );

  app.get(
    '/queues/:name/tasks/:id',
    {
      schema: {
        tags,
        operationId: 'getQueueTask',
        summary: 'Read a task',
        description: 'Its state, and what its last try gave.',
        params: taskRef,
        response: { 200: taskAnswer, ...problems(400, 404) },
      },
    },
    async ({ params }) => presentTask(await queues.task(toQueueRef(params.name), toTaskId(params.id))),
  );

  app.post(
    '/queues/:name/tasks/:id/cancel',
    {
      schema: {
        tags,
        operationId: 'cancelQueueTask',
        summary: 'Cancel a task',
        description:
          'It is not taken any more. A call that is on its way is not recalled, and its outcome not recorded.',
        params: taskRef,
        body: noInput,
        response: { 200: taskAnswer, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async ({ params }) => presentTask(await queues.cancel(toQueueRef(params.name), toTaskId(params.id))),
  );

  app.post(
    '/queues/:name/tasks/:id/retry',
    {
      schema: {
        tags,
        operationId: 'retryQueueTask',
        summary: 'Try a dead task again',
        description: 'It is pending, as if never tried. One that has not ended stays as it is.',
        params: taskRef,
        body: noInput,
        response: { 200: taskAnswer, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async ({ params }) => presentTask(await queues.retry(toQueueRef(params.name), toTaskId(params.id))),
  );
}
