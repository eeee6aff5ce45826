/**
 * The dead man's switch: looks for nominal times whose run has not started `lateAfter` later, whoever should have seen to
 * it. It asks the tables alone and no dispatcher, so every process does it, whatever its roles; what one has told, no
 * other tells again. Killed: the next look, or another process', finds the same.
 */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { type LateTime, listLate, tellLate } from '../db/lateness-store.ts';

export const lateEveryMs = 1_000;
/** Of each kind; when more is late than this, more than lateness is wrong. */
const lateMax = 10_000;
const tellBatchMax = 500;

export type Lateness = {
  /** How many are late, and how many of them were told now. */
  pass(): Promise<{ late: number; told: number }>;
  /** As the last pass found it: the longest late first. */
  readonly late: readonly LateTime[];
};

export function createLateness({ db, clock }: { db: Db; clock: Clock }): Lateness {
  let late: readonly LateTime[] = [];
  /** What this process need not tell again. */
  let known = new Set<string>();
  return {
    get late() {
      return late;
    },
    async pass() {
      const nowMs = clock.now();
      late = (await listLate(db, nowMs, lateMax)).sort((a, b) => a.scheduledForMs - b.scheduledForMs);
      const news = late.filter(({ runId }) => !known.has(runId));
      let told = 0;
      for (let from = 0; from < news.length; from += tellBatchMax) {
        told += await tellLate(db, news.slice(from, from + tellBatchMax), nowMs);
      }
      known = new Set(late.map(({ runId }) => runId));
      return { late: late.length, told };
    },
  };
}
