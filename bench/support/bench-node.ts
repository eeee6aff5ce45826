/**
 * A node of the service as shipped, in a process of its own, with one more job type: `noop`, which does nothing.
 * Started by `bench-service.ts`; tells its address and pid on the first line of its output.
 */
import pino from 'pino';
import { z } from 'zod';
import { startService } from '../../src/compose.ts';
import { loadConfig } from '../../src/config.ts';
import { defineJob } from '../../src/jobs/job.ts';

const noop = defineJob({
  type: 'noop',
  description: 'Does nothing, for measuring what everything else costs.',
  input: z.strictObject({}),
  output: z.strictObject({}),
  taskQueue: 'default',
  retry: {
    maxAttempts: 1,
    initialIntervalMs: 1000,
    maxIntervalMs: 1000,
    backoffCoefficient: 1,
    nonRetryableErrorTypes: [],
  },
  timeoutMs: 60_000,
  example: {},
  run: async () => ({}),
});

const config = loadConfig(process.env);
const logger = pino({ level: config.logLevel, base: undefined }, pino.destination(2));
const service = await startService({
  config,
  databaseUrl: config.databaseUrl!,
  logger,
  version: 'bench',
  moreJobs: [noop],
});
process.stdout.write(`${JSON.stringify({ address: service.address, pid: process.pid })}\n`);
process.on('SIGTERM', () => void service.stop().then(() => process.exit(0)));
