/**
 * What a job type is. One folder under `src/jobs` calls `defineJob` and is named in `registry.ts`; that alone makes
 * the type creatable, documented in OpenAPI and visible in `GET /job-types`.
 */
import type { z } from 'zod';
import type { RetryPolicy } from '../runs/retry-policy.ts';
import type { Steps } from './step.ts';

/** What a job sees of its run. */
export interface JobContext {
  readonly runId: string;
  /** The fencing number; 1 for the first try. */
  readonly attempt: number;
  readonly scheduleId: string;
  readonly scheduleName: string;
  /** The nominal time, epoch milliseconds. */
  readonly scheduledForMs: number;
  /** Stays the same for all attempts of a run, so a receiver can tell a repetition. */
  readonly idempotencyKey: string;
  /** Aborted on timeout, cancel, lost lease and shutdown. Pass it to everything that waits. */
  readonly signal: AbortSignal;
  /** True once the schedule was stopped: end at the next good place. */
  readonly stopRequested: boolean;
  /** Epoch milliseconds. */
  now(): number;
  /** A line for the run's log (`GET /runs/{id}/logs`). */
  log(message: string, level?: LogLevel): void;
  /** Takes the run's secrets out of a text; for what a job cuts before it tells it. All else is redacted for it. */
  redact(text: string): string;
  /**
   * Runs `fn` once for this run and keeps its output, which later attempts are given instead. Names are unique within
   * a job. See step.ts for what a crash leaves.
   */
  readonly step: Steps['step'];
  /** Runs branches with steps side by side and waits for all of them, also when one fails. */
  readonly all: Steps['all'];
  /** A durable wait, as `"90s"`: a long one frees the slot, and outlives the process. */
  readonly sleep: Steps['sleep'];
  /**
   * A wait of any number of milliseconds that leaves no record: the next attempt begins from the top, and the job must
   * find out by itself what is done. For jobs that wait without end; others `sleep`.
   */
  readonly rest: Steps['rest'];
  /** How far the job is, for readers (`GET /runs/{id}`); kept at most once a second. `total` null: not known. */
  progress(done: number, total: number | null, unit?: string): void;
}

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface JobType<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  readonly type: string;
  readonly description: string;
  readonly input: I;
  readonly output: O;
  /** The task queue of its runs unless the schedule says otherwise. */
  readonly taskQueue: string;
  readonly retry: RetryPolicy;
  /** Per attempt, start to close. */
  readonly timeoutMs: number;
  /** How long an aborted attempt may take to end before its slot is freed; default a second, at most four. */
  readonly abortGraceMs?: number;
  /** Each attempt gets a process of its own: for work that could loop, or need much memory. Default: false. */
  readonly isolated?: boolean;
  /** Shown in the docs; must be valid input. */
  readonly example: z.input<I>;
  run(context: JobContext, input: z.output<I>): Promise<z.input<O>>;
}

/** Checks nothing at run time; gives `run` its types. */
export function defineJob<I extends z.ZodType, O extends z.ZodType>(job: JobType<I, O>): JobType<I, O> {
  return job;
}

export type JobErrorOptions = {
  /** Default true: the run's retry policy decides. */
  retryable?: boolean;
  /** The least delay before the next attempt, as a receiver asked for (Retry-After), milliseconds. */
  retryAfterMs?: number;
  cause?: unknown;
};

/** A fault with a type that a retry policy can name in `nonRetryableErrorTypes`. Anything else thrown is retryable. */
export class JobError extends Error {
  readonly type: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(type: string, message: string, options: JobErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'JobError';
    this.type = type;
    this.retryable = options.retryable ?? true;
    this.retryAfterMs = options.retryAfterMs;
  }
}
