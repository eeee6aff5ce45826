/** The cells of the scale benchmark → a table, and what of it is further from the smallest cell than it should be. Pure. */
import { markdownTable, number } from './report.ts';

export type ScaleSize = { schedules: number; runs: number };

export type ScaleResult = ScaleSize & {
  /** RFC 3339. */
  measuredAt: string;
  seedSeconds: number;
  /** Locking and reading 500 due schedules, median. */
  claimMs: number;
  /** A herd of 5,000 beside all that, workers off, median of the rounds. */
  dispatchPerSecond: number;
  /** Milliseconds by request, one after the other. */
  requests: Readonly<Record<string, { p50Ms: number; p99Ms: number }>>;
};

/** How many times worse than in the smallest cell a measure may be. */
const timesMax = 1.5;

type Measure = {
  title: string;
  /** What of a cell is compared; greater is worse. */
  cost(cell: ScaleResult): number | undefined;
  shown(cell: ScaleResult): string;
  /** A page of runs costs less to write where there are none, whatever is behind it: compared with the smallest that has some. */
  ofRuns: boolean;
};

/** Smallest first: by schedules, then by runs. */
export function inOrder(cells: readonly ScaleResult[]): ScaleResult[] {
  return cells.toSorted((a, b) => a.schedules - b.schedules || a.runs - b.runs);
}

function measuresOf(cells: readonly ScaleResult[]): Measure[] {
  const names = [...new Set(cells.flatMap((cell) => Object.keys(cell.requests)))];
  return [
    {
      title: 'claim of 500',
      cost: (cell) => cell.claimMs,
      shown: (cell) => `${number(cell.claimMs)} ms`,
      ofRuns: false,
    },
    {
      title: 'dispatch of 5,000',
      cost: (cell) => 1 / cell.dispatchPerSecond,
      shown: (cell) => `${number(cell.dispatchPerSecond)} /s`,
      ofRuns: false,
    },
    ...names.map((name) => ({
      title: name,
      cost: (cell: ScaleResult) => cell.requests[name]?.p99Ms,
      shown(cell: ScaleResult) {
        const took = cell.requests[name];
        return took === undefined ? '–' : `${number(took.p50Ms)} / ${number(took.p99Ms)} ms`;
      },
      ofRuns: name.includes('/runs'),
    })),
  ];
}

/** Undefined where there is nothing to compare. */
function timesOf(measure: Measure, cell: ScaleResult, cells: readonly ScaleResult[]): number | undefined {
  const least = cells.find(({ runs }) => !measure.ofRuns || runs > 0);
  const [first, cost] = [least && measure.cost(least), measure.cost(cell)];
  if (first === undefined || cost === undefined || cells.indexOf(cell) <= cells.indexOf(least!))
    return undefined;
  return cost / first;
}

/** A row for each measure, a column for each cell. */
export function scaleRows(given: readonly ScaleResult[]): { titles: string[]; rows: string[][] } {
  const cells = inOrder(given);
  const titles = ['', ...cells.map(({ schedules, runs }) => `${short(schedules)} × ${short(runs)}`)];
  const rows = measuresOf(cells).map((measure) => [
    measure.title,
    ...cells.map((cell) => {
      const times = timesOf(measure, cell, cells);
      return `${measure.shown(cell)}${times === undefined ? '' : ` (${number(times)} ×)`}`;
    }),
  ]);
  return { titles, rows };
}

/** Measures that are beyond 1.5 × of the smallest cell anywhere, with the most that they are. */
export function beyond(given: readonly ScaleResult[]): string[] {
  const cells = inOrder(given);
  return measuresOf(cells).flatMap((measure) => {
    const most = Math.max(0, ...cells.map((cell) => timesOf(measure, cell, cells) ?? 0));
    return most > timesMax ? [`${measure.title} (${number(most)} ×)`] : [];
  });
}

/** Its section of RESULTS.md. */
export function scaleSection(cells: readonly ScaleResult[]): string[] {
  const { titles, rows } = scaleRows(cells);
  const far = beyond(cells);
  const days = [...new Set(cells.map(({ measuredAt }) => measuredAt.slice(0, 10)))].sort();
  return [
    '## scale',
    '',
    'Schedules × past runs. Locking and reading 500 due schedules; a herd of 5,000 beside all the others, workers off; and requests one',
    'after the other, p50 / p99, with how many times the p99 of the smallest cell that is (of lists of runs: of the smallest that has',
    `runs). Measured apart, on ${days.join(' and ')}, by \`node bench/scale.ts --write\`, whole or a \`--cell\` at a time (${cells.length} cells).`,
    '',
    far.length === 0
      ? `All within ${timesMax} × of the smallest.`
      : `Within ${timesMax} × of the smallest: ${rows.length - far.length} of ${rows.length} measures. Beyond it, at the most: ${far.join('; ')}.`,
    '',
    ...markdownTable(titles, rows),
  ];
}

/** 1000 → 1 k, 10000000 → 10 M. */
function short(count: number): string {
  if (count >= 1_000_000) return `${count / 1_000_000} M`;
  return count >= 1000 ? `${count / 1000} k` : String(count);
}
