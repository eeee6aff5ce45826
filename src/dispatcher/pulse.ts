/**
 * The sign of life of dispatching as a whole, whoever does it: a row that every dispatcher renews twice a second.
 * Where it falls silent for more than 2 s, that time is an outage, and the nominal times in it belong to the
 * catch-up policy. A dispatcher claims nothing unless its own pulse is fresh, so a process that was frozen first
 * records its sleep and then decides what it slept through.
 */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { outageHoleMs, recordAlive } from '../db/outage-store.ts';
import type { Outage } from '../schedules/due-times.ts';

export const pulseEveryMs = 500;
const freshMs = 1500;
const beatsMax = 3;

export type Pulse = {
  /** One beat. */
  beat(): Promise<void>;
  /** Beats if the last one is too long ago to judge by. What is decided next must be at the instant of its return. */
  ensureFresh(): Promise<void>;
  /** As of the last beat. */
  outages(): readonly Outage[];
};

export function createPulse({ db, clock }: { db: Db; clock: Clock }): Pulse {
  let beatAtMs = Number.NEGATIVE_INFINITY;
  let outages: readonly Outage[] = [];

  async function beat(): Promise<void> {
    const sentAtMs = clock.monotonic();
    outages = await recordAlive(db, clock.now(), outageHoleMs);
    beatAtMs = sentAtMs;
  }

  return {
    beat,
    async ensureFresh() {
      // Again where the process was frozen during the beat itself. A database that is that slow is no reason to wait.
      for (let beats = 0; beats < beatsMax && clock.monotonic() - beatAtMs > freshMs; beats += 1)
        await beat();
    },
    outages: () => outages,
  };
}
