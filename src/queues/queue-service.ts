/**
 * Queues as a resource: what is put in, read, cancelled and tried again. What drains them is the job type `queue`.
 *
 * An input is held against the same rules as a schedule's, and stored with its references to secrets.
 */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import {
  cancelTask,
  findQueue,
  findTask,
  insertTasks,
  listQueues,
  listTasks,
  reviveTask,
  reviveTasks,
} from '../db/queue-store.ts';
import { conflict, type DomainError, type Issue, invalidAll, notFound } from '../errors.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { checkWithoutValues } from '../secrets/secret-references.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import {
  type EnqueuedTask,
  isLive,
  type NewTask,
  type Queue,
  type QueueTask,
  type TaskStatus,
  taskStatuses,
} from './queue-task.ts';

/** Unknown queue or task: DomainError `not_found`. */
export interface QueueService {
  /**
   * All of them, or with DomainError `invalid` none. `pointers`: where each task stands in the request. The queue is
   * made with its first task.
   */
  enqueue(
    queue: string,
    tasks: readonly NewTask[],
    pointers: readonly string[],
  ): Promise<readonly EnqueuedTask[]>;
  /** Newest first. */
  list(page: PageRequest): Promise<Page<Queue>>;
  get(queue: string): Promise<Queue>;
  /** Newest first. No statuses: all. */
  tasks(queue: string, statuses: readonly TaskStatus[], page: PageRequest): Promise<Page<QueueTask>>;
  task(queue: string, id: string): Promise<QueueTask>;
  /** At once, whatever a drain is doing with it: its outcome is not recorded then. DomainError `conflict` for one that has ended. */
  cancel(queue: string, id: string): Promise<QueueTask>;
  /** A dead task is as if it had never been tried. DomainError `conflict` for one that has ended otherwise. */
  retry(queue: string, id: string): Promise<QueueTask>;
  /** All that are dead now. Returns how many. */
  retryDead(queue: string): Promise<number>;
}

export type QueueServiceParts = {
  db: Db;
  clock: Clock;
  secrets: Pick<SecretService, 'check'>;
  /** What is wrong with the input of a task, pointers relative to it. */
  checkInput(input: unknown): readonly Issue[];
};

/** Of a thousand mistakes the first are told; the next request tells the others. */
const issuesToldMax = 20;
const reviveBatchMax = 1_000;

export function createQueueService({ db, clock, secrets, checkInput }: QueueServiceParts): QueueService {
  async function get(name: string): Promise<Queue> {
    const found = await findQueue(db, name);
    if (found === null) throw unknownQueue(name);
    return found;
  }

  async function task(queue: string, id: string): Promise<QueueTask> {
    const found = await findTask(db, queue, id);
    if (found === null) throw unknownTask(queue, id);
    return found;
  }

  async function check(tasks: readonly NewTask[], pointers: readonly string[]): Promise<void> {
    const found = tasks.flatMap(({ input }, index) =>
      checkWithoutValues(input, checkInput).map((issue) => at(pointers[index]!, issue)),
    );
    // One question for the secrets of all.
    const ofSecrets = (await secrets.check(tasks.map(({ input }) => input))).map((issue) => {
      const [, index = '', rest = ''] = /^\/(\d+)(.*)$/s.exec(issue.pointer) ?? [];
      return at(pointers[Number(index)] ?? '', { ...issue, pointer: rest });
    });
    const issues = [...found, ...ofSecrets].slice(0, issuesToldMax);
    if (issues.length > 0) throw invalidAll(issues);
  }

  return {
    async enqueue(queue, tasks, pointers) {
      await check(tasks, pointers);
      return await insertTasks(db, queue, tasks, clock.now());
    },

    list: (page) => listQueues(db, page),
    get,

    async tasks(queue, statuses, page) {
      await get(queue);
      return await listTasks(db, queue, statuses.length === 0 ? taskStatuses : statuses, page);
    },

    task,

    async cancel(queue, id) {
      const moved = await cancelTask(db, queue, id, clock.now());
      const found = await task(queue, id);
      if (moved || found.status === 'cancelled') return found;
      throw conflict(`Task ${id} has ended as "${found.status}"; only one that has not can be cancelled.`);
    },

    async retry(queue, id) {
      const moved = await reviveTask(db, queue, id, clock.now());
      const found = await task(queue, id);
      // It is on its way already.
      if (moved || isLive(found.status)) return found;
      throw conflict(
        `Task ${id} has ended as "${found.status}"; only a dead one can be tried again. Post it as a new task.`,
      );
    },

    async retryDead(queue) {
      await get(queue);
      const nowMs = clock.now();
      let revived = 0;
      for (;;) {
        const some = await reviveTasks(db, queue, reviveBatchMax, nowMs);
        revived += some;
        if (some < reviveBatchMax) return revived;
      }
    },
  };
}

function at(pointer: string, issue: Issue): Issue {
  return { pointer: `${pointer}${issue.pointer}`, detail: issue.detail };
}

function unknownQueue(name: string): DomainError {
  return notFound(
    `There is no queue "${name}". GET /queues lists them; POST /queues/{name}/tasks makes one with its first task.`,
  );
}

function unknownTask(queue: string, id: string): DomainError {
  return notFound(
    `There is no task ${id} in queue "${queue}": it never was there, or ended longer ago than the retention.`,
  );
}
