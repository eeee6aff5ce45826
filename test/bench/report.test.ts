import { describe, expect, it } from 'vitest';
import type { BenchResult } from '../../bench/measurement.ts';
import {
  benchText,
  cautionsOf,
  number,
  type RunDescription,
  ratioOf,
  resultsPage,
  rowsOf,
  spreadOf,
  verdictsOf,
} from '../../bench/report.ts';

const contender = (name: string, ...values: number[]) => ({
  name,
  rounds: values.map((perSecond) => ({ perSecond })),
});

function result(parts: Partial<BenchResult> = {}): BenchResult {
  return {
    name: 'herd',
    about: 'Many at once.',
    figures: { perSecond: { title: 'recorded', unit: 'runs/s' } },
    goals: [{ figure: 'perSecond', least: 100 }],
    contenders: [contender('carillon', 90, 120, 110), contender('peer', 200, 100, 50)],
    seconds: 3,
    ...parts,
  };
}

const run: RunDescription = {
  startedAt: '2026-01-01T00:00:00.000Z',
  rounds: 5,
  isQuick: false,
  machine: { CPU: 'A | B' },
  versions: { Node: 'v1' },
  loadAtStart: 0.1,
  cores: 2,
};

describe('spreadOf', () => {
  it('takes the value in the middle, in whatever order they come', () => {
    expect(spreadOf([9, 1, 5])).toEqual({ median: 5, least: 1, most: 9, rounds: 3 });
  });

  it('takes the mean of the two in the middle of an even number', () => {
    expect(spreadOf([4, 1, 2, 100])?.median).toBe(3);
  });

  it('sorts by number, not by text, and leaves the given values alone', () => {
    const values = [1000, 9, 50];
    expect(spreadOf(values)?.median).toBe(50);
    expect(values).toEqual([1000, 9, 50]);
  });

  it('knows nothing of no values', () => {
    expect(spreadOf([])).toBeUndefined();
  });
});

describe('ratioOf', () => {
  it('pairs the rounds: the median of the ratios, not the ratio of the medians', () => {
    const [ours, peer] = result().contenders;
    expect(ratioOf(ours!, peer!, 'perSecond')).toEqual({ median: 1.2, least: 0.45, most: 2.2, rounds: 3 });
  });

  it('counts only rounds that both had', () => {
    const ours = contender('carillon', 10, 20, 30);
    expect(ratioOf(ours, contender('peer', 10), 'perSecond')?.rounds).toBe(1);
    expect(ratioOf(ours, contender('peer'), 'perSecond')).toBeUndefined();
  });
});

describe('verdictsOf', () => {
  it('holds our median against the bound', () => {
    expect(verdictsOf(result())).toEqual([
      {
        bench: 'herd',
        goal: 'recorded: ≥ 100 runs/s',
        measured: '110 runs/s',
        spread: '90 – 120',
        isReached: true,
      },
    ]);
    expect(verdictsOf(result({ goals: [{ figure: 'perSecond', least: 111 }] }))[0]!.isReached).toBe(false);
    expect(verdictsOf(result({ goals: [{ figure: 'perSecond', most: 109 }] }))[0]!.isReached).toBe(false);
    expect(verdictsOf(result({ goals: [{ figure: 'perSecond', most: 110 }] }))[0]!.isReached).toBe(true);
  });

  it('holds the ratio against the bound where a peer is named', () => {
    const goals = [{ figure: 'perSecond', least: 1.3, against: 'peer' }];
    const [verdict] = verdictsOf(result({ goals }));
    expect(verdict).toMatchObject({
      goal: 'recorded against peer: ≥ 1.3 ×',
      measured: '1.2 ×',
      isReached: false,
    });
  });

  it('says why a goal was not measured, and does not call it reached', () => {
    const goals = [{ figure: 'perSecond', least: 2, against: 'peer' }];
    const absent = { name: 'peer', absent: 'no Redis answered', rounds: [] };
    const [first] = verdictsOf(result({ goals, contenders: [contender('carillon', 5), absent] }));
    expect(first).toMatchObject({ measured: 'not measured: no Redis answered', isReached: null });
    const [second] = verdictsOf(result({ contenders: [], fault: 'no database' }));
    expect(second).toMatchObject({ measured: 'not measured: no database', isReached: null });
  });

  it('does not judge by the rounds of a contender that failed later', () => {
    const failed = { ...contender('carillon', 500), absent: 'it failed in round 2/5: gone' };
    expect(verdictsOf(result({ contenders: [failed] }))[0]!.isReached).toBeNull();
  });
});

describe('the tables', () => {
  it('shows ours over theirs beside each peer', () => {
    expect(rowsOf(result())).toEqual([
      ['carillon', 'recorded', '110 runs/s', '90 – 120', ''],
      ['peer', 'recorded', '100 runs/s', '50 – 200', '1.2 × (0.45 – 2.2)'],
    ]);
  });

  it('names a contender that is not here', () => {
    const absent = { name: 'peer', absent: 'no Redis answered', rounds: [] };
    expect(rowsOf(result({ contenders: [absent] }))[0]).toContain('not measured: no Redis answered');
  });

  it('keeps columns apart for a terminal', () => {
    const [titles, first] = benchText(result()).split('\n');
    expect(first!.indexOf('recorded')).toBe(titles!.indexOf('what'));
  });

  it('counts goals and escapes what Markdown would take for a column', () => {
    const page = resultsPage(run, [result()]);
    expect(page).toContain('1 reached, 0 not reached, 0 not measured.');
    expect(page).toContain('| CPU | A \\| B |');
    expect(page).toContain('| herd | recorded: ≥ 100 runs/s | 110 runs/s | 90 – 120 | yes |');
    expect(page).not.toContain('>');
  });
});

describe('cautionsOf', () => {
  it('says nothing of five whole rounds on a quiet machine', () => {
    expect(cautionsOf(run)).toEqual([]);
  });

  it.each([
    [{ isQuick: true }, 'quick'],
    [{ rounds: 4 }, 'Five rounds'],
    [{ loadAtStart: 1.4 }, 'load 1.4 on 2 cores'],
  ])('says of %o that it is not to be judged by, on the page too', (parts, words) => {
    expect(cautionsOf({ ...run, ...parts }).join()).toContain(words);
    expect(resultsPage({ ...run, ...parts }, [result()])).toContain(words);
  });
});

describe('number', () => {
  it.each([
    [26_123.4, '26,123'],
    [312.4, '312'],
    [42.36, '42.4'],
    [1.2345, '1.23'],
    [0.04567, '0.046'],
    [0, '0'],
  ])('shows %d as %s', (value, shown) => {
    expect(number(value)).toBe(shown);
  });
});
