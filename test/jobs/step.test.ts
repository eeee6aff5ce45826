/** The step machinery above a journal in memory: what is called how often, what is kept, and how an attempt ends. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import type { ClaimedRun } from '../../src/db/run-store.ts';
import { defineJob, type JobContext, JobError } from '../../src/jobs/job.ts';
import { LiveAttempt } from '../../src/jobs/live-attempt.ts';
import { type AttemptEnd, runJob } from '../../src/jobs/run-job.ts';
import type { StepContext } from '../../src/jobs/step-try.ts';
import { createMemoryJournal } from '../support/memory-journal.ts';

const startMs = 1_700_000_000_000;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'], now: startMs });
});
afterEach(() => {
  vi.useRealTimers();
});

const redact = (text: string) => text;

type Body = (context: JobContext) => Promise<unknown>;
const noRetry = {
  maxAttempts: 1,
  initialIntervalMs: 1000,
  maxIntervalMs: 1000,
  backoffCoefficient: 1,
  nonRetryableErrorTypes: [],
};

/** A run whose attempts share a journal, as those of a real one share the database. */
function setup(options: { retry?: ClaimedRun['retry']; timeoutMs?: number } = {}) {
  const journal = createMemoryJournal();
  const calls: string[] = [];
  const log: string[] = [];
  let attempt = 0;
  const live = (): LiveAttempt => new LiveAttempt();
  const start = (body: Body, mine = live()): Promise<AttemptEnd> => {
    attempt += 1;
    const job = defineJob({
      type: 'scripted',
      description: '',
      input: z.any(),
      output: z.any(),
      taskQueue: 'default',
      retry: noRetry,
      timeoutMs: 60_000,
      example: null,
      run: body,
    });
    const run: ClaimedRun = {
      id: '018f3c9e-7b00-7000-8000-000000000001',
      attempt,
      scheduleId: '018f3c9e-7b00-7000-8000-000000000002',
      scheduleName: 'nightly',
      jobType: 'scripted',
      input: null,
      scheduledForMs: startMs,
      timeoutMs: options.timeoutMs ?? 3_600_000,
      retry: options.retry ?? noRetry,
      failures: attempt - 1,
      lost: 0,
      signal: null,
    };
    const clock = { now: () => Date.now(), monotonic: () => performance.now() };
    return runJob(run, job, mine, { clock, journal, redact, log: (_level, message) => log.push(message) });
  };
  /** A step's function that writes down that it was called. */
  const does =
    <T>(name: string, result: T | ((context: StepContext) => T | Promise<T>)) =>
    async (context: StepContext): Promise<T> => {
      calls.push(name);
      return typeof result === 'function'
        ? await (result as (context: StepContext) => T | Promise<T>)(context)
        : result;
    };
  return { journal, calls, log, start, does, live };
}

const boom = (type = 'Boom') => {
  throw new JobError(type, 'it went wrong');
};
const ended = (end: AttemptEnd) => expect(end.kind).toBe('ended');

