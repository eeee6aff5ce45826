/**
 * Whatever happened in whatever order, each nominal time is explained by what its row says, and by nothing else: random
 * schedules and histories (`fires-histories.ts`).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExplainedInstant } from '../../src/schedules/explain-service.ts';
import type { Verdict } from '../../src/schedules/verdict.ts';
import { historiesTimeoutMs, playHistories } from '../dispatcher/fires-histories.ts';
import type { Disposition } from '../dispatcher/fires-model.ts';
import { type House, setupHouse } from '../support/house.ts';

/** Of the times of one history. */
const toldMax = 60;

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
afterAll(() => house.close());

const byReason: Record<string, Verdict> = {
  overlap: 'skipped',
  queue_full: 'skipped',
  superseded: 'skipped',
  cancelled_by_overlap: 'skipped',
  paused: 'paused',
  rescheduled: 'withdrawn',
  stopped: 'stopped',
  schedule_deleted: 'deleted',
  cancelled_by_hand: 'cancelled',
};

/** Written apart from the code that it judges. */
function fitting({ run }: Disposition): Verdict {
  switch (run!.status) {
    case 'queued':
      return 'waiting';
    case 'running':
    case 'retrying':
      return 'running';
    case 'missed':
      return 'missed';
    default:
      return run!.startedAtMs !== null ? 'ran' : byReason[run!.reason!]!;
  }
}

/** What a time may be that has no row: not dispatched yet, or after the last run and so none any more. */
const withoutRow: readonly Verdict[] = ['waiting', 'paused', 'completed'];

function checkOthers(told: ExplainedInstant, { run, scheduleId }: Disposition): void {
  const { byRun, outage, previousMs, nextMs, atMs } = told;
  expect(previousMs ?? 0).toBeLessThan(atMs);
  expect(nextMs ?? Number.POSITIVE_INFINITY).toBeGreaterThan(atMs);
  if (run?.reason === 'overlap') {
    // Always found, and active when the record was made.
    expect(byRun).not.toBeNull();
    expect(byRun!.scheduleId).toBe(scheduleId);
    expect(byRun!.createdAtMs).toBeLessThanOrEqual(run.createdAtMs);
    expect(byRun!.finishedAtMs ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(run.createdAtMs);
  }
  if (run?.status === 'missed') {
    expect(outage!.fromMs).toBeLessThanOrEqual(atMs + 5_000);
    expect(outage!.untilMs).toBeGreaterThanOrEqual(atMs);
  }
  // One that came and went in one millisecond is not told.
  if (told.verdict === 'paused' && run === null) expect(told.pauses).not.toEqual([]);
}

describe('whatever happens', () => {
  it(
    'every nominal time is explained by its row',
    async () => {
      const seen = new Set<Verdict>();
      await playHistories(house, { count: 10, stepsMin: 30, stepsMax: 60 }, async (model) => {
        const all = await model.dispositions();
        const every = Math.max(1, Math.ceil(all.length / toldMax));
        for (const disposition of all.filter((_, index) => index % every === 0)) {
          const { scheduleId, atMs, run } = disposition;
          const told = await house.explanations.explain(scheduleId, atMs);
          seen.add(told.verdict);
          const at = `${new Date(atMs).toISOString()}: ${told.detail}`;
          if (run === null) expect(withoutRow, at).toContain(told.verdict);
          else expect([told.verdict, told.run?.id], at).toEqual([fitting(disposition), run.id]);
          checkOthers(told, disposition);
        }
      });
      // Else it would say little.
      for (const verdict of ['ran', 'skipped', 'missed', 'paused', 'waiting'] as const) {
        expect([...seen]).toContain(verdict);
      }
    },
    historiesTimeoutMs,
  );
});
