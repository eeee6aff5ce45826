// biome-ignore-all lint/suspicious/noTemplateCurlyInString: They are references to secrets.
/** Syncs between real places: as runs of a worker, or an attempt at a time in this process. */
import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { expect, onTestFinished } from 'vitest';
import { createClock } from '../../src/clock.ts';
import { startRuns } from '../../src/db/run-store.ts';
import { LiveAttempt } from '../../src/jobs/live-attempt.ts';
import type { AttemptEnd } from '../../src/jobs/run-job.ts';
import { runJob } from '../../src/jobs/run-job.ts';
import { AttemptJournal } from '../../src/jobs/step-journal.ts';
import { createSyncJob } from '../../src/jobs/sync/sync-job.ts';
import { createTestDatabase } from './database.ts';
import { createLogRecorder } from './log-recorder.ts';
import { openSession, type SqlSession } from './sql-session.ts';
import { at, ms } from './timings.ts';
import { setupRig, type WorkerRig } from './worker-rig.ts';

export type Place = { url: string; sql: SqlSession };
export type SyncOutput = {
  success: true;
  syncedRecords: number;
  changedRecords: number | null;
  deletedRecords: number;
  badRecords: number;
  errors: { record: string; message: string }[];
  pages: number;
  watermark: string | null;
};

export const once = {
  maxAttempts: 1,
  initialIntervalMs: 1,
  maxIntervalMs: 1,
  backoffCoefficient: 1,
  nonRetryableErrorTypes: ['InvalidConfiguration'],
};

/** A database of its own, with what the SQL makes in it; its sessions' time zone is not UTC. */
export async function openPlace(sql = ''): Promise<Place> {
  const { url, drop } = await createTestDatabase();
  onTestFinished(() => drop());
  const session = await openSession(url);
  if (sql !== '') await session.rows(sql);
  return { url, sql: session };
}

export type SyncRig = {
  rig: WorkerRig;
  /** A schedule of syncs that never fires by itself; its id. */
  schedule(input: object, retry?: typeof once): Promise<string>;
  /** One attempt of a new run, or of a run that was begun before, in this process. */
  attempt(scheduleId: string, options?: AttemptOptions): Promise<{ end: AttemptEnd; runId: string }>;
  /** As `attempt`, which must succeed; its output. */
  sync(scheduleId: string, options?: AttemptOptions): Promise<SyncOutput>;
  /** As `attempt`, which must fail; its error. */
  fails(scheduleId: string): Promise<{ type: string; message: string }>;
  watermark(scheduleId: string): Promise<string | null>;
  logs: string[];
};

type AttemptOptions = { live?: LiveAttempt; runId?: string };

export async function setupSync(s3: object = {}): Promise<SyncRig> {
  const rig = await setupRig({ backup: { pgBin: null, path: null, s3 } });
  const { password } = new URL(rig.url);
  await rig.secrets.put('db', { value: decodeURIComponent(password), description: '' });
  const job = createSyncJob({ version: '0', databaseUrl: rig.url, s3 });
  const clock = createClock();
  const logs: string[] = [];
  const sync: SyncRig = {
    rig,
    logs,

    async schedule(input, retry = once) {
      const hidden = JSON.parse(JSON.stringify(input).replaceAll(`:${password}@`, ':${secret:db}@'));
      const { spec } = await rig.schedules.get((await rig.trigger('nothing')).scheduleId);
      const { id } = await rig.schedules.create({
        ...spec,
        name: `sync-${randomBytes(5).toString('hex')}`,
        timing: at(ms('2999-01-01T00:00:00Z')),
        job: { ...spec.job, type: 'sync', input: hidden, taskQueue: 'default', timeoutMs: 60_000, retry },
      });
      return id;
    },

    async attempt(scheduleId, { live = newAttempt(), runId: begun } = {}) {
      const runId = begun ?? (await rig.schedules.trigger(scheduleId, {})).id;
      if (begun !== undefined) {
        // As the rescuer does with the run of a lost worker.
        await rig.sql.rows(
          `update runs set status = 'queued', attempt = attempt + 1, worker_id = null where id = $1`,
          [runId],
        );
      }
      const { attempt } = await rig.sql.row<{ attempt: number }>('select attempt from runs where id = $1', [
        runId,
      ]);
      const [run] = await startRuns(rig.db, randomUUID(), [{ runId, attempt }], clock.now());
      const { input, redact } = await rig.secrets.resolve(run!.input);
      const { logger } = createLogRecorder();
      const parts = { db: rig.db, clock, logger, held: () => true };
      const journal = new AttemptJournal(parts, run!, live);
      const log = (_level: string, message: string) => void logs.push(message);
      const end = await runJob({ ...run!, input }, job, live, { clock, journal, redact, log });
      return { end, runId };
    },

    async sync(scheduleId, options) {
      const { end } = await sync.attempt(scheduleId, options);
      expect(end, JSON.stringify(end)).toMatchObject({ kind: 'ended', status: 'succeeded' });
      return (end as { output: SyncOutput }).output;
    },

    async fails(scheduleId) {
      const { end } = await sync.attempt(scheduleId);
      expect(end, JSON.stringify(end)).toHaveProperty('error');
      return (end as { error: { type: string; message: string } }).error;
    },

    async watermark(scheduleId) {
      const rows = await rig.sql.rows<{ watermark: string | null }>(
        'select watermark from sync_watermarks where schedule_id = $1',
        [scheduleId],
      );
      return rows[0]?.watermark ?? null;
    },
  };
  return sync;
}

export function newAttempt(): LiveAttempt {
  return new LiveAttempt();
}

/** The rows as Postgres writes them, in order. */
export async function rowsOf(place: Place, query: string): Promise<string[][]> {
  const client = new pg.Client({
    connectionString: place.url,
    types: { getTypeParser: () => (text: string) => text },
  } as unknown as pg.ClientConfig);
  await client.connect();
  try {
    await client.query(`set timezone = 'UTC'`);
    return (await client.query({ text: query, rowMode: 'array' })).rows as string[][];
  } finally {
    await client.end();
  }
}
