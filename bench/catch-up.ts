/**
 * After an outage: many schedules that each missed many fires start again, beside one that is live.
 * `node bench/catch-up.ts [schedules 10000] [missed each 1000]`
 */
import { type Bench, sessionOf, us } from './measurement.ts';
import {
  cpuMs,
  databaseNow,
  insertSchedules,
  pause,
  rssMb,
  startDatabase,
  startNode,
} from './support/bench-service.ts';

export type CatchUpResult = {
  schedules: number;
  missedEach: number;
  /** From the start of the node until no schedule is behind. */
  seconds: number;
  /** Rows that tell what became of all these times. */
  rows: number;
  nodeCpuSeconds: number;
  rssMbBefore: number;
  rssMbMost: number;
  /** Start (or record as skipped) less nominal time, of a schedule of every second, while the others caught up. */
  liveLatenessMsMost: number;
  liveFires: number;
};

const everyMs = 60_000;

export async function catchUp(options: { schedules: number; missedEach: number }): Promise<CatchUpResult> {
  const { schedules, missedEach } = options;
  const database = await startDatabase();
  try {
    const { pool } = database;
    const nowMs = await databaseNow(pool);
    const firstMs = Math.ceil((nowMs - missedEach * everyMs) / everyMs) * everyMs;
    const third = Math.ceil(schedules / 3);
    for (const policy of ['none', 'latest', 'all']) {
      await insertSchedules(pool, { prefix: `${policy}-`, count: third, everyMs, firstMs });
      await pool.query(`update schedules set catch_up = $1, overlap = 'skip' where name like $1 || '-%'`, [
        policy,
      ]);
    }
    await pool.query(
      `insert into dispatch_state (id, alive_until) values (1, to_timestamp($1::float8 / 1000))
        on conflict (id) do update set alive_until = excluded.alive_until`,
      [firstMs - 1000],
    );
    const liveMs = Math.ceil(nowMs / 1000 + 2) * 1000;
    await insertSchedules(pool, { prefix: 'live-', count: 1, everyMs: 1000, firstMs: liveMs });
    await pool.query('vacuum analyze schedules, schedule_states');
    const node = await startNode(database);
    try {
      const startedMs = await databaseNow(pool);
      const rssMbBefore = await rssMb(node.pid);
      let rssMbMost = rssMbBefore;
      let endMs = startedMs;
      for (;;) {
        const { rows } = await pool.query(
          `select exists (select from schedule_states where due_at < to_timestamp($1::float8 / 1000)) as busy,
            extract(epoch from clock_timestamp())::float8 * 1000 as ms`,
          [startedMs - everyMs],
        );
        rssMbMost = Math.max(rssMbMost, await rssMb(node.pid));
        endMs = rows[0].ms;
        if (!rows[0].busy) break;
        if (endMs - startedMs > 300_000) throw new Error('nothing caught up within five minutes');
        await pause(100);
      }
      const { rows: live } = await pool.query(
        `select count(*)::int as n, coalesce(max(extract(epoch from coalesce(started_at, created_at) - scheduled_for)), 0)::float8 * 1000 as most
          from runs where schedule_name = 'live-1' and cause = 'schedule'`,
      );
      const { rows: told } = await pool.query(
        `select count(*)::int as n, sum(coalesce(missed_count, 1))::int as times from runs where schedule_name <> 'live-1'`,
      );
      // Each of them has a run or a record; one or two more have come due since.
      const least = 3 * third * missedEach;
      if (told[0].times < least || told[0].times > least + 3 * third * 3) {
        throw new Error(`expected ${least} times or a few more, found ${told[0].times}`);
      }
      return {
        schedules: 3 * third,
        missedEach,
        seconds: (endMs - startedMs) / 1000,
        rows: told[0].n,
        nodeCpuSeconds: (await cpuMs(node.pid)) / 1000,
        rssMbBefore,
        rssMbMost,
        liveLatenessMsMost: live[0].most,
        liveFires: live[0].n,
      };
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
  }
}

export const catchUpBench: Bench = {
  name: 'catch-up',
  about:
    '10,000 schedules that each missed 1,000 fires while nothing ran, a third of them with each policy, beside a live one of every second: from the start of the node until none is behind.',
  figures: {
    seconds: { title: 'behind for', unit: 's' },
    liveLatenessSeconds: { title: 'the live one, most behind', unit: 's' },
    rssMb: { title: 'RSS, at its most', unit: 'MB' },
  },
  goals: [
    { figure: 'seconds', most: 60 },
    { figure: 'liveLatenessSeconds', most: 2 },
    { figure: 'rssMb', most: 400 },
  ],
  secondsAbout: 180,
  isExtra: true,
  async open({ isQuick }) {
    const round = async () => {
      const result = await catchUp({ schedules: isQuick ? 500 : 10_000, missedEach: isQuick ? 100 : 1000 });
      return {
        seconds: result.seconds,
        liveLatenessSeconds: result.liveLatenessMsMost / 1000,
        rssMb: result.rssMbMost,
      };
    };
    return sessionOf({ name: us, round });
  },
};

if (import.meta.main) {
  const [schedules = '10000', missedEach = '1000'] = process.argv.slice(2);
  console.log(await catchUp({ schedules: Number(schedules), missedEach: Number(missedEach) }));
}
