/**
 * What a fire does while other runs of its schedule are active. Pure.
 *
 * | policy           | nothing active | active, none held | active, some held              |
 * | ---------------- | -------------- | ----------------- | ------------------------------ |
 * | `skip`           | start          | skip              | skip                           |
 * | `queue_one`      | start          | hold              | skip: the first one is kept    |
 * | `queue_all`      | start          | hold              | hold; from 1,000 on queue_full |
 * | `cancel_running` | start          | replace           | replace                        |
 * | `allow`          | start          | start             | start                          |
 *
 * `replace`: the active and the held runs are cancelled, and this one is held until the last active one has ended. What
 * is held is released by the statement that ends the last active run (`db/run-end-store.ts`), so something is held only
 * while something is active.
 */
import type { HeldRuns, OverlapPolicy } from './schedule.ts';

export type OverlapDecision = 'start' | 'hold' | 'replace' | 'skip' | 'queue_full';

/** Held fires of a `queue_all` schedule beyond this are skipped; a backfill has a limit of its own. */
export const heldRunsMax = 1000;

/** `active` counts queued, running and retrying runs of whatever cause; `held` those in the way of this fire. */
export function decideOverlap(
  policy: OverlapPolicy,
  active: number,
  held: number,
  heldMax: number = heldRunsMax,
): OverlapDecision {
  if (policy === 'allow' || active === 0) return 'start';
  switch (policy) {
    case 'skip':
      return 'skip';
    case 'queue_one':
      return held === 0 ? 'hold' : 'skip';
    case 'queue_all':
      return held < heldMax ? 'hold' : 'queue_full';
    case 'cancel_running':
      return 'replace';
  }
}

/** Of what is held, what is in the way of a live fire. */
export function heldLive({ all, backfills }: HeldRuns): number {
  return all - backfills;
}
