/**
 * Durable steps: the named parts of a job, each done once for its run.
 *
 * A step's function runs until it has succeeded; then its output is on record and no later attempt of the run calls
 * it again. A step that fails is tried again by its own policy, when it has one: a wait of up to a second is waited
 * here, a longer one ends the attempt, and the run goes on when the wait is over (`retrying`), so that nothing sleeps
 * in a slot. Without a policy of its own its fault is the attempt's, and the run's policy decides.
 *
 * What happens on kill -9:
 * - before a try is on record: the next attempt makes it;
 * - after that, until its outcome is on record: the next attempt makes another. The effect of a step may happen twice,
 *   its record once: at-least-once steps, exactly-once checkpoints. The idempotency key is the same both times;
 * - after that: the next attempt gets the recorded output.
 *
 * Every record is written only while the run is at this attempt; when it is not, the attempt is over (fencing).
 */
import { type Clock, toIso } from '../clock.ts';
import { decideRetry } from '../runs/retry-policy.ts';
import type { RunError } from '../runs/run.ts';
import { type Redact, redactJson } from '../secrets/redaction.ts';
import { pause } from './abortable.ts';
import { JobError, type LogLevel } from './job.ts';
import { faultOf, keptError, normalised } from './job-answer.ts';
import { createStepNames } from './step-names.ts';
import { type StepOptions, toMs, toPolicy } from './step-options.ts';
import { createProgressWriter } from './step-progress.ts';
import { newStep, type StepJournal, type StepRecord } from './step-record.ts';
import { type StepContext, tryStep } from './step-try.ts';

/** Why an attempt ends though its job has not: it waits for `untilMs`, or the schedule was stopped. */
export type StepsOver =
  /** `quiet`: one of many such waits, of which the history keeps none. */
  { kind: 'waiting'; untilMs: number; reason: string; quiet?: true } | { kind: 'stopped' };

export interface Steps {
  step<T>(name: string, fn: (context: StepContext) => Promise<T> | T): Promise<T>;
  step<T>(name: string, options: StepOptions, fn: (context: StepContext) => Promise<T> | T): Promise<T>;
  all<T>(branches: readonly (() => Promise<T>)[], options?: { concurrency?: number }): Promise<T[]>;
  sleep(duration: string): Promise<void>;
  /**
   * A wait without a record, for jobs that wait without end: a long one ends the attempt, and the next one begins from
   * the top. Over at once when the schedule is stopped.
   */
  rest(ms: number, reason: string): Promise<void>;
  progress(done: number, total: number | null, unit?: string): void;
  /** Set when the attempt must not go on, whatever the job made of the exception that said so. */
  readonly over: StepsOver | null;
  /** Aborts steps that nobody waits for any more, waits for their end, and writes what is left of the progress. */
  close(): Promise<void>;
}

export type StepsParts = {
  runId: string;
  journal: StepJournal;
  clock: Pick<Clock, 'now'>;
  /** The attempt's. */
  signal: AbortSignal;
  stopRequested(): boolean;
  /** Called when a record could not be written because the run went on without this attempt. */
  onLost(): void;
  log(level: LogLevel, message: string): void;
  /** Takes the run's secrets out of what is kept. */
  redact: Redact;
};

/** Thrown out of a job that must not go on now. Whoever catches it gets it again at the next step. */
export class StepsInterrupted extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StepsInterrupted';
  }
}

/** A wait of up to this long is waited in the slot, milliseconds. */
export const inlineWaitMsMax = 1_000;

