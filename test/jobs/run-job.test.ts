/** One attempt: whatever a job does, `runJob` answers with how it ended, in bounded time, in words that can be stored. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import type { ClaimedRun } from '../../src/db/run-store.ts';
import { defineJob, type JobContext, JobError, type JobType, type LogLevel } from '../../src/jobs/job.ts';
import { clean } from '../../src/jobs/job-answer.ts';
import { LiveAttempt } from '../../src/jobs/live-attempt.ts';
import { type AttemptEnd, runJob } from '../../src/jobs/run-job.ts';
import type { RetryPolicy } from '../../src/runs/retry-policy.ts';
import { createHandClock } from '../support/hand-clock.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';

const retry: RetryPolicy = {
  maxAttempts: 3,
  initialIntervalMs: 1000,
  maxIntervalMs: 60_000,
  backoffCoefficient: 2,
  nonRetryableErrorTypes: ['InvalidConfiguration'],
};
const once: RetryPolicy = { ...retry, maxAttempts: 1 };

type Run = (context: JobContext, input: unknown) => unknown;

function setup(run: Run, changes: Partial<ClaimedRun> = {}, type: Partial<JobType> = {}) {
  const job = defineJob({
    type: 'scripted',
    description: '',
    input: z.unknown(),
    output: z.unknown(),
    taskQueue: 'default',
    retry,
    timeoutMs: 60_000,
    example: {},
    run: run as (context: JobContext, input: unknown) => Promise<unknown>,
    ...type,
  });
  const claimed: ClaimedRun = {
    id: '019b76da-a800-7000-8000-000000000001',
    attempt: 1,
    scheduleId: '019b76da-a800-7000-8000-000000000002',
    scheduleName: 'nightly',
    jobType: 'scripted',
    input: { given: true },
    scheduledForMs: 1_700_000_000_000,
    timeoutMs: 60_000,
    retry,
    failures: 0,
    lost: 0,
    signal: null,
    ...changes,
  };
  const live = new LiveAttempt();
  const clock = createHandClock(1_700_000_000_500);
  const log: [LogLevel, string][] = [];
  const journal = createMemoryJournal();
  const start = (found: JobType | undefined = job) =>
    runJob(claimed, found, live, {
      clock,
      journal,
      redact: (text) => text,
      log: (level, message) => log.push([level, message]),
    });
  return { start, live, log, clock, claimed, journal };
}

const forever = () => new Promise<never>(() => {});

/** Waits until its signal is aborted, as a well-behaved job does. */
const untilTold: Run = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a job that answers', () => {
  it('succeeds with its output, and sees its run in its context', async () => {
    const { start, log } = setup(async (context, input) => {
      context.log('one');
      context.log('two', 'warn');
      const { runId, attempt, scheduleName, scheduledForMs, idempotencyKey } = context;
      return { runId, attempt, scheduleName, scheduledForMs, idempotencyKey, at: context.now(), input };
    });
    expect(await start()).toEqual({
      kind: 'ended',
      status: 'succeeded',
      reason: null,
      error: null,
      output: {
        runId: '019b76da-a800-7000-8000-000000000001',
        attempt: 1,
        scheduleName: 'nightly',
        scheduledForMs: 1_700_000_000_000,
        idempotencyKey: '019b76da-a800-7000-8000-000000000001',
        at: 1_700_000_000_500,
        input: { given: true },
      },
    });
    expect(log).toEqual([
      ['info', 'one'],
      ['warn', 'two'],
    ]);
  });

  it.each<[string, Run, unknown]>([
    ['undefined', async () => undefined, null],
    ['null', async () => null, null],
    ['a function', async () => () => 1, null],
    ['nothing, and is not even async', () => undefined, null],
    ['a plain value, and is not async', () => ({ fine: true }), { fine: true }],
    ['a Date', async () => ({ at: new Date(0) }), { at: '1970-01-01T00:00:00.000Z' }],
    ['NaN and undefined within', async () => ({ n: Number.NaN, u: undefined }), { n: null }],
  ])('may answer with %s', async (_name, run, output) => {
    expect(await setup(run).start()).toMatchObject({ kind: 'ended', status: 'succeeded', output });
  });

  it('cannot change its output afterwards', async () => {
    const output = { counted: 1 };
    const end = await setup(async () => output).start();
    output.counted = 2;
    expect(end).toMatchObject({ output: { counted: 1 } });
  });

  it('may answer with 256 KiB of output, and fails for good with one byte more', async () => {
    const most = 'x'.repeat(256 * 1024 - 2);
    expect(await setup(async () => most).start()).toMatchObject({ status: 'succeeded', output: most });
    expect(await setup(async () => `${most}x`).start()).toMatchObject({
      kind: 'ended',
      status: 'failed',
      output: null,
      error: { type: 'OutputTooLarge', message: 'The output has 262145 bytes; at most 262144 are kept.' },
    });
  });

  it('fails for good with an output that is nested deeper than the database can read', async () => {
    const nested = (levels: number) => {
      let value: unknown = '[[{{"';
      for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { in: value };
      return value;
    };
    expect(await setup(async () => nested(64)).start()).toMatchObject({ status: 'succeeded' });
    for (const levels of [65, 50_000]) {
      expect(await setup(async () => nested(levels)).start()).toMatchObject({
        kind: 'ended',
        status: 'failed',
        error: { type: 'OutputTooDeep' },
      });
    }
  });

  it.each<[string, () => unknown]>([
    ['refers to itself', circular],
    ['holds a BigInt', () => ({ n: 1n })],
    [
      'throws when it is looked at',
      () => ({
        get trap() {
          throw new Error('a trap');
        },
      }),
    ],
  ])('fails like any other fault with an output that %s', async (_name, output) => {
    const { start } = setup(async () => output());
    expect(await start()).toMatchObject({ kind: 'retry', status: 'failed' });
  });
});

