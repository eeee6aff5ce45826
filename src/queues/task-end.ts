/** What becomes of a task that was tried. Pure. */
import { decideRetry, type Failure, houseBackoff } from '../runs/retry-policy.ts';
import type { RunError } from '../runs/run.ts';
import type { ClaimedTask } from './queue-task.ts';

/** Between two tries; how many there are is the task's own. */
export const taskBackoff = houseBackoff(5_000);

export type TryOutcome =
  | { kind: 'succeeded'; output: unknown }
  | { kind: 'failed'; error: RunError; failure: Omit<Failure, 'type'> };

export type TaskEnd = { output: unknown; error: RunError | null } & (
  | { status: 'succeeded' | 'dead' }
  | { status: 'waiting'; dueAtMs: number }
);

/** A failure is tried again after its backoff, or, when it was the last try or no other can help, dead. */
export function taskEnd(
  task: Pick<ClaimedTask, 'failures' | 'maxAttempts'>,
  outcome: TryOutcome,
  nowMs: number,
): TaskEnd {
  if (outcome.kind === 'succeeded') return { status: 'succeeded', output: outcome.output, error: null };
  const { error, failure } = outcome;
  const policy = { ...taskBackoff, maxAttempts: task.maxAttempts };
  const again = decideRetry(policy, task.failures + 1, { type: error.type, ...failure });
  return again === null
    ? { status: 'dead', output: null, error }
    : { status: 'waiting', dueAtMs: nowMs + again.retryInMs, output: null, error };
}

/**
 * How many tasks a drain asks for next: as many as keep it busy between a quarter of a second and a second. What is
 * claimed ahead is out of reach for other drains, and for tasks of a higher priority that come meanwhile.
 */
export function nextClaim(lastLimit: number, sinceLastMs: number, atOnce: number): number {
  if (sinceLastMs < 250) return Math.min(Math.max(claimMax, atOnce), lastLimit * 2);
  return sinceLastMs > 1_000 ? Math.max(atOnce, Math.floor(lastLimit / 2)) : lastLimit;
}

const claimMax = 1_000;
