/**
 * Real workers over a real database and a real graphile-worker, in this process: no HTTP and no loops beside theirs.
 * What the jobs do is up to the test.
 */
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { createClock } from '../../src/clock.ts';
import { type Db, openDatabase, openPool } from '../../src/db/client.ts';
import { findRunDetail } from '../../src/db/run-history-store.ts';
import { listLogLines } from '../../src/db/run-log-store.ts';
import type { BackupSettings } from '../../src/jobs/backup/backup-tools.ts';
import { houseJobs } from '../../src/jobs/house-jobs.ts';
import type { IsolatedJobSettings } from '../../src/jobs/isolated-jobs.ts';
import { defineJob, type JobContext, type JobType } from '../../src/jobs/job.ts';
import { createJobRegistry } from '../../src/jobs/registry.ts';
import { createWorker, type Worker } from '../../src/jobs/worker.ts';
import type { Run, RunDetail, RunLogLine } from '../../src/runs/run.ts';
import { createRunService, type RunService } from '../../src/runs/run-service.ts';
import { isActive } from '../../src/runs/run-state.ts';
import { createCalendarBook } from '../../src/schedules/calendar-book.ts';
import { DST_DEFAULT } from '../../src/schedules/cron-times.ts';
import type { JobSpec, ScheduleSpec } from '../../src/schedules/schedule.ts';
import { createScheduleService, type ScheduleService } from '../../src/schedules/schedule-service.ts';
import { secretKeySource } from '../../src/secrets/secret-key.ts';
import { createSecretService, type SecretService } from '../../src/secrets/secret-service.ts';
import { createTestDatabase } from './database.ts';
import type { JobParts } from './house.ts';
import { jobs as isolatedJobs, isolatedModule } from './isolated-jobs.ts';
import { createLogRecorder, type LogLine } from './log-recorder.ts';
import { openSession, type SqlSession } from './sql-session.ts';
import { testJobs, testRetry } from './test-jobs.ts';
import { at, ms } from './timings.ts';
import { waitFor } from './wait-for.ts';

export type Script = (context: JobContext, input: Record<string, unknown>) => unknown;

export type WorkerRig = {
  url: string;
  db: Db;
  sql: SqlSession;
  schedules: ScheduleService;
  runs: RunService;
  secrets: SecretService;
  /** What a run with the input `{does: name}` does; counts its calls. */
  script(name: string, run: Script): void;
  /** How often each script was called. */
  calls: Map<string, number>;
  /** A started worker with connections of its own, as another process has them; stopped when the test has finished. */
  worker(options?: RigWorkerOptions): Promise<RigWorker>;
  /** Runs a script now, as `POST …/trigger` does. */
  trigger(does: string, job?: Partial<JobSpec>, input?: Record<string, unknown>): Promise<Run>;
  detail(runId: string): Promise<RunDetail>;
  /** Waits until the run is in this state. */
  reaches(runId: string, status: Run['status'], timeoutMs?: number): Promise<RunDetail>;
  /** Waits until the run has ended, however. */
  ended(runId: string, timeoutMs?: number): Promise<RunDetail>;
  logOf(runId: string): Promise<RunLogLine[]>;
  /** What all workers of the rig logged. */
  lines: LogLine[];
};

export type RigWorkerOptions = {
  workers?: Record<string, number>;
};

export type RigWorker = {
  worker: Worker;
  /** This process wakes from a freeze of that length: the worker's monotonic clock jumps. */
  oversleep(ms: number): void;
};

export type RigOptions = {
  url?: string;
  /** The job types of the house too, with these settings for backups; isolated runs find those and no others. */
  backup?: Omit<BackupSettings, 'databaseUrl'>;
  /** Job types with connections of their own. */
  moreJobs?: (parts: JobParts) => readonly JobType[];
};

