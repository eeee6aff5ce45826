/**
 * The tables, as drizzle knows them; `npm run db:generate` turns a change here into SQL under `migrations/`.
 * Storage settings and the trigger that guards ended runs are in the hand-written migrations, since drizzle has no
 * words for them.
 *
 * Two rules of Postgres shape this file. An update is cheap (HOT) only while no indexed column changes, so what
 * changes with every fire stands in `schedule_states`, narrow and apart from `schedules`, and `runs.status` is in no
 * index: what lists need is told by `finished_at`, `reason`, `error` and `next_attempt_at`, which a plain start
 * does not touch. And `runs` has no foreign key to `schedules`: history outlives its schedule.
 */
import type { RetryPolicy } from '../runs/retry-policy.ts';
import type { RunError } from '../runs/run.ts';
import type { CalendarSpec } from '../schedules/calendar.ts';
import type { Notify, NotifyTarget } from '../schedules/notify.ts';
import type { Pause } from '../schedules/schedule.ts';
import { pgCore, sql } from './drizzle.ts';

const {
  bigint,
  boolean,
  check,
  customType,
  doublePrecision,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} = pgCore;

const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' });
const count = (name: string) => bigint(name, { mode: 'number' }).notNull().default(0);
/** Durations of up to years do not fit an integer of milliseconds. */
const milliseconds = (name: string) => bigint(name, { mode: 'number' });

export const schedules = pgTable(
  'schedules',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull().unique('schedules_name_key'),
    description: text('description').notNull(),
    labels: jsonb('labels').$type<Record<string, string>>().notNull(),
    trigger: jsonb('trigger').notNull(),
    timezone: text('timezone').notNull(),
    dst: jsonb('dst').notNull(),
    startAt: instant('start_at'),
    endAt: instant('end_at'),
    /** What is left out or kept to; null for nothing. */
    exclusions: jsonb('exclusions'),
    maxRuns: integer('max_runs'),
    jitterMs: milliseconds('jitter_ms'),
    overlap: text('overlap').notNull(),
    /** Who is told what; null for nobody. */
    notify: jsonb('notify').$type<readonly Notify[]>(),
    lateAfterMs: milliseconds('late_after_ms'),
    catchUp: text('catch_up').notNull(),
    catchUpWindowMs: milliseconds('catch_up_window_ms').notNull(),
    pauseAfterFailures: integer('pause_after_failures'),
    /** So long after its completion it is deleted. */
    deleteAfterMs: milliseconds('delete_after_ms'),
    /** How durations were written, where that is not the canonical form. */
    written: jsonb('written').$type<Record<string, string>>().notNull().default({}),
    jobType: text('job_type').notNull(),
    jobInput: jsonb('job_input').notNull(),
    taskQueue: text('task_queue').notNull(),
    timeoutMs: milliseconds('timeout_ms').notNull(),
    retry: jsonb('retry').$type<RetryPolicy>().notNull(),
    status: text('status').notNull(),
    note: text('note'),
    pausedAt: instant('paused_at'),
    /** The pauses in force, in the order in which they came; it is paused while there is one. */
    pauses: jsonb('pauses').$type<Pause[]>().notNull().default([]),
    version: integer('version').notNull(),
    createdAt: instant('created_at').notNull(),
    updatedAt: instant('updated_at').notNull(),
  },
  (t) => [
    index('schedules_labels_idx').using('gin', t.labels.op('jsonb_path_ops')),
    index('schedules_job_type_idx').on(t.jobType, t.id),
    index('schedules_inactive_idx').on(t.id).where(sql`status <> 'active'`),
    check('schedules_status_check', sql`${t.status} in ('active', 'paused', 'stopped', 'completed')`),
    check(
      'schedules_overlap_check',
      sql`${t.overlap} in ('skip', 'queue_one', 'queue_all', 'cancel_running', 'allow')`,
    ),
    check('schedules_catch_up_check', sql`${t.catchUp} in ('none', 'latest', 'all')`),
    check('schedules_paused_check', sql`(${t.status} = 'paused') = (${t.pausedAt} is not null)`),
    check('schedules_pauses_check', sql`(${t.status} = 'paused') = (${t.pauses} <> '[]'::jsonb)`),
    check('schedules_window_check', sql`${t.startAt} <= ${t.endAt}`),
    check('schedules_max_runs_check', sql`${t.maxRuns} >= 1`),
    check('schedules_version_check', sql`${t.version} >= 1`),
    index('schedules_delete_after_idx')
      .on(t.updatedAt)
      .where(sql`status = 'completed' and delete_after_ms is not null`),
  ],
);

