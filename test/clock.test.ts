import { describe, expect, it } from 'vitest';
import { createClock, toDate, toIso } from '../src/clock.ts';
import { createHandClock } from './support/hand-clock.ts';

describe('a correction', () => {
  /** A clock that moves only when it is told to, and a remote one that is an hour ahead. */
  function setup() {
    let nowMs = 0;
    const clock = createClock(() => nowMs);
    const start = clock.now();
    const asked =
      (...tripsMs: number[]) =>
      async () => {
        const tripMs = tripsMs.shift() ?? 2;
        nowMs += tripMs;
        // As it was in the middle of a fast way there and a slow one back.
        return start + nowMs - tripMs * 0.9 + 3_600_000;
      };
    return { clock, start, asked, elapsed: () => nowMs };
  }

  it('goes by the shortest of its round trips', async () => {
    const { clock, start, asked, elapsed } = setup();
    await clock.sync(asked(5000, 2, 900));
    expect(clock.now() - start - elapsed()).toBeCloseTo(3_600_000 + 1 - 1.8, 1);
  });

  it('is put off when all of them are long, but for the first', async () => {
    const { clock, start, asked, elapsed } = setup();
    await clock.sync(asked(1000, 1000, 1000));
    expect(clock.now() - start - elapsed()).toBeCloseTo(3_600_000 - 400, 1);
    const before = clock.now();
    expect(await clock.sync(asked(3000, 3000, 3000))).toBe(0);
    expect(clock.now() - before).toBeCloseTo(9000, 5);
    await clock.sync(asked(2));
    expect(clock.now() - start - elapsed()).toBeCloseTo(3_600_000 - 0.8, 1);
  });
});

describe('the corrected clock', () => {
  it('is the machine’s until it is told better, with fractions of a millisecond', () => {
    const clock = createClock();
    const before = performance.timeOrigin + performance.now();
    const now = clock.now();
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(performance.timeOrigin + performance.now());
  });

  it('never goes back by itself', () => {
    const clock = createClock();
    let last = clock.now();
    for (let n = 0; n < 10_000; n += 1) {
      const now = clock.now();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  it('takes the remote clock’s time, and tells by how much it was off', async () => {
    const clock = createClock();
    const ahead = async () => clock.now() + 3_600_000;
    const stepMs = await clock.sync(ahead);
    expect(Math.abs(stepMs - 3_600_000)).toBeLessThan(5000);
    expect(Math.abs(await clock.sync(async () => clock.now()))).toBeLessThan(5000);
  });

  it('goes back too, when the remote clock is behind; durations do not feel it', async () => {
    const clock = createClock();
    const [wall, monotonic] = [clock.now(), clock.monotonic()];
    await clock.sync(async () => clock.now() - 86_400_000);
    expect(clock.now()).toBeLessThan(wall);
    expect(clock.monotonic()).toBeGreaterThanOrEqual(monotonic);
    expect(clock.monotonic() - monotonic).toBeLessThan(5000);
  });

  it('takes the answer for the time in the middle of the round trip', async () => {
    let nowMs = 500;
    const clock = createClock(() => nowMs);
    await clock.sync(async () => {
      nowMs += 20;
      return 1_000_500;
    });
    // Of three round trips of the same length the first counts: asked at 500, answered at 520.
    expect(clock.now() - nowMs).toBe(1_000_500 - 510);
  });

  it('keeps its time when the remote clock cannot be asked', async () => {
    const clock = createClock();
    const before = clock.now();
    await expect(
      clock.sync(async () => {
        throw new Error('the database is away');
      }),
    ).rejects.toThrow('away');
    expect(clock.now() - before).toBeLessThan(5000);
  });
});

describe('times on the wire and in the database', () => {
  it('are UTC with milliseconds', () => {
    expect(toIso(1_772_323_200_123)).toBe('2026-03-01T00:00:00.123Z');
    expect(toIso(1_772_323_200_123.9)).toBe('2026-03-01T00:00:00.123Z');
  });

  it('are whole milliseconds, rounded down also before the epoch', () => {
    expect(toDate(1.9).getTime()).toBe(1);
    expect(toDate(-1.1).getTime()).toBe(-2);
  });
});

describe('the hand clock', () => {
  it('stands still until it is moved', () => {
    const clock = createHandClock(1000);
    expect([clock.now(), clock.now()]).toEqual([1000, 1000]);
    const origin = clock.monotonic();
    clock.advance(500.5);
    expect([clock.now(), clock.monotonic() - origin]).toEqual([1500.5, 500.5]);
    clock.set(3000);
    expect([clock.now(), clock.monotonic() - origin]).toEqual([3000, 2000]);
  });

  it('set back moves the wall clock only', () => {
    const clock = createHandClock(1000);
    const origin = clock.monotonic();
    clock.set(400);
    expect([clock.now(), clock.monotonic() - origin]).toEqual([400, 0]);
  });
});
