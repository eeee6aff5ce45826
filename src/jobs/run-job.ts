/**
 * Executes one attempt of a claimed run and returns how it ended; never throws. The pipeline: parse the input, start
 * the timeout, run, normalise what came back. Recording the end is the worker's.
 */
import type { Clock } from '../clock.ts';
import type { ClaimedRun } from '../db/run-store.ts';
import { decideRetry } from '../runs/retry-policy.ts';
import type { RunError } from '../runs/run.ts';
import { type Redact, redactJson } from '../secrets/redaction.ts';
import { untilAborted } from './abortable.ts';
import type { JobContext, JobType, LogLevel } from './job.ts';
import { type Fault, faultOf, keptError, normalised } from './job-answer.ts';
import type { AttemptAborted, LiveAttempt } from './live-attempt.ts';
import { createSteps, type Steps, StepsInterrupted, type StepsOver } from './step.ts';
import type { StepJournal } from './step-record.ts';
import { inAttempt } from './stray-faults.ts';

export type AttemptEnd =
  | {
      kind: 'ended';
      status: 'succeeded' | 'failed' | 'timed_out' | 'cancelled';
      reason: string | null;
      output: unknown;
      error: RunError | null;
    }
  | { kind: 'retry'; status: 'failed' | 'timed_out'; error: RunError; retryInMs: number }
  /** A step sleeps or is tried again later. */
  | { kind: 'waiting'; untilMs: number; reason: string; quiet?: true }
  /** The process of an isolated attempt died; no failure of the run, but not for ever. */
  | { kind: 'lost'; error: RunError; untilMs: number }
  /** The run is not this worker's any more, or is to be handed back; nothing is to be recorded. */
  | { kind: 'given_up' };

/** How long an aborted job may still take before its slot is freed and its answer is ignored, unless it says otherwise. */
const abortGraceMs = 1000;
/** What this worker does not know, others may: five minutes of asking. */
const elsewhereEveryMs = 5000;
const elsewhereRoundsMax = 60;
const strayWords = 'The job threw where nothing awaits it (an unhandled rejection, or in a callback)';

export type RunJobParts = {
  clock: Clock;
  log(level: LogLevel, message: string): void;
  /** Where the run's steps are kept. */
  journal: StepJournal;
  /** Takes the run's secrets out of what is kept or shown; before it is cut, since half a secret is not found. */
  redact: Redact;
};

export async function runJob(
  run: ClaimedRun,
  job: JobType | undefined,
  live: LiveAttempt,
  parts: RunJobParts,
): Promise<AttemptEnd> {
  const failure = failureOf(run, live, parts.redact);
  if (job === undefined) {
    const message = `No job type "${run.jobType}" in this worker.`;
    return (
      elsewhere(run, parts.clock, message) ??
      failure({ type: 'UnknownJobType', message }, { retryable: true })
    );
  }
  const steps = new LazySteps(run, live, parts);
  const timeout = setTimeout(
    () => live.abort('timeout', `The attempt took longer than its timeout of ${run.timeoutMs} ms.`),
    Math.min(run.timeoutMs, 2 ** 31 - 1),
  );
  try {
    const input = job.input.safeParse(run.input);
    if (!input.success) {
      const { issues } = input.error;
      const message = `The stored input does not fit the job type any more: ${issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`;
      const isOfNewer = issues.some(({ code }) => code === 'unrecognized_keys');
      const wait = isOfNewer ? elsewhere(run, parts.clock, message) : null;
      if (wait !== null) return wait;
      return failure({ type: 'InvalidConfiguration', message }, { retryable: false });
    }
    // What is cancelled before it began does not begin.
    live.throwIfAborted();
    live.faulty = {
      runId: run.id,
      attempt: run.attempt,
      fail: (thrown) => live.abort('stray_fault', strayWords, thrown),
    };
    const answer = inAttempt(
      live.faulty,
      async () => await job.run(new AttemptContext(run, live, parts, steps), input.data),
    );
    const output = redactJson(
      normalised(await untilAborted(live, answer, job.abortGraceMs ?? abortGraceMs)),
      parts.redact,
    );
    await steps.close();
    // Half of what it set off has failed: an answer of the other half does not count.
    if (live.reason?.why === 'stray_fault') return endOfAbort(run, live, live.reason, parts.redact);
    // Whatever the job made of the exception that said so.
    if (steps.over?.kind === 'waiting') return waiting(steps.over);
    return { kind: 'ended', status: 'succeeded', reason: null, output, error: null };
  } catch (thrown) {
    await steps.close();
    if (live.reason !== null) return endOfAbort(run, live, live.reason, parts.redact);
    if (steps.over !== null && isInterruption(thrown)) {
      return steps.over.kind === 'waiting' ? waiting(steps.over) : stopped;
    }
    return failure(...faultOf(thrown));
  } finally {
    clearTimeout(timeout);
  }
}

/**
 * During a rolling update a newer node takes a schedule with a job type, or a field, that workers of the version before do
 * not know: for some minutes such a run goes round until a worker has it that does. Null: nobody seems to.
 */
function elsewhere(run: ClaimedRun, clock: Pick<Clock, 'now'>, why: string): AttemptEnd | null {
  const rounds = run.attempt - run.failures - run.lost;
  if (rounds > elsewhereRoundsMax) return null;
  const reason = `${why} It waits for a worker that has it.`;
  return { kind: 'waiting', untilMs: clock.now() + elsewhereEveryMs, reason };
}

