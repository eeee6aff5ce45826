/** Waiting for what happens elsewhere (another process, the database): the one place in the tests with a timer. */
import { setTimeout as delay } from 'node:timers/promises';

const lookEveryMs = 20;
/** More than this between two looks does not count. */
const lookMsMax = 1000;

export type WaitOptions = {
  /** Generous: a test that waits this long fails. */
  timeoutMs?: number;
  /** What is waited for, in words, for the failure. */
  what?: string;
};

/**
 * Looks until `condition` is truthy, and answers with that. What it throws counts as "not yet" and is told in the end.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 15_000, what = 'the condition' }: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false | 0 | ''>> {
  let waitedMs = 0;
  let last: unknown;
  for (let before = performance.now(), now = before; ; before = now, now = performance.now()) {
    // A machine that is frozen meanwhile, as virtual ones are for a snapshot, has not been waited for.
    waitedMs += Math.min(now - before, lookMsMax);
    try {
      last = await condition();
      if (last) return last as Exclude<T, undefined | null | false | 0 | ''>;
    } catch (error) {
      last = error;
    }
    if (waitedMs > timeoutMs) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}; the last look gave ${inWords(last)}`, {
        cause: last,
      });
    }
    await delay(lookEveryMs);
  }
}

function inWords(value: unknown): string {
  return value instanceof Error ? value.message : (JSON.stringify(value) ?? String(value)).slice(0, 2000);
}
