/** The command line of `npm run bench`. Pure. */
import { parseArgs } from 'node:util';
import type { Bench } from './measurement.ts';

export type BenchOptions = {
  benches: Bench[];
  rounds: number;
  isQuick: boolean;
  /** RESULTS.md and bench/results.json are written. */
  writes: boolean;
};

const roundsMax = 99;

/** A text instead: what to print, and whether it is a complaint. */
export function readOptions(
  args: readonly string[],
  all: readonly Bench[],
): BenchOptions | { text: string; isFault: boolean } {
  let given: ReturnType<typeof parse>;
  try {
    given = parse(args);
  } catch (error) {
    return fault(`${(error as Error).message} \`npm run bench -- --help\` lists what there is.`);
  }
  if (given.help) return { text: helpText(all), isFault: false };
  const rounds = Number(given.rounds ?? (given.quick ? '1' : '5'));
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > roundsMax)
    return fault(`--rounds takes a whole number from 1 to ${roundsMax}, not "${given.rounds}".`);
  const wanted = given.only?.flatMap((names) => names.split(',')).filter((name) => name !== '');
  const isAsked = ({ name }: Bench, asked: string) => name === asked || name.startsWith(`${asked}-`);
  const unknown = wanted?.find((asked) => !all.some((bench) => isAsked(bench, asked)));
  if (unknown !== undefined)
    return fault(`There is no bench "${unknown}"; there are: ${all.map(({ name }) => name).join(', ')}.`);
  const benches = all.filter((bench) =>
    wanted === undefined ? given.all || !bench.isExtra : wanted.some((asked) => isAsked(bench, asked)),
  );
  const isWhole = wanted === undefined && !given.quick;
  return { benches, rounds, isQuick: given.quick ?? false, writes: given.write ?? isWhole };
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean' },
      all: { type: 'boolean' },
      write: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
    allowNegative: true,
  }).values;
}

function fault(text: string) {
  return { text, isFault: true };
}

export function helpText(all: readonly Bench[]): string {
  const width = Math.max(...all.map(({ name }) => name.length));
  const minutes = (benches: readonly Bench[]) =>
    Math.ceil(benches.reduce((sum, { secondsAbout }) => sum + secondsAbout, 0) / 60);
  return [
    'npm run bench -- [--only a,b] [--rounds n] [--quick] [--all] [--write | --no-write]',
    '',
    '  --only a,b   these benches; a name stands for all that begin with it and a hyphen',
    '  --rounds n   so many rounds of each contender (5; with --quick 1)',
    '  --quick      small sizes, to see that all works',
    '  --all        the extra ones too',
    '  --write      write RESULTS.md and bench/results.json; else only a run does that is neither quick nor of some benches',
    '',
    `Without options: ${minutes(all.filter(({ isExtra }) => !isExtra))} minutes on 2 cores. BullMQ is measured on the Redis of`,
    'CARILLON_BENCH_REDIS (redis://127.0.0.1:6379 without it), in its last database, which must be empty.',
    '',
    ...all.map(
      ({ name, secondsAbout, isExtra }) =>
        `  ${name.padEnd(width)}  ${String(secondsAbout).padStart(4)} s${isExtra ? '  extra' : ''}`,
    ),
  ].join('\n');
}
