/**
 * The results as tables of Markdown, and their place in a document: between two comments, so that nobody copies figures by
 * hand. Pure, but for `writeInto`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { ChaosReport } from './chaos.ts';
import { invariants } from './checker.ts';

export type NamedReport = { seed: number; report: ChaosReport };

/** What was seen with a defect in the code. */
export type MutationResult = {
  name: string;
  defect: string;
  /** Those of the list that should be broken; one is enough. */
  expected: readonly number[];
  command: string;
  broken: readonly { number: number; first: string }[];
};

export function isCaught({ expected, broken }: MutationResult): boolean {
  return broken.some(({ number }) => expected.includes(number));
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');

/** One column for each seed: what was counted, then what holds. */
export function resultsTable(command: string, reports: readonly NamedReport[]): string {
  const heads = reports.map(({ seed }) => `seed ${seed}`);
  const labels = [...new Set(reports.flatMap(({ report }) => [...report.figures.keys()]))];
  const untried = reports.flatMap(({ seed, report }) =>
    report.untried.map((line) => `- seed ${seed}: ${line}`),
  );
  return [
    `\`${command}\``,
    table(
      ['', ...heads],
      labels.map((label) => [label, ...reports.map(({ report }) => report.figures.get(label) ?? '')]),
    ),
    table(
      ['', 'invariant', ...heads],
      invariants.map(({ number, promise }) => [
        String(number),
        promise,
        ...reports.map(({ report }) => {
          const { length } = report.findings.find(({ invariant }) => invariant.number === number)!.faults;
          return length === 0 ? 'holds' : `**broken**, ${length} times`;
        }),
      ]),
    ),
    ...(untried.length === 0 ? [] : [`Not tried in it:\n${untried.join('\n')}`]),
  ].join('\n\n');
}

export function mutationsTable(results: readonly MutationResult[]): string {
  return table(
    ['mutation', 'what is wrong in it', 'run', 'should break', 'broke'],
    results.map((result) => [
      `\`${result.name}\``,
      result.defect,
      `\`${result.command}\``,
      result.expected.join(' or '),
      result.broken.length === 0
        ? '**nothing**'
        : `${result.broken.map(({ number }) => number).join(', ')}${isCaught(result) ? '' : ' (**not what it should**)'}`,
    ]),
  );
}

export type Section = 'last run' | 'mutations';

/**
 * Puts `text` between `<!-- section -->` and `<!-- end of section -->`.
 *
 * @throws Error when the document has no such place
 */
export function withSection(document: string, section: Section, text: string): string {
  const [opening, closing] = [`<!-- ${section} -->`, `<!-- end of ${section} -->`];
  const from = document.indexOf(opening);
  const until = document.indexOf(closing);
  if (from < 0 || until < from) throw new Error(`There is no ${opening} … ${closing} in that document.`);
  return `${document.slice(0, from + opening.length)}\n${text}\n${document.slice(until)}`;
}

export async function writeInto(path: string, section: Section, text: string): Promise<void> {
  await writeFile(path, withSection(await readFile(path, 'utf8'), section, text));
}
