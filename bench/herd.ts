/** The midnight herd: many schedules due at one instant. */
import type pg from 'pg';
import { herdPeers } from './herd-peers.ts';
import { type Bench, type Figures, sessionOf, us } from './measurement.ts';
import {
  cpuMs,
  databaseNow,
  insertSchedules,
  pause,
  postgresCpuMs,
  startDatabase,
  startNode,
} from './support/bench-service.ts';

export type HerdResult = {
  schedules: number;
  others: number;
  workers: boolean;
  seconds: number;
  perSecond: number;
  /** CPU time of the node, and of all of Postgres, until it was done. */
  nodeCpuSeconds: number;
  postgresCpuSeconds: number;
};

/**
 * Times from the due instant until every fire is committed (workers off) or every run is recorded as ended (workers
 * on). The node runs with the settings as shipped.
 */
export async function herd(options: {
  schedules: number;
  others: number;
  workers: boolean;
}): Promise<HerdResult> {
  const database = await startDatabase();
  try {
    const { pool } = database;
    if (options.others > 0) {
      for (let done = 0; done < options.others; done += 100_000) {
        const firstMs = (await databaseNow(pool)) + 7 * 86_400_000;
        const count = Math.min(100_000, options.others - done);
        await insertSchedules(pool, { prefix: `other-${done}-`, count, firstMs, spreadMs: 86_400_000 });
      }
      // As autovacuum would: what is empty is none of its business.
      await pool.query('vacuum analyze schedules, schedule_states');
      await pool.query('checkpoint');
    }
    const node = await startNode(database, {
      CARILLON_ROLES: options.workers ? 'api,dispatcher,worker' : 'api,dispatcher',
    });
    try {
      const dueMs = Math.ceil((await databaseNow(pool)) / 1000 + 5 + options.schedules / 10_000) * 1000;
      const at = new Date(dueMs + 8 * 3_600_000);
      const cron = `${at.getUTCSeconds()} ${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
      await insertSchedules(pool, { prefix: 'herd-', count: options.schedules, cron, firstMs: dueMs });
      await pool.query('analyze schedules, schedule_states');
      const leadMs = dueMs - (await databaseNow(pool));
      if (leadMs < 500) throw new Error('the machine is too slow for this lead; nothing was measured');
      await pause(leadMs);
      const cpuBefore = await cpuMs(node.pid);
      const postgresBefore = await postgresCpuMs(pool);
      const endMs = await untilDone(pool, dueMs, options);
      const seconds = (endMs - dueMs) / 1000;
      await check(pool, options);
      const nodeCpuSeconds = ((await cpuMs(node.pid)) - cpuBefore) / 1000;
      const postgresAfter = await postgresCpuMs(pool);
      let postgresCpuSeconds = 0;
      for (const [name, ms] of postgresAfter) {
        const used = (ms - (postgresBefore.get(name) ?? 0)) / 1000;
        postgresCpuSeconds += used;
        if (process.env.BENCH_DETAIL) console.log(`  ${name}: ${used} s`);
      }
      return {
        ...options,
        seconds,
        perSecond: options.schedules / seconds,
        nodeCpuSeconds,
        postgresCpuSeconds,
      };
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
  }
}

async function untilDone(pool: pg.Pool, dueMs: number, options: { workers: boolean }): Promise<number> {
  const active = options.workers ? 'or exists (select from runs where finished_at is null)' : '';
  for (const deadlineMs = dueMs + 120_000; ; ) {
    const { rows } = await pool.query(
      `select exists (select from schedule_states where due_at <= to_timestamp($1::float8 / 1000)) ${active} as busy,
        extract(epoch from clock_timestamp())::float8 * 1000 as ms`,
      [dueMs],
    );
    if (!rows[0].busy) return rows[0].ms;
    if (rows[0].ms > deadlineMs) throw new Error('the herd was not done after two minutes');
    await pause(20);
  }
}

/** A fast answer counts only if it is the right one. */
async function check(pool: pg.Pool, options: { schedules: number; workers: boolean }): Promise<void> {
  const { rows } = await pool.query('select status, count(*)::int as n from runs group by status');
  const expected = options.workers ? 'succeeded' : 'queued';
  if (rows.length !== 1 || rows[0].status !== expected || rows[0].n !== options.schedules) {
    throw new Error(`expected ${options.schedules} ${expected} runs, found ${JSON.stringify(rows)}`);
  }
}

export const herdBench: Bench = {
  name: 'herd',
  about:
    '20,000 schedules due at one instant, each with a job that does nothing: from that instant until every run is on record as done, with its history. Each round on a fresh Postgres with the settings as shipped (fsync on), each contender in a process of its own.',
  figures: { perSecond: { title: 'executed and recorded', unit: 'runs/s' } },
  goals: [
    { figure: 'perSecond', least: 10_000 },
    { figure: 'perSecond', least: 2, against: 'BullMQ' },
    { figure: 'perSecond', least: 0.4, against: 'graphile-worker' },
  ],
  secondsAbout: 270,
  async open({ isQuick }) {
    const schedules = isQuick ? 2000 : 20_000;
    const ours = { name: us, round: () => figuresOf({ schedules, others: 0, workers: true }) };
    return sessionOf(ours, ...(await herdPeers(schedules)));
  },
};

export const dispatchBench: Bench = {
  name: 'dispatch',
  about:
    'The same herd without a worker: from the instant until every fire is committed as a run that waits.',
  figures: { perSecond: { title: 'dispatched', unit: 'fires/s' } },
  goals: [{ figure: 'perSecond', least: 15_000 }],
  secondsAbout: 80,
  isExtra: true,
  async open({ isQuick }) {
    const schedules = isQuick ? 2000 : 20_000;
    return sessionOf({ name: us, round: () => figuresOf({ schedules, others: 0, workers: false }) });
  },
};

async function figuresOf(options: Parameters<typeof herd>[0]): Promise<Figures> {
  const { perSecond } = await herd(options);
  return { perSecond };
}

if (import.meta.main) {
  const [schedules = '20000', others = '0', workers = 'on'] = process.argv.slice(2);
  console.log(
    await herd({ schedules: Number(schedules), others: Number(others), workers: workers === 'on' }),
  );
}
