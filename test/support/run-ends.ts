/** Ends of runs, as a worker tells them to the database. */
import type { RunEnd } from '../../src/db/run-end-store.ts';

/** It succeeded with `{}`, unless `part` says otherwise. */
export function endOf(
  run: { id: string; attempt: number; scheduleId: string },
  finishedAtMs: number,
  part: Partial<RunEnd> = {},
): RunEnd {
  return {
    runId: run.id,
    attempt: run.attempt,
    scheduleId: run.scheduleId,
    status: 'succeeded',
    reason: null,
    output: {},
    error: null,
    finishedAtMs,
    ...part,
  };
}
