import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, decideRetry, type RetryPolicy, retryAfterMsMax } from '../../src/runs/retry-policy.ts';

const seed = 20_260_301;

/** The backup of the reference workflow: 3 attempts, 60 s → 300 s × 2.0. */
const backup: RetryPolicy = {
  maxAttempts: 3,
  initialIntervalMs: 60_000,
  maxIntervalMs: 300_000,
  backoffCoefficient: 2,
  nonRetryableErrorTypes: ['InvalidConfiguration'],
};
const broken = { type: 'Broken', retryable: true };

describe('backoff', () => {
  it('before retry n is the initial interval times the coefficient to the n-1, up to the maximum', () => {
    expect([1, 2, 3, 4, 5, 100].map((retry) => backoffMs(backup, retry))).toEqual([
      60_000, 120_000, 240_000, 300_000, 300_000, 300_000,
    ]);
  });

  it('with the coefficient 1 stays the same', () => {
    const steady = { ...backup, backoffCoefficient: 1 };
    expect([1, 2, 50].map((retry) => backoffMs(steady, retry))).toEqual([60_000, 60_000, 60_000]);
  });

  it('is a whole number of milliseconds', () => {
    const odd = { ...backup, initialIntervalMs: 100, backoffCoefficient: 1.5, maxIntervalMs: 1000 };
    expect([1, 2, 3, 4].map((retry) => backoffMs(odd, retry))).toEqual([100, 150, 225, 338]);
  });

  it('of nothing is nothing', () => {
    expect(backoffMs({ ...backup, initialIntervalMs: 0 }, 3)).toBe(0);
  });

  it('grows beyond all numbers no further than its maximum', () => {
    expect(backoffMs({ ...backup, backoffCoefficient: 100 }, 1000)).toBe(300_000);
  });

  it('never shrinks and never leaves its limits', () => {
    const policies = fc.record({
      maxAttempts: fc.constant(10),
      initialIntervalMs: fc.nat(864e5),
      maxIntervalMs: fc.nat(864e5),
      backoffCoefficient: fc.double({ min: 1, max: 100, noNaN: true }),
      nonRetryableErrorTypes: fc.constant([]),
    });
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 1000 }), (policy, retry) => {
        const delay = backoffMs(policy, retry);
        expect(Number.isSafeInteger(delay)).toBe(true);
        expect(delay).toBeLessThanOrEqual(policy.maxIntervalMs);
        expect(backoffMs(policy, retry + 1)).toBeGreaterThanOrEqual(delay);
      }),
      { seed },
    );
  });
});

describe('decideRetry', () => {
  it('tries again until the attempts are used up', () => {
    expect([1, 2, 3, 4].map((failures) => decideRetry(backup, failures, broken))).toEqual([
      { retryInMs: 60_000 },
      { retryInMs: 120_000 },
      null,
      null,
    ]);
  });

  it('of one attempt never tries again', () => {
    expect(decideRetry({ ...backup, maxAttempts: 1 }, 1, broken)).toBeNull();
  });

  it('does not try again what the policy names', () => {
    expect(decideRetry(backup, 1, { type: 'InvalidConfiguration', retryable: true })).toBeNull();
    expect(decideRetry(backup, 1, { type: 'invalidconfiguration', retryable: true })).not.toBeNull();
  });

  it('does not try again what the job says is no use', () => {
    expect(decideRetry(backup, 1, { type: 'Broken', retryable: false })).toBeNull();
  });

  it('waits as long as the receiver asked, when that is longer than the backoff', () => {
    const wait = (retryAfterMs: number) => decideRetry(backup, 1, { ...broken, retryAfterMs });
    expect(wait(90_000)).toEqual({ retryInMs: 90_000 });
    expect(wait(5_000)).toEqual({ retryInMs: 60_000 });
  });

  it('waits an hour at most, whatever the receiver asked', () => {
    expect(decideRetry(backup, 1, { ...broken, retryAfterMs: 1e12 })).toEqual({ retryInMs: retryAfterMsMax });
  });
});
