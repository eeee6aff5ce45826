/**
 * A node of the service as shipped, in a process of its own, with three more job types: `noop`, which does nothing,
 * `steps`, which does nothing in so many steps, and `noop-queue`, a `queue` whose tasks call nobody.
 * Started by `bench-service.ts`; tells its address and pid on the first line of its output.
 */
import pino from 'pino';
import { z } from 'zod';
import { createClock } from '../../src/clock.ts';
import { compileCacheIn } from '../../src/compile-cache.ts';
import { startService } from '../../src/compose.ts';
import { loadConfig } from '../../src/config.ts';
import { openDatabase, readDatabaseClock } from '../../src/db/client.ts';
import { defineJob } from '../../src/jobs/job.ts';
import { createQueueJob } from '../../src/jobs/queue/queue-job.ts';
import { redactUrls } from '../../src/secrets/redaction.ts';
import { releaseStartMemory } from '../../src/start-memory.ts';

const manner = {
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
};
const noop = defineJob({
  type: 'noop',
  description: 'Does nothing, for measuring what everything else costs.',
  input: z.strictObject({}),
  ...manner,
  example: {},
  run: async () => ({}),
});
const steps = defineJob({
  type: 'steps',
  description: 'Does nothing, in so many steps.',
  input: z.strictObject({ steps: z.int().min(0) }),
  ...manner,
  example: { steps: 3 },
  async run(context, input) {
    for (let step = 0; step < input.steps; step += 1) await context.step(`step-${step}`, async () => null);
    return {};
  },
});

const config = loadConfig(process.env);
const compiled = await compileCacheIn(config.dataDir);
if (compiled !== null) process.env.NODE_COMPILE_CACHE = compiled;
const logger = pino({ level: config.logLevel, base: undefined }, pino.destination(2));
const clock = createClock();
const { db, pool } = openDatabase({
  url: config.databaseUrl!,
  connectionsMax: 4,
  name: 'bench',
  onFault: (error) => logger.warn(error),
});
await clock.sync(() => readDatabaseClock(pool));
const noopQueue = {
  ...createQueueJob({
    db,
    clock,
    secrets: { resolve: async (input) => ({ input, redact: redactUrls, values: new Map() }) },
    call: async () => ({ statusCode: 200, durationMs: 0, body: '' }),
  }),
  type: 'noop-queue',
};
const service = await startService({
  config,
  databaseUrl: config.databaseUrl!,
  logger,
  version: 'bench',
  moreJobs: [noop, steps, noopQueue],
});
releaseStartMemory();
process.stdout.write(`${JSON.stringify({ address: service.address, pid: process.pid })}\n`);
process.on('SIGTERM', () => void service.stop().then(() => process.exit(0)));
