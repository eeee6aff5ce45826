/** Reading runs, and making new ones by hand. */
import { toIso } from '../clock.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import type { Run, RunAttempt, RunDetail } from '../runs/run.ts';
import { leastId } from '../runs/run-id.ts';
import {
  type AttemptStatus,
  isActive,
  type RunCause,
  type RunSignal,
  type RunStatus,
} from '../runs/run-state.ts';
import { arrayParam } from './array-literal.ts';
import type { Db, Tx } from './client.ts';
import { and, asc, desc, eq, gte, inArray, lt, type SQL, sql } from './drizzle.ts';
import { pageOf } from './keyset-page.ts';
import { lastLooked } from './looked-page.ts';
import { ring } from './queue.ts';
import { runAttempts, runs, workers } from './schema.ts';
import { findProgress, listSteps } from './step-store.ts';

type Row = typeof runs.$inferSelect;

export async function findRun(db: Db | Tx, id: string): Promise<Run | null> {
  const [row] = await db.select().from(runs).where(eq(runs.id, id)).limit(1);
  return row === undefined ? null : toRun(row);
}

/** Locks a run against every move. The caller has locked its schedule. */
export async function lockRun(tx: Tx, id: string): Promise<Run | null> {
  const [row] = await tx.select().from(runs).where(eq(runs.id, id)).for('update');
  return row === undefined ? null : toRun(row);
}

export async function findRuns(db: Db | Tx, ids: readonly string[]): Promise<Map<string, Run>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .select()
    .from(runs)
    .where(inArray(runs.id, [...ids]));
  return new Map(rows.map((row) => [row.id, toRun(row)]));
}

/** With its attempts: those that were kept, and the one that the row itself tells of. */
export async function findRunDetail(db: Db | Tx, id: string): Promise<RunDetail | null> {
  const [row] = await db.select().from(runs).where(eq(runs.id, id)).limit(1);
  if (row === undefined) return null;
  const kept = await db
    .select({ attempt: runAttempts, host: workers.host, pid: workers.pid })
    .from(runAttempts)
    .leftJoin(workers, eq(workers.id, runAttempts.workerId))
    .where(eq(runAttempts.runId, id))
    .orderBy(asc(runAttempts.number));
  const attempts: RunAttempt[] = kept.map(({ attempt, host, pid }) => ({
    number: attempt.number,
    startedAtMs: attempt.startedAt.getTime(),
    finishedAtMs: attempt.finishedAt.getTime(),
    status: attempt.status as AttemptStatus,
    error: attempt.error,
    worker: workerName(attempt.workerId, host, pid),
  }));
  if (row.attemptStartedAt !== null && !attempts.some((attempt) => attempt.number === row.attempt)) {
    const [worker] =
      row.workerId === null ? [] : await db.select().from(workers).where(eq(workers.id, row.workerId));
    attempts.push({
      number: row.attempt,
      startedAtMs: row.attemptStartedAt.getTime(),
      finishedAtMs: row.finishedAt?.getTime() ?? null,
      status: row.status as AttemptStatus,
      error: row.error,
      worker: workerName(row.workerId, worker?.host ?? null, worker?.pid ?? null),
    });
  }
  const steps = (await listSteps(db, id)).map(({ failures: _, resumeAtMs: __, ...step }) => step);
  return { ...toRun(row), attempts, steps, progress: await findProgress(db, id) };
}

function workerName(id: string | null, host: string | null, pid: number | null): string | null {
  return host === null ? id : `${host}:${pid}`;
}

export type RunListFilter = {
  statuses?: readonly RunStatus[];
  jobType?: string;
  scheduleId?: string;
  sinceMs?: number;
  untilMs?: number;
};

/** Runs that are looked at for one page. */
export const runsLookedMax = 10_000;

/**
 * Newest nominal time first: ids sort by it. Of what no index tells apart, `lookedMax` runs are looked at for one page,
 * however long history is; the page ends there then, with fewer runs or none, and the next goes on.
 */
