/** `npm run bench`: every measurement with the settings as shipped, as a table beside its goal. About 8 minutes. */
import { cpus, totalmem } from 'node:os';
import { catchUp } from './catch-up.ts';
import { forecast } from './forecast.ts';
import { herd } from './herd.ts';
import { idle } from './idle.ts';
import { lateness } from './lateness.ts';
import { queue } from './queue.ts';

const rounds = 3;

type Row = { measure: string; figure: string; goal: string; reached: boolean };

const rows: Row[] = [];

function tell(measure: string, value: number, unit: string, goal: { least?: number; most?: number }): void {
  const reached =
    value >= (goal.least ?? Number.NEGATIVE_INFINITY) && value <= (goal.most ?? Number.POSITIVE_INFINITY);
  const bound = goal.least === undefined ? `≤ ${goal.most}` : `≥ ${goal.least}`;
  const digits = value >= 1000 ? 0 : 2;
  rows.push({ measure, figure: `${value.toFixed(digits)} ${unit}`, goal: `${bound} ${unit}`, reached });
  console.log(`${measure}: ${value.toFixed(digits)} ${unit} (goal ${bound})`);
}

/** Disks and neighbours have moods: the median of a few rounds, each on a fresh database. */
async function median<T>(measure: () => Promise<T>, by: (result: T) => number): Promise<T> {
  const results: T[] = [];
  for (let round = 0; round < rounds; round += 1) results.push(await measure());
  results.sort((a, b) => by(a) - by(b));
  return results[Math.floor(rounds / 2)]!;
}

console.log(
  `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB\n`,
);

const dispatched = await median(
  () => herd({ schedules: 20_000, others: 0, workers: false }),
  (r) => r.seconds,
);
tell('herd of 20,000: dispatched, workers off', dispatched.perSecond, 'fires/s', { least: 15_000 });

const executed = await median(
  () => herd({ schedules: 20_000, others: 0, workers: true }),
  (r) => r.seconds,
);
tell('herd of 20,000: executed and recorded', executed.perSecond, 'runs/s', { least: 8000 });

const crowded = await median(
  () => herd({ schedules: 20_000, others: 1_000_000, workers: true }),
  (r) => r.seconds,
);
tell('the same beside 1,000,000 others: time', crowded.seconds / executed.seconds, '×', { most: 1.3 });

const drained = await median(
  () => queue({ tasks: 50_000, batchSize: 10, http: false }),
  (r) => -r.drainedPerSecond,
);
tell('queue of 50,000: tasks that do nothing', drained.drainedPerSecond, 'tasks/s', { least: 5000 });

const late = await lateness({ perSecond: 100, seconds: 20 });
tell('lateness at 100 fires/s: p50', late.p50Ms, 'ms', { most: 15 });
tell('lateness at 100 fires/s: p99', late.p99Ms, 'ms', { most: 100 });

const idling = await idle({ schedules: 100_000, seconds: 30 });
tell('idle with 100,000 schedules: CPU', idling.cpuPercentOfCore, '% of a core', { most: 2 });
tell('idle with 100,000 schedules: RSS', idling.rssMb, 'MB', { most: 200 });

const caught = await catchUp({ schedules: 10_000, missedEach: 1000 });
tell('10,000 schedules that each missed 1,000 fires: behind for', caught.seconds, 's', { most: 60 });
tell('a live schedule beside them: most behind', caught.liveLatenessMsMost / 1000, 's', { most: 2 });
tell('RSS beside them', caught.rssMbMost, 'MB', { most: 400 });

const foreseen = await forecast({ schedules: 100_000 });
tell('forecast of a day of 100,000 schedules', foreseen.forecastMs / 1000, 's', { most: 5 });
tell('slowest answer of the API beside it', foreseen.slowestAnswerMs, 'ms', { most: 100 });

console.log();
console.table(rows);