describe('a step', () => {
  it('is done once, whatever attempts there are, and later ones are given its output', async () => {
    const { start, does, calls, journal } = setup({ retry: { ...noRetry, maxAttempts: 3 } });
    const seen: unknown[] = [];
    const body =
      (isBroken: boolean): Body =>
      async ({ step }) => {
        seen.push(await step('fetch', does('fetch', { rows: [1, 2] })));
        if (isBroken) boom();
        return await step('write', does('write', 'done'));
      };
    expect(await start(body(true))).toMatchObject({ kind: 'retry', error: { type: 'Boom' } });
    expect(await start(body(false))).toMatchObject({ kind: 'ended', status: 'succeeded', output: 'done' });
    expect(calls).toEqual(['fetch', 'write']);
    expect(seen).toEqual([{ rows: [1, 2] }, { rows: [1, 2] }]);
    expect(journal.written).toEqual([
      'fetch running ×1',
      'fetch succeeded ×1',
      'write running ×1',
      'write succeeded ×1',
    ]);
  });

  it('gives its output as it is kept, the first time too', async () => {
    const { start } = setup();
    let first: unknown;
    await start(async ({ step }) => {
      first = await step('odd', () => ({ at: new Date(0), nothing: undefined, list: [undefined] }));
    });
    expect(first).toEqual({ at: '1970-01-01T00:00:00.000Z', list: [null] });
  });

  it('knows its try, its run’s key, and a log', async () => {
    const { start, log } = setup();
    const seen: unknown[] = [];
    await start(async ({ step }) => {
      await step('a', ({ attempt, idempotencyKey, log }) => {
        seen.push(attempt, idempotencyKey);
        log('hello');
      });
    });
    expect(seen).toEqual([1, '018f3c9e-7b00-7000-8000-000000000001/a']);
    expect(log).toEqual(['hello']);
  });

  it('that was begun and never ended is done again, under the same key', async () => {
    const { start, does, journal, live } = setup({ retry: { ...noRetry, maxAttempts: 2 } });
    const keys: string[] = [];
    const mine = live();
    const first = start(async ({ step }) => {
      await step('slow', async ({ idempotencyKey }) => {
        keys.push(idempotencyKey);
        await new Promise(() => {});
      });
    }, mine);
    await vi.advanceTimersByTimeAsync(10);
    mine.abort('lease_lost', 'gone');
    await vi.advanceTimersByTimeAsync(5000);
    expect(await first).toEqual({ kind: 'given_up' });
    expect(journal.records.get('slow')).toMatchObject({ status: 'running', attempts: 1, failures: 0 });
    ended(
      await start(async ({ step }) => {
        await step(
          'slow',
          does('slow', ({ idempotencyKey }) => void keys.push(idempotencyKey)),
        );
      }),
    );
    expect(journal.records.get('slow')).toMatchObject({ status: 'succeeded', attempts: 2 });
    expect(keys[0]).toBe(keys[1]);
  });
});

