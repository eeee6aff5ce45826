/** What the service costs while nothing is due. */
import {
  cpuMs,
  databaseNow,
  insertSchedules,
  pause,
  rssMb,
  startDatabase,
  startNode,
} from './support/bench-service.ts';

export type IdleResult = { schedules: number; seconds: number; cpuPercentOfCore: number; rssMb: number };

export async function idle(options: { schedules: number; seconds: number }): Promise<IdleResult> {
  const database = await startDatabase();
  try {
    const { pool } = database;
    const firstMs = (await databaseNow(pool)) + 86_400_000;
    await insertSchedules(pool, { prefix: 'idle-', count: options.schedules, firstMs, spreadMs: 86_400_000 });
    await pool.query('vacuum analyze');
    const node = await startNode(database.url);
    try {
      // Past the start and its garbage.
      await pause(15_000);
      const before = await cpuMs(node.pid);
      const startedAt = performance.now();
      await pause(options.seconds * 1000);
      const used = (await cpuMs(node.pid)) - before;
      return {
        ...options,
        cpuPercentOfCore: (100 * used) / (performance.now() - startedAt),
        rssMb: await rssMb(node.pid),
      };
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
  }
}

if (import.meta.main) {
  const [schedules = '100000', seconds = '30'] = process.argv.slice(2);
  console.log(await idle({ schedules: Number(schedules), seconds: Number(seconds) }));
}