export function createSteps(parts: StepsParts): Steps {
  const { journal, clock } = parts;
  const claimName = createStepNames();
  const inFlight = new Set<Promise<unknown>>();
  /** Ends the steps that a job started and does not wait for. */
  const leftover = new AbortController();
  const signal = AbortSignal.any([parts.signal, leftover.signal]);
  let over: StepsOver | null = null;
  let loading: Promise<Map<string, StepRecord>> | undefined;
  let sleeps = 0;
  /** Calls of `all` that are going on. */
  let alls = 0;
  const progress = createProgressWriter({ journal, clock, onLost: parts.onLost });

  function records(): Promise<Map<string, StepRecord>> {
    loading ??= journal.load().then((list) => new Map(list.map((record) => [record.name, record])));
    return loading;
  }

  async function save(record: StepRecord): Promise<void> {
    if (await journal.save(record)) return;
    parts.onLost();
    signal.throwIfAborted();
    throw new StepsInterrupted('The run went on without this attempt.');
  }

  /** Beside a branch that waits, the others go on. */
  function throwIfOver(): void {
    signal.throwIfAborted();
    if (parts.stopRequested()) over = { kind: 'stopped' };
    if (over?.kind === 'stopped') throw new StepsInterrupted('The schedule was stopped.');
    if (over !== null && alls === 0) throw new StepsInterrupted(over.reason);
  }

  /** Until the instant that the record waits for: here when that is soon, else by ending the attempt. */
  async function waitFor(record: StepRecord, reason: string): Promise<void> {
    for (;;) {
      const leftMs = (record.resumeAtMs ?? 0) - clock.now();
      if (leftMs <= 0) return;
      if (leftMs > inlineWaitMsMax) {
        const untilMs = Math.min(record.resumeAtMs!, over?.kind === 'waiting' ? over.untilMs : Infinity);
        if (over?.kind !== 'stopped') over = { kind: 'waiting', untilMs, reason };
        throw new StepsInterrupted(reason);
      }
      await pause(leftMs, signal);
    }
  }

  async function perform<T>(
    name: string,
    options: StepOptions,
    fn: (context: StepContext) => Promise<T> | T,
  ): Promise<T> {
    const policy = toPolicy(name, options.retry);
    const timeoutMs =
      options.startToCloseTimeout === undefined ? null : toMs(name, options.startToCloseTimeout);
    const known = (await records()).get(name);
    if (known?.status === 'succeeded') return known.output as T;
    if (known?.status === 'failed') throw finalError(known.error!);
    const record = known ?? newStep(name, clock.now());
    for (;;) {
      throwIfOver();
      await waitFor(record, `The step "${name}" is tried again later.`);
      record.status = 'running';
      record.attempts += 1;
      record.resumeAtMs = null;
      await save(record);
      try {
        const answer = normalised(
          await tryStep({ ...ofRun(name), timeoutMs, attempt: record.attempts }, fn),
          `step "${name}"`,
        );
        const output = redactJson(answer, parts.redact);
        Object.assign(record, { status: 'succeeded', output, error: null, finishedAtMs: clock.now() });
      } catch (thrown) {
        // The attempt is over, or somebody else's: nothing is to be said of the step.
        signal.throwIfAborted();
        if (thrown instanceof StepsInterrupted) throw thrown;
        const [told, fault] = faultOf(thrown);
        const error = keptError({ type: parts.redact(told.type), message: parts.redact(told.message) });
        record.error = error;
        record.failures += 1;
        const again =
          policy === null ? null : decideRetry(policy, record.failures, { type: error.type, ...fault });
        if (again !== null) {
          record.status = 'retrying';
          record.resumeAtMs = clock.now() + again.retryInMs;
          parts.log(
            'warn',
            `step "${name}" failed (${error.type}: ${error.message}); tried again in ${again.retryInMs} ms`,
          );
          await save(record);
          continue;
        }
        if (policy === null) {
          record.status = 'retrying';
          await save(record);
          throw thrown;
        }
        Object.assign(record, { status: 'failed', finishedAtMs: clock.now() });
        await save(record);
        throw finalError(error);
      }
      await save(record);
      return record.output as T;
    }
  }

  const ofRun = (name: string) => ({
    name,
    signal,
    idempotencyKey: `${parts.runId}/${name}`,
    log: parts.log,
  });

  function tracked<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => {},
      () => {},
    );
    inFlight.add(settled);
    void settled.then(() => inFlight.delete(settled));
    return work;
  }

  return {
    step<T>(name: string, ...rest: unknown[]): Promise<T> {
      const fn = rest.at(-1) as (context: StepContext) => Promise<T> | T;
      const options = (rest.length > 1 ? rest[0] : {}) as StepOptions;
      return tracked(
        (async () => {
          throwIfOver();
          claimName(name);
          return await perform(name, options, fn);
        })(),
      );
    },

    async all<T>(branches: readonly (() => Promise<T>)[], { concurrency = Infinity } = {}): Promise<T[]> {
      const results = new Array<PromiseSettledResult<T>>(branches.length);
      let next = 0;
      const lane = async () => {
        while (next < branches.length) {
          const index = next++;
          results[index] = (await Promise.allSettled([(async () => await branches[index]!())()]))[0]!;
        }
      };
      alls += 1;
      try {
        await Promise.all(Array.from({ length: Math.min(concurrency, branches.length) }, lane));
      } finally {
        alls -= 1;
      }
      const faults = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
      // A fault is the attempt's at once; what waits keeps its time on record.
      const [fault] = [...faults.filter((each) => !(each instanceof StepsInterrupted)), ...faults];
      if (faults.length > 0) throw fault;
      return results.map((result) => (result as PromiseFulfilledResult<T>).value);
    },

    sleep(duration) {
      return tracked(
        (async () => {
          throwIfOver();
          sleeps += 1;
          const name = `sleep ${sleeps}`;
          claimName(name);
          const known = (await records()).get(name);
          if (known?.status === 'succeeded') return;
          const record = known ?? asleep(newStep(name, clock.now()), toMs(name, duration));
          if (known === undefined) await save(record);
          await waitFor(record, `It sleeps until ${toIso(record.resumeAtMs!)}.`);
          Object.assign(record, { status: 'succeeded', finishedAtMs: clock.now(), resumeAtMs: null });
          await save(record);
        })(),
      );
    },

    rest(ms, reason) {
      return tracked(
        (async () => {
          signal.throwIfAborted();
          if (parts.stopRequested()) return;
          if (ms <= inlineWaitMsMax) return await pause(ms, signal);
          over = { kind: 'waiting', untilMs: clock.now() + ms, reason, quiet: true };
          throw new StepsInterrupted(reason);
        })(),
      );
    },

    progress: (done, total, unit = '') => {
      if (!signal.aborted) progress.tell({ done, total, unit: parts.redact(String(unit)) });
    },

    get over() {
      return over;
    },

    async close() {
      leftover.abort(new StepsInterrupted('The job has ended without waiting for this step.'));
      await Promise.all(inFlight);
      await progress.close(!parts.signal.aborted);
    },
  };
}

function asleep(step: StepRecord, ms: number): StepRecord {
  return { ...step, status: 'sleeping', attempts: 1, resumeAtMs: step.startedAtMs + ms };
}

/** A step's own policy was its last word: the run is not tried again for it. */
function finalError({ type, message }: RunError): JobError {
  return new JobError(type, message, { retryable: false });
}