describe('a step that fails', () => {
  const retry = { maxAttempts: 3, initialInterval: '100ms', backoffCoefficient: 2 };

  it('is tried again here while the waits are short', async () => {
    const { start, does, calls, journal } = setup();
    const end = start(async ({ step }) =>
      step(
        'flaky',
        { retry },
        does('flaky', ({ attempt }) => (attempt < 3 ? boom() : attempt)),
      ),
    );
    await vi.advanceTimersByTimeAsync(99);
    expect(calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(200);
    expect(await end).toMatchObject({ status: 'succeeded', output: 3 });
    expect(journal.written).toEqual([
      'flaky running ×1',
      'flaky retrying ×1',
      'flaky running ×2',
      'flaky retrying ×2',
      'flaky running ×3',
      'flaky succeeded ×3',
    ]);
    expect(journal.records.get('flaky')).toMatchObject({ failures: 2, error: null });
  });

  it('frees the slot while it waits for longer than a second, to the millisecond', async () => {
    const { start, does, calls } = setup();
    const body: Body = async ({ step }) =>
      step(
        'flaky',
        { retry: { ...retry, initialInterval: '60s' } },
        does('flaky', ({ attempt }) => (attempt < 2 ? boom() : 'ok')),
      );
    expect(await start(body)).toEqual({
      kind: 'waiting',
      untilMs: startMs + 60_000,
      reason: expect.stringContaining('"flaky"'),
    });
    // Rung too early, it does not hurry.
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await start(body)).toMatchObject({ kind: 'waiting', untilMs: startMs + 60_000 });
    await vi.advanceTimersByTimeAsync(49_500);
    const end = start(body);
    await vi.advanceTimersByTimeAsync(499);
    expect(calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await end).toMatchObject({ status: 'succeeded', output: 'ok' });
  });

  it('with a policy of its own has the last word: the run is not tried again', async () => {
    const { start, does, calls, journal } = setup({ retry: { ...noRetry, maxAttempts: 5 } });
    const body: Body = ({ step }) =>
      step(
        'broken',
        { retry: { ...retry, maxAttempts: 2 } },
        does('broken', () => boom()),
      );
    const end = start(body);
    await vi.advanceTimersByTimeAsync(100);
    expect(await end).toMatchObject({ kind: 'ended', status: 'failed', error: { type: 'Boom' } });
    expect(calls).toHaveLength(2);
    expect(journal.records.get('broken')).toMatchObject({ status: 'failed', failures: 2 });
    // Should the run go on all the same, its failure stands.
    expect(await start(body)).toMatchObject({
      status: 'failed',
      error: { type: 'Boom', message: 'it went wrong' },
    });
    expect(calls).toHaveLength(2);
  });

  it.each([
    [
      'by its policy',
      { nonRetryableErrorTypes: ['InvalidConfiguration'] },
      () => boom('InvalidConfiguration'),
    ],
    [
      'by itself',
      {},
      () => {
        throw new JobError('Gone', 'no', { retryable: false });
      },
    ],
  ])('is not tried again for what cannot be mended, %s', async (_how, more, fault) => {
    const { start, does, calls } = setup();
    const end = await start(({ step }) => step('a', { retry: { ...retry, ...more } }, does('a', fault)));
    expect(end).toMatchObject({ kind: 'ended', status: 'failed' });
    expect(calls).toHaveLength(1);
  });

  it('without a policy fails the attempt, and the next one tries it again', async () => {
    const { start, does, calls } = setup({ retry: { ...noRetry, maxAttempts: 2 } });
    const body: Body = ({ step }) =>
      step(
        'a',
        does('a', ({ attempt }) => (attempt < 2 ? boom() : 'ok')),
      );
    expect(await start(body)).toMatchObject({ kind: 'retry', status: 'failed', retryInMs: 1000 });
    expect(await start(body)).toMatchObject({ kind: 'ended', output: 'ok' });
    expect(calls).toHaveLength(2);
  });

  it('may be caught, and the job goes on, the next time too', async () => {
    const { start, does } = setup();
    const body: Body = async ({ step }) => {
      const failed = await step(
        'a',
        { retry: { ...retry, maxAttempts: 1 } },
        does('a', () => boom()),
      ).catch((error: JobError) => error.type);
      return await step('b', () => `after ${failed}`);
    };
    expect(await start(body)).toMatchObject({ output: 'after Boom' });
    expect(await start(body)).toMatchObject({ output: 'after Boom' });
  });
});

