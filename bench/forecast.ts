/** A forecast over many schedules, and what the rest of the service feels of it. */
import { type Bench, sessionOf, us } from './measurement.ts';
import { databaseNow, insertSchedules, pause, startDatabase, startNode } from './support/bench-service.ts';

export type ForecastResult = {
  schedules: number;
  /** Of the whole request, and of the slowest health check beside it, milliseconds. */
  forecastMs: number;
  slowestAnswerMs: number;
  fires: number;
  estimatedFires: number;
  schedulesLeftOut: number;
};

/** As people write them; an `H` makes each schedule one of its own. */
const kinds = [
  { cron: 'H H * * *', share: 0.3 },
  { cron: 'H/15 * * * *', share: 0.1 },
  { cron: 'H H(0-5) * * 1-5', share: 0.1 },
  { cron: '0 2 * * *', share: 0.2 },
  { cron: '*/5 9-17 * * 1-5', share: 0.1 },
  { everyMs: 900_000, share: 0.2 },
];

export async function forecast(options: { schedules: number }): Promise<ForecastResult> {
  const database = await startDatabase();
  try {
    const { pool } = database;
    const firstMs = (await databaseNow(pool)) + 7 * 86_400_000;
    for (const [index, { share, ...kind }] of kinds.entries()) {
      const count = Math.round(options.schedules * share);
      await insertSchedules(pool, {
        prefix: `kind-${index}-`,
        count,
        firstMs,
        spreadMs: 86_400_000,
        ...kind,
      });
    }
    await pool.query('vacuum analyze');
    const node = await startNode(database, { CARILLON_ROLES: 'api' });
    try {
      await pause(3000);
      const asked = performance.now();
      let isDone = false;
      const answer = fetch(`${node.address}/forecast`).then(async (response) => {
        const body = (await response.json()) as Omit<ForecastResult, 'forecastMs' | 'slowestAnswerMs'>;
        isDone = true;
        return { body, forecastMs: performance.now() - asked };
      });
      let slowestAnswerMs = 0;
      while (!isDone) {
        const before = performance.now();
        await (await fetch(`${node.address}/healthz`)).arrayBuffer();
        slowestAnswerMs = Math.max(slowestAnswerMs, performance.now() - before);
        await pause(5);
      }
      const { body, forecastMs } = await answer;
      const { fires, estimatedFires, schedulesLeftOut } = body;
      return { ...options, forecastMs, slowestAnswerMs, fires, estimatedFires, schedulesLeftOut };
    } finally {
      await node.stop();
    }
  } finally {
    await database.stop();
  }
}

export const forecastBench: Bench = {
  name: 'forecast',
  about: 'GET /forecast of a day of 100,000 schedules, and the slowest answer of /healthz beside it.',
  figures: {
    seconds: { title: 'forecast', unit: 's' },
    slowestAnswerMs: { title: 'slowest answer beside it', unit: 'ms' },
  },
  goals: [
    { figure: 'seconds', most: 5 },
    { figure: 'slowestAnswerMs', most: 100 },
  ],
  secondsAbout: 100,
  isExtra: true,
  async open({ isQuick }) {
    const round = async () => {
      const result = await forecast({ schedules: isQuick ? 2000 : 100_000 });
      return { seconds: result.forecastMs / 1000, slowestAnswerMs: result.slowestAnswerMs };
    };
    return sessionOf({ name: us, round });
  },
};

if (import.meta.main) {
  const [schedules = '100000'] = process.argv.slice(2);
  console.log(await forecast({ schedules: Number(schedules) }));
}
