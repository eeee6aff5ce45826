import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createPollLoop } from '../../src/dispatcher/poll-loop.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);

/** A loop whose passes end when the test says so, or at once. */
function setup(sleepMs: number | (() => number) = 1000) {
  let passes = 0;
  const errors: unknown[] = [];
  let hold: Promise<void> | null = null;
  let fail: Error | null = null;
  const loop = createPollLoop({
    async pass() {
      passes += 1;
      if (hold !== null) await hold;
      if (fail !== null) throw fail;
      return typeof sleepMs === 'number' ? sleepMs : sleepMs();
    },
    onError(error) {
      errors.push(error);
      return 50;
    },
  });
  return {
    loop,
    errors,
    passes: () => passes,
    hold() {
      const held = Promise.withResolvers<void>();
      hold = held.promise;
      return () => {
        hold = null;
        held.resolve();
      };
    },
    fail(error: Error | null) {
      fail = error;
    },
  };
}

describe('the poll loop', () => {
  it('makes its first pass at once, and the next when it has slept as long as the pass said', async () => {
    const { loop, passes } = setup(1000);
    loop.start();
    await settle();
    expect(passes()).toBe(1);
    await vi.advanceTimersByTimeAsync(999);
    expect(passes()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(passes()).toBe(2);
    await loop.stop();
  });

  it('sleeps no time that is less than none, and lets others have their turn', async () => {
    let more = 3;
    const { loop, passes } = setup(() => {
      more -= 1;
      return more > 0 ? -100 : 1000;
    });
    loop.start();
    await vi.advanceTimersByTimeAsync(10);
    expect(passes()).toBe(3);
    await loop.stop();
  });

  it('is woken out of its sleep', async () => {
    const { loop, passes } = setup(60_000);
    loop.start();
    await settle();
    loop.wake();
    await settle();
    expect(passes()).toBe(2);
    await vi.advanceTimersByTimeAsync(59_999);
    expect(passes()).toBe(2);
    await loop.stop();
  });

  it('that is woken during a pass makes another without sleeping, since the pass may not have seen it', async () => {
    const { loop, passes, hold } = setup(60_000);
    const release = hold();
    loop.start();
    await settle();
    loop.wake();
    loop.wake();
    release();
    await settle();
    expect(passes()).toBe(2);
    await settle();
    expect(passes()).toBe(2);
    await loop.stop();
  });

  it('never makes two passes at once', async () => {
    const { loop, passes, hold } = setup(0);
    const release = hold();
    loop.start();
    loop.start();
    await vi.advanceTimersByTimeAsync(10_000);
    loop.wake();
    await settle();
    expect(passes()).toBe(1);
    release();
    await loop.stop();
  });

  it('goes on whatever a pass throws, after the pause that it is told', async () => {
    const { loop, passes, errors, fail } = setup(1000);
    const fault = new Error('the database is away');
    fail(fault);
    loop.start();
    await settle();
    expect(errors).toEqual([fault]);
    await vi.advanceTimersByTimeAsync(50);
    expect(errors).toHaveLength(2);
    fail(null);
    await vi.advanceTimersByTimeAsync(50);
    expect([passes(), errors.length]).toEqual([3, 2]);
    await loop.stop();
  });

  it('stops when the pass that runs has ended, and makes no other', async () => {
    const { loop, passes, hold } = setup(10);
    const release = hold();
    loop.start();
    await settle();
    let stopped = false;
    const stop = loop.stop().then(() => {
      stopped = true;
    });
    await settle();
    expect(stopped).toBe(false);
    release();
    await stop;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(passes()).toBe(1);
  });

  it('stops at once when it sleeps, and leaves no timer behind', async () => {
    const { loop } = setup(60_000);
    loop.start();
    await settle();
    await loop.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that was never started stops too, twice as well, and does nothing when it is woken', async () => {
    const { loop, passes } = setup();
    loop.wake();
    await loop.stop();
    await loop.stop();
    expect(passes()).toBe(0);
  });
});
