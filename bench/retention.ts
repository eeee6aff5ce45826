/** Lateness while a backlog of history is pruned, against the same without one. */
import type pg from 'pg';
import { insertEven, latenessOf } from './lateness.ts';
import { databaseNow, insertSchedules, pause, startDatabase, startNode } from './support/bench-service.ts';
import { insertHistory } from './support/history.ts';

type Lateness = { p50Ms: number; p99Ms: number; maxMs: number };

export type RetentionResult = {
  backlog: number;
  perSecond: number;
  seconds: number;
  before: Lateness;
  while: Lateness;
  prunedPerSecond: number;
  /** Of the backlog's schedules, when all of it is gone; null when it was not waited for. */
  kept: { runs: number; schedules: number } | null;
};

/**
 * `backlog` runs of a year ago, which are all past the retention but the last of each of a thousand schedules, beside
 * `perSecond` schedules that fire once a second. They are measured with the pruner held off, then with it at work.
 */
export async function retention(options: {
  backlog: number;
  perSecond: number;
  seconds: number;
  toTheEnd: boolean;
}): Promise<RetentionResult> {
  const { backlog, perSecond, seconds } = options;
  const schedules = 1000;
  const dayMs = 86_400_000;
  const database = await startDatabase();
  try {
    const { pool } = database;
    const nowMs = await databaseNow(pool);
    await insertSchedules(pool, { prefix: 'past-', count: schedules, firstMs: nowMs + 7 * dayMs });
    const past = {
      prefix: 'past-',
      schedules,
      runs: backlog,
      fromMs: nowMs - 365 * dayMs,
      untilMs: nowMs - 180 * dayMs,
    };
    await insertHistory(pool, past);
    await pool.query('vacuum analyze');
    await pool.query('checkpoint');
    // Whoever holds the place of the walk is the one who prunes.
    const holder = await pool.connect();
    await holder.query('begin; select from retention_state for update');
    const node = await startNode(database);
    try {
      const firstMs = Math.ceil((await databaseNow(pool)) / 1000 + 2) * 1000;
      await insertEven(pool, { perSecond, firstMs });
      const measure = async () => {
        // The first seconds warm everything up and are not counted.
        const fromMs = Math.ceil((await databaseNow(pool)) / 1000 + 5) * 1000;
        await pause(fromMs + seconds * 1000 + 1000 - (await databaseNow(pool)));
        return await latenessOf(pool, { perSecond, seconds, fromMs });
      };
      const before = await measure();
      await holder.query('rollback');
      holder.release();
      // A node that was refused the place looks again after a minute.
      await until(
        pool,
        `select exists (select from retention_state where next_schedule_id is not null) as yes`,
      );
      const leftBefore = await left(pool);
      const startedAt = performance.now();
      const during = await measure();
      const pruned = leftBefore - (await left(pool));
      const prunedPerSecond = (1000 * pruned) / (performance.now() - startedAt);
      if (pruned === 0) throw new Error('nothing was pruned while it was measured');
      let kept: RetentionResult['kept'] = null;
      if (options.toTheEnd) {
        await until(
          pool,
          `select exists (select from retention_state where next_schedule_id is null) as yes`,
        );
        kept = { runs: await left(pool), schedules };
      }
      return { backlog, perSecond, seconds, before, while: during, prunedPerSecond, kept };
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
  }
}

async function left(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query(
    `select count(*)::int as n from runs where id < (select id from runs where due_at > now() - interval '1 day' order by id limit 1)`,
  );
  return rows[0].n;
}

async function until(pool: pg.Pool, question: string): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += 500) {
    const { rows } = await pool.query(question);
    if (rows[0].yes) return;
    if (waitedMs > 1_800_000) throw new Error('the pruner was not done after half an hour');
    await pause(500);
  }
}

if (import.meta.main) {
  const [backlog = '1000000', perSecond = '100', seconds = '30', end] = process.argv.slice(2);
  const result = await retention({
    backlog: Number(backlog),
    perSecond: Number(perSecond),
    seconds: Number(seconds),
    toTheEnd: end === 'end',
  });
  console.log(JSON.stringify(result, null, 2));
}
