/** Figures of rounds → medians, ratios with their spread, verdicts, and the tables that tell them. Pure. */
import { type BenchResult, type ContenderResult, type FigureKind, type Goal, us } from './measurement.ts';

/** The middle of some rounds, and how far they lie apart. */
export type Spread = { median: number; least: number; most: number; rounds: number };

/** Undefined for no values. Of an even number the median is the mean of the two in the middle. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)!, rounds: sorted.length };
}

/** One contender's figure over its rounds; rounds without it do not count. */
export function figureOf(contender: ContenderResult, figure: string): Spread | undefined {
  return spreadOf(contender.rounds.flatMap((round) => round[figure] ?? []));
}

/**
 * Ours over the peer's, round by round: the two of one round were measured one right after the other, so what the machine
 * did then is in both.
 */
export function ratioOf(ours: ContenderResult, peer: ContenderResult, figure: string): Spread | undefined {
  const both = Math.min(ours.rounds.length, peer.rounds.length);
  const ratios: number[] = [];
  for (let round = 0; round < both; round += 1) {
    const [mine, theirs] = [ours.rounds[round]![figure], peer.rounds[round]![figure]];
    if (mine !== undefined && theirs !== undefined && theirs !== 0) ratios.push(mine / theirs);
  }
  return spreadOf(ratios);
}

export type Verdict = {
  bench: string;
  /** What should hold. */
  goal: string;
  measured: string;
  spread: string;
  /** Null: it was not measured, and `measured` says why. */
  isReached: boolean | null;
};

export function verdictsOf(result: BenchResult): Verdict[] {
  return result.goals.map((goal) => verdictOf(result, goal));
}

function verdictOf(result: BenchResult, goal: Goal): Verdict {
  const kind = result.figures[goal.figure]!;
  const unit = goal.against === undefined ? kind.unit : '×';
  const told = {
    bench: result.name,
    goal: `${kind.title}${goal.against === undefined ? '' : ` against ${goal.against}`}: ${boundOf(goal, unit)}`,
  };
  const find = (name: string) => result.contenders.find((contender) => contender.name === name);
  const ours = find(us);
  const peer = goal.against === undefined ? undefined : find(goal.against);
  const absent = ours?.absent ?? peer?.absent;
  const spread =
    ours === undefined
      ? undefined
      : goal.against === undefined
        ? figureOf(ours, goal.figure)
        : peer && ratioOf(ours, peer, goal.figure);
  if (absent !== undefined || spread === undefined) {
    const why = absent ?? result.fault ?? 'there was no such round';
    return { ...told, measured: `not measured: ${why}`, spread: '', isReached: null };
  }
  const isReached =
    spread.median >= (goal.least ?? Number.NEGATIVE_INFINITY) &&
    spread.median <= (goal.most ?? Number.POSITIVE_INFINITY);
  return { ...told, measured: `${number(spread.median)} ${unit}`, spread: rangeOf(spread), isReached };
}

function boundOf({ least, most }: Goal, unit: string): string {
  const bounds = [
    ...(least === undefined ? [] : [`≥ ${number(least)}`]),
    ...(most === undefined ? [] : [`≤ ${number(most)}`]),
  ];
  return `${bounds.join(' and ')} ${unit}`;
}

export function rangeOf({ least, most, rounds }: Spread): string {
  return rounds === 1 ? 'one round' : `${number(least)} – ${number(most)}`;
}

/** Three digits that say something, and no more. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  if (size >= 100) return value.toFixed(0);
  return String(Number(value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3)));
}

/** What all contenders did, a row for each of their figures; ours over theirs beside the peers'. */
export function rowsOf(result: BenchResult): string[][] {
  const ours = result.contenders.find(({ name }) => name === us);
  return result.contenders.flatMap((contender) => {
    if (contender.absent !== undefined)
      return [[contender.name, `not measured: ${contender.absent}`, '', '', '']];
    return Object.entries(result.figures).flatMap(([figure, kind]) => {
      const spread = figureOf(contender, figure);
      if (spread === undefined) return [];
      const ratio = ours === undefined || ours === contender ? undefined : ratioOf(ours, contender, figure);
      return [[contender.name, kind.title, valueWithUnit(spread, kind), rangeOf(spread), shown(ratio)]];
    });
  });
}

