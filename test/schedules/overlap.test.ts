import { describe, expect, it } from 'vitest';
import { decideOverlap } from '../../src/schedules/overlap.ts';
import { overlapPolicies } from '../../src/schedules/schedule.ts';

describe('decideOverlap', () => {
  it.each(overlapPolicies)('%s starts a fire when no run is active', (policy) => {
    expect(decideOverlap(policy, 0)).toBe('start');
  });

  it.each([
    ['skip', 1, 'skip'],
    ['skip', 1000, 'skip'],
    ['allow', 1, 'start'],
    ['allow', 1000, 'start'],
  ] as const)('%s with %i active runs says %s', (policy, active, decision) => {
    expect(decideOverlap(policy, active)).toBe(decision);
  });
});
