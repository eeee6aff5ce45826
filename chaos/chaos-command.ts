/**
 * `npm run chaos -- [--minutes 10] [--seed n …] [--short] [--only fault …] [--mutation name …] [--report file] [--keep]`
 *
 * Plays a chaos run for each seed (without one: of chance), and with --mutation for each of these defects (`all`) the run that
 * should find it. With --report the tables go into that document too, as they are on the terminal. Exits with 1 when an
 * invariant is broken, or a defect is not found; `--only none` is a run without faults; logs of broken ones, and with --keep of all, are left where it says.
 */
import { parseArgs } from 'node:util';
import { type ChaosReport, runChaos } from './chaos.ts';
import type { FaultKind } from './fault-plan.ts';
import { type Mutation, mutations } from './mutations.ts';
import {
  isCaught,
  type MutationResult,
  mutationsTable,
  type NamedReport,
  resultsTable,
  writeInto,
} from './report.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string', multiple: true },
    short: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    keep: { type: 'boolean', default: false },
    mutation: { type: 'string', multiple: true, default: [] },
    report: { type: 'string' },
  },
});
const shownFaultsMax = 10;
const startedAtMs = performance.now();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

const given = values.seed?.map(Number);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
if (given?.some((seed) => !Number.isInteger(seed)) || (minutes !== undefined && !(minutes > 0)))
  throw new Error('--seed is a whole number, --minutes a number above 0');
const only = values.only?.filter((kind) => kind !== 'none') as FaultKind[] | undefined;
const names = values.mutation.includes('all') ? Object.keys(mutations) : values.mutation;
for (const name of names)
  if (mutations[name] === undefined)
    throw new Error(`--mutation is all, or one of ${Object.keys(mutations).join(', ')}`);

process.exitCode = (await (names.length > 0 ? withDefects() : asItIs())) ? 0 : 1;

function tell(line: string): void {
  console.log(`${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(7)} s  ${line}`);
}

/** Whether all holds with all seeds. */
async function asItIs(): Promise<boolean> {
  const seeds = given ?? [Math.floor(Math.random() * 1e6)];
  const options = { minutes: minutes ?? 10, short: values.short ?? false, only: only ?? null };
  const length = options.short ? ' --short' : ` --minutes ${options.minutes}`;
  const command = `npm run chaos --${length}${seeds.map((seed) => ` --seed ${seed}`).join('')}${onlyWords(options.only)}`;
  const reports: NamedReport[] = [];
  for (const seed of seeds) {
    console.log(`seed ${seed},${length.replace(' --', ' ')}`);
    const report = await runChaos({ ...options, seed, keep: values.keep, edits: [], tell });
    show(report);
    reports.push({ seed, report });
  }
  const text = resultsTable(command, reports);
  console.log(`\n${text}`);
  if (values.report !== undefined) await writeInto(values.report, 'last run', text);
  return reports.every(({ report }) => report.findings.every(({ faults }) => faults.length === 0));
}

/** Whether each defect is found. */
async function withDefects(): Promise<boolean> {
  const results: MutationResult[] = [];
  for (const name of names) {
    const result = await withDefect(name, mutations[name]!);
    console.log(`${isCaught(result) ? 'caught' : 'MISSED'} ${name}`);
    results.push(result);
  }
  const text = mutationsTable(results);
  console.log(`\n${text}`);
  if (values.report !== undefined) await writeInto(values.report, 'mutations', text);
  return results.every(isCaught);
}

async function withDefect(name: string, mutation: Mutation): Promise<MutationResult> {
  const { seed, short, minutes: own, only: faults } = mutation.run;
  const options = {
    seed: given?.[0] ?? seed,
    short: values.short ?? short ?? false,
    minutes: minutes ?? own ?? 1,
    only: only ?? faults ?? null,
  };
  console.log(`mutation ${name}: ${mutation.defect}; ${JSON.stringify(options)}`);
  const report = await runChaos({
    ...options,
    keep: values.keep,
    edits: mutation.edits,
    tell,
    discard: !values.keep,
  });
  show(report);
  const broken = report.findings.flatMap(({ invariant: { number }, faults: [first] }) =>
    first === undefined ? [] : [{ number, first }],
  );
  const command = options.short
    ? `--short --seed ${options.seed}`
    : `--minutes ${options.minutes} --seed ${options.seed}${onlyWords(options.only)}`;
  return { name, defect: mutation.defect, expected: mutation.breaks, command, broken };
}

/** As it is given to the command. */
function onlyWords(kinds: readonly FaultKind[] | null): string {
  if (kinds === null) return '';
  return (kinds.length === 0 ? ['none'] : kinds).map((kind) => ` --only ${kind}`).join('');
}

function show(report: ChaosReport): void {
  for (const line of report.lines) console.log(line);
  for (const line of report.untried) console.log(`not tried: ${line}`);
  for (const { invariant, faults } of report.findings) {
    const { number, promise } = invariant;
    console.log(`${faults.length === 0 ? 'holds ' : 'BROKEN'} ${String(number).padStart(2)} ${promise}`);
    for (const line of faults.slice(0, shownFaultsMax)) console.log(`          ${line}`);
    if (faults.length > shownFaultsMax) console.log(`          and ${faults.length - shownFaultsMax} more`);
  }
  if (report.directory !== null) console.log(`logs: ${report.directory}`);
}
