/** Lateness: from the nominal time to the start, with fires spread evenly over the seconds. */
import type pg from 'pg';
import { type Bench, type Figures, openSession, type Session, us } from './measurement.ts';
import { databaseNow, insertSchedules, pause, startDatabase, startNode } from './support/bench-service.ts';

/** The first seconds warm everything up and are not counted. */
const warmUpMs = 5000;
/** After the last nominal time of a round, for its runs to end. */
const settleMs = 500;

const figures = {
  p50Ms: { title: 'late, p50', unit: 'ms' },
  p99Ms: { title: 'late, p99', unit: 'ms' },
  maxMs: { title: 'late, most', unit: 'ms' },
};

/** A round is `seconds` of fires, `perSecond` of them in each. */
function latenessBench(perSecond: number, seconds: number, p99MsMost?: number): Bench {
  return {
    name: `lateness-${perSecond}`,
    about: `${perSecond} ${perSecond === 1 ? 'schedule that fires' : 'schedules that fire'} once a second, each at a moment of its own: from the nominal time to the start of the run, over ${seconds} s.`,
    figures,
    goals: p99MsMost === undefined ? [] : [{ figure: 'p99Ms', most: p99MsMost }],
    secondsAbout: 15 + 5 * seconds,
    open: ({ isQuick }) => open(perSecond, isQuick ? 3 : seconds),
  };
}

export const latenessBenches = [
  latenessBench(1, 6),
  latenessBench(100, 8, 50),
  latenessBench(1000, 8, 150),
] as const;

function open(perSecond: number, seconds: number): Promise<Session> {
  return openSession(async (opened) => {
    const database = await startDatabase();
    opened.defer(database.stop);
    const { pool } = database;
    const node = await startNode(database);
    opened.defer(node.stop);
    const firstMs = Math.ceil((await databaseNow(pool)) / 1000 + 2) * 1000;
    await insertEven(pool, { perSecond, firstMs });
    let fromMs = firstMs + warmUpMs;
    const round = async (): Promise<Figures> => {
      const untilMs = fromMs + seconds * 1000;
      await pause(Math.max(0, untilMs + settleMs - (await databaseNow(pool))));
      const measured = await latenessOf(pool, { perSecond, seconds, fromMs });
      fromMs = untilMs;
      return measured;
    };
    return [{ name: us, round }];
  });
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
