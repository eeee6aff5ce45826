/** What is told of how an attempt ended, to readers of the run's log and to who watches the service. */
import type { Logger } from 'pino';
import type { ClaimedRun } from '../db/run-store.ts';
import { formatDuration } from '../duration.ts';
import type { AttemptStatus } from '../runs/run-state.ts';
import type { AttemptEnd } from './run-job.ts';
import type { AttemptLog } from './run-log.ts';

export function statusOf(end: AttemptEnd): AttemptStatus {
  if (end.kind === 'given_up') return 'handed_back';
  return end.kind === 'waiting' || end.kind === 'lost' ? end.kind : end.status;
}

/** Nothing of one that succeeded. */
export function tellEnd(run: ClaimedRun, end: AttemptEnd, lines: AttemptLog, logger: Logger): void {
  if (end.kind === 'waiting' && end.quiet !== true)
    lines.log('info', `attempt ${run.attempt} waits: ${end.reason}`);
  if (end.kind === 'lost') lines.log('error', `attempt ${run.attempt} is lost: ${end.error.message}`);
  if (end.kind !== 'retry' && end.kind !== 'ended') return;
  if (end.error === null) return;
  const what = `attempt ${run.attempt} ${end.status === 'timed_out' ? 'timed out' : end.status}: ${end.error.type}: ${end.error.message}`;
  if (end.kind === 'retry') {
    lines.log('warn', `${what} It is tried again in ${formatDuration(end.retryInMs)}.`);
    return;
  }
  lines.log('error', what);
  logger.warn({ runId: run.id, schedule: run.scheduleName }, `run ${run.id} of ${run.scheduleName}: ${what}`);
}
