/**
 * Executes one attempt of a claimed run and returns how it ended; never throws. The pipeline: parse the input, start
 * the timeout, run, normalise what came back. Recording the end is the worker's.
 */
import type { Clock } from '../clock.ts';
import type { ClaimedRun } from '../db/run-store.ts';
import { messageOf } from '../errors.ts';
import { decideRetry } from '../runs/retry-policy.ts';
import type { RunError } from '../runs/run.ts';
import { type JobContext, JobError, type JobType, type LogLevel } from './job.ts';

export type AttemptEnd =
  | {
      kind: 'ended';
      status: 'succeeded' | 'failed' | 'timed_out' | 'cancelled';
      reason: string | null;
      output: unknown;
      error: RunError | null;
    }
  | { kind: 'retry'; status: 'failed' | 'timed_out'; error: RunError; retryInMs: number }
  /** The run is not this worker's any more, or is to be handed back; nothing is to be recorded. */
  | { kind: 'given_up' };

/** Why an attempt is ended from outside. */
export type AbortReason = 'timeout' | 'cancel' | 'lease_lost' | 'shutdown';

/** What an attempt's signal is aborted with. */
export class AttemptAborted extends Error {
  readonly why: AbortReason;
  constructor(why: AbortReason, message: string) {
    super(message);
    this.name = 'AttemptAborted';
    this.why = why;
  }
}

/** An attempt in flight, as the worker can reach it. */
export type LiveAttempt = {
  readonly abort: AbortController;
  stopRequested: boolean;
};

/** How long an aborted job may still take before its slot is freed and its answer is ignored. */
const abortGraceMs = 1000;
/** An output beyond this is a fault of the job. */
const outputBytesMax = 256 * 1024;
/** As deep as JSON from outside may be; Postgres gives up at some ten thousand levels. */
const outputDepthMax = 64;
const messageLengthMax = 4000;
const typeLengthMax = 200;

export async function runJob(
  run: ClaimedRun,
  job: JobType | undefined,
  live: LiveAttempt,
  parts: { clock: Clock; log(level: LogLevel, message: string): void },
): Promise<AttemptEnd> {
  if (job === undefined) {
    return failure(
      run,
      live,
      { type: 'UnknownJobType', message: `No job type "${run.jobType}" in this worker.` },
      { retryable: true },
    );
  }
  const timeout = setTimeout(
    () => abort(live, 'timeout', `The attempt took longer than its timeout of ${run.timeoutMs} ms.`),
    Math.min(run.timeoutMs, 2 ** 31 - 1),
  );
  try {
    const input = job.input.safeParse(run.input);
    if (!input.success) {
      const message = `The stored input does not fit the job type any more: ${input.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`;
      return failure(run, live, { type: 'InvalidConfiguration', message }, { retryable: false });
    }
    // What is cancelled before it began does not begin.
    live.abort.signal.throwIfAborted();
    const answer = (async () => await job.run(contextOf(run, live, parts), input.data))();
    // Once and for all as JSON: an object could change after this, or say something else the next time.
    const text = JSON.stringify(await untilAborted(live.abort.signal, answer)) ?? 'null';
    const size = Buffer.byteLength(text);
    if (size > outputBytesMax) {
      const message = `The output has ${size} bytes; at most ${outputBytesMax} are kept.`;
      return failure(run, live, { type: 'OutputTooLarge', message }, { retryable: false });
    }
    if (isDeeper(text, outputDepthMax)) {
      const message = `The output is nested deeper than ${outputDepthMax} levels, which is more than is kept.`;
      return failure(run, live, { type: 'OutputTooDeep', message }, { retryable: false });
    }
    return { kind: 'ended', status: 'succeeded', reason: null, output: JSON.parse(text), error: null };
  } catch (thrown) {
    const why = live.abort.signal.reason;
    if (why instanceof AttemptAborted) return aborted(run, live, why);
    return failure(run, live, ...faultOf(thrown));
  } finally {
    clearTimeout(timeout);
  }
}

