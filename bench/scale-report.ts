/** The cells of the scale benchmark → a table, and what of it costs more than it should beside the smallest. Pure. */
import { markdownTable, number } from './report.ts';

export type ScaleSize = { schedules: number; runs: number };

/** The same of the cell and of the smallest, measured in turns. */
export type Beside = { here: number; least: number };

export type ScaleResult = ScaleSize & {
  /** RFC 3339. */
  measuredAt: string;
  seedSeconds: number | null;
  /** Locking and reading 500 due schedules, median. Null, as the next: the machine was too slow to be ready in time. */
  claimMs: Beside | null;
  /** A herd of 5,000 beside all that, workers off, median of the rounds. */
  dispatchPerSecond: Beside | null;
  /** Milliseconds by request, one after the other. */
  requests: Readonly<Record<string, { p50Ms: Beside; p99Ms: Beside }>>;
};

/** How many times what it costs in the smallest a measure may cost. */
const timesMax = 1.5;

type Measure = {
  title: string;
  /** Greater is worse. */
  cost(cell: ScaleResult): Beside | null | undefined;
  shown(cell: ScaleResult): string;
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
      cost: ({ claimMs }) => claimMs,
      shown: ({ claimMs }) => (claimMs === null ? '–' : `${number(claimMs.here)} ms`),
    },
    {
      title: 'dispatch of 5,000',
      cost: ({ dispatchPerSecond: rate }) => rate && { here: 1 / rate.here, least: 1 / rate.least },
      shown: ({ dispatchPerSecond: rate }) => (rate === null ? '–' : `${number(rate.here)} /s`),
    },
    ...names.map((name) => ({
      title: name,
      cost: (cell: ScaleResult) => cell.requests[name]?.p99Ms,
      shown(cell: ScaleResult) {
        const took = cell.requests[name];
        return took === undefined ? '–' : `${number(took.p50Ms.here)} / ${number(took.p99Ms.here)} ms`;
      },
    })),
  ];
}

/** Undefined where it was not measured. */
function timesOf(measure: Measure, cell: ScaleResult): number | undefined {
  const cost = measure.cost(cell);
  return cost ? cost.here / cost.least : undefined;
}

/** A row for each measure, a column for each cell. */
export function scaleRows(given: readonly ScaleResult[]): { titles: string[]; rows: string[][] } {
  const cells = inOrder(given);
  const titles = ['', ...cells.map(({ schedules, runs }) => `${short(schedules)} × ${short(runs)}`)];
  const rows = measuresOf(cells).map((measure) => [
    measure.title,
    ...cells.map((cell) => {
      const times = timesOf(measure, cell);
      return `${measure.shown(cell)}${times === undefined ? '' : ` (${number(times)} ×)`}`;
    }),
  ]);
  return { titles, rows };
}

/** Measures that are beyond 1.5 × of the smallest anywhere, with the most that they are. */
export function beyond(given: readonly ScaleResult[]): string[] {
  const cells = inOrder(given);
  return measuresOf(cells).flatMap((measure) => {
    const most = Math.max(0, ...cells.map((cell) => timesOf(measure, cell) ?? 0));
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
    'after the other, p50 / p99. In brackets how many times that (of requests: the p99) of the smallest it is, 1 k × 0, which lies on the',
    'same server and is measured in turns with it. What answers with runs is compared with 1 k × 1 M where there are runs, since a',
    'run in the answer costs more than none. A cell that is of that size itself shows how far two of the same are apart.',
    `Measured apart, on ${days.join(' and ')}, by \`node bench/scale.ts --write\`, whole or a \`--cell\` at a time (${cells.length} cells).`,
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
