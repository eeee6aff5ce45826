import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createBackground } from '../src/background.ts';
import { createHandClock } from './support/hand-clock.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A background whose passes fail while `fault` says so. */
function setup() {
  const clock = createHandClock(0);
  const lines: { level: number; msg: string }[] = [];
  const logger = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const faults: string[] = [];
  const state: { fault: unknown; passes: number } = { fault: null, passes: 0 };
  const background = createBackground(
    { clock, logger, onFault: (name) => faults.push(name) },
    'bells',
    async () => {
      state.passes += 1;
      if (state.fault !== null) throw state.fault;
      return 1000;
    },
  );
  const pass = async (ms: number) => {
    clock.advance(ms);
    await vi.advanceTimersByTimeAsync(ms);
  };
  return { background, clock, lines, faults, state, pass };
}

describe('a background pass', () => {
  it('has never gone well before its first, and is well after it', async () => {
    const { background, pass } = setup();
    expect(background.name).toBe('bells');
    expect(background.fault).toBeNull();
    expect(background.sinceGoodMs()).toBe(Number.POSITIVE_INFINITY);
    background.start();
    await pass(0);
    expect(background.sinceGoodMs()).toBe(0);
    await pass(400);
    expect(background.sinceGoodMs()).toBe(400);
    await pass(600);
    expect(background.sinceGoodMs()).toBe(0);
    await background.stop();
  });

  it('that fails is told, counted and tried again, less and less often, up to every two seconds', async () => {
    const { background, state, faults, pass } = setup();
    state.fault = new Error('the database is away');
    background.start();
    await pass(0);
    expect(background.fault).toBe('the database is away');
    const tries: number[] = [];
    let seen = state.passes;
    for (let ms = 0; ms < 9000; ms += 50) {
      await pass(50);
      if (state.passes > seen) tries.push(ms + 50);
      seen = state.passes;
    }
    const pauses = tries.map((at, n) => at - (tries[n - 1] ?? 0));
    expect(pauses).toEqual([200, 400, 800, 1600, 2000, 2000, 2000]);
    expect(faults).toHaveLength(8);
    expect(new Set(faults)).toEqual(new Set(['bells']));
    expect(background.sinceGoodMs()).toBe(Number.POSITIVE_INFINITY);
    await background.stop();
  });

  it('is told once for each kind of fault, and once when it is well again', async () => {
    const { background, state, lines, pass } = setup();
    state.fault = new Error('away');
    background.start();
    await pass(0);
    await pass(2000);
    state.fault = 'refused';
    await pass(4000);
    state.fault = null;
    await pass(4000);
    await pass(4000);
    expect(lines.map((line) => [line.level, line.msg])).toEqual([
      [50, 'bells: away; it is tried again, nothing is lost'],
      [50, 'bells: refused; it is tried again, nothing is lost'],
      [30, 'bells: well again'],
    ]);
    expect(background.fault).toBeNull();
    await background.stop();
  });

  it('that was well begins with short pauses again', async () => {
    const { background, state, pass } = setup();
    state.fault = new Error('away');
    background.start();
    await pass(0);
    await pass(200 + 400 + 800);
    state.fault = null;
    await pass(2000);
    state.fault = new Error('away');
    await pass(1000);
    const before = state.passes;
    await pass(200);
    expect(state.passes).toBe(before + 1);
    await background.stop();
  });
});