function circular(): unknown {
  const value: { self?: unknown } = {};
  value.self = value;
  return value;
}

describe('a job that throws', () => {
  const silent = Object.assign(new Error('x'), { message: undefined, name: 42 });
  const hostile = {
    toString() {
      throw new Error('not even this');
    },
  };
  const trap = new Proxy(new Error('x'), {
    get() {
      throw new Error('nothing can be read of it');
    },
    getPrototypeOf() {
      throw new Error('nor what it is');
    },
  });

  it.each<[string, unknown, { type: string; message: string }]>([
    ['undefined', undefined, { type: 'Error', message: 'undefined' }],
    ['null', null, { type: 'Error', message: 'null' }],
    ['a text', 'no luck', { type: 'Error', message: 'no luck' }],
    ['a number', 7, { type: 'Error', message: '7' }],
    ['a symbol', Symbol('odd'), { type: 'Error', message: 'Symbol(odd)' }],
    ['a TypeError', new TypeError('no such thing'), { type: 'TypeError', message: 'no such thing' }],
    ['an error without a message', new RangeError(), { type: 'RangeError', message: 'RangeError' }],
    [
      'an AggregateError without a message',
      new AggregateError([new Error('one'), new Error('two')]),
      { type: 'AggregateError', message: 'one; two' },
    ],
    ['an error whose fields are no texts', silent, { type: '42', message: 'undefined' }],
    [
      'an object without a prototype',
      Object.create(null),
      { type: 'Error', message: 'The job threw something that says nothing of itself (object).' },
    ],
    [
      'an object that throws when it is asked',
      hostile,
      { type: 'Error', message: 'The job threw something that says nothing of itself (object).' },
    ],
    [
      'a proxy that refuses everything',
      trap,
      { type: 'Error', message: 'The job threw something that says nothing of itself (object).' },
    ],
    [
      'a JobError with null characters and half a surrogate pair',
      new JobError('Odd\0Type', 'a\0b\ud800c'),
      { type: 'Odd\\0Type', message: 'a\\0b\ufffdc' },
    ],
  ])('%s is retried, told in words that can be stored', async (_name, thrown, error) => {
    const later = setup(async () => {
      throw thrown;
    });
    expect(await later.start()).toEqual({ kind: 'retry', status: 'failed', error, retryInMs: 1000 });
    // Before it has returned a promise, too.
    const atOnce = setup(() => {
      throw thrown;
    });
    expect(await atOnce.start()).toEqual({ kind: 'retry', status: 'failed', error, retryInMs: 1000 });
  });

  it('has its message cut, and the length told', async () => {
    const { start } = setup(async () => {
      throw new JobError('T'.repeat(1000), 'm'.repeat(1_000_000));
    });
    const end = (await start()) as Extract<AttemptEnd, { kind: 'retry' }>;
    expect(end.error.type).toHaveLength(200);
    expect(end.error.message).toBe(`${'m'.repeat(4000)}… (1000000 characters)`);
  });

  it('waits longer before each retry, and fails when the attempts are used up', async () => {
    const fail = async () => {
      throw new Error('again');
    };
    expect(await setup(fail, { failures: 0 }).start()).toMatchObject({ kind: 'retry', retryInMs: 1000 });
    expect(await setup(fail, { failures: 1 }).start()).toMatchObject({ kind: 'retry', retryInMs: 2000 });
    expect(await setup(fail, { failures: 2 }).start()).toEqual({
      kind: 'ended',
      status: 'failed',
      reason: null,
      output: null,
      error: { type: 'Error', message: 'again' },
    });
  });

  it('is not charged for attempts that were lost with their worker', async () => {
    const { start } = setup(
      async () => {
        throw new Error('again');
      },
      { attempt: 9, failures: 0 },
    );
    expect(await start()).toMatchObject({ kind: 'retry', retryInMs: 1000 });
  });

  it('is not retried when it says so, nor when the policy names its type', async () => {
    const says = setup(async () => {
      throw new JobError('Broken', 'no use', { retryable: false });
    });
    expect(await says.start()).toMatchObject({ kind: 'ended', status: 'failed' });
    const named = setup(async () => {
      throw new JobError('InvalidConfiguration', 'no such bucket');
    });
    expect(await named.start()).toMatchObject({
      kind: 'ended',
      status: 'failed',
      error: { type: 'InvalidConfiguration', message: 'no such bucket' },
    });
  });

  it.each([
    [5000, 5000],
    [10, 1000],
    [-1, 1000],
    [Number.NaN, 1000],
    [Number.POSITIVE_INFINITY, 1000],
    [86_400_000, 3_600_000],
  ])('that asks for a retry after %d ms gets one after %d ms', async (retryAfterMs, retryInMs) => {
    const { start } = setup(async () => {
      throw new JobError('Busy', 'later', { retryAfterMs });
    });
    expect(await start()).toMatchObject({ kind: 'retry', retryInMs });
  });

  it('is not retried once its schedule was stopped, and the reason says so', async () => {
    const { start, live } = setup(async () => {
      live.stopRequested = true;
      throw new Error('in the middle');
    });
    expect(await start()).toMatchObject({ kind: 'ended', status: 'failed', reason: 'stopped' });
  });
});

