/**
 * Faults that a job leaves where nobody awaits them: a promise that rejects beside it, an exception in its timer. Left to
 * Node they would end the process and with it the runs of everybody else, three times over, until the run counts as
 * poisoned. Whatever a job sets off carries its attempt along (async context), so the fault finds its way back to it.
 *
 * Nothing is kept here: killed, the attempt goes on elsewhere as any other.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { JobError } from './job.ts';

export type FaultyAttempt = {
  readonly runId: string;
  readonly attempt: number;
  /** Ends the attempt as failed by that; harmless when it is over. */
  fail(thrown: unknown): void;
};

const attempts = new AsyncLocalStorage<FaultyAttempt>();

/** Calls the job. */
export function inAttempt<T>(attempt: FaultyAttempt, call: () => T): T {
  return attempts.run(attempt, call);
}

/**
 * Registers the process' handler for what nobody caught. A job's own ends its attempt, which is handed to `onJobFault`
 * to be told; any other is the program's, which does not know its own state then and must not go on: `onOwnFault`.
 */
export function handleUncaught(
  onJobFault: (error: Error, attempt: FaultyAttempt) => void,
  onOwnFault: (error: Error) => void,
): void {
  process.on('uncaughtException', (error) => {
    const attempt = attempts.getStore();
    if (attempt === undefined) return onOwnFault(error);
    attempt.fail(error);
    onJobFault(error, attempt);
  });
}

/** From here on `process.exit` in a job is a fault of that job; elsewhere it is what it was. */
export function refuseExitInJobs(): void {
  const exit = process.exit;
  process.exit = (code) => {
    if (attempts.getStore() === undefined) return exit.call(process, code);
    throw new JobError(
      'ProcessExit',
      `The job called process.exit(${code ?? ''}), which would end all runs.`,
      {
        retryable: false,
      },
    );
  };
}