export function abort(live: LiveAttempt, why: AbortReason, message: string): void {
  live.abort.abort(new AttemptAborted(why, message));
}

function contextOf(
  run: ClaimedRun,
  live: LiveAttempt,
  parts: { clock: Clock; log(level: LogLevel, message: string): void },
): JobContext {
  return {
    runId: run.id,
    attempt: run.attempt,
    scheduleId: run.scheduleId,
    scheduleName: run.scheduleName,
    scheduledForMs: run.scheduledForMs,
    idempotencyKey: run.id,
    signal: live.abort.signal,
    get stopRequested() {
      return live.stopRequested;
    },
    now: () => parts.clock.now(),
    log: (message, level = 'info') => parts.log(level, message),
  };
}

/** The job's answer; or, when it ignores its signal, the abort's reason after a grace. Its late answer is dropped. */
async function untilAborted<T>(signal: AbortSignal, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const deaf = new Promise<never>((_, reject) => {
    onAbort = () => {
      timer = setTimeout(() => reject(signal.reason), abortGraceMs);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([answer, deaf]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort!);
    // Neither may become an unhandled rejection after the race is decided.
    answer.catch(() => {});
    deaf.catch(() => {});
  }
}

function aborted(run: ClaimedRun, live: LiveAttempt, why: AttemptAborted): AttemptEnd {
  const error = { type: 'Timeout', message: why.message };
  switch (why.why) {
    case 'timeout':
      return failure(run, live, error, { retryable: true }, 'timed_out');
    case 'cancel':
      return { kind: 'ended', status: 'cancelled', reason: 'cancelled_by_hand', output: null, error: null };
    case 'lease_lost':
    case 'shutdown':
      return { kind: 'given_up' };
  }
}

function failure(
  run: ClaimedRun,
  live: LiveAttempt,
  error: RunError,
  fault: Fault,
  status: 'failed' | 'timed_out' = 'failed',
): AttemptEnd {
  const kept = {
    type: clean(error.type).slice(0, typeLengthMax).toWellFormed(),
    message: clean(error.message),
  };
  const again = live.stopRequested
    ? null
    : decideRetry(run.retry, run.failures + 1, {
        type: error.type,
        retryable: fault.retryable,
        retryAfterMs: fault.retryAfterMs,
      });
  if (again !== null) return { kind: 'retry', status, error: kept, retryInMs: again.retryInMs };
  return { kind: 'ended', status, reason: live.stopRequested ? 'stopped' : null, output: null, error: kept };
}

type Fault = { retryable: boolean; retryAfterMs?: number | undefined };

/** Anything can be thrown, also what cannot be turned into words. */
function faultOf(thrown: unknown): [RunError, Fault] {
  try {
    if (thrown instanceof JobError) {
      const { type, message, retryable, retryAfterMs } = thrown;
      const fault = { retryable, retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : undefined };
      return [{ type: String(type), message: String(message) }, fault];
    }
    const type = thrown instanceof Error ? String(thrown.name) : 'Error';
    return [{ type, message: String(messageOf(thrown)) }, { retryable: true }];
  } catch {
    const message = `The job threw something that says nothing of itself (${typeof thrown}).`;
    return [{ type: 'Error', message }, { retryable: true }];
  }
}

/** Whether JSON text nests arrays and objects more than `levels` deep. */
function isDeeper(json: string, levels: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < json.length; at += 1) {
    const char = json[at];
    if (quoted) {
      if (char === '\\') at += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '[' || char === '{') {
      depth += 1;
      if (depth > levels) return true;
    } else if (char === ']' || char === '}') depth -= 1;
  }
  return false;
}

/** Postgres stores no null characters, and nobody reads a message of a megabyte. */
export function clean(message: string): string {
  const text = message.replaceAll('\u0000', '\\0').toWellFormed();
  return text.length <= messageLengthMax
    ? text
    : `${text.slice(0, messageLengthMax).toWellFormed()}… (${text.length} characters)`;
}