describe('a job that takes too long', () => {
  it('is told by its signal and timed out, to be retried as its policy says', async () => {
    const { start } = setup(untilTold, { timeoutMs: 5000 });
    const end = start();
    await vi.advanceTimersByTimeAsync(5000);
    expect(await end).toEqual({
      kind: 'retry',
      status: 'timed_out',
      error: { type: 'Timeout', message: 'The attempt took longer than its timeout of 5000 ms.' },
      retryInMs: 1000,
    });
  });

  it('ends as timed out when it may not be retried', async () => {
    const { start } = setup(untilTold, { timeoutMs: 5000, retry: once });
    const end = start();
    await vi.advanceTimersByTimeAsync(5000);
    expect(await end).toMatchObject({ kind: 'ended', status: 'timed_out', error: { type: 'Timeout' } });
  });

  it('is given up a second later when it ignores its signal, not before', async () => {
    const { start } = setup(forever, { timeoutMs: 5000, retry: once });
    let ended: AttemptEnd | undefined;
    void start().then((end) => {
      ended = end;
    });
    await vi.advanceTimersByTimeAsync(5999);
    expect(ended).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toMatchObject({ status: 'timed_out' });
  });

  it('counts as done when it answers within that second', async () => {
    const { start } = setup(
      ({ signal }) =>
        new Promise((resolve) =>
          signal.addEventListener('abort', () => setTimeout(resolve, 900, { just: 'made it' })),
        ),
      { timeoutMs: 5000 },
    );
    const end = start();
    await vi.advanceTimersByTimeAsync(5900);
    expect(await end).toMatchObject({ status: 'succeeded', output: { just: 'made it' } });
  });

  it.each([
    ['answers', (resolve: (value: unknown) => void) => resolve({ late: true })],
    ['throws', (_resolve: unknown, reject: (reason: unknown) => void) => reject(new Error('too late'))],
  ])('changes nothing when it %s after it was given up', async (_name, settle) => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    let finish = () => {};
    const { start } = setup(
      () =>
        new Promise((resolve, reject) => {
          finish = () => settle(resolve, reject);
        }),
      { timeoutMs: 5000, retry: once },
    );
    const end = start();
    await vi.advanceTimersByTimeAsync(6000);
    const told = await end;
    finish();
    vi.useRealTimers();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    expect(told).toMatchObject({ status: 'timed_out', output: null });
    expect(unhandled).toEqual([]);
  });

  it('leaves no timer behind when it ends in time', async () => {
    await setup(async () => ({})).start();
    await setup(async () => {
      throw new Error('x');
    }).start();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('an attempt that is ended from outside', () => {
  it('is cancelled by hand, also when the job ignores it', async () => {
    for (const run of [untilTold, forever]) {
      const { start, live } = setup(run);
      const end = start();
      live.abort('cancel', 'The run was cancelled.');
      await vi.advanceTimersByTimeAsync(1000);
      expect(await end).toEqual({
        kind: 'ended',
        status: 'cancelled',
        reason: 'cancelled_by_hand',
        output: null,
        error: null,
      });
    }
  });

  it('does not begin when it was cancelled before', async () => {
    const job = vi.fn(forever);
    const { start, live } = setup(job);
    live.abort('cancel', 'The run was cancelled.');
    expect(await start()).toMatchObject({ status: 'cancelled' });
    expect(job).not.toHaveBeenCalled();
  });

  it('has succeeded when the job had done its work and answers all the same', async () => {
    const { start, live } = setup(async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return { done: true };
    });
    const end = start();
    live.abort('cancel', 'The run was cancelled.');
    expect(await end).toMatchObject({ status: 'succeeded', output: { done: true } });
  });

  it.each(['shutdown', 'lease_lost'] as const)('by %s is given up without an outcome', async (why) => {
    for (const run of [untilTold, forever]) {
      const { start, live } = setup(run, { retry: once });
      const end = start();
      live.abort(why, 'It is over.');
      await vi.advanceTimersByTimeAsync(1000);
      expect(await end).toEqual({ kind: 'given_up' });
    }
  });

  it('keeps the first of two reasons', async () => {
    const { start, live } = setup(forever, { timeoutMs: 5000, retry: once });
    const end = start();
    await vi.advanceTimersByTimeAsync(5000);
    live.abort('shutdown', 'The worker process shuts down.');
    await vi.advanceTimersByTimeAsync(1000);
    expect(await end).toMatchObject({ status: 'timed_out' });
  });
});

describe('a run that cannot begin', () => {
  const unknown = (changes: Partial<ClaimedRun>) => {
    const { claimed, live, clock, journal } = setup(forever, { jobType: 'backup', ...changes });
    return runJob(claimed, undefined, live, {
      clock,
      journal,
      redact: (text) => text,
      log: () => undefined,
    });
  };

  it('waits for another worker when this one does not know its job type, as one of a newer version may', async () => {
    for (const changes of [
      { attempt: 1, retry: once },
      { attempt: 63, failures: 1, lost: 2 },
    ])
      expect(await unknown(changes)).toEqual({
        kind: 'waiting',
        untilMs: 1_700_000_005_500,
        reason: 'No job type "backup" in this worker. It waits for a worker that has it.',
      });
  });

  it('fails by its policy when no worker had its job type for five minutes', async () => {
    const error = { type: 'UnknownJobType', message: 'No job type "backup" in this worker.' };
    expect(await unknown({ attempt: 61 })).toMatchObject({ kind: 'retry', error });
    expect(await unknown({ attempt: 61, retry: once })).toMatchObject({
      kind: 'ended',
      status: 'failed',
      error,
    });
  });

  it('waits for another worker when its input has a field that this one does not know', async () => {
    const job = vi.fn(forever);
    const start = (attempt: number) =>
      setup(
        job,
        { input: { url: 'x', fresh: 1 }, attempt },
        { input: z.strictObject({ url: z.string() }) },
      ).start();
    expect(await start(1)).toMatchObject({
      kind: 'waiting',
      reason: expect.stringContaining('"fresh"'),
    });
    expect(await start(61)).toMatchObject({ status: 'failed', error: { type: 'InvalidConfiguration' } });
    expect(job).not.toHaveBeenCalled();
  });

  it('fails for good when its stored input does not fit, and the message names the field', async () => {
    const job = vi.fn(forever);
    const { start } = setup(
      job,
      { input: { url: 7, deep: { list: ['x'] } } },
      { input: z.strictObject({ url: z.string(), deep: z.object({ list: z.array(z.int()) }) }) },
    );
    const end = (await start()) as Extract<AttemptEnd, { kind: 'ended' }>;
    expect(end).toMatchObject({ status: 'failed', error: { type: 'InvalidConfiguration' } });
    expect(end.error?.message).toContain('url: ');
    expect(end.error?.message).toContain('deep.list.0: ');
    expect(job).not.toHaveBeenCalled();
  });

  it.each([null, undefined, 'text', 0, []])('fails for good with %j for an input', async (input) => {
    const { start } = setup(forever, { input }, { input: z.strictObject({ url: z.string() }) });
    expect(await start()).toMatchObject({
      kind: 'ended',
      status: 'failed',
      error: { type: 'InvalidConfiguration' },
    });
  });
});

describe('clean', () => {
  it('leaves ordinary text alone, whatever its script', () => {
    expect(clean('Größe 大小 😀\n\t')).toBe('Größe 大小 😀\n\t');
  });

  it('does not cut a pair of surrogates in two', () => {
    const text = clean(`${'x'.repeat(3999)}😀 and more`);
    expect(text.isWellFormed()).toBe(true);
  });
});