/**
 * What schedules were: one row for each version, which the trigger on `schedules` writes, so that nobody who changes one
 * can forget it. There is no foreign key: like runs, history outlives its schedule.
 */
export const scheduleVersions = pgTable(
  'schedule_versions',
  {
    scheduleId: uuid('schedule_id').notNull(),
    version: integer('version').notNull(),
    at: instant('at').notNull(),
    actor: text('actor').notNull(),
    action: text('action').notNull(),
    note: text('note'),
    /** From here on as it was after the change; for a deletion, as it was last. */
    status: text('status').notNull(),
    pauses: jsonb('pauses').$type<Pause[]>().notNull(),
    /** The columns of `schedules` that make its definition, by their names. */
    definition: jsonb('definition').$type<Record<string, unknown>>().notNull(),
    /** When the next version came; null for the present one. A deletion is over at once. */
    supersededAt: instant('superseded_at'),
  },
  (t) => [
    primaryKey({ columns: [t.scheduleId, t.version] }),
    index('schedule_versions_superseded_idx').on(t.supersededAt).where(sql`superseded_at is not null`),
    check(
      'schedule_versions_action_check',
      sql`${t.action} in ('created', 'updated', 'rescheduled', 'applied', 'rolled_back', 'paused', 'resumed', 'stopped', 'completed', 'reactivated', 'deleted')`,
    ),
    check('schedule_versions_version_check', sql`${t.version} >= 1`),
  ],
);

/** The hot part of a schedule, one row each. Its lock is the lock on everything that fires or ends for the schedule. */
export const scheduleStates = pgTable(
  'schedule_states',
  {
    scheduleId: uuid('schedule_id').primaryKey(),
    /** The next nominal time; null when nothing will fire. */
    nextRunAt: instant('next_run_at'),
    /** When the dispatcher takes it: nominal time plus jitter. Of what each run changes, the only indexed one. */
    dueAt: instant('due_at'),
    /** Queued, running and retrying runs, without those that are held. */
    activeRuns: integer('active_runs').notNull().default(0),
    /** Runs that overlap holds until the active ones have ended. */
    heldRuns: integer('held_runs').notNull().default(0),
    /** Those of them that a backfill made; they are not in the way of live ones. */
    heldBackfills: integer('held_backfills').notNull().default(0),
    fired: count('fired'),
    succeeded: count('succeeded'),
    failed: count('failed'),
    skipped: count('skipped'),
    missed: count('missed'),
    failuresInARow: integer('failures_in_a_row').notNull().default(0),
    lastRunId: uuid('last_run_id'),
    lastStatus: text('last_status'),
    /** A column of its own for its index: what ends well does not change it, and so touches no index. */
    lastFailed: boolean('last_failed').generatedAlwaysAs(
      sql`coalesce(last_status in ('failed', 'timed_out'), false)`,
    ),
    fault: text('fault'),
    /** The kinds of `schedules.notify`, where the end of a run sees them without looking there; null for none. */
    notifyOn: text('notify_on').array(),
    lateAfterMs: milliseconds('late_after_ms'),
  },
  (t) => [
    foreignKey({
      columns: [t.scheduleId],
      foreignColumns: [schedules.id],
      name: 'schedule_states_schedule_fk',
    }).onDelete('cascade'),
    index('schedule_states_due_idx').on(t.dueAt).where(sql`due_at is not null`),
    index('schedule_states_failed_idx').on(t.scheduleId).where(sql`last_failed`),
    // By the instant from which its next time is late. In UTC, since what is indexed must hang on no setting.
    index('schedule_states_late_idx')
      .on(sql`((next_run_at at time zone 'UTC') + late_after_ms * interval '1 millisecond')`)
      .where(sql`late_after_ms is not null and next_run_at is not null`),
    check(
      'schedule_states_due_check',
      sql`(${t.nextRunAt} is null) = (${t.dueAt} is null) and ${t.dueAt} >= ${t.nextRunAt}`,
    ),
    check('schedule_states_active_runs_check', sql`${t.activeRuns} >= 0`),
    // Whoever ends the last active run releases the next one in the same statement, so none waits for nothing.
    check('schedule_states_held_runs_check', sql`${t.heldRuns} = 0 or ${t.activeRuns} > 0`),
    check(
      'schedule_states_held_backfills_check',
      sql`${t.heldBackfills} >= 0 and ${t.heldRuns} >= ${t.heldBackfills}`,
    ),
  ],
);

