/** What a job's handler does with the doorbells in it, without graphile and without a database. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Doorbell } from '../../src/db/queue.ts';
import { createDoorbellHandler, doorbellTtlMs } from '../../src/jobs/doorbells.ts';
import { createSlots } from '../../src/jobs/slots.ts';
import { createLogRecorder } from '../support/log-recorder.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const idOf = (n: number) => `019b76da-a800-7000-8000-${String(n).padStart(12, '0')}`;
const bell = (n: number): Doorbell => ({ runId: idOf(n), attempt: 1 });
const bundle = (...ns: number[]) => ({ runs: ns.map(bell) });

function setup({ concurrency = 10 } = {}) {
  const { logger, lines } = createLogRecorder();
  /** Runs that are executed, by number: how to end each. */
  const running = new Map<number, { end(): void; fail(why: string): void }>();
  const answered: number[] = [];
  const rung: number[] = [];
  /** What the test sets. */
  const worker = { stopping: false, ringingFails: false };
  const scene = {
    worker,
    lines,
    running,
    answered,
    rung,
    handle: createDoorbellHandler({
      taskQueue: 'default',
      slots: createSlots(concurrency),
      logger,
      answer({ runId }) {
        const n = Number(runId.slice(-12));
        answered.push(n);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        running.set(n, { end: resolve, fail: (why) => reject(new Error(why)) });
        return promise;
      },
      async ringAgain({ runId }) {
        if (worker.ringingFails) throw new Error('the database is away');
        rung.push(Number(runId.slice(-12)));
      },
      stopping: () => worker.stopping,
    }),
    /** Time passes. */
    pass: (ms: number) => vi.advanceTimersByTimeAsync(ms),
    /** Hands over a job; tells when it is done, and why it failed. */
    job(payload: unknown) {
      const job = { done: false, failure: null as string | null };
      scene.handle(payload).then(
        () => {
          job.done = true;
        },
        (error: Error) => {
          job.failure = error.message;
        },
      );
      return job;
    },
  };
  return scene;
}

describe('a job', () => {
  it('of one run is done when that is', async () => {
    const scene = setup();
    const job = scene.job(bell(1));
    await scene.pass(0);
    expect(scene.answered).toEqual([1]);
    expect(job.done).toBe(false);
    scene.running.get(1)!.end();
    await scene.pass(0);
    expect(job.done).toBe(true);
  });

  it('of one run fails when that cannot be answered, and graphile rings again', async () => {
    const scene = setup();
    const job = scene.job(bell(1));
    await scene.pass(0);
    scene.running.get(1)!.fail('no claims');
    await scene.pass(60_000);
    expect(job.failure).toBe('no claims');
    expect(scene.rung).toEqual([]);
  });

  it('of many is done when the last of them is, however the others end', async () => {
    const scene = setup();
    const job = scene.job(bundle(1, 2, 3));
    await scene.pass(0);
    expect(scene.answered).toEqual([1, 2, 3]);
    scene.running.get(3)!.end();
    scene.running.get(1)!.end();
    await scene.pass(60_000);
    expect(job.done).toBe(false);
    scene.running.get(2)!.end();
    await scene.pass(0);
    expect(job.done).toBe(true);
    expect(scene.rung).toEqual([]);
  });

  it.each([
    [
      'within a bundle',
      { runs: [bell(1), null, 7, {}, { runId: 'x', attempt: 1 }, { runId: idOf(2) }, bell(3)] },
      [1, 3],
    ],
    ['as all of a bundle', { runs: [null, 'x'] }, []],
    ['as its only one', { runs: [{ runId: idOf(2), attempt: 0 }] }, []],
    ['in a bundle within a bundle', { runs: [{ runs: [bell(2)] }, bell(3)] }, [3]],
    ['instead of a bundle', { runs: 'many' }, []],
    ['instead of anything', null, []],
  ])('passes over what makes no sense %s, and tells so once', async (_where, payload, sensible) => {
    const scene = setup();
    const job = scene.job(payload);
    await scene.pass(0);
    expect(scene.answered).toEqual(sensible);
    for (const { end } of scene.running.values()) end();
    await scene.pass(0);
    expect(job.done).toBe(true);
    expect(scene.lines.map((line) => line.msg)).toEqual([
      'a doorbell that names no run was removed; somebody else put it there',
    ]);
  });

  it('of an empty bundle is done', async () => {
    const scene = setup();
    const job = scene.job({ runs: [] });
    await scene.pass(0);
    expect(job.done).toBe(true);
  });
});