describe('a timeout', () => {
  it('aborts the try by its signal, and is retried as a fault of the type Timeout', async () => {
    const { start, calls, does } = setup();
    const body: Body = ({ step }) =>
      step(
        'slow',
        { startToCloseTimeout: '5s', retry: { maxAttempts: 2, initialInterval: '10ms' } },
        does(
          'slow',
          ({ signal, attempt }) =>
            new Promise((resolve, reject) => {
              if (attempt === 2) resolve('at last');
              signal.addEventListener('abort', () => reject(new Error('told')));
            }),
        ),
      );
    const end = start(body);
    await vi.advanceTimersByTimeAsync(5000);
    await vi.advanceTimersByTimeAsync(10);
    expect(await end).toMatchObject({ status: 'succeeded', output: 'at last' });
    expect(calls).toHaveLength(2);
  });

  it('of a step that ignores its signal ends a second later', async () => {
    const { start, journal } = setup();
    const end = start(({ step }) => step('deaf', { startToCloseTimeout: '5s' }, () => new Promise(() => {})));
    await vi.advanceTimersByTimeAsync(6000);
    expect(await end).toMatchObject({
      status: 'failed',
      error: { type: 'Timeout', message: 'The step "deaf" took longer than its timeout of 5000 ms.' },
    });
    expect(journal.records.get('deaf')).toMatchObject({ status: 'retrying', error: { type: 'Timeout' } });
  });

  it('of the attempt is the run’s, not the step’s', async () => {
    const { start, journal } = setup({ timeoutMs: 3000 });
    const end = start(({ step }) =>
      step('slow', ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', reject))),
    );
    await vi.advanceTimersByTimeAsync(3000);
    expect(await end).toMatchObject({ status: 'timed_out' });
    expect(journal.records.get('slow')).toMatchObject({ status: 'running', failures: 0 });
  });
});

describe('sleep', () => {
  it('is durable: it ends the attempt, and is over when its time has come', async () => {
    const { start, does, calls } = setup();
    const body: Body = async ({ step, sleep }) => {
      await step('before', does('before', 1));
      await sleep('2h');
      await sleep('500ms');
      return await step('after', does('after', 2));
    };
    expect(await start(body)).toMatchObject({ kind: 'waiting', untilMs: startMs + 7_200_000 });
    await vi.advanceTimersByTimeAsync(7_200_000);
    const end = start(body);
    await vi.advanceTimersByTimeAsync(500);
    expect(await end).toMatchObject({ status: 'succeeded', output: 2 });
    expect(calls).toEqual(['before', 'after']);
  });

  it('counts from its first begin, not from the attempt that goes on', async () => {
    const { start } = setup();
    const body: Body = ({ sleep }) => sleep('10m');
    await start(body);
    await vi.advanceTimersByTimeAsync(300_000);
    expect(await start(body)).toMatchObject({ kind: 'waiting', untilMs: startMs + 600_000 });
  });
});

describe('an interruption', () => {
  const wait: Body = ({ sleep }) => sleep('1h');

  it('that the job swallows is one all the same', async () => {
    const { start, does, calls } = setup();
    const end = await start(async (context) => {
      await wait(context).catch(() => {});
      await context.step('not yet', does('not yet', 1)).catch(() => {});
      return 'I am done';
    });
    expect(end).toMatchObject({ kind: 'waiting' });
    expect(calls).toEqual([]);
  });

  it('that the job wraps is one all the same', async () => {
    const { start } = setup();
    const end = await start(async (context) => {
      try {
        await wait(context);
      } catch (cause) {
        throw new Error('could not wait', { cause });
      }
    });
    expect(end).toMatchObject({ kind: 'waiting' });
  });

  it('by a stop comes after the step that runs, before the next', async () => {
    const { start, does, calls, live } = setup();
    const mine = live();
    const end = await start(async ({ step }) => {
      await step(
        'one',
        does('one', () => {
          mine.stopRequested = true;
        }),
      );
      await step('two', does('two', 2));
    }, mine);
    expect(end).toMatchObject({ kind: 'ended', status: 'cancelled', reason: 'stopped' });
    expect(calls).toEqual(['one']);
  });

  it('by a stop leaves an answer to a job that looks for it', async () => {
    const { start, live } = setup();
    const mine = live();
    const end = await start(async (context) => {
      await context.step('one', () => {
        mine.stopRequested = true;
      });
      return context.stopRequested ? { status: 'stopped' } : boom();
    }, mine);
    expect(end).toMatchObject({ status: 'succeeded', output: { status: 'stopped' } });
  });

  it('by a cancel ends the step that runs', async () => {
    const { start, live, journal } = setup();
    const mine = live();
    const end = start(({ step }) => step('slow', () => new Promise(() => {})), mine);
    await vi.advanceTimersByTimeAsync(10);
    mine.abort('cancel', 'by hand');
    await vi.advanceTimersByTimeAsync(2000);
    expect(await end).toMatchObject({ status: 'cancelled' });
    expect(journal.records.get('slow')).toMatchObject({ status: 'running' });
  });

  it('by the loss of the run keeps nothing and gives the run up', async () => {
    const { start, does, journal } = setup();
    const end = await start(async ({ step }) => {
      await step(
        'one',
        does('one', () => {
          journal.lost = true;
        }),
      );
      return 'not mine to say';
    });
    expect(end).toEqual({ kind: 'given_up' });
    expect(journal.records.get('one')).toMatchObject({ status: 'running' });
  });
});

describe('steps side by side', () => {
  it('are all waited for, within the concurrency, and answer in order', async () => {
    const { start } = setup();
    let inside = 0;
    let most = 0;
    const end = start(async ({ step, all }) =>
      all(
        [30, 10, 20, 5].map(
          (ms, index) => () =>
            step(`part ${index}`, async () => {
              inside += 1;
              most = Math.max(most, inside);
              await new Promise((resolve) => setTimeout(resolve, ms));
              inside -= 1;
              return index;
            }),
        ),
        { concurrency: 2 },
      ),
    );
    await vi.advanceTimersByTimeAsync(100);
    expect(await end).toMatchObject({ output: [0, 1, 2, 3] });
    expect(most).toBe(2);
  });

  it('of which one waits let the others finish, and wait for the soonest', async () => {
    const { start, does, calls } = setup();
    const body: Body = async ({ step, all, sleep }) =>
      all([
        () => step('quick', does('quick', 'q')),
        async () => void (await sleep('1h')),
        () =>
          step(
            'flaky',
            { retry: { maxAttempts: 2, initialInterval: '60s' } },
            does('flaky', ({ attempt }) => (attempt === 1 ? boom() : 'f')),
          ),
      ]);
    expect(await start(body)).toMatchObject({ kind: 'waiting', untilMs: startMs + 60_000 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await start(body)).toMatchObject({ kind: 'waiting', untilMs: startMs + 3_600_000 });
    expect(calls).toEqual(['quick', 'flaky', 'flaky']);
  });

  it('of which one fails let the others finish, and fail', async () => {
    const { start, does, journal } = setup();
    const end = start(async ({ step, all }) =>
      all([
        () =>
          step(
            'bad',
            does('bad', () => boom()),
          ),
        () => step('slow', async () => void (await new Promise((resolve) => setTimeout(resolve, 50)))),
      ]),
    );
    await vi.advanceTimersByTimeAsync(50);
    expect(await end).toMatchObject({ status: 'failed', error: { type: 'Boom' } });
    expect(journal.records.get('slow')).toMatchObject({ status: 'succeeded' });
  });

  it('that nobody waits for are aborted with the job, and not left behind', async () => {
    const { start } = setup();
    let told = false;
    const end = start(async ({ step }) => {
      void step(
        'forgotten',
        ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              told = true;
              reject(new Error('told'));
            });
          }),
      ).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 10));
      return 'done';
    });
    await vi.advanceTimersByTimeAsync(10);
    expect(await end).toMatchObject({ status: 'succeeded', output: 'done' });
    expect(told).toBe(true);
  });
});