/** Named sets of time that schedules leave out or keep to. */
export const calendars = pgTable(
  'calendars',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull().unique('calendars_name_key'),
    description: text('description').notNull(),
    /** The source and its horizon; what is computed from it is not stored. */
    spec: jsonb('spec').$type<CalendarSpec>().notNull(),
    version: integer('version').notNull(),
    /** The version by which the next times of all its schedules have been computed. */
    appliedVersion: integer('applied_version').notNull(),
    createdAt: instant('created_at').notNull(),
    updatedAt: instant('updated_at').notNull(),
  },
  (t) => [
    index('calendars_unapplied_idx').on(t.id).where(sql`applied_version < version`),
    check('calendars_version_check', sql`${t.version} >= 1 and ${t.appliedVersion} <= ${t.version}`),
  ],
);

const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

/** Texts that jobs use and nobody reads, sealed (secrets/secret-box.ts). */
export const secrets = pgTable(
  'secrets',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull().unique('secrets_name_key'),
    description: text('description').notNull(),
    sealed: bytes('sealed').notNull(),
    /** Of the key that it is sealed under. */
    keyId: text('key_id').notNull(),
    version: integer('version').notNull(),
    createdAt: instant('created_at').notNull(),
    updatedAt: instant('updated_at').notNull(),
  },
  (t) => [check('secrets_version_check', sql`${t.version} >= 1`)],
);

/** Which secrets a schedule's input refers to; a secret in use cannot be deleted. */
export const scheduleSecrets = pgTable(
  'schedule_secrets',
  {
    secretId: uuid('secret_id').notNull(),
    scheduleId: uuid('schedule_id').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.secretId, t.scheduleId] }),
    index('schedule_secrets_schedule_idx').on(t.scheduleId),
    foreignKey({
      columns: [t.secretId],
      foreignColumns: [secrets.id],
      name: 'schedule_secrets_secret_fk',
    }).onDelete('restrict'),
    foreignKey({
      columns: [t.scheduleId],
      foreignColumns: [schedules.id],
      name: 'schedule_secrets_schedule_fk',
    }).onDelete('cascade'),
  ],
);

/** Which calendars a schedule's exclusions name; a calendar in use cannot be deleted. */
export const scheduleCalendars = pgTable(
  'schedule_calendars',
  {
    calendarId: uuid('calendar_id').notNull(),
    scheduleId: uuid('schedule_id').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.calendarId, t.scheduleId] }),
    index('schedule_calendars_schedule_idx').on(t.scheduleId),
    foreignKey({
      columns: [t.calendarId],
      foreignColumns: [calendars.id],
      name: 'schedule_calendars_calendar_fk',
    }).onDelete('restrict'),
    foreignKey({
      columns: [t.scheduleId],
      foreignColumns: [schedules.id],
      name: 'schedule_calendars_schedule_fk',
    }).onDelete('cascade'),
  ],
);

