import { describe, expect, it } from 'vitest';
import { decideOverlap, heldRunsMax, type OverlapDecision } from '../../src/schedules/overlap.ts';
import { createOverlapTurn, heldReason } from '../../src/schedules/overlap-turn.ts';
import { type OverlapPolicy, overlapPolicies } from '../../src/schedules/schedule.ts';

describe('decideOverlap', () => {
  it.each(overlapPolicies)('%s starts a fire when no run is active', (policy) => {
    expect(decideOverlap(policy, 0, 0)).toBe('start');
  });

  it.each<[OverlapPolicy, active: number, held: number, OverlapDecision]>([
    ['skip', 1, 0, 'skip'],
    ['skip', 1, 1, 'skip'],
    ['skip', 1000, 5, 'skip'],
    ['queue_one', 1, 0, 'hold'],
    ['queue_one', 3, 0, 'hold'],
    ['queue_one', 1, 1, 'skip'],
    ['queue_one', 1, 7, 'skip'],
    ['queue_all', 1, 0, 'hold'],
    ['queue_all', 1, heldRunsMax - 1, 'hold'],
    ['queue_all', 1, heldRunsMax, 'queue_full'],
    ['queue_all', 1, heldRunsMax + 1, 'queue_full'],
    ['cancel_running', 1, 0, 'replace'],
    ['cancel_running', 4, 1, 'replace'],
    ['allow', 1, 0, 'start'],
    ['allow', 1000, 9, 'start'],
  ])('%s with %i active and %i held runs says %s', (policy, active, held, decision) => {
    expect(decideOverlap(policy, active, held)).toBe(decision);
  });
});

describe('a turn of overlap', () => {
  type Fire = { runId: string; status: 'queued' | 'held' | 'skipped' | 'missed'; reason: string | null };

  const turn = (overlap: OverlapPolicy, activeRuns: number, heldRuns: number, fires: number) => {
    const turned = createOverlapTurn<Fire>({ overlap, activeRuns, heldRuns });
    for (let nth = 1; nth <= fires; nth += 1) turned.add({ runId: `${nth}`, status: 'queued', reason: null });
    return {
      fires: turned.fires.map(({ status, reason }) => (reason === null ? status : `${status}: ${reason}`)),
      became: turned.became,
      replacing: turned.replacing.map((fire) => fire.runId),
    };
  };
  const held = `held: ${heldReason}`;

  it.each<[OverlapPolicy, active: number, held: number, string[], became: number, replacing: string[]]>([
    ['skip', 0, 0, ['queued', 'skipped: overlap', 'skipped: overlap'], 1, []],
    ['queue_one', 0, 0, ['queued', held, 'skipped: overlap'], 2, []],
    ['queue_one', 1, 1, ['skipped: overlap', 'skipped: overlap', 'skipped: overlap'], 0, []],
    ['queue_all', 0, 0, ['queued', held, held], 3, []],
    ['queue_all', 2, heldRunsMax - 1, [held, 'skipped: queue_full', 'skipped: queue_full'], 1, []],
    // Of three at once the newest runs: there is nothing yet to cancel or to wait for.
    ['cancel_running', 0, 0, ['skipped: superseded', 'skipped: superseded', 'queued'], 1, []],
    // It waits for the end of what it cancels, and takes the place of what waited before it.
    ['cancel_running', 2, 0, ['skipped: superseded', 'skipped: superseded', held], 1, ['3']],
    ['cancel_running', 1, 1, ['skipped: superseded', 'skipped: superseded', held], 1, ['3']],
    ['allow', 1, 0, ['queued', 'queued', 'queued'], 3, []],
  ])('%s, %i active, %i held', (policy, active, heldBefore, fires, became, replacing) => {
    expect(turn(policy, active, heldBefore, 3)).toEqual({ fires, became, replacing });
  });
});