describe('a doorbell that gets no slot', () => {
  it('is rung again after a second, once, and keeps its place', async () => {
    const scene = setup({ concurrency: 2 });
    const job = scene.job(bundle(1, 2, 3, 4));
    await scene.pass(doorbellTtlMs - 1);
    expect(scene.rung).toEqual([]);
    await scene.pass(1);
    expect(scene.rung).toEqual([3, 4]);
    await scene.pass(10 * doorbellTtlMs);
    expect(scene.rung).toEqual([3, 4]);
    // Whoever claims first has it; here it is this one.
    scene.running.get(1)!.end();
    await scene.pass(0);
    expect(scene.answered).toEqual([1, 2, 3]);
    for (const n of [2, 3]) scene.running.get(n)!.end();
    await scene.pass(0);
    scene.running.get(4)!.end();
    await scene.pass(0);
    expect(job.done).toBe(true);
  });

  it('is rung again too when it is alone in its job', async () => {
    const scene = setup({ concurrency: 1 });
    scene.job(bell(1));
    scene.job(bell(2));
    await scene.pass(doorbellTtlMs);
    expect(scene.rung).toEqual([2]);
  });

  it('is rung again as soon as that succeeds', async () => {
    const scene = setup({ concurrency: 1 });
    scene.worker.ringingFails = true;
    scene.job(bundle(1, 2));
    await scene.pass(3 * doorbellTtlMs);
    expect(scene.lines).toHaveLength(3);
    scene.worker.ringingFails = false;
    await scene.pass(2 * doorbellTtlMs);
    expect(scene.rung).toEqual([2]);
  });

  it('is left alone while the line moves fast enough for it, and no longer', async () => {
    const scene = setup({ concurrency: 1 });
    scene.job(bundle(...Array.from({ length: 9 }, (_, n) => n + 1)));
    const endNext = async (count: number) => {
      for (let n = 0; n < count; n += 1) {
        scene.running.get(scene.answered.at(-1)!)!.end();
        await scene.pass(0);
      }
    };
    // Three in a second: it will take two more for the last.
    await scene.pass(0);
    await endNext(3);
    await scene.pass(doorbellTtlMs);
    expect(scene.rung).toEqual([]);
    // Then the line stands.
    await scene.pass(doorbellTtlMs);
    expect(scene.rung).toEqual([5, 6, 7, 8, 9]);
  });
});

describe('a doorbell of a bundle that cannot be answered', () => {
  it('is rung again after a while as a job of its own, and the bundle goes on', async () => {
    vi.useRealTimers();
    const scene = setup();
    const job = scene.job(bundle(1, 2));
    await vi.waitFor(() => expect(scene.answered).toEqual([1, 2]));
    scene.running.get(1)!.fail('no claims');
    await vi.waitFor(() => expect(scene.rung).toEqual([1]), { timeout: 10_000 });
    expect(job).toEqual({ done: false, failure: null });
    scene.running.get(2)!.end();
    await vi.waitFor(() => expect(job.done).toBe(true));
  });

  it('is rung again at once by a worker that stops, since it fetches nothing more', async () => {
    const scene = setup();
    const job = scene.job(bundle(1, 2));
    await scene.pass(0);
    scene.worker.stopping = true;
    scene.running.get(1)!.fail('this worker takes no runs now');
    await scene.pass(0);
    expect(scene.rung).toEqual([1]);
    expect(scene.lines).toEqual([]);
    scene.running.get(2)!.end();
    await scene.pass(0);
    expect(job.done).toBe(true);
  });

  it('fails the job when it cannot be rung again either, but not before the others are done', async () => {
    const scene = setup();
    const job = scene.job(bundle(1, 2, 3));
    await scene.pass(0);
    scene.worker.stopping = true;
    scene.worker.ringingFails = true;
    scene.running.get(1)!.fail('no claims');
    await scene.pass(60_000);
    expect(job.failure).toBe(null);
    scene.running.get(2)!.end();
    scene.running.get(3)!.end();
    await scene.pass(0);
    expect(job.failure).toBe('the database is away');
  });
});
