/** What a fire does while other runs of its schedule are active. Pure. */
import type { OverlapPolicy } from './schedule.ts';

export type OverlapDecision = 'start' | 'skip';

/** `active` counts queued, running and retrying runs of whatever cause. */
export function decideOverlap(policy: OverlapPolicy, active: number): OverlapDecision {
  if (policy === 'allow' || active === 0) return 'start';
  return 'skip';
}
