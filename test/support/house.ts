/**
 * The core of Carillon over a real database, with nothing that runs by itself: no loops, no graphile worker, no HTTP.
 * A test moves the clock, calls the pass, and plays the workers.
 */
import { sql } from 'drizzle-orm';
import type pg from 'pg';
import type { Clock } from '../../src/clock.ts';
import { type Database, type Db, openDatabase } from '../../src/db/client.ts';
import { endRuns } from '../../src/db/run-end-store.ts';
import { listRuns } from '../../src/db/run-history-store.ts';
import { type ClaimedRun, readSignals, retryRuns, startRuns } from '../../src/db/run-store.ts';
import { nameSecretUsers } from '../../src/db/secret-store.ts';
import { insertWorker } from '../../src/db/worker-store.ts';
import { type DispatchCounts, dispatchPass } from '../../src/dispatcher/dispatcher.ts';
import { createPulse, type Pulse } from '../../src/dispatcher/pulse.ts';
import type { JobType } from '../../src/jobs/job.ts';
import { createJobRegistry, type JobRegistry } from '../../src/jobs/registry.ts';
import { decideRetry } from '../../src/runs/retry-policy.ts';
import type { Run, RunError } from '../../src/runs/run.ts';
import { newId } from '../../src/runs/run-id.ts';
import type { OutcomeStatus } from '../../src/runs/run-state.ts';
import { type CalendarBook, createCalendarBook } from '../../src/schedules/calendar-book.ts';
import { DST_DEFAULT } from '../../src/schedules/cron-times.ts';
import type { JobSpec, ScheduleSpec, ScheduleView } from '../../src/schedules/schedule.ts';
import { secretKeySource } from '../../src/secrets/secret-key.ts';
import { createSecretService, type SecretService } from '../../src/secrets/secret-service.ts';
import { createServices, type Services } from '../../src/services.ts';
import { createTestDatabase } from './database.ts';
import { createHandClock, type HandClock } from './hand-clock.ts';
import { endOf } from './run-ends.ts';
import { testJobs, testRetry } from './test-jobs.ts';
import { DAY, every, MINUTE, ms } from './timings.ts';

/** Where every test begins, unless it says otherwise: a Sunday, midnight UTC. */
export const houseStartMs = ms('2026-03-01T00:00:00Z');

/** 32 bytes. */
export const testSecretKey = 'A'.repeat(43);

export type PartialSpec = Partial<Omit<ScheduleSpec, 'job'>> & { job?: Partial<JobSpec> };

export type Doorbell = {
  id: string;
  taskQueue: string;
  runId: string;
  attempt: number;
  priority: number;
  lockedBy: string | null;
};

/** What a test may look at of a schedule's hot row. */
export type StateRow = {
  nextRunAtMs: number | null;
  dueAtMs: number | null;
  activeRuns: number;
  heldRuns: number;
  fired: number;
  succeeded: number;
  failed: number;
  skipped: number;
  missed: number;
  failuresInARow: number;
  lastRunId: string | null;
  lastStatus: string | null;
  fault: string | null;
};

/** A worker process, played by hand: claims and outcomes go through the stores as the real one's do. */
export type TestWorker = {
  readonly id: string;
  /** Answers the waiting doorbells in graphile's order, at most `limit`; the runs that it now owns. */
  take(limit?: number): Promise<ClaimedRun[]>;
  /** Claims one run as answering its doorbell would, whether it rang or not. */
  claim(run: { id: string; attempt: number }): Promise<ClaimedRun | null>;
  /** False when the run was not this attempt's any more. */
  end(
    run: ClaimedRun,
    status: OutcomeStatus,
    details?: { output?: unknown; error?: RunError; reason?: string },
  ): Promise<boolean>;
  succeed(run: ClaimedRun, output?: unknown): Promise<boolean>;
  /** Retries or ends the run as its policy says, the way `jobs/worker.ts` does. */
  fail(
    run: ClaimedRun,
    failure?: { type?: string; retryable?: boolean; retryAfterMs?: number; timedOut?: boolean },
  ): Promise<'retrying' | OutcomeStatus | 'not_mine'>;
};

