/** How a job says how long a step may take and how often it is tried. Pure. */
import { parseDuration } from '../duration.ts';
import type { RetryPolicy } from '../runs/retry-policy.ts';
import { JobError } from './job.ts';

export type StepOptions = {
  /** From the start of a try to its end, as `"90s"`. Default: what is left of the attempt's own. */
  startToCloseTimeout?: string;
  /** Default: none; a fault is the attempt's. Durations as `"60s"`. */
  retry?: {
    maxAttempts: number;
    initialInterval: string;
    maxInterval?: string;
    backoffCoefficient?: number;
    nonRetryableErrorTypes?: readonly string[];
  };
};

/** Where a step's retry policy leaves them out. */
const maxIntervalMsDefault = 300_000;
const coefficientDefault = 2;

/** Null: none of its own. Throws JobError for a duration that is none. */
export function toPolicy(name: string, retry: StepOptions['retry']): RetryPolicy | null {
  if (retry === undefined) return null;
  const initialIntervalMs = toMs(name, retry.initialInterval);
  return {
    maxAttempts: retry.maxAttempts,
    initialIntervalMs,
    maxIntervalMs:
      retry.maxInterval === undefined
        ? Math.max(initialIntervalMs, maxIntervalMsDefault)
        : toMs(name, retry.maxInterval),
    backoffCoefficient: retry.backoffCoefficient ?? coefficientDefault,
    nonRetryableErrorTypes: retry.nonRetryableErrorTypes ?? [],
  };
}

/** Milliseconds of a duration as `"90s"`. Throws JobError for what is none. */
export function toMs(name: string, duration: string): number {
  const ms = parseDuration(duration);
  if (ms !== null) return ms;
  throw new JobError(
    'InvalidStep',
    `The step "${name}" has "${duration}" for a duration; write it as "90s" or "1h30m".`,
    {
      retryable: false,
    },
  );
}
