/** Draining a queue: tasks that do nothing, and tasks that call a server beside it. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Bench, sessionOf, us } from './measurement.ts';
import {
  type BenchNode,
  cpuMs,
  pause,
  postgresCpuMs,
  startDatabase,
  startNode,
} from './support/bench-service.ts';

export type QueueResult = {
  tasks: number;
  /** How many are executed at once. */
  batchSize: number;
  /** Over the API, in requests of 1,000. */
  enqueuedPerSecond: number;
  drainedPerSecond: number;
  /** CPU time of the node, and of all of Postgres, while it drained. */
  nodeCpuSeconds: number;
  postgresCpuSeconds: number;
};

const perRequest = 1_000;

/** The node runs with the settings as shipped. `http`: real calls to a server in this process. */
export async function queue(options: {
  tasks: number;
  batchSize: number;
  http: boolean;
  /** Tasks of the queue that have ended already. */
  finished?: number;
}): Promise<QueueResult> {
  const { tasks, batchSize, http, finished = 0 } = options;
  const database = await startDatabase();
  const server = createServer((request, response) => {
    request.resume();
    response.end('ok');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  try {
    const { pool } = database;
    if (finished > 0) {
      await pool.query(
        `insert into queue_tasks (id, queue, status, priority, due_at, attempt, failures, max_attempts, created_at,
          started_at, finished_at, input, output)
        select gen_random_uuid(), 'bench', 'succeeded', 0, now(), 1, 0, 3, now(), now(), now(), '{"url": "http://x"}', '{}'
        from generate_series(1, $1::int)`,
        [finished],
      );
      await pool.query('vacuum analyze queue_tasks');
    }
    const node = await startNode(database);
    try {
      const enqueueAt = performance.now();
      for (let done = 0; done < tasks; done += perRequest) {
        const count = Math.min(perRequest, tasks - done);
        await post(node, '/queues/bench/tasks', { tasks: Array(count).fill({ url }) });
      }
      const enqueueSeconds = (performance.now() - enqueueAt) / 1000;
      await post(node, '/schedules', {
        name: 'drain',
        at: '2999-01-01T00:00:00Z',
        job: { type: http ? 'queue' : 'noop-queue', input: { queueName: 'bench', batchSize } },
      });
      const cpuBefore = await cpuMs(node.pid);
      const postgresBefore = await postgresCpuMs(pool);
      const { id } = (await post(node, '/schedules/drain/trigger', {})) as { id: string };
      const run = await ended(node, id);
      // A fast answer counts only if it is the right one.
      if (run.output?.processedTasks !== tasks)
        throw new Error(`not all were processed: ${JSON.stringify(run)}`);
      const nodeCpuSeconds = ((await cpuMs(node.pid)) - cpuBefore) / 1000;
      let postgresCpuSeconds = 0;
      // What has ended meanwhile, such as a vacuum, is not told of any more.
      for (const [name, ms] of await postgresCpuMs(pool))
        postgresCpuSeconds += Math.max(0, ms - (postgresBefore.get(name) ?? 0)) / 1000;
      if (finished > 0) {
        const countsAt = performance.now();
        await fetch(`${node.address}/queues/bench`);
        console.log(
          `counts beside ${finished} finished tasks: ${(performance.now() - countsAt).toFixed(1)} ms`,
        );
      }
      return {
        tasks,
        batchSize,
        enqueuedPerSecond: tasks / enqueueSeconds,
        drainedPerSecond: tasks / (run.durationMs / 1000),
        nodeCpuSeconds,
        postgresCpuSeconds,
      };
    } finally {
      await node.stop();
    }
  } finally {
    server.closeAllConnections();
    server.close();
    await database.stop();
  }
}

async function post(node: BenchNode, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`${node.address}${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return await response.json();
}

type EndedRun = { status: string; durationMs: number; output: { processedTasks: number } | null };

async function ended(node: BenchNode, id: string): Promise<EndedRun> {
  for (;;) {
    const run = (await (await fetch(`${node.address}/runs/${id}`)).json()) as EndedRun & {
      finishedAt: unknown;
    };
    if (run.finishedAt !== null) return run;
    await pause(100);
  }
}

export const queueBench: Bench = {
  name: 'queue',
  about:
    'A queue of 50,000 tasks that do nothing, ten at once: put there over the API in requests of 1,000, and drained by one run.',
  figures: {
    drainedPerSecond: { title: 'drained', unit: 'tasks/s' },
    enqueuedPerSecond: { title: 'put there', unit: 'tasks/s' },
  },
  goals: [{ figure: 'drainedPerSecond', least: 5000 }],
  secondsAbout: 120,
  isExtra: true,
  async open({ isQuick }) {
    const round = async () => {
      const result = await queue({ tasks: isQuick ? 2000 : 50_000, batchSize: 10, http: false });
      return { drainedPerSecond: result.drainedPerSecond, enqueuedPerSecond: result.enqueuedPerSecond };
    };
    return sessionOf({ name: us, round });
  },
};

if (import.meta.main) {
  const [tasks = '50000', batchSize = '10', finished = '0'] = process.argv.slice(2);
  const options = { tasks: Number(tasks), batchSize: Number(batchSize), finished: Number(finished) };
  console.log('no-op tasks', await queue({ ...options, http: false }));
  console.log('HTTP calls', await queue({ ...options, http: true }));
}
