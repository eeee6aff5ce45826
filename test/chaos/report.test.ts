import { expect, it } from 'vitest';
import type { ChaosReport } from '../../chaos/chaos.ts';
import { checkAll } from '../../chaos/checker.ts';
import { mutationsTable, resultsTable, withSection } from '../../chaos/report.ts';
import { cleanEvidence } from './clean-evidence.ts';

const rules = { clockMarginMs: 250, epsilonMs: 1500 };

function report(doctor: (evidence: ReturnType<typeof cleanEvidence>) => void = () => {}): ChaosReport {
  const evidence = cleanEvidence();
  doctor(evidence);
  const findings = checkAll(evidence, rules);
  const figures = new Map([['calls', '1,234 | 5']]);
  return { findings, evidence, untried: ['a small disk'], figures, lines: [], directory: null };
}

it('a run with several seeds is a column each, and says what is broken', () => {
  const broken = report((evidence) => Object.assign(evidence, { doorbells: 3 }));
  const text = resultsTable('npm run chaos -- --seed 1 --seed 2', [
    { seed: 1, report: report() },
    { seed: 2, report: broken },
  ]);
  expect(text.split('\n')).toEqual(
    expect.arrayContaining([
      '`npm run chaos -- --seed 1 --seed 2`',
      '|  | seed 1 | seed 2 |',
      '| calls | 1,234 \\| 5 | 1,234 \\| 5 |',
      '| 11 | no overlap but with `allow` | holds | holds |',
      '| 12 | nothing in limbo at the end | holds | **broken**, 1 times |',
      '- seed 2: a small disk',
    ]),
  );
});

it('a defect that nothing found, and one that something else found, are told apart from one that was caught', () => {
  const of = (name: string, broken: readonly number[]) => ({
    name,
    defect: 'd',
    expected: [7, 9],
    command: '--short --seed 1',
    broken: broken.map((number) => ({ number, first: '' })),
  });
  const rows = mutationsTable([of('a', [2, 9]), of('b', [2]), of('c', [])])
    .split('\n')
    .slice(2);
  expect(rows.map((row) => row.split(' | ').at(-1))).toEqual([
    '2, 9 |',
    '2 (**not what it should**) |',
    '**nothing** |',
  ]);
});

it('a section of a document is replaced, and all around it stays', () => {
  const document = 'before\n<!-- last run -->\nold\n<!-- end of last run -->\nafter\n';
  const once = withSection(document, 'last run', 'new');
  expect(once).toBe('before\n<!-- last run -->\nnew\n<!-- end of last run -->\nafter\n');
  expect(withSection(once, 'last run', 'new')).toBe(once);
  expect(() => withSection(document, 'mutations', 'new')).toThrow('There is no <!-- mutations -->');
});