export type House = Readonly<Services> & {
  readonly db: Db;
  readonly pool: pg.Pool;
  readonly url: string;
  readonly clock: HandClock;
  readonly jobs: JobRegistry;
  /** All of them, as the API has them; each is a field of the house, too. */
  readonly services: Services;
  readonly book: CalendarBook;
  readonly pulse: Pulse;
  /** The task queues that workers serve by name; a test may change it. */
  served: string[];
  /** How often the schedule service said that the next fire may be nearer. */
  changes: number;
  /** One dispatch pass. */
  dispatch(): Promise<DispatchCounts>;
  /** Passes until nothing is due; the sums of what they did. */
  dispatchAll(): Promise<DispatchCounts>;
  /** Time passes while some dispatcher is alive, though none dispatches what comes due. */
  live(ms: number): Promise<void>;
  /** Time passes while no dispatcher runs. */
  down(ms: number): void;
  spec(partial?: PartialSpec): ScheduleSpec;
  create(partial?: PartialSpec): Promise<ScheduleView>;
  /** So many copies of a schedule, equal but for id and name, faster than creating them. */
  copy(scheduleId: string, copies: number): Promise<void>;
  worker(): Promise<TestWorker>;
  /** A schedule's runs (or all), oldest nominal time first. */
  runsOf(scheduleId?: string): Promise<Run[]>;
  /** Them as a timetable: nominal time, status, and the reason if there is one. */
  timetable(scheduleId?: string): Promise<string[]>;
  stateOf(scheduleId: string): Promise<StateRow>;
  doorbells(): Promise<Doorbell[]>;
  /** Resolves when `statements` of this database wait for a lock that another connection holds. */
  blocked(statements?: number): Promise<void>;
  /** Another pool on the same database, as another process has it; closed with the house. */
  another(name?: string): Database;
  /** Empties the database and sets the clock back, for the next test. */
  reset(): Promise<void>;
  close(): Promise<void>;
};

/** What job types of a house are made from that have connections of their own. */
export type JobParts = { db: Db; clock: Clock; secrets: SecretService };

export type HouseOptions = {
  startMs?: number;
  moreJobs?: readonly JobType[] | ((parts: JobParts) => readonly JobType[]);
  canMail?: boolean;
};

