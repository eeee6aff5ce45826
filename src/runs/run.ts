/** A run as the house knows it. Times are epoch milliseconds. Pure types. */
import type { RetryPolicy } from './retry-policy.ts';
import type { AttemptStatus, RunCause, RunSignal, RunStatus, StepStatus } from './run-state.ts';

export type RunError = { type: string; message: string };

export type Run = {
  id: string;
  scheduleId: string;
  scheduleName: string;
  /** The version of the schedule that the run was made from. */
  scheduleVersion: number;
  jobType: string;
  taskQueue: string;
  cause: RunCause;
  scheduledForMs: number;
  /** When it may start: the nominal time plus jitter. */
  dueAtMs: number;
  createdAtMs: number;
  startedAtMs: number | null;
  finishedAtMs: number | null;
  status: RunStatus;
  reason: string | null;
  attempt: number;
  nextAttemptAtMs: number | null;
  input: unknown;
  output: unknown;
  error: RunError | null;
  timeoutMs: number;
  retry: RetryPolicy;
  signal: RunSignal | null;
  /** The backfill that asked for it. */
  backfillId: string | null;
  /** Only on a `missed` or `skipped` row that stands for many nominal times: how many, and the last of them. */
  missed: { count: number; untilMs: number } | null;
};

export type RunAttempt = {
  number: number;
  startedAtMs: number;
  finishedAtMs: number | null;
  status: AttemptStatus;
  error: RunError | null;
  /** The worker process that made the attempt. */
  worker: string | null;
};

export type RunStep = {
  name: string;
  status: StepStatus;
  attempts: number;
  startedAtMs: number;
  finishedAtMs: number | null;
  output: unknown;
  error: RunError | null;
};

/** How far a job says that it is; `total` null when it does not know. */
export type RunProgress = { done: number; total: number | null; unit: string; atMs: number };

export type RunDetail = Run & { attempts: RunAttempt[]; steps: RunStep[]; progress: RunProgress | null };

export type RunLogLine = { seq: number; attempt: number; atMs: number; level: string; message: string };
