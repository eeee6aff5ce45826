import { describe, expect, it } from 'vitest';
import { beyond, type ScaleResult, scaleRows, scaleSection } from '../../bench/scale-report.ts';

function cell(schedules: number, runs: number, parts: Partial<ScaleResult> = {}): ScaleResult {
  return {
    schedules,
    runs,
    measuredAt: '2026-01-02T03:04:05.000Z',
    seedSeconds: 1,
    claimMs: 4,
    dispatchPerSecond: 12_000,
    requests: { 'GET /schedules': { p50Ms: 1, p99Ms: 2 } },
    ...parts,
  };
}

describe('scaleRows', () => {
  it('has a column for each cell, the smallest first, and what the others are of it', () => {
    const { titles, rows } = scaleRows([
      cell(1_000_000, 0, { claimMs: 6, dispatchPerSecond: 8000 }),
      cell(1000, 0),
    ]);
    expect(titles).toEqual(['', '1 k × 0', '1 M × 0']);
    expect(rows).toEqual([
      ['claim of 500', '4 ms', '6 ms (1.5 ×)'],
      ['dispatch of 5,000', '12,000 /s', '8,000 /s (1.5 ×)'],
      ['GET /schedules', '1 / 2 ms', '1 / 2 ms (1 ×)'],
    ]);
  });

  it('compares lists of runs with the smallest cell that has runs', () => {
    const asked = (p99Ms: number) => ({ requests: { 'GET /runs': { p50Ms: 1, p99Ms } } });
    const { rows } = scaleRows([
      cell(1000, 0, asked(1)),
      cell(1000, 1_000_000, asked(4)),
      cell(1000, 10_000_000, asked(5)),
    ]);
    expect(rows.at(-1)).toEqual(['GET /runs', '1 / 1 ms', '1 / 4 ms', '1 / 5 ms (1.25 ×)']);
  });

  it('leaves out what a cell was not asked', () => {
    const { rows } = scaleRows([cell(1000, 0, { requests: {} }), cell(1000, 1)]);
    expect(rows.at(-1)).toEqual(['GET /schedules', '–', '1 / 2 ms']);
  });
});

describe('beyond', () => {
  it('names what is more than 1.5 × of the smallest, with the most that it is', () => {
    const cells = [cell(1000, 0), cell(1000, 1, { claimMs: 6 }), cell(1000, 2, { claimMs: 6.4 })];
    expect(beyond(cells)).toEqual(['claim of 500 (1.6 ×)']);
    expect(beyond(cells.slice(0, 2))).toEqual([]);
    expect(beyond([cell(1000, 0), cell(2000, 0, { dispatchPerSecond: 6000 })])).toEqual([
      'dispatch of 5,000 (2 ×)',
    ]);
  });

  it('is told in the section, or that there is nothing', () => {
    const far = scaleSection([cell(1000, 0), cell(1000, 1, { claimMs: 8 })]).join('\n');
    expect(far).toContain('Within 1.5 × of the smallest: 2 of 3 measures.');
    expect(far).toContain('claim of 500 (2 ×)');
    expect(scaleSection([cell(1000, 0), cell(1000, 1)]).join('\n')).toContain('All within 1.5 ×');
  });
});