export async function listRuns(
  db: Db | Tx,
  filter: RunListFilter,
  page: PageRequest,
  lookedMax = runsLookedMax,
): Promise<Page<Run>> {
  const walked: SQL[] = [];
  if (page.after !== null) walked.push(lt(runs.id, page.after));
  if (filter.scheduleId !== undefined) walked.push(eq(runs.scheduleId, filter.scheduleId));
  if (filter.sinceMs !== undefined) walked.push(gte(runs.id, leastId(filter.sinceMs)));
  if (filter.untilMs !== undefined) walked.push(lt(runs.id, leastId(filter.untilMs + 1)));
  const { jobType, statuses = [] } = filter;
  if (statuses.length > 0) walked.push(...indexWords(statuses, filter.scheduleId !== undefined));
  const walk = db
    .select()
    .from(runs)
    .where(and(...walked))
    .orderBy(desc(runs.id));
  if (jobType === undefined && statuses.length === 0)
    return pageOf(await walk.limit(page.limit + 1), page, toRun);

  const looked = walk.limit(lookedMax).as('looked');
  const rows = await db
    .select()
    .from(looked)
    .where(
      and(
        jobType === undefined ? undefined : eq(looked.jobType, jobType),
        statuses.length === 0 ? undefined : inArray(looked.status, [...statuses]),
      ),
    )
    .orderBy(desc(looked.id))
    .limit(page.limit + 1);
  if (rows.length > page.limit) return pageOf(rows, page, toRun);
  return { items: rows.map(toRun), next: await lastLooked(db, runs, walked, lookedMax) };
}

/** What a status implies, in the words of the partial indexes; the planner cannot infer it from the CHECKs. */
function indexWords(statuses: readonly RunStatus[], isOfOne: boolean): SQL[] {
  if (statuses.every(isActive)) return [sql`finished_at is null`];
  if (statuses.some((status) => isActive(status) || status === 'succeeded')) return [];
  const isFailure = statuses.every((status) => status === 'failed' || status === 'timed_out');
  // The failures of one schedule have an index (runs_failed_idx); those of all are among what is notable.
  if (isFailure && isOfOne) return [sql`finished_at is not null and error is not null`];
  return [sql`finished_at is not null and (reason is not null or error is not null)`];
}

/** Queued, running and retrying runs of the schedules, newest first, at most `limitEach` of each. */
export async function listActiveRuns(
  db: Db | Tx,
  scheduleIds: readonly string[],
  limitEach: number,
): Promise<Run[]> {
  if (scheduleIds.length === 0) return [];
  const { rows } = await db.execute<{ id: string }>(sql`
    select r.id from unnest(${arrayParam(scheduleIds)}::uuid[]) as s(id),
      lateral (select id from runs where schedule_id = s.id and finished_at is null order by id desc limit ${limitEach}) r`);
  const found = await findRuns(
    db,
    rows.map((row) => row.id),
  );
  return [...found.values()].filter((run) => isActive(run.status)).sort((a, b) => (a.id < b.id ? 1 : -1));
}

/**
 * A new run with what an ended one was made from. Counts as active for its schedule, if that is still there, whose
 * hot row the caller has locked. False when the original is gone: pruned meanwhile.
 */
export async function insertRetryOf(
  tx: Tx,
  original: Run,
  fresh: { id: string; nowMs: number },
  served: readonly string[],
): Promise<boolean> {
  const now = toIso(fresh.nowMs);
  const { rows } = await tx.execute<{ rung: number }>(sql`
    with inserted as (
      insert into runs (id, schedule_id, schedule_name, schedule_version, job_type, task_queue, cause, scheduled_for,
        due_at, created_at, status, attempt, failures, lost, timeout_ms, retry, input)
      select ${fresh.id}, schedule_id, schedule_name, schedule_version, job_type, task_queue, 'retry', scheduled_for,
        ${now}, ${now}, 'queued', 1, 0, 0, timeout_ms, retry, input
      from runs where id = ${original.id}
      returning id, attempt, task_queue, cause
    ),
    counted as (
      update schedule_states set active_runs = active_runs + 1
      where schedule_id = ${original.scheduleId} and exists (select from inserted)
    )
    select ${ring(sql`select * from inserted`, served)} as rung`);
  return rows[0]!.rung === 1;
}

function toRun(row: Row): Run {
  return {
    id: row.id,
    scheduleId: row.scheduleId,
    scheduleName: row.scheduleName,
    scheduleVersion: row.scheduleVersion,
    jobType: row.jobType,
    taskQueue: row.taskQueue,
    cause: row.cause as RunCause,
    scheduledForMs: row.scheduledFor.getTime(),
    dueAtMs: row.dueAt.getTime(),
    createdAtMs: row.createdAt.getTime(),
    startedAtMs: row.startedAt?.getTime() ?? null,
    finishedAtMs: row.finishedAt?.getTime() ?? null,
    status: row.status as RunStatus,
    reason: row.reason,
    attempt: row.attempt,
    nextAttemptAtMs: row.nextAttemptAt?.getTime() ?? null,
    input: row.input,
    output: row.output,
    error: row.error,
    timeoutMs: row.timeoutMs,
    retry: row.retry,
    signal: row.signal as RunSignal | null,
    backfillId: row.backfillId,
    missed:
      row.missedCount === null || row.missedUntil === null
        ? null
        : { count: row.missedCount, untilMs: row.missedUntil.getTime() },
  };
}
