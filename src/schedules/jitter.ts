/** Jitter: how long after its nominal time a fire starts. Deterministic, so every node and every retry agrees. Pure. */
import { hash } from 'node:crypto';
import { lastMs } from './trigger.ts';

/**
 * Milliseconds in [0, jitterMs), a hash of (schedule, nominal time), cut to the gap before the next nominal time so
 * that fires stay in order.
 */
export function jitterOf(
  scheduleId: string,
  scheduledForMs: number,
  jitterMs: number | null,
  followingMs: number | null,
): number {
  if (jitterMs === null || jitterMs <= 0) return 0;
  const gapMs = (followingMs ?? lastMs) - scheduledForMs;
  const fraction =
    Number.parseInt(hash('sha256', `${scheduleId}~${scheduledForMs}`, 'hex').slice(0, 12), 16) / 2 ** 48;
  return Math.floor(fraction * Math.min(jitterMs, gapMs));
}