export async function setupHouse(options: HouseOptions = {}): Promise<House> {
  const { url, drop } = await createTestDatabase();
  const databases: Database[] = [];
  const another = (name = 'another') => {
    const database = openDatabase({
      url,
      connectionsMax: 6,
      name,
      plansOnce: true,
      onFault: () => undefined,
    });
    databases.push(database);
    return database;
  };
  const { db, pool } = another('house');
  const startMs = options.startMs ?? houseStartMs;
  const clock = createHandClock(startMs);
  let pulse = createPulse({ db, clock });
  let specs = 0;

  const book = createCalendarBook();
  const secrets = createSecretService({
    db,
    clock,
    key: secretKeySource(testSecretKey, '/nowhere'),
    usersOf: (name) => nameSecretUsers(db, name, 20),
  });
  const { moreJobs = [] } = options;
  const more = typeof moreJobs === 'function' ? moreJobs({ db, clock, secrets }) : moreJobs;
  const jobs = createJobRegistry([...testJobs, ...more]);
  const served = () => house.served;
  const services = createServices({
    db,
    clock,
    jobs: jobs.catalog,
    book,
    secrets,
    canMail: options.canMail ?? false,
    served,
    onChange: () => {
      house.changes += 1;
    },
  });
  const house: House = {
    ...services,
    services,
    db,
    pool,
    url,
    clock,
    jobs,
    book,
    get pulse() {
      return pulse;
    },
    served: ['default'],
    changes: 0,

    dispatch: () => dispatchPass({ db, clock, pulse, book, served }),

    async dispatchAll() {
      const total = await house.dispatch();
      for (let passes = 0; total.nextDueMs !== null && total.nextDueMs <= clock.now(); passes += 1) {
        if (passes > 1000) throw new Error('dispatching never comes to an end');
        const { nextDueMs, ...counts } = await house.dispatch();
        total.nextDueMs = nextDueMs;
        for (const [name, count] of Object.entries(counts)) total[name as keyof typeof counts] += count;
      }
      return total;
    },

    async live(ms) {
      // What was silent until now stays so.
      await pulse.beat();
      clock.advance(ms);
      await db.execute(sql`update dispatch_state set alive_until = ${new Date(clock.now()).toISOString()}`);
      await pulse.beat();
    },

    down: (ms) => clock.advance(ms),

    spec({ job, ...partial } = {}) {
      specs += 1;
      const trigger = partial.timing?.trigger;
      // A cron trigger's zone and clock-change rules are the schedule's.
      const { timezone, dst } = trigger?.kind === 'cron' ? trigger : { timezone: 'UTC', dst: DST_DEFAULT };
      return {
        name: `schedule-${specs}`,
        description: '',
        labels: {},
        timing: every(MINUTE),
        timezone,
        dst,
        maxRuns: null,
        jitterMs: null,
        overlap: 'skip',
        catchUp: 'latest',
        catchUpWindowMs: DAY,
        pauseAfterFailures: null,
        deleteAfterMs: null,
        ...partial,
        job: {
          type: 'noop',
          input: {},
          taskQueue: 'default',
          timeoutMs: 60_000,
          retry: testRetry,
          ...job,
        },
      };
    },

    create: (partial) => house.schedules.create(house.spec(partial)),

    async copy(scheduleId, copies) {
      await db.execute(sql`
        with made as (
          insert into schedules select copy.* from schedules s, generate_series(1, ${copies}::int) n,
            jsonb_populate_record(null::schedules, to_jsonb(s) || jsonb_build_object(
              'id', gen_random_uuid(), 'name', s.name || '-' || n)) copy
          where s.id = ${scheduleId} returning id
        )
        insert into schedule_states (schedule_id, next_run_at, due_at, notify_on, late_after_ms)
        select made.id, h.next_run_at, h.due_at, h.notify_on, h.late_after_ms from made, schedule_states h where h.schedule_id = ${scheduleId}`);
    },

    async worker() {
      const id = newId(clock.now());
      await insertWorker(db, {
        id,
        host: 'test',
        pid: 1,
        taskQueues: [...house.served],
        nowMs: clock.now(),
      });
      return createTestWorker(house, id);
    },

    async runsOf(scheduleId) {
      const filter = scheduleId === undefined ? {} : { scheduleId };
      return (await listRuns(db, filter, { limit: 1_000_000, after: null })).items.reverse();
    },

    async timetable(scheduleId) {
      return (await house.runsOf(scheduleId)).map(lineOf);
    },

    async stateOf(scheduleId) {
      const { rows } = await db.execute<StateRow>(sql`
        select (extract(epoch from next_run_at) * 1000)::float8 as "nextRunAtMs",
          (extract(epoch from due_at) * 1000)::float8 as "dueAtMs", active_runs as "activeRuns",
          held_runs as "heldRuns",
          fired::int as fired, succeeded::int as succeeded, failed::int as failed, skipped::int as skipped,
          missed::int as missed, failures_in_a_row as "failuresInARow", last_run_id as "lastRunId",
          last_status as "lastStatus", fault
        from schedule_states where schedule_id = ${scheduleId}`);
      return rows[0]!;
    },

    async doorbells() {
      const { rows } = await db.execute<Doorbell>(sql`
        select j.id::text as id, substr(t.identifier, 5) as "taskQueue", r->>'runId' as "runId",
          (r->>'attempt')::int as attempt, j.priority, j.locked_by as "lockedBy"
        from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id,
          json_array_elements(${rungFor}) r
        order by j.priority, j.id`);
      return rows;
    },

    async blocked(statements = 1) {
      for (let waiting = 0; waiting < statements; ) {
        const { rows } = await db.execute<{ n: number }>(sql`
          select count(*)::int as n from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`);
        waiting = rows[0]!.n;
      }
    },

    another,

    async reset() {
      await db.execute(sql`
        with a as (delete from runs), b as (delete from schedules), c as (delete from dispatch_state),
          d as (delete from outages), e as (delete from workers)
        delete from graphile_worker._private_jobs`);
      await db.execute(sql`delete from schedule_versions`);
      await db.execute(sql`delete from calendars`);
      await db.execute(sql`delete from secrets`);
      await db.execute(sql`delete from backups`);
      await db.execute(sql`delete from backfills`);
      await db.execute(sql`with a as (delete from queues) delete from queue_tasks`);
      await db.execute(sql`delete from notifications`);
      await db.execute(sql`delete from notify_events`);
      await db.execute(
        sql`update retention_state set next_schedule_id = null where next_schedule_id is not null`,
      );
      clock.set(startMs);
      pulse = createPulse({ db, clock });
      house.served = ['default'];
      house.changes = 0;
    },

    async close() {
      await Promise.all(databases.map((database) => database.close()));
      await drop();
    },
  };
  return house;
}

