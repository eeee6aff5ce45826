/**
 * `npm run bench`: Carillon and its peers take turns, and what came of it is printed beside its goals and written to
 * RESULTS.md and bench/results.json. `-- --help` lists the benches and says how long they take. Who fails is told of as such
 * and has no turn any more; the others go on, and the exit code is 1.
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readOptions } from './bench-options.ts';
import { benches } from './benches.ts';
import {
  type Bench,
  type BenchResult,
  type Contender,
  type ContenderResult,
  type Session,
  us,
} from './measurement.ts';
import {
  benchText,
  cautionsOf,
  figureOf,
  goalsText,
  number,
  type RunDescription,
  resultsPage,
} from './report.ts';
import { readScale } from './scale-file.ts';
import { scaleSection } from './scale-report.ts';
import { describeRun } from './support/machine.ts';

const options = readOptions(process.argv.slice(2), benches);
if ('text' in options) {
  console[options.isFault ? 'error' : 'log'](options.text);
  process.exit(options.isFault ? 1 : 0);
}

const run = await describeRun(options);
const described = [...Object.entries(run.machine), ...Object.entries(run.versions)];
console.log(described.map(([name, value]) => `${name} ${value}`).join(', '));
console.log(`load ${number(run.loadAtStart)} on ${run.cores} cores`);

const results: Measured[] = [];
for (const bench of options.benches) {
  console.log(`\n# ${bench.name}\n${bench.about}\n`);
  const result = await measure(bench, options);
  console.log(`\n${benchText(result)}\n(${Math.round(result.seconds)} s)`);
  results.push(result);
}

console.log(`\n# Goals\n${goalsText(results)}`);
for (const caution of cautionsOf(run)) console.log(`\n${caution}`);
if (options.writes) await write(run, results);
process.exit(results.some(({ hasFailed }) => hasFailed) ? 1 : 0);

type Measured = BenchResult & { hasFailed: boolean };

async function measure(bench: Bench, { rounds, isQuick }: { rounds: number; isQuick: boolean }) {
  const { name, about, figures, goals } = bench;
  const startedAt = performance.now();
  const result: Measured = { name, about, figures, goals, contenders: [], seconds: 0, hasFailed: false };
  let session: Session | undefined;
  try {
    session = await bench.open({ isQuick });
    const { contenders } = session;
    result.contenders = contenders.map(({ round: _, ...contender }) => ({ ...contender, rounds: [] }));
    for (let round = 1; round <= rounds; round += 1) {
      for (const [index, contender] of contenders.entries()) {
        await takeTurn(contender, result.contenders[index]!, result, `${round}/${rounds}`);
      }
    }
  } catch (error) {
    result.fault = failed(result, error);
  } finally {
    await session?.close().catch((error) => failed(result, error));
  }
  result.seconds = (performance.now() - startedAt) / 1000;
  return result;
}

async function takeTurn(
  contender: Contender,
  record: ContenderResult,
  result: Measured,
  turn: string,
): Promise<void> {
  if (record.absent !== undefined) return;
  try {
    const measured = await contender.round!();
    record.rounds.push(measured);
    const told = Object.entries(measured).map(([figure, value]) => {
      const kind = result.figures[figure]!;
      return `${kind.title} ${number(value)} ${kind.unit}`;
    });
    console.log(`  ${turn} ${contender.name}: ${told.join(', ')}`);
  } catch (error) {
    record.absent = `it failed in round ${turn}: ${failed(result, error)}`;
  }
}

function failed(result: Measured, error: unknown): string {
  console.error(error);
  result.hasFailed = true;
  return error instanceof Error ? error.message : String(error);
}

/** Every round is kept, so that anyone may compute otherwise; and the medians of ours, to compare two runs by eye. */
async function write(run: RunDescription, results: readonly BenchResult[]): Promise<void> {
  const ours = results.map(({ name, figures, contenders }) => {
    const contender = contenders.find((each) => each.name === us);
    const medians = Object.keys(figures).flatMap((figure) => {
      const spread = contender && figureOf(contender, figure);
      return spread === undefined ? [] : [[figure, spread.median] as const];
    });
    return [name, Object.fromEntries(medians)];
  });
  const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const json = { ...run, ours: Object.fromEntries(ours), results };
  await writeFile(file('./results.json'), `${JSON.stringify(json, null, 2)}\n`);
  const scale = await readScale();
  await writeFile(
    file('../RESULTS.md'),
    resultsPage(run, results, scale.length === 0 ? [] : scaleSection(scale)),
  );
  console.log('\nwritten: RESULTS.md, bench/results.json');
}
