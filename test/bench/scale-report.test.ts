import { describe, expect, it } from 'vitest';
import { beyond, type ScaleResult, scaleRows, scaleSection } from '../../bench/scale-report.ts';

function cell(schedules: number, runs: number, parts: Partial<ScaleResult> = {}): ScaleResult {
  return {
    schedules,
    runs,
    measuredAt: '2026-01-02T03:04:05.000Z',
    seedSeconds: 1,
    claimMs: { here: 4, least: 4 },
    dispatchPerSecond: { here: 12_000, least: 12_000 },
    requests: { 'GET /schedules': { p50Ms: { here: 1, least: 1 }, p99Ms: { here: 2, least: 2 } } },
    ...parts,
  };
}

describe('scaleRows', () => {
  it('has a column for each cell, the smallest first, and what each is of the smallest beside it', () => {
    const { titles, rows } = scaleRows([
      cell(1_000_000, 0, {
        claimMs: { here: 6, least: 5 },
        dispatchPerSecond: { here: 8000, least: 10_000 },
        requests: { 'GET /schedules': { p50Ms: { here: 1, least: 5 }, p99Ms: { here: 3, least: 2 } } },
      }),
      cell(1000, 0),
    ]);
    expect(titles).toEqual(['', '1 k × 0', '1 M × 0']);
    expect(rows).toEqual([
      ['claim of 500', '4 ms (1 ×)', '6 ms (1.2 ×)'],
      ['dispatch of 5,000', '12,000 /s (1 ×)', '8,000 /s (1.25 ×)'],
      ['GET /schedules', '1 / 2 ms (1 ×)', '1 / 3 ms (1.5 ×)'],
    ]);
  });

  it('leaves out what a cell was not asked, and a herd that came too early', () => {
    const { rows } = scaleRows([
      cell(1000, 0, { requests: {}, claimMs: null, dispatchPerSecond: null }),
      cell(1000, 1),
    ]);
    expect(rows[0]).toEqual(['claim of 500', '–', '4 ms (1 ×)']);
    expect(rows[1]).toEqual(['dispatch of 5,000', '–', '12,000 /s (1 ×)']);
    expect(rows.at(-1)).toEqual(['GET /schedules', '–', '1 / 2 ms (1 ×)']);
  });
});

describe('beyond', () => {
  const claim = (here: number) => ({ claimMs: { here, least: 4 } });

  it('names what is more than 1.5 × of the smallest, with the most that it is', () => {
    const cells = [cell(1000, 0), cell(1000, 1, claim(6)), cell(1000, 2, claim(6.4))];
    expect(beyond(cells)).toEqual(['claim of 500 (1.6 ×)']);
    expect(beyond(cells.slice(0, 2))).toEqual([]);
    const slow = cell(2000, 0, { dispatchPerSecond: { here: 6000, least: 12_000 } });
    expect(beyond([cell(1000, 0), slow])).toEqual(['dispatch of 5,000 (2 ×)']);
  });

  it('is told in the section, or that there is nothing', () => {
    const far = scaleSection([cell(1000, 0), cell(1000, 1, claim(8))]).join('\n');
    expect(far).toContain('Within 1.5 × of the smallest: 2 of 3 measures.');
    expect(far).toContain('claim of 500 (2 ×)');
    expect(scaleSection([cell(1000, 0), cell(1000, 1)]).join('\n')).toContain('All within 1.5 ×');
  });
});