/** "2026-03-01T00:01:00.000Z queued", "… skipped: overlap", "… missed: not_latest ×7 until 2026-…" */
export function lineOf(
  run: Pick<Run, 'scheduledForMs' | 'status' | 'reason'> & { missed?: Run['missed'] },
): string {
  const range = run.missed ? ` ×${run.missed.count} until ${new Date(run.missed.untilMs).toISOString()}` : '';
  const reason = run.reason === null ? '' : `: ${run.reason}`;
  return `${new Date(run.scheduledForMs).toISOString()} ${run.status}${reason}${range}`;
}

/** The doorbells of a job `j`: many in a bundle, else its payload. */
const rungFor = sql.raw(`coalesce(j.payload->'runs', json_build_array(j.payload))`);

function createTestWorker(house: House, id: string): TestWorker {
  const { db, clock } = house;
  const worker: TestWorker = {
    id,

    async take(limit = 1_000_000) {
      const { rows } = await db.execute<{ runId: string; attempt: number }>(sql`
        with rung as (
          select id, priority from graphile_worker._private_jobs where locked_at is null
          order by priority, id limit ${limit} for update skip locked
        ),
        answered as (
          delete from graphile_worker._private_jobs j using rung where j.id = rung.id
          returning j.payload, j.priority, j.id
        )
        select r->>'runId' as "runId", (r->>'attempt')::int as attempt
        from answered j, json_array_elements(${rungFor}) r order by j.priority, j.id`);
      const claimed = new Map(
        (await startRuns(db, id, rows, clock.now())).map((run) => [`${run.id} ${run.attempt}`, run]),
      );
      return rows.flatMap(({ runId, attempt }) => claimed.get(`${runId} ${attempt}`) ?? []);
    },

    async claim(run) {
      await db.execute(sql`
        delete from graphile_worker._private_jobs
        where payload->>'runId' = ${run.id} and payload->>'attempt' = ${String(run.attempt)}`);
      const [claimed] = await startRuns(db, id, [{ runId: run.id, attempt: run.attempt }], clock.now());
      return claimed ?? null;
    },

    async end(run, status, { output = null, error = null, reason = null } = {}) {
      const ended = await endRuns(
        db,
        [endOf(run, clock.now(), { status, reason, output, error })],
        ['default'],
      );
      return ended.has(run.id);
    },

    succeed: (run, output = {}) => worker.end(run, 'succeeded', { output }),

    async fail(run, { type = 'Broken', retryable = true, retryAfterMs, timedOut = false } = {}) {
      const error = { type, message: 'as the test wanted' };
      const status = timedOut ? ('timed_out' as const) : ('failed' as const);
      const again = decideRetry(run.retry, run.failures + 1, { type, retryable, retryAfterMs });
      if (again === null) return (await worker.end(run, status, { error })) ? status : 'not_mine';
      const finishedAtMs = clock.now();
      const moved = await retryRuns(db, [
        {
          runId: run.id,
          attempt: run.attempt,
          status,
          error,
          finishedAtMs,
          nextAttemptAtMs: finishedAtMs + again.retryInMs,
        },
      ]);
      if (moved.has(run.id)) return 'retrying';
      const told = (await readSignals(db, id)).find((each) => each.id === run.id);
      const cancelled = told?.signal === 'cancel';
      const last = cancelled ? ('cancelled' as const) : status;
      const reason = cancelled ? 'cancelled_by_hand' : 'stopped';
      return (await worker.end(run, last, { error, reason })) ? last : 'not_mine';
    },
  };
  return worker;
}