export const runs = pgTable(
  'runs',
  {
    id: uuid('id').primaryKey(),
    scheduleId: uuid('schedule_id').notNull(),
    scheduleName: text('schedule_name').notNull(),
    scheduleVersion: integer('schedule_version').notNull(),
    jobType: text('job_type').notNull(),
    taskQueue: text('task_queue').notNull(),
    cause: text('cause').notNull(),
    scheduledFor: instant('scheduled_for').notNull(),
    dueAt: instant('due_at').notNull(),
    createdAt: instant('created_at').notNull(),
    startedAt: instant('started_at'),
    attemptStartedAt: instant('attempt_started_at'),
    finishedAt: instant('finished_at'),
    nextAttemptAt: instant('next_attempt_at'),
    /** From when it is late unless it has started; null when nobody looks. */
    lateAt: instant('late_at'),
    status: text('status').notNull(),
    reason: text('reason'),
    attempt: integer('attempt').notNull(),
    /** Attempts that failed or timed out; what the retry policy counts. */
    failures: smallint('failures').notNull(),
    /** Attempts that were lost with their worker; what the poison limit counts. */
    lost: smallint('lost').notNull(),
    workerId: uuid('worker_id'),
    signal: text('signal'),
    /** Why it was told so; the reason of its end. */
    signalReason: text('signal_reason'),
    /** Queued, and not to be claimed before the active runs of its schedule have ended. */
    held: boolean('held').notNull().default(false),
    backfillId: uuid('backfill_id'),
    timeoutMs: milliseconds('timeout_ms').notNull(),
    missedCount: integer('missed_count'),
    missedUntil: instant('missed_until'),
    retry: jsonb('retry').$type<RetryPolicy>().notNull(),
    input: jsonb('input').notNull(),
    output: jsonb('output'),
    error: jsonb('error').$type<RunError>(),
  },
  (t) => [
    index('runs_schedule_idx').on(t.scheduleId, t.id),
    index('runs_active_idx').on(t.scheduleId, t.id).where(sql`finished_at is null`),
    index('runs_notable_idx')
      .on(t.id)
      .where(sql`finished_at is not null and (reason is not null or error is not null)`),
    index('runs_notable_of_schedule_idx')
      .on(t.scheduleId, t.id)
      .where(sql`finished_at is not null and (reason is not null or error is not null)`),
    index('runs_retry_idx').on(t.nextAttemptAt).where(sql`next_attempt_at is not null`),
    // Not `started_at`, which would make every start of every run move index entries.
    index('runs_late_idx').on(t.lateAt).where(sql`late_at is not null and finished_at is null`),
    index('runs_signal_idx').on(t.id).where(sql`signal is not null and finished_at is null`),
    index('runs_backfill_idx').on(t.backfillId, t.id).where(sql`backfill_id is not null`),
    // Records that stand for many nominal times, so that any one of these is found.
    index('runs_range_idx').on(t.scheduleId, t.id).where(sql`missed_count is not null`),
    // The last failure of a schedule. In words that a run which ends well does not touch, so that it costs only failures.
    index('runs_failed_idx').on(t.scheduleId, t.id).where(sql`finished_at is not null and error is not null`),
    check('runs_cause_check', sql`${t.cause} in ('schedule', 'manual', 'backfill', 'catch_up', 'retry')`),
    check('runs_signal_check', sql`${t.signal} in ('cancel', 'stop')`),
    check('runs_held_check', sql`not ${t.held} or ${t.status} in ('queued', 'skipped', 'cancelled')`),
    check('runs_backfill_check', sql`(${t.backfillId} is not null) = (${t.cause} = 'backfill')`),
    check('runs_attempt_check', sql`${t.attempt} >= 1 and ${t.failures} >= 0 and ${t.lost} >= 0`),
    check(
      'runs_finished_check',
      sql`(${t.finishedAt} is null) = (${t.status} in ('queued', 'running', 'retrying'))`,
    ),
    check('runs_waiting_check', sql`(${t.nextAttemptAt} is not null) = (${t.status} = 'retrying')`),
    check(
      'runs_status_check',
      sql`case ${t.status}
        when 'queued' then ${t.workerId} is null
        when 'running' then ${t.attemptStartedAt} is not null and ${t.startedAt} is not null and ${t.workerId} is not null
        when 'retrying' then ${t.startedAt} is not null and ${t.workerId} is null
        when 'succeeded' then ${t.startedAt} is not null
        when 'failed' then ${t.startedAt} is not null and ${t.error} is not null
        when 'timed_out' then ${t.startedAt} is not null and ${t.error} is not null
        when 'cancelled' then true
        when 'skipped' then ${t.startedAt} is null and ${t.reason} is not null
        when 'missed' then ${t.startedAt} is null and ${t.reason} is not null
        else false end`,
    ),
  ],
);

