/**
 * Takes the fires of one schedule in their order and says of each what overlap makes of it (`overlap.ts`), with those
 * before it taken into account. Pure values: nothing is written here.
 *
 * Under `cancel_running` the newest fire takes the place of all others. Of the fires of one turn none has been written
 * yet, so the older ones never become runs; runs that are there already are cancelled by whoever writes
 * (`db/overlap-store.ts`).
 */
import { decideOverlap } from './overlap.ts';
import type { OverlapPolicy } from './schedule.ts';

/** A fire as far as overlap has a say in it; a planned one starts out as `queued`. */
type OverlappingFire = {
  status: 'queued' | 'held' | 'skipped' | 'missed';
  reason: string | null;
};

export type OverlapTurn<F extends OverlappingFire> = {
  /** Sets the status and the reason of the fire, and perhaps of some before it. */
  add(fire: F): void;
  readonly fires: readonly F[];
  /** How many became runs. */
  readonly became: number;
  /** What takes the place of all that was active or held before this turn; empty, or one. */
  readonly replacing: readonly F[];
};

/** Why a run is queued that does not start: what a reader sees until it is released. */
export const heldReason = 'held_by_overlap';

export function createOverlapTurn<F extends OverlappingFire>(before: {
  overlap: OverlapPolicy;
  activeRuns: number;
  /** In the way of these fires. */
  heldRuns: number;
  heldMax?: number;
}): OverlapTurn<F> {
  const fires: F[] = [];
  let active = before.activeRuns;
  let held = before.heldRuns;
  let became = 0;
  let replacing: F[] = [];

  function hold(fire: F): void {
    fire.status = 'held';
    fire.reason = heldReason;
  }

  function replace(newest: F): void {
    for (const older of fires) {
      if (older.status !== 'queued' && older.status !== 'held') continue;
      older.status = 'skipped';
      older.reason = 'superseded';
      became -= 1;
    }
    if (before.activeRuns > 0) {
      hold(newest);
      replacing = [newest];
    }
    active = Math.max(before.activeRuns, 1);
    held = before.activeRuns > 0 ? 1 : 0;
    became += 1;
  }

  return {
    add(fire) {
      switch (decideOverlap(before.overlap, active, held, before.heldMax)) {
        case 'start':
          active += 1;
          became += 1;
          break;
        case 'hold':
          hold(fire);
          held += 1;
          became += 1;
          break;
        case 'replace':
          replace(fire);
          break;
        case 'skip':
          fire.status = 'skipped';
          fire.reason = 'overlap';
          break;
        case 'queue_full':
          fire.status = 'skipped';
          fire.reason = 'queue_full';
          break;
      }
      fires.push(fire);
    },
    fires,
    get became() {
      return became;
    },
    get replacing() {
      return replacing;
    },
  };
}