/** Made when the job first asks for them: most jobs have none. */
class LazySteps {
  readonly #run: ClaimedRun;
  readonly #live: LiveAttempt;
  readonly #parts: RunJobParts;
  #steps: Steps | null = null;
  constructor(run: ClaimedRun, live: LiveAttempt, parts: RunJobParts) {
    this.#run = run;
    this.#live = live;
    this.#parts = parts;
  }
  get(): Steps {
    const live = this.#live;
    const parts = this.#parts;
    this.#steps ??= createSteps({
      runId: this.#run.id,
      journal: parts.journal,
      clock: parts.clock,
      signal: live.signal,
      stopRequested: () => live.stopRequested,
      onLost: () => live.abort('lease_lost', 'The run went on without this attempt.'),
      log: (level, message) => parts.log(level, parts.redact(message)),
      redact: parts.redact,
    });
    return this.#steps;
  }
  get over() {
    return this.#steps?.over ?? null;
  }
  async close(): Promise<void> {
    await this.#steps?.close();
  }
}

function waiting(over: StepsOver & { kind: 'waiting' }): AttemptEnd {
  return { ...over };
}

const stopped: AttemptEnd = {
  kind: 'ended',
  status: 'cancelled',
  reason: 'stopped',
  output: null,
  error: null,
};

/** Also where a job wrapped it in an error of its own. */
function isInterruption(thrown: unknown): boolean {
  try {
    for (let at = thrown, depth = 0; at instanceof Error && depth < 20; at = at.cause, depth += 1) {
      if (at instanceof StepsInterrupted) return true;
    }
  } catch {
    // Anything can be thrown, also what cannot be looked at.
  }
  return false;
}

/**
 * What a job sees of its attempt. A class, whose members are made when they are asked for: most jobs ask for few, and a
 * herd of them is made at once. Each can be taken out by itself (`const { step, log } = context`).
 */
class AttemptContext implements JobContext {
  readonly #run: ClaimedRun;
  readonly #live: LiveAttempt;
  readonly #parts: RunJobParts;
  readonly #steps: LazySteps;
  constructor(run: ClaimedRun, live: LiveAttempt, parts: RunJobParts, steps: LazySteps) {
    this.#run = run;
    this.#live = live;
    this.#parts = parts;
    this.#steps = steps;
  }
  get runId() {
    return this.#run.id;
  }
  get attempt() {
    return this.#run.attempt;
  }
  get scheduleId() {
    return this.#run.scheduleId;
  }
  get scheduleName() {
    return this.#run.scheduleName;
  }
  get scheduledForMs() {
    return this.#run.scheduledForMs;
  }
  get idempotencyKey() {
    return this.#run.id;
  }
  get signal() {
    return this.#live.signal;
  }
  get stopRequested() {
    return this.#live.stopRequested;
  }
  get now(): JobContext['now'] {
    return () => this.#parts.clock.now();
  }
  get log(): JobContext['log'] {
    return (message, level = 'info') => this.#parts.log(level, this.#parts.redact(String(message)));
  }
  get redact() {
    return this.#parts.redact;
  }
  get step() {
    return this.#steps.get().step;
  }
  get all(): JobContext['all'] {
    return (branches, options) => this.#steps.get().all(branches, options);
  }
  get sleep(): JobContext['sleep'] {
    return (duration) => this.#steps.get().sleep(duration);
  }
  get rest(): JobContext['rest'] {
    return (ms, reason) => this.#steps.get().rest(ms, reason);
  }
  get progress(): JobContext['progress'] {
    return (done, total, unit) => this.#steps.get().progress(done, total, unit);
  }
}

/** How an attempt ends that was ended from outside. */
export function endOfAbort(
  run: ClaimedRun,
  live: LiveAttempt,
  why: AttemptAborted,
  redact: Redact = (text) => text,
): AttemptEnd {
  const error = { type: 'Timeout', message: why.message };
  switch (why.why) {
    case 'timeout':
      return failureOf(run, live, (text) => text)(error, { retryable: true }, 'timed_out');
    case 'stray_fault': {
      const [thrown, fault] = faultOf(why.cause);
      const told = { type: thrown.type, message: `${why.message}: ${thrown.message}` };
      return failureOf(run, live, redact)(told, fault);
    }
    case 'cancel':
      return { kind: 'ended', status: 'cancelled', reason: 'cancelled_by_hand', output: null, error: null };
    case 'lease_lost':
    case 'shutdown':
      return { kind: 'given_up' };
  }
}

/** How an attempt ends that failed, by the run's policy. */
export function failureOf(run: ClaimedRun, live: LiveAttempt, redact: Redact) {
  return (error: RunError, fault: Fault, status: 'failed' | 'timed_out' = 'failed'): AttemptEnd => {
    const kept = keptError({ type: redact(error.type), message: redact(error.message) });
    const again = live.stopRequested
      ? null
      : decideRetry(run.retry, run.failures + 1, { type: error.type, ...fault });
    if (again !== null) return { kind: 'retry', status, error: kept, retryInMs: again.retryInMs };
    return {
      kind: 'ended',
      status,
      reason: live.stopRequested ? 'stopped' : null,
      output: null,
      error: kept,
    };
  };
}