/** Ranges of the past whose fires were asked for on purpose. Like runs they outlive their schedule. */
export const backfills = pgTable(
  'backfills',
  {
    id: uuid('id').primaryKey(),
    scheduleId: uuid('schedule_id').notNull(),
    scheduleName: text('schedule_name').notNull(),
    startAt: instant('start_at').notNull(),
    endAt: instant('end_at').notNull(),
    overlap: text('overlap').notNull(),
    /** Nominal times of the range. */
    total: integer('total').notNull(),
    createdAt: instant('created_at').notNull(),
    cancelledAt: instant('cancelled_at'),
  },
  (t) => [
    index('backfills_schedule_idx').on(t.scheduleId, t.id),
    check('backfills_range_check', sql`${t.startAt} <= ${t.endAt} and ${t.total} >= 1`),
  ],
);

/** Attempts that did not end their run; the one that did is on the run itself. */
export const runAttempts = pgTable(
  'run_attempts',
  {
    runId: uuid('run_id').notNull(),
    number: integer('number').notNull(),
    startedAt: instant('started_at').notNull(),
    finishedAt: instant('finished_at').notNull(),
    status: text('status').notNull(),
    error: jsonb('error').$type<RunError>(),
    workerId: uuid('worker_id'),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.number] }),
    foreignKey({ columns: [t.runId], foreignColumns: [runs.id], name: 'run_attempts_run_fk' }).onDelete(
      'cascade',
    ),
    check(
      'run_attempts_status_check',
      sql`${t.status} in ('failed', 'timed_out', 'lost', 'handed_back', 'waiting')`,
    ),
  ],
);

/** The checkpoints of runs: one row per step that was begun. */
export const runSteps = pgTable(
  'run_steps',
  {
    runId: uuid('run_id').notNull(),
    name: text('name').notNull(),
    status: text('status').notNull(),
    attempts: integer('attempts').notNull(),
    /** Tries that failed; what the step's own retry policy counts. */
    failures: integer('failures').notNull(),
    startedAt: instant('started_at').notNull(),
    finishedAt: instant('finished_at'),
    /** When a step that waits goes on. */
    resumeAt: instant('resume_at'),
    output: jsonb('output'),
    error: jsonb('error').$type<RunError>(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.name] }),
    foreignKey({ columns: [t.runId], foreignColumns: [runs.id], name: 'run_steps_run_fk' }).onDelete(
      'cascade',
    ),
    check(
      'run_steps_status_check',
      sql`${t.status} in ('running', 'retrying', 'sleeping', 'succeeded', 'failed')`,
    ),
    check(
      'run_steps_finished_check',
      sql`(${t.finishedAt} is null) = (${t.status} not in ('succeeded', 'failed'))`,
    ),
    check('run_steps_failed_check', sql`${t.status} <> 'failed' or ${t.error} is not null`),
  ],
);

/** How far a run's job says that it is. */
export const runProgress = pgTable(
  'run_progress',
  {
    runId: uuid('run_id').primaryKey(),
    done: doublePrecision('done').notNull(),
    total: doublePrecision('total'),
    unit: text('unit').notNull(),
    at: instant('at').notNull(),
  },
  (t) => [
    foreignKey({ columns: [t.runId], foreignColumns: [runs.id], name: 'run_progress_run_fk' }).onDelete(
      'cascade',
    ),
  ],
);