const rowTitles = ['who', 'what', 'median', 'least – most', 'ours / theirs (least – most)'];

function valueWithUnit({ median }: Spread, { unit }: FigureKind): string {
  return `${number(median)} ${unit}`;
}

function shown(ratio: Spread | undefined): string {
  if (ratio === undefined) return '';
  return ratio.rounds === 1 ? `${number(ratio.median)} ×` : `${number(ratio.median)} × (${rangeOf(ratio)})`;
}

const verdictTitles = ['bench', 'goal', 'measured', 'least – most', 'reached'];

function verdictRow({ bench, goal, measured, spread, isReached }: Verdict): string[] {
  return [bench, goal, measured, spread, isReached === null ? '–' : isReached ? 'yes' : '**no**'];
}

/** Of one bench, for a terminal. */
export function benchText(result: BenchResult): string {
  const verdicts = verdictsOf(result).map(verdictRow);
  return [
    textTable(rowTitles, rowsOf(result)),
    ...(result.fault === undefined ? [] : [`it failed: ${result.fault}`]),
    ...(verdicts.length === 0 ? [] : ['', textTable(verdictTitles, verdicts)]),
  ].join('\n');
}

/** Of all goals, for a terminal. */
export function goalsText(results: readonly BenchResult[]): string {
  return textTable(verdictTitles, results.flatMap(verdictsOf).map(verdictRow));
}

export type RunDescription = {
  startedAt: string;
  rounds: number;
  isQuick: boolean;
  /** What of the machine and the packages bears on the figures, by name. */
  machine: Readonly<Record<string, string>>;
  versions: Readonly<Record<string, string>>;
  /** The mean number of processes that wanted a core in the minute before; and the number of cores. */
  loadAtStart: number;
  cores: number;
};

/** A machine that has other work when it begins measures that too. */
export function cautionsOf(run: RunDescription): string[] {
  return [
    ...(run.isQuick
      ? ['These are quick rounds of small sizes, to see that all works. Judge nothing by them.']
      : []),
    ...(run.rounds < 5 ? [`Five rounds are the least to judge by; these are ${run.rounds}.`] : []),
    ...(run.loadAtStart > run.cores / 4
      ? [
          `The machine had other work when this began (load ${number(run.loadAtStart)} on ${run.cores} cores). These figures are not final.`,
        ]
      : []),
  ];
}

/** RESULTS.md. `more`: lines at its end, of what was measured apart. */
export function resultsPage(
  run: RunDescription,
  results: readonly BenchResult[],
  more: readonly string[] = [],
): string {
  const verdicts = results.flatMap(verdictsOf);
  const missed = verdicts.filter(({ isReached }) => isReached === false).length;
  const unknown = verdicts.filter(({ isReached }) => isReached === null).length;
  const lines = [
    '# Results',
    '',
    `Written by \`npm run bench\` (started ${run.startedAt}); do not edit. Contenders take turns; each figure is the median of`,
    `${run.rounds} rounds, and each ratio the median of the ratios of the rounds, with the least and the most beside it.`,
    ...cautionsOf(run).flatMap((caution) => ['', `> **${caution}**`]),
    '',
    ...markdownTable(
      ['machine', ''],
      [...Object.entries(run.machine), ['load at start', number(run.loadAtStart)]],
    ),
    '',
    ...markdownTable(['program', 'version'], Object.entries(run.versions)),
    '',
    '## Goals',
    '',
    `${verdicts.length - missed - unknown} reached, ${missed} not reached, ${unknown} not measured.`,
    '',
    ...markdownTable(verdictTitles, verdicts.map(verdictRow)),
  ];
  for (const result of results) {
    lines.push('', `## ${result.name}`, '', result.about, '', ...markdownTable(rowTitles, rowsOf(result)));
    if (result.fault !== undefined) lines.push('', `**It failed: ${result.fault}**`);
    const noted = result.contenders.filter(({ note }) => note !== undefined);
    if (noted.length > 0) lines.push('', ...noted.map(({ name, note }) => `- ${name}: ${note}`));
  }
  if (more.length > 0) lines.push('', ...more);
  return `${lines.join('\n')}\n`;
}

export function markdownTable(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)];
}

export function textTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [titles, ...rows];
  const widths = titles.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return all.map(line).join('\n').replaceAll('**', '');
}
