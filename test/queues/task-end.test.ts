/** What becomes of a task that was tried: properties of a pure decision. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextClaim, type TryOutcome, taskBackoff, taskEnd } from '../../src/queues/task-end.ts';
import { retryAfterMsMax } from '../../src/runs/retry-policy.ts';

const nowMs = Date.UTC(2026, 2, 1);
const task = fc
  .record({ maxAttempts: fc.integer({ min: 1, max: 100 }), failures: fc.nat(120) })
  .filter(({ failures, maxAttempts }) => failures < maxAttempts);
const failed = fc.record({
  kind: fc.constant('failed' as const),
  error: fc.record({
    type: fc.constantFrom('HttpStatus', 'Timeout', 'InvalidConfiguration'),
    message: fc.string(),
  }),
  failure: fc.record({
    retryable: fc.boolean(),
    retryAfterMs: fc.option(fc.nat(2 * retryAfterMsMax), { nil: undefined }),
  }),
}) satisfies fc.Arbitrary<TryOutcome>;

describe('a task that was tried', () => {
  it('is dead just when no other try is left, or none could help', () => {
    fc.assert(
      fc.property(task, failed, (tried, outcome) => {
        const end = taskEnd(tried, outcome, nowMs);
        const hopeless = !outcome.failure.retryable || outcome.error.type === 'InvalidConfiguration';
        const last = tried.failures + 1 >= tried.maxAttempts;
        expect(end.status).toBe(hopeless || last ? 'dead' : 'waiting');
        expect(end.error).toBe(outcome.error);
        expect(end.output).toBeNull();
      }),
    );
  });

  it('waits for its backoff, and as long as the receiver asked, up to an hour', () => {
    fc.assert(
      fc.property(task, failed, (tried, outcome) => {
        const end = taskEnd(tried, outcome, nowMs);
        if (end.status !== 'waiting') return;
        const waitMs = end.dueAtMs - nowMs;
        expect(waitMs).toBeGreaterThanOrEqual(taskBackoff.initialIntervalMs);
        const askedMs = Math.min(outcome.failure.retryAfterMs ?? 0, retryAfterMsMax);
        expect(waitMs).toBeGreaterThanOrEqual(askedMs);
        expect(waitMs).toBeLessThanOrEqual(Math.max(askedMs, taskBackoff.maxIntervalMs));
      }),
    );
  });

  it('waits no shorter after each further failure', () => {
    const outcome: TryOutcome = {
      kind: 'failed',
      error: { type: 'Timeout', message: '' },
      failure: { retryable: true },
    };
    const waits = Array.from({ length: 8 }, (_, failures) => {
      const end = taskEnd({ failures, maxAttempts: 100 }, outcome, 0);
      return end.status === 'waiting' ? end.dueAtMs : null;
    });
    expect(waits).toEqual([5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
  });

  it('keeps the output of a success, however often it failed before', () => {
    const output = { statusCode: 200 };
    expect(taskEnd({ failures: 7, maxAttempts: 3 }, { kind: 'succeeded', output }, nowMs)).toEqual({
      status: 'succeeded',
      output,
      error: null,
    });
  });
});

describe('how many tasks a drain asks for', () => {
  it('is never less than it executes at once, nor without bound', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.array(fc.nat(5_000), { maxLength: 50 }),
        (atOnce, pauses) => {
          let limit = atOnce;
          for (const sinceLastMs of pauses) {
            limit = nextClaim(limit, sinceLastMs, atOnce);
            expect(limit).toBeGreaterThanOrEqual(atOnce);
            expect(limit).toBeLessThanOrEqual(1_000);
          }
        },
      ),
    );
  });

  it('grows while claims come thick and fast, and shrinks when the tasks are slow', () => {
    expect([nextClaim(10, 5, 10), nextClaim(20, 500, 10), nextClaim(40, 5_000, 10)]).toEqual([20, 20, 20]);
  });
});