describe('a job’s own mistakes', () => {
  it.each<[string, Body, string]>([
    [
      'two steps of a name',
      async ({ step }) => {
        await step('a', () => 1);
        await step('a', () => 2);
      },
      'two steps "a"',
    ],
    ['a step without a name', ({ step }) => step('', () => 1), 'needs a name'],
    ['a name too long', ({ step }) => step('x'.repeat(129), () => 1), 'needs a name'],
    ['a duration that is none', ({ step }) => step('a', { startToCloseTimeout: 'soon' }, () => 1), '"soon"'],
    ['a sleep that is none', ({ sleep }) => sleep('a while'), '"a while"'],
    ['an output too large', ({ step }) => step('a', () => 'x'.repeat(262_144)), 'step "a" has 262146 bytes'],
    [
      'a thousand and one steps',
      async ({ step }) => {
        for (let n = 0; n < 1001; n += 1) await step(`step ${n}`, () => n);
      },
      '1000 steps',
    ],
  ])('%s fails the run, and is not tried again', async (_what, body, words) => {
    const { start } = setup({ retry: { ...noRetry, maxAttempts: 5 } });
    const end = await start(body);
    expect(end).toMatchObject({
      kind: 'ended',
      status: 'failed',
      error: { message: expect.stringContaining(words) },
    });
  });
});

describe('progress', () => {
  it('is kept at most once a second, and at the end', async () => {
    const { start, journal } = setup();
    const end = start(async ({ progress }) => {
      for (let done = 1; done <= 25; done += 1) {
        progress(done, 25, 'files');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    });
    await vi.advanceTimersByTimeAsync(2500);
    ended(await end);
    expect(journal.progress.map(({ done }) => done)).toEqual([1, 10, 20, 25]);
    expect(journal.progress[0]).toEqual({ done: 1, total: 25, unit: 'files' });
  });
});