export const runLogs = pgTable(
  'run_logs',
  {
    runId: uuid('run_id').notNull(),
    seq: integer('seq').notNull(),
    attempt: integer('attempt').notNull(),
    at: instant('at').notNull(),
    level: text('level').notNull(),
    message: text('message').notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.attempt, t.seq] }),
    foreignKey({ columns: [t.runId], foreignColumns: [runs.id], name: 'run_logs_run_fk' }).onDelete(
      'cascade',
    ),
    check('run_logs_level_check', sql`${t.level} in ('debug', 'info', 'warn', 'error')`),
  ],
);

/** What backup jobs stored, and where. A row outlives its run and its schedule: as long as the objects are there. */
export const backups = pgTable(
  'backups',
  {
    /** `backup-YYYYMMDDHHMMSS`, UTC. */
    id: text('id').primaryKey(),
    scheduleId: uuid('schedule_id').notNull(),
    scheduleName: text('schedule_name').notNull(),
    runId: uuid('run_id').notNull().unique('backups_run_key'),
    kind: text('kind').notNull(),
    sourceKind: text('source_kind').notNull(),
    /** Without credentials. */
    source: text('source').notNull(),
    location: text('location').notNull(),
    object: text('object').notNull(),
    manifest: text('manifest'),
    /** The backup that an incremental one goes on from. */
    baseId: text('base_id'),
    bytes: bigint('bytes', { mode: 'number' }),
    sha256: text('sha256'),
    manifestSha256: text('manifest_sha256'),
    status: text('status').notNull(),
    createdAt: instant('created_at').notNull(),
    finishedAt: instant('finished_at'),
  },
  (t) => [
    index('backups_schedule_idx').on(t.scheduleId, t.id),
    foreignKey({ columns: [t.baseId], foreignColumns: [t.id], name: 'backups_base_fk' }).onDelete('restrict'),
    check('backups_kind_check', sql`${t.kind} in ('full', 'incremental')`),
    check('backups_source_kind_check', sql`${t.sourceKind} in ('directory', 'postgres')`),
    check('backups_status_check', sql`${t.status} in ('writing', 'written', 'valid', 'damaged')`),
    check('backups_base_check', sql`(${t.kind} = 'incremental') = (${t.baseId} is not null)`),
    check(
      'backups_written_check',
      sql`${t.status} = 'writing' or (${t.bytes} is not null and ${t.sha256} is not null and ${t.finishedAt} is not null)`,
    ),
  ],
);

/** Named lists of tasks, which `queue` jobs drain. What has left the table of tasks is still counted here. */
export const queues = pgTable(
  'queues',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull().unique('queues_name_key'),
    succeeded: count('succeeded'),
    cancelled: count('cancelled'),
    createdAt: instant('created_at').notNull(),
  },
  (t) => [check('queues_counts_check', sql`${t.succeeded} >= 0 and ${t.cancelled} >= 0`)],
);

/**
 * The tasks of queues. `queue` is the name, without a foreign key: each task would lock the row that every drain counts
 * in.
 */
