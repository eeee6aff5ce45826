/** The steps of runs, and how far they are. Written only while the run is at the attempt that writes. */
import { toIso } from '../clock.ts';
import type { RunError, RunProgress, RunStep } from '../runs/run.ts';
import type { StepStatus } from '../runs/run-state.ts';
import type { Db, Tx } from './client.ts';
import { asc, eq, sql } from './drizzle.ts';
import { toJsonb } from './json.ts';
import { runProgress, runSteps } from './schema.ts';

export type StoredStep = RunStep & {
  /** Tries that failed. */
  failures: number;
  resumeAtMs: number | null;
};

/** In the order in which they were begun. */
export async function listSteps(db: Db | Tx, runId: string): Promise<StoredStep[]> {
  const rows = await db
    .select()
    .from(runSteps)
    .where(eq(runSteps.runId, runId))
    .orderBy(asc(runSteps.startedAt), asc(runSteps.name));
  return rows.map((row) => ({
    name: row.name,
    status: row.status as StepStatus,
    attempts: row.attempts,
    failures: row.failures,
    startedAtMs: row.startedAt.getTime(),
    finishedAtMs: row.finishedAt?.getTime() ?? null,
    resumeAtMs: row.resumeAt?.getTime() ?? null,
    output: row.output,
    error: row.error,
  }));
}

const instant = (ms: number | null) => (ms === null ? null : toIso(ms));
const json = (value: unknown) => sql`${toJsonb(value)}::jsonb`;

/**
 * Locks the run against going on elsewhere until the record is written. No row: it is not at this attempt any more.
 */
const atAttempt = (run: { id: string; attempt: number }) =>
  sql`mine as materialized (
    select id from runs where id = ${run.id} and attempt = ${run.attempt} and status = 'running' for share
  )`;

/** Writes the step as it is now. False, and nothing is written, when the run is not at this attempt any more. */
export async function saveStep(
  db: Db | Tx,
  run: { id: string; attempt: number },
  step: StoredStep,
): Promise<boolean> {
  const error: RunError | null = step.error;
  const result = await db.execute(sql`
    with ${atAttempt(run)}
    insert into run_steps (run_id, name, status, attempts, failures, started_at, finished_at, resume_at, output, error)
    select id, ${step.name}, ${step.status}, ${step.attempts}, ${step.failures}, ${instant(step.startedAtMs)},
      ${instant(step.finishedAtMs)}, ${instant(step.resumeAtMs)}, ${json(step.output)}, ${json(error)}
    from mine
    on conflict (run_id, name) do update set status = excluded.status, attempts = excluded.attempts,
      failures = excluded.failures, finished_at = excluded.finished_at, resume_at = excluded.resume_at,
      output = excluded.output, error = excluded.error`);
  return result.rowCount === 1;
}

export async function findProgress(db: Db | Tx, runId: string): Promise<RunProgress | null> {
  const [row] = await db.select().from(runProgress).where(eq(runProgress.runId, runId));
  return row === undefined
    ? null
    : { done: row.done, total: row.total, unit: row.unit, atMs: row.at.getTime() };
}

/** As saveStep. */
export async function saveProgress(
  db: Db | Tx,
  run: { id: string; attempt: number },
  progress: RunProgress,
): Promise<boolean> {
  const result = await db.execute(sql`
    with ${atAttempt(run)}
    insert into run_progress (run_id, done, total, unit, at)
    select id, ${progress.done}, ${progress.total}, ${progress.unit}, ${instant(progress.atMs)} from mine
    on conflict (run_id) do update set done = excluded.done, total = excluded.total, unit = excluded.unit,
      at = excluded.at`);
  return result.rowCount === 1;
}
