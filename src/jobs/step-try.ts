/** One try of a step: its timeout, its signal, and what its function is given. */
import { abortableBy, untilAborted } from './abortable.ts';
import { JobError, type LogLevel } from './job.ts';

/** What a step's function sees. */
export type StepContext = {
  /** Aborted when the try takes too long, and with the attempt. */
  readonly signal: AbortSignal;
  /** The same for all tries of this step of this run. */
  readonly idempotencyKey: string;
  /** 1 for the first try. */
  readonly attempt: number;
  log(message: string, level?: LogLevel): void;
};

export type StepTry = {
  name: string;
  /** From its start to its end; null: as long as the attempt. */
  timeoutMs: number | null;
  /** The attempt's. */
  signal: AbortSignal;
  idempotencyKey: string;
  attempt: number;
  log(level: LogLevel, message: string): void;
};

/** How long a function that ignores its signal may still take. */
const graceMs = 1_000;

/** Throws what the function throws, JobError `Timeout`, or the reason of the attempt's signal. */
export async function tryStep<T>(
  { name, timeoutMs, signal, idempotencyKey, attempt, log }: StepTry,
  fn: (context: StepContext) => Promise<T> | T,
): Promise<T> {
  const tooLong = new AbortController();
  const message = `The step "${name}" took longer than its timeout of ${timeoutMs} ms.`;
  const timer =
    timeoutMs === null
      ? undefined
      : setTimeout(() => tooLong.abort(new JobError('Timeout', message)), Math.min(timeoutMs, 2 ** 31 - 1));
  const stepSignal = AbortSignal.any([signal, tooLong.signal]);
  const context: StepContext = {
    signal: stepSignal,
    idempotencyKey,
    attempt,
    log: (text, level = 'info') => log(level, text),
  };
  try {
    return await untilAborted(abortableBy(stepSignal), (async () => await fn(context))(), graceMs);
  } catch (error) {
    // What a function throws when its signal is aborted is of its own making.
    if (tooLong.signal.aborted) throw tooLong.signal.reason;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
