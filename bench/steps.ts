/** What a durable step costs: many runs with steps beside as many without, and one run alone. */
import type pg from 'pg';
import { type Bench, openSession, type Session, us } from './measurement.ts';
import {
  cpuMs,
  databaseNow,
  insertSchedules,
  pause,
  postgresCpuMs,
  startDatabase,
  startNode,
} from './support/bench-service.ts';
import { runOnce } from './support/run-call.ts';

const stepsEach = 10;
const stepsAlone = 200;
const patienceMs = 120_000;

export const stepsBench: Bench = {
  name: 'steps',
  about: `1,000 runs due at one instant, each of a job of ${stepsEach} steps that do nothing, beside 1,000 of one without steps; the difference, by step. And a run of ${stepsAlone} steps alone, one after the other.`,
  figures: {
    perSecond: { title: 'steps recorded, many runs at once', unit: 'steps/s' },
    eachMs: { title: 'a step more, many runs at once', unit: 'ms' },
    eachCpuMs: { title: 'its CPU time, Postgres included', unit: 'ms' },
    aloneMs: { title: 'a step of a run alone', unit: 'ms' },
  },
  goals: [],
  secondsAbout: 55,
  open: ({ isQuick }) => open(isQuick ? 50 : 1000),
};

function open(runs: number): Promise<Session> {
  return openSession(async (opened) => {
    const database = await startDatabase();
    opened.defer(database.stop);
    const { pool } = database;
    const node = await startNode(database);
    opened.defer(node.stop);
    let turn = 0;
    const round = async () => {
      turn += 1;
      const usedMs = async () => {
        let sum = await cpuMs(node.pid);
        for (const ms of (await postgresCpuMs(pool)).values()) sum += ms;
        return sum;
      };
      const without = await timeHerd(pool, { prefix: `without-${turn}-`, runs, steps: 0, usedMs });
      const withSteps = await timeHerd(pool, { prefix: `with-${turn}-`, runs, steps: stepsEach, usedMs });
      const { run } = await runOnce(node, `alone-${turn}`, { type: 'steps', input: { steps: stepsAlone } });
      const steps = runs * stepsEach;
      return {
        perSecond: steps / withSteps.seconds,
        eachMs: ((withSteps.seconds - without.seconds) * 1000) / steps,
        eachCpuMs: (withSteps.cpuMs - without.cpuMs) / steps,
        aloneMs: run.durationMs / stepsAlone,
      };
    };
    return [{ name: us, round }];
  });
}

/** From the instant until the last run is recorded as succeeded. */
async function timeHerd(
  pool: pg.Pool,
  herd: { prefix: string; runs: number; steps: number; usedMs(): Promise<number> },
): Promise<{ seconds: number; cpuMs: number }> {
  const { prefix, runs, steps, usedMs } = herd;
  const dueMs = Math.ceil((await databaseNow(pool)) / 1000 + 2) * 1000;
  const job = { type: 'steps', input: { steps } };
  await insertSchedules(pool, { prefix, count: runs, firstMs: dueMs, job });
  await pause(Math.max(0, dueMs - (await databaseNow(pool)) - 100));
  const usedBefore = await usedMs();
  for (;;) {
    const { rows } = await pool.query(
      `select count(*)::int as n, extract(epoch from max(finished_at))::float8 * 1000 as last
        from runs where schedule_name like $1 and status = 'succeeded'`,
      [`${prefix}%`],
    );
    if (rows[0].n === runs)
      return { seconds: (rows[0].last - dueMs) / 1000, cpuMs: (await usedMs()) - usedBefore };
    if ((await databaseNow(pool)) > dueMs + patienceMs) throw new Error(`only ${rows[0].n} runs succeeded`);
    await pause(50);
  }
}
