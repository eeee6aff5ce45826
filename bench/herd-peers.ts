/** The herd by others: as many no-op jobs, due at one instant, until all are recorded as done. */
import { Redis } from 'ioredis';
import type pg from 'pg';
import type { Contender, Figures } from './measurement.ts';
import { type BenchDatabase, databaseNow, pause, startDatabase } from './support/bench-service.ts';
import { startPeer } from './support/peer-program.ts';

const defaultRedis = 'redis://127.0.0.1:6379';
const pollMs = 20;
const patienceMs = 120_000;

export async function herdPeers(jobs: number): Promise<Contender[]> {
  return [
    {
      name: 'graphile-worker',
      note: 'No schedules and no history: a done job is a deleted row. As its page on performance sets it up, with a poll every 50 ms.',
      round: () => graphileHerd(jobs),
    },
    {
      name: 'pg-boss work',
      note: 'Jobs with a start time, in a queue; 4 workers with batches of 500 that poll every half second, so that a herd waits up to that long.',
      round: () => pgBossHerd(jobs, 'work'),
    },
    {
      name: 'pg-boss fetch',
      note: 'The same jobs; 4 loops of fetch and complete, 500 at a time.',
      round: () => pgBossHerd(jobs, 'fetch'),
    },
    await bullmqOnRedis(jobs),
    {
      name: 'BullMQ on Postgres',
      note: 'A job scheduler for each schedule, on its Postgres backend; a quarter of the herd, since its schedulers take long to make.',
      round: () => bullmqHerd(jobs / 4),
    },
  ];
}

async function graphileHerd(jobs: number): Promise<Figures> {
  return await withDatabase(async (database) => {
    const peer = await startPeer<{ dueMs: number }>('graphile-peer.ts', {
      url: database.url,
      jobs,
      leadMs: 1500 + jobs / 10,
    });
    try {
      return await timed(jobs, {
        dueMs: peer.told.dueMs,
        nowMs: () => databaseNow(database.pool),
        isDone: () => isNone(database.pool, 'graphile_worker._private_jobs'),
      });
    } finally {
      await peer.stop();
    }
  });
}

async function pgBossHerd(jobs: number, way: 'work' | 'fetch'): Promise<Figures> {
  return await withDatabase(async (database) => {
    const args = { url: database.url, jobs, leadMs: 1500 + jobs / 8, way };
    const peer = await startPeer<{ dueMs: number }>('pg-boss-peer.ts', args);
    try {
      const figures = await timed(jobs, {
        dueMs: peer.told.dueMs,
        nowMs: () => databaseNow(database.pool),
        isDone: () => isNone(database.pool, `pgboss.job where name = 'herd' and state < 'completed'`),
      });
      const { rows } = await database.pool.query(
        `select count(*)::int as n from pgboss.job where name = 'herd' and state = 'completed'`,
      );
      if (rows[0].n !== jobs) throw new Error(`pg-boss has ${rows[0].n} completed jobs of ${jobs}`);
      return figures;
    } finally {
      await peer.stop();
    }
  });
}

async function bullmqHerd(schedules: number): Promise<Figures> {
  return await withDatabase(async (database) => {
    const args = { store: 'postgres', url: database.url, schedules };
    const peer = await startPeer<{ dueMs: number }>('bullmq-peer.ts', args);
    try {
      return await timed(schedules, {
        dueMs: peer.told.dueMs,
        nowMs: () => databaseNow(database.pool),
        async isDone() {
          const { rows } = await database.pool.query(
            `select count(*)::int as n from bullmq.job where state = 'completed'`,
          );
          return rows[0].n >= schedules;
        },
      });
    } finally {
      await peer.stop();
    }
  });
}

/** Measured only where a Redis answers; nothing else is taken for one. */
async function bullmqOnRedis(schedules: number): Promise<Contender> {
  const name = 'BullMQ';
  const given = process.env.CARILLON_BENCH_REDIS;
  const url = new URL(given ?? defaultRedis);
  // What other people keep in the first one is left alone.
  if (url.pathname.length <= 1) url.pathname = '/15';
  const found = await redisVersion(url.href);
  if ('why' in found) {
    const where = given === undefined ? 'at 127.0.0.1:6379' : 'at CARILLON_BENCH_REDIS';
    return { name, absent: `no Redis answered ${where} (${found.why})` };
  }
  return {
    name,
    note: `A job scheduler for each schedule, on Redis ${found.version} with its persistence as found (${found.persistence}).`,
    round: async () => {
      const redis = new Redis(url.href);
      try {
        await redis.flushdb();
        const args = { store: 'redis', url: url.href, schedules };
        const peer = await startPeer<{ dueMs: number }>('bullmq-peer.ts', args);
        try {
          return await timed(schedules, {
            dueMs: peer.told.dueMs,
            nowMs: async () => Date.now(),
            isDone: async () => (await redis.zcard('bull:herd:completed')) >= schedules,
          });
        } finally {
          await peer.stop();
        }
      } finally {
        await redis.flushdb();
        redis.disconnect();
      }
    },
  };
}

/** Somebody's data is no place for a benchmark: the database must be empty. */
async function redisVersion(
  url: string,
): Promise<{ version: string; persistence: string } | { why: string }> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 1000 });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    if ((await redis.dbsize()) > 0)
      throw new Error(`its database ${new URL(url).pathname.slice(1)} is not empty`);
    const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown';
    const isLogged = /aof_enabled:1/.test(await redis.info('persistence'));
    return { version, persistence: isLogged ? 'append-only file' : 'no append-only file' };
  } catch (error) {
    return { why: (error as Error).message };
  } finally {
    redis.disconnect();
  }
}

async function withDatabase(work: (database: BenchDatabase) => Promise<Figures>): Promise<Figures> {
  const database = await startDatabase({ isEmpty: true });
  try {
    return await work(database);
  } finally {
    await database.stop();
  }
}

async function isNone(pool: pg.Pool, what: string): Promise<boolean> {
  const { rows } = await pool.query(`select exists (select from ${what}) as some`);
  return !rows[0].some;
}

async function timed(
  jobs: number,
  herd: { dueMs: number; nowMs(): Promise<number>; isDone(): Promise<boolean> },
): Promise<Figures> {
  const { dueMs } = herd;
  const leadMs = dueMs - (await herd.nowMs());
  if (leadMs < 200) throw new Error('the machine is too slow for this lead; nothing was measured');
  await pause(leadMs);
  for (;;) {
    const isDone = await herd.isDone();
    const nowMs = await herd.nowMs();
    if (isDone) return { perSecond: jobs / ((nowMs - dueMs) / 1000) };
    if (nowMs > dueMs + patienceMs) throw new Error('the herd was not done after two minutes');
    await pause(pollMs);
  }
}
