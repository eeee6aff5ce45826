/** All benches, in the order in which they are run. One more is one more line here. */
import { createBench, readBench } from './api.ts';
import { databaseBackupBench, directoryBackupBench } from './backup.ts';
import { catchUpBench } from './catch-up.ts';
import { forecastBench } from './forecast.ts';
import { dispatchBench, herdBench } from './herd.ts';
import { idleBench } from './idle.ts';
import { latenessBenches } from './lateness.ts';
import type { Bench } from './measurement.ts';
import { queueBench } from './queue.ts';
import { startUpBench } from './start-up.ts';
import { stepsBench } from './steps.ts';
import { syncBench } from './sync.ts';

export const benches: readonly Bench[] = [
  herdBench,
  ...latenessBenches,
  createBench,
  readBench,
  stepsBench,
  directoryBackupBench,
  databaseBackupBench,
  syncBench,
  startUpBench,
  idleBench,
  dispatchBench,
  queueBench,
  catchUpBench,
  forecastBench,
];