/** Everything is closed when the test has finished. `url`: another database than a fresh one on the shared server. */
export async function setupRig(options: RigOptions = {}): Promise<WorkerRig> {
  const own = options.url === undefined ? await createTestDatabase() : null;
  const url = options.url ?? own!.url;
  if (own !== null) onTestFinished(() => own.drop());
  const clock = createClock();
  const { logger, lines } = createLogRecorder();
  const open = (name: string) => {
    const database = openDatabase({ url, connectionsMax: 8, name, onFault: () => undefined });
    onTestFinished(() => database.close());
    return database;
  };
  const { db } = open('rig');
  const sql = await openSession(url);
  const scripts = new Map<string, Script>([['nothing', () => ({})]]);
  const calls = new Map<string, number>();
  const scripted = defineJob({
    type: 'scripted',
    description: 'Does what the test says.',
    input: z.looseObject({ does: z.string() }),
    output: z.unknown(),
    taskQueue: 'default',
    retry: testRetry,
    timeoutMs: 60_000,
    example: { does: 'nothing' },
    run: async (context, input) => {
      calls.set(input.does, (calls.get(input.does) ?? 0) + 1);
      return await scripts.get(input.does)!(context, input);
    },
  });
  const settings: IsolatedJobSettings | null =
    options.backup === undefined ? null : { version: '0', backup: { databaseUrl: url, ...options.backup } };
  const house = settings === null ? [] : houseJobs(settings);
  const jobModule =
    settings === null
      ? isolatedModule
      : { url: new URL('../../src/jobs/isolated-jobs.ts', import.meta.url).href, settings };
  const served = () => ['default'];
  const secrets = createSecretService({
    db,
    clock,
    key: secretKeySource('A'.repeat(43), '/nowhere'),
    usersOf: async () => [],
  });
  const more = options.moreJobs?.({ db, clock, secrets }) ?? [];
  const jobs = createJobRegistry([...testJobs, ...isolatedJobs(), ...house, ...more, scripted]);
  const schedules = createScheduleService({
    db,
    clock,
    jobs: jobs.catalog,
    book: createCalendarBook(),
    secrets,
    canMail: false,
    served,
    onChange: () => undefined,
  });
  const runs = createRunService({ db, clock, served });
  let specs = 0;

  const rig: WorkerRig = {
    url,
    db,
    sql,
    schedules,
    runs,
    secrets,
    calls,
    lines,
    script: (name, run) => void scripts.set(name, run),

    async worker({ workers = { default: 10 } } = {}) {
      const database = open('rig worker');
      let asleepMs = 0;
      const pgPool = openPool({ url, connectionsMax: 6, name: 'rig graphile', onFault: () => undefined });
      onTestFinished(() => pgPool.end());
      const worker = createWorker({
        db: database.db,
        pgPool,
        clock: { now: clock.now, monotonic: () => clock.monotonic() + asleepMs },
        logger,
        jobs,
        workers: new Map(Object.entries(workers)),
        served: () => Object.keys(workers),
        events: { started: () => undefined, ended: () => undefined },
        jobModule,
        secrets,
      });
      onTestFinished(() => worker.stop(0).catch(() => undefined));
      await worker.start();
      return {
        worker,
        oversleep: (ms) => {
          asleepMs += ms;
        },
      };
    },

    async trigger(does, job = {}, input = {}) {
      specs += 1;
      const spec: ScheduleSpec = {
        name: `rig-${specs}-${does}`,
        description: '',
        labels: {},
        timing: at(ms('2999-01-01T00:00:00Z')),
        timezone: 'UTC',
        dst: DST_DEFAULT,
        maxRuns: null,
        jitterMs: null,
        overlap: 'allow',
        catchUp: 'none',
        catchUpWindowMs: 0,
        pauseAfterFailures: null,
        deleteAfterMs: null,
        job: {
          type: 'scripted',
          input: { does, ...input },
          taskQueue: 'default',
          timeoutMs: 60_000,
          retry: testRetry,
          ...job,
        },
      };
      const { name } = (await schedules.create(spec)).spec;
      return await schedules.trigger(name, {});
    },

    async detail(runId) {
      const found = await findRunDetail(db, runId);
      if (found === null) throw new Error(`there is no run ${runId}`);
      return found;
    },

    reaches: (runId, status, timeoutMs = 15_000) =>
      waitFor(
        async () => {
          const run = await rig.detail(runId);
          if (run.status === status) return run;
          throw new Error(JSON.stringify(run));
        },
        { timeoutMs, what: `run ${runId} to be ${status}` },
      ),

    ended: (runId, timeoutMs = 15_000) =>
      waitFor(
        async () => {
          const run = await rig.detail(runId);
          if (!isActive(run.status)) return run;
          throw new Error(JSON.stringify(run));
        },
        { timeoutMs, what: `run ${runId} to end` },
      ),

    logOf: async (runId) => (await listLogLines(db, runId, { limit: 20_000, after: null })).items,
  };
  return rig;
}

/** A gate that jobs wait at until the test opens it, or for ever. */
export function createGate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  let waiting = 0;
  return {
    open: resolve,
    /** How many came to the gate. */
    get waiting() {
      return waiting;
    },
    /** Passes when the gate opens; ends early by the signal, unless the job is deaf to it. */
    pass(signal?: AbortSignal): Promise<void> {
      waiting += 1;
      if (signal === undefined) return promise;
      return Promise.race([
        promise,
        new Promise<never>((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
        ),
      ]);
    },
  };
}
