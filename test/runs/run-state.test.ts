import { describe, expect, it } from 'vitest';
import {
  activeStatuses,
  isActive,
  neverStartedStatuses,
  outcomeStatuses,
  runStatuses,
} from '../../src/runs/run-state.ts';

describe('the states of a run', () => {
  it('are each either active, or an outcome, or an end without a start', () => {
    expect(new Set(runStatuses).size).toBe(runStatuses.length);
    expect([...runStatuses].sort()).toEqual(
      [...activeStatuses, ...outcomeStatuses, ...neverStartedStatuses].sort(),
    );
  });

  it('are active while they are queued, running or retrying, and not else', () => {
    expect(runStatuses.filter(isActive)).toEqual(['queued', 'running', 'retrying']);
  });
});
