/**
 * BullMQ with a job scheduler for each schedule of the herd: the same thing as ours, a cron expression that makes a job, and
 * the next one when it has been taken up. On Redis, its home, or on its Postgres backend. Completed jobs are kept, as runs are.
 * 300 jobs at once, what its authors name for jobs that only wait.
 */
import { createPostgresBackend, Queue, Worker } from 'bullmq';

const { store, url, schedules } = JSON.parse(process.argv[2]!) as {
  store: 'redis' | 'postgres';
  url: string;
  schedules: number;
};
const name = 'herd';
const concurrency = 300;
const settledAtOnce = 500;
const spareMs = 1500;
const connectionsMax = 20;

const { queue, worker } = store === 'redis' ? onRedis() : onPostgres();
queue.on('error', fail);
worker.on('error', fail);
await worker.waitUntilReady();

// The instant stands in the expression, so it must be known before; how long the schedulers take to make, from a few.
const triedMs = performance.now();
await makeSchedulers(Math.min(schedules, settledAtOnce), Date.now() + 86_400_000 / 2);
const eachMs = (performance.now() - triedMs) / Math.min(schedules, settledAtOnce);
const dueMs = Math.ceil((Date.now() + schedules * eachMs * 1.3 + spareMs) / 1000) * 1000;
await makeSchedulers(schedules, dueMs);
process.stdout.write(`${JSON.stringify({ dueMs })}\n`);

async function makeSchedulers(count: number, firstMs: number): Promise<void> {
  const at = new Date(firstMs);
  const pattern = `${at.getUTCSeconds()} ${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
  for (let done = 0; done < count; done += settledAtOnce) {
    const batch = Array.from(
      { length: Math.min(settledAtOnce, count - done) },
      (_, n) => `schedule-${done + n}`,
    );
    await Promise.all(
      batch.map((id) => queue.upsertJobScheduler(id, { pattern, tz: 'UTC' }, { name: 'noop', data: {} })),
    );
  }
}

function fail(error: Error): never {
  console.error(error);
  process.exit(1);
}

function onRedis() {
  const { hostname, port, username, password, pathname } = new URL(url);
  const connection = {
    host: hostname,
    port: Number(port || 6379),
    username: username || undefined,
    password: decodeURIComponent(password) || undefined,
    db: Number(pathname.slice(1) || 0),
    maxRetriesPerRequest: null,
  };
  return {
    queue: new Queue(name, { connection }),
    worker: new Worker(name, async () => undefined, { connection, concurrency }),
  };
}

function onPostgres() {
  const connection = { connectionString: url, migrate: true, max: connectionsMax };
  return {
    queue: new Queue(name, { connection }, createPostgresBackend),
    worker: new Worker(name, async () => undefined, { connection, concurrency }, createPostgresBackend),
  };
}
