/** What the service costs while nothing is due. */
import { type Bench, openSession, type Session, us } from './measurement.ts';
import {
  cpuMs,
  databaseNow,
  insertSchedules,
  pause,
  postgresCpuMs,
  rssMb,
  startDatabase,
  startNode,
} from './support/bench-service.ts';

/** Past the start and its garbage. */
const warmUpMs = 15_000;

export const idleBench: Bench = {
  name: 'idle',
  about:
    '1,000,000 schedules of which none is due within a day: what the process uses, and its Postgres, over 6 s.',
  figures: {
    cpuPercent: { title: 'CPU of the service', unit: '% of a core' },
    postgresCpuPercent: { title: 'CPU of Postgres for it', unit: '% of a core' },
    rssMb: { title: 'RSS of the service', unit: 'MB' },
  },
  goals: [{ figure: 'cpuPercent', most: 2 }],
  secondsAbout: 90,
  open: ({ isQuick }) => open(isQuick ? 10_000 : 1_000_000, isQuick ? 3 : 6),
};

function open(schedules: number, seconds: number): Promise<Session> {
  return openSession(async (opened) => {
    const database = await startDatabase();
    opened.defer(database.stop);
    const { pool } = database;
    const firstMs = (await databaseNow(pool)) + 86_400_000;
    for (let done = 0; done < schedules; done += 100_000) {
      const count = Math.min(100_000, schedules - done);
      await insertSchedules(pool, { prefix: `idle-${done}-`, count, firstMs, spreadMs: 86_400_000 });
    }
    await pool.query('vacuum analyze');
    await pool.query('checkpoint');
    const node = await startNode(database);
    opened.defer(node.stop);
    await pause(warmUpMs);
    const round = async () => {
      const [before, postgresBefore] = [await cpuMs(node.pid), await postgresCpuMs(pool)];
      const startedAt = performance.now();
      await pause(seconds * 1000);
      const used = (await cpuMs(node.pid)) - before;
      let postgresUsed = 0;
      for (const [name, ms] of await postgresCpuMs(pool)) {
        // The statistics and vacuums of a million rows just written are not what idling costs.
        if (name.startsWith('carillon')) postgresUsed += Math.max(0, ms - (postgresBefore.get(name) ?? 0));
      }
      const tookMs = performance.now() - startedAt;
      return {
        cpuPercent: (100 * used) / tookMs,
        postgresCpuPercent: (100 * postgresUsed) / tookMs,
        rssMb: await rssMb(node.pid),
      };
    };
    return [{ name: us, round }];
  });
}
