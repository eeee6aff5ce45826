/** How often and how fast a run is tried again. Pure. */
export type RetryPolicy = {
  /** Tries in all, the first included. */
  readonly maxAttempts: number;
  readonly initialIntervalMs: number;
  readonly maxIntervalMs: number;
  readonly backoffCoefficient: number;
  /** Error types that end the run at once. */
  readonly nonRetryableErrorTypes: readonly string[];
};

/** How Carillon's own jobs and tasks are tried again: ever later, every five minutes at last, unless they cannot work. */
export function houseBackoff(initialIntervalMs: number): Omit<RetryPolicy, 'maxAttempts'> {
  return {
    initialIntervalMs,
    maxIntervalMs: 300_000,
    backoffCoefficient: 2,
    nonRetryableErrorTypes: ['InvalidConfiguration'],
  };
}

/** A receiver's Retry-After is honoured up to this long. */
export const retryAfterMsMax = 3_600_000;

/**
 * Milliseconds before retry n (1 for the first retry): `min(maxInterval, initialInterval · coefficient^(n-1))`,
 * the rule of the reference workflow.
 */
export function backoffMs(policy: RetryPolicy, retry: number): number {
  const grown = policy.initialIntervalMs * policy.backoffCoefficient ** (retry - 1);
  return Math.round(Math.min(policy.maxIntervalMs, grown));
}

export type Failure = { type: string; retryable: boolean; retryAfterMs?: number | undefined };

/**
 * Whether a run that failed for the `failures`-th time (1 for the first) is tried again, and after how many
 * milliseconds. Attempts that were lost with their worker are not failures and are not counted.
 */
export function decideRetry(
  policy: RetryPolicy,
  failures: number,
  failure: Failure,
): { retryInMs: number } | null {
  if (!failure.retryable) return null;
  if (policy.nonRetryableErrorTypes.includes(failure.type)) return null;
  if (failures >= policy.maxAttempts) return null;
  const asked = Math.min(failure.retryAfterMs ?? 0, retryAfterMsMax);
  return { retryInMs: Math.max(backoffMs(policy, failures), asked) };
}
