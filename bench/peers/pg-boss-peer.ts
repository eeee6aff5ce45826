/**
 * pg-boss, in the two ways that it offers: `work`, whose workers poll (every half second, the least that it takes, and
 * without a pause while batches come back full), and `fetch` with `complete` in loops of our own.
 * Both take 500 jobs at a time and settle them together, which its documentation names as the way to throughput; its queue
 * has a table of its own for the same reason. Its schedules are by the minute, so the jobs are put there for one instant.
 */
import { PgBoss } from 'pg-boss';

const { url, jobs, leadMs, way } = JSON.parse(process.argv[2]!) as {
  url: string;
  jobs: number;
  leadMs: number;
  way: 'work' | 'fetch';
};
const queue = 'herd';
const batchSize = 500;
const loops = 4;
/** As `work` would wait; here it may be shorter. */
const pollMs = 20;

const boss = new PgBoss({ connectionString: url, max: 10, supervise: false, schedule: false });
boss.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
await boss.start();
await boss.createQueue(queue, { partition: true });
const dueMs = Date.now() + leadMs;
const startAfter = new Date(dueMs);
for (let done = 0; done < jobs; done += 1000) {
  const count = Math.min(1000, jobs - done);
  await boss.insert(
    queue,
    Array.from({ length: count }, (_, n) => ({ data: { n: done + n }, startAfter })),
  );
}
await boss.getDb().executeSql('analyze');
if (way === 'work') {
  const options = {
    batchSize,
    localConcurrency: loops,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
  };
  await boss.work(queue, options, async () => undefined);
}
process.stdout.write(`${JSON.stringify({ dueMs })}\n`);
if (way === 'fetch') {
  const loop = async () => {
    for (;;) {
      const found = await boss.fetch(queue, { batchSize });
      if (found.length > 0)
        await boss.complete(
          queue,
          found.map(({ id }) => id),
        );
      else await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
}