export const queueTasks = pgTable(
  'queue_tasks',
  {
    id: uuid('id').primaryKey(),
    queue: text('queue').notNull(),
    status: text('status').notNull(),
    /** The greater goes first. */
    priority: smallint('priority').notNull(),
    /** From when it may be taken: as asked for, or by its backoff. */
    dueAt: instant('due_at').notNull(),
    /** Counts up with each claim; what fences late writes off. */
    attempt: integer('attempt').notNull(),
    failures: smallint('failures').notNull(),
    maxAttempts: smallint('max_attempts').notNull(),
    dedupeKey: text('dedupe_key'),
    /** The drain that has it, or had it last. It is the drain's as long as that run is at that attempt. */
    runId: uuid('run_id'),
    runAttempt: integer('run_attempt'),
    createdAt: instant('created_at').notNull(),
    startedAt: instant('started_at'),
    finishedAt: instant('finished_at'),
    input: jsonb('input').notNull(),
    output: jsonb('output'),
    error: jsonb('error').$type<RunError>(),
  },
  (t) => [
    index('queue_tasks_status_idx').on(t.queue, t.status, t.id),
    index('queue_tasks_next_idx')
      .on(t.queue, t.priority.desc(), t.dueAt, t.id)
      .where(sql`status = 'pending'`),
    index('queue_tasks_waiting_idx').on(t.queue, t.dueAt).where(sql`status = 'waiting'`),
    index('queue_tasks_finished_idx').on(t.finishedAt).where(sql`finished_at is not null`),
    uniqueIndex('queue_tasks_dedupe_key').on(t.queue, t.dedupeKey).where(sql`dedupe_key is not null`),
    check(
      'queue_tasks_status_check',
      sql`case ${t.status}
        when 'pending' then true
        when 'waiting' then true
        when 'running' then ${t.runId} is not null and ${t.runAttempt} is not null and ${t.startedAt} is not null
        when 'succeeded' then ${t.startedAt} is not null
        when 'dead' then ${t.error} is not null
        when 'cancelled' then true
        else false end`,
    ),
    check(
      'queue_tasks_finished_check',
      sql`(${t.finishedAt} is null) = (${t.status} in ('pending', 'waiting', 'running'))`,
    ),
    check(
      'queue_tasks_attempt_check',
      sql`${t.attempt} >= 0 and ${t.failures} >= 0 and ${t.maxAttempts} >= 1`,
    ),
  ],
);

/** What a `queue` run has done so far; written with the tasks themselves, so that it is exact. */
export const queueDrains = pgTable(
  'queue_drains',
  {
    runId: uuid('run_id').primaryKey(),
    processed: count('processed'),
    failed: count('failed'),
    dead: count('dead'),
  },
  (t) => [
    foreignKey({ columns: [t.runId], foreignColumns: [runs.id], name: 'queue_drains_run_fk' }).onDelete(
      'cascade',
    ),
  ],
);

/** What happened that somebody wants to be told; written by the statement that made it so. Each is told once. */
export const notifyEvents = pgTable(
  'notify_events',
  {
    /** What makes it one thing: mostly the id of the run, also of one that is not there (yet). */
    key: uuid('key').notNull(),
    kind: text('kind').notNull(),
    runId: uuid('run_id'),
    scheduleId: uuid('schedule_id').notNull(),
    scheduleName: text('schedule_name').notNull(),
    at: instant('at').notNull(),
    /** For a time without a run. */
    scheduledFor: instant('scheduled_for'),
    note: text('note'),
    /** As it was then: what becomes of the schedule afterwards changes nothing. */
    notify: jsonb('notify').$type<readonly Notify[]>().notNull(),
    /** When deliveries were made of it. It stays for a while, so that nothing happens twice. */
    toldAt: instant('told_at'),
  },
  (t) => [
    primaryKey({ columns: [t.key, t.kind] }),
    index('notify_events_pending_idx').on(t.at).where(sql`told_at is null`),
    index('notify_events_told_idx').on(t.toldAt).where(sql`told_at is not null`),
    check(
      'notify_events_kind_check',
      sql`${t.kind} in ('failure', 'success', 'recovered', 'missed', 'paused')`,
    ),
  ],
);

