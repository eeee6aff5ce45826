/** The chaos run itself, short and with a seed: real processes, kills, a Postgres that goes away, lost answers. */
import { expect, it } from 'vitest';
import { runChaos } from '../../chaos/chaos.ts';

const seed = 20_260_101;

it('a minute of faults breaks no invariant', { timeout: 300_000 }, async () => {
  const told: string[] = [];
  const tell = (line: string) => told.push(line);
  const report = await runChaos({ seed, minutes: 1, short: true, keep: false, edits: [], tell });
  const broken = report.findings.flatMap(({ invariant, faults }) =>
    faults.map((fault) => `${invariant.number} ${invariant.promise}: ${fault}`),
  );
  expect(broken, [...told, ...report.lines, `logs: ${report.directory}`].join('\n')).toEqual([]);
  // It was a run that could have found something.
  const { evidence } = report;
  expect(evidence.faults.filter((fault) => fault.healedMs < Number.POSITIVE_INFINITY).length).toBeGreaterThan(
    6,
  );
  expect(evidence.runs.filter((run) => run.status === 'succeeded').length).toBeGreaterThan(100);
  expect(evidence.acks.length).toBeGreaterThan(100);
  expect(evidence.ends.length).toBeGreaterThan(3);
});
