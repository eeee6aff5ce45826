/** Lateness: from the nominal time to the start, with fires spread evenly. */
import type pg from 'pg';
import { databaseNow, insertSchedules, pause, startDatabase, startNode } from './support/bench-service.ts';

export type LatenessResult = {
  perSecond: number;
  seconds: number;
  runs: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
};

/** `perSecond` schedules that fire once a second each, their times spread over the second. */
export async function lateness(options: { perSecond: number; seconds: number }): Promise<LatenessResult> {
  const database = await startDatabase();
  try {
    const { pool } = database;
    const node = await startNode(database.url);
    try {
      const firstMs = Math.ceil((await databaseNow(pool)) / 1000 + 2) * 1000;
      await insertEven(pool, { perSecond: options.perSecond, firstMs });
      // The first seconds warm everything up and are not counted.
      const fromMs = firstMs + 5000;
      await pause(fromMs + options.seconds * 1000 + 1000 - (await databaseNow(pool)));
      const measured = await latenessOf(pool, { ...options, fromMs });
      return { ...options, runs: options.perSecond * options.seconds, ...measured };
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
  }
}

/** `perSecond` schedules that fire once a second each, from `firstMs` on. */
export async function insertEven(
  pool: pg.Pool,
  options: { perSecond: number; firstMs: number },
): Promise<void> {
  const { perSecond: count, firstMs } = options;
  await insertSchedules(pool, { prefix: 'even-', count, everyMs: 1000, firstMs, spreadMs: 1000 });
  // The trigger's offset is what spreads them; every schedule has its own.
  await pool.query(`update schedules set trigger = jsonb_build_object('kind', 'every', 'everyMs', 1000,
    'offsetMs', (extract(epoch from next_run_at) * 1000)::bigint % 1000)
    from schedule_states h where h.schedule_id = id and starts_with(name, 'even-')`);
}

/** From the nominal time to the start, of the fires of so many seconds from `fromMs` on; all must have succeeded. */
export async function latenessOf(
  pool: pg.Pool,
  options: { perSecond: number; seconds: number; fromMs: number },
): Promise<{ p50Ms: number; p99Ms: number; maxMs: number }> {
  const { perSecond, seconds, fromMs } = options;
  const { rows } = await pool.query(
    `select count(*)::int as runs, count(*) filter (where status = 'succeeded')::int as succeeded,
      percentile_cont(array[0.5, 0.99, 1]) within group (order by extract(epoch from started_at - scheduled_for) * 1000) as p
    from runs where scheduled_for >= to_timestamp($1::float8 / 1000) and scheduled_for < to_timestamp($2::float8 / 1000)
      and id >= (lpad(to_hex($1::bigint), 12, '0') || '70008000000000000000')::uuid`,
    [fromMs, fromMs + seconds * 1000],
  );
  const { runs, succeeded, p } = rows[0];
  if (runs !== perSecond * seconds || succeeded !== runs) {
    throw new Error(`expected ${perSecond * seconds} succeeded runs, found ${succeeded} of ${runs}`);
  }
  return { p50Ms: p[0], p99Ms: p[1], maxMs: p[2] };
}

if (import.meta.main) {
  const [perSecond = '100', seconds = '20'] = process.argv.slice(2);
  console.log(await lateness({ perSecond: Number(perSecond), seconds: Number(seconds) }));
}