/** One message to one receiver, and how far it is. */
export const notifications = pgTable(
  'notifications',
  {
    /** Also the message's `webhook-id`, the same for all its tries. */
    id: uuid('id').primaryKey(),
    scheduleId: uuid('schedule_id').notNull(),
    scheduleName: text('schedule_name').notNull(),
    runId: uuid('run_id'),
    kind: text('kind').notNull(),
    channel: text('channel').notNull(),
    /** Receivers of one group share a few tries at once, so that a slow one holds up no others. */
    receiver: text('receiver').notNull(),
    target: jsonb('target').$type<NotifyTarget>().notNull(),
    payload: jsonb('payload').notNull(),
    status: text('status').notNull(),
    attempts: integer('attempts').notNull(),
    /** Of a pending one: when it is tried next, or taken for abandoned by who was trying. */
    nextAttemptAt: instant('next_attempt_at'),
    lastError: text('last_error'),
    createdAt: instant('created_at').notNull(),
    finishedAt: instant('finished_at'),
  },
  (t) => [
    index('notifications_schedule_idx').on(t.scheduleId, t.id),
    index('notifications_pending_idx').on(t.nextAttemptAt).where(sql`status = 'pending'`),
    index('notifications_backlog_idx').on(t.scheduleId).where(sql`status = 'pending'`),
    check('notifications_status_check', sql`${t.status} in ('pending', 'delivered', 'dead')`),
    check('notifications_channel_check', sql`${t.channel} in ('webhook', 'email')`),
    check(
      'notifications_pending_check',
      sql`(${t.status} = 'pending') = (${t.nextAttemptAt} is not null) and (${t.status} = 'pending') = (${t.finishedAt} is null)`,
    ),
  ],
);

/** One row per worker process; its heartbeat is the lease on all runs it executes. */
export const workers = pgTable(
  'workers',
  {
    id: uuid('id').primaryKey(),
    host: text('host').notNull(),
    pid: integer('pid').notNull(),
    taskQueues: text('task_queues').array().notNull(),
    startedAt: instant('started_at').notNull(),
    heartbeatAt: instant('heartbeat_at').notNull(),
    /** Graphile pools of the process; force-unlocked when it is lost. */
    poolIds: text('pool_ids').array().notNull(),
    /** Set when it left in order or was declared lost; such a worker never claims again. */
    goneAt: instant('gone_at'),
  },
  (t) => [index('workers_live_idx').on(t.heartbeatAt).where(sql`gone_at is null`)],
);

/** One row: how far dispatching is known to have been alive. */
export const dispatchState = pgTable(
  'dispatch_state',
  {
    id: smallint('id').primaryKey(),
    aliveUntil: instant('alive_until').notNull(),
  },
  (t) => [check('dispatch_state_one_row_check', sql`${t.id} = 1`)],
);

/** Times in which nobody dispatched; a nominal time inside one falls to the catch-up policy. */
export const outages = pgTable(
  'outages',
  {
    fromAt: instant('from_at').primaryKey(),
    untilAt: instant('until_at').notNull(),
  },
  (t) => [check('outages_order_check', sql`${t.fromAt} < ${t.untilAt}`)],
);

/** One row: where the pruner is on its walk through history. */
export const retentionState = pgTable(
  'retention_state',
  {
    id: smallint('id').primaryKey(),
    /** The schedule, perhaps a deleted one, that it looks at next; null: a round begins. */
    nextScheduleId: uuid('next_schedule_id'),
  },
  (t) => [check('retention_state_one_row_check', sql`${t.id} = 1`)],
);

/** How far the runs of a sync schedule have come. Moved with each page that is stored. */
export const syncWatermarks = pgTable(
  'sync_watermarks',
  {
    scheduleId: uuid('schedule_id').primaryKey(),
    /** As the source writes it; null: from the start. */
    watermark: text('watermark'),
    /** Of the records that have just this watermark those that are stored; null: not known. */
    keys: jsonb('keys').$type<string[][]>(),
    /** What source and target it belongs to. */
    about: text('about'),
    /** The run that moved it last; null: set by hand. */
    runId: uuid('run_id'),
    /** Where that run is, for its next attempt. */
    runState: jsonb('run_state'),
    updatedAt: instant('updated_at').notNull(),
  },
  (t) => [
    foreignKey({
      columns: [t.scheduleId],
      foreignColumns: [schedules.id],
      name: 'sync_watermarks_schedule_fk',
    }).onDelete('cascade'),
    check('sync_watermarks_keys_check', sql`${t.keys} is null or ${t.watermark} is not null`),
    check('sync_watermarks_run_check', sql`${t.runState} is null or ${t.runId} is not null`),
  ],
);
