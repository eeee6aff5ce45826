/**
 * Which column of the source becomes which of the target, checked before the first page. Pure.
 *
 * Known columns (Postgres, CSV) are matched by name, all of them unless `columns` says otherwise. Records of JSON bring
 * fields of their own: without `columns`, a Postgres target takes those that it has columns for.
 */
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { SourceInput, TargetInput } from './sync-input.ts';

/** `type`: with its schema where needed, without length or precision; null: it has none, everything is text. */
export type SourceColumn = { name: string; type: string | null; category: string | null };
export type TargetColumn = {
  name: string;
  type: string;
  /** Postgres' typcategory: N number, S string, D date and time, B boolean, … */
  category: string;
  /** Computed by the target: nothing can be written to it. */
  isGenerated: boolean;
  /** Not null and without a default. */
  isRequired: boolean;
};

export type PlannedColumn = { from: string; to: string /** At a Postgres target. */; type: string | null };
export type ColumnPlan = {
  /** Null: each record has its own. */
  columns: readonly PlannedColumn[] | null;
  /** What a record's own fields may be written to, by name; null: anything. */
  open: ReadonlyMap<string, TargetColumn> | null;
  /** In the order of `source.key`. */
  key: readonly { from: string; to: string }[];
};

/** @throws JobError `InvalidConfiguration` that names the column */
export function planColumns(parts: {
  source: SourceInput;
  target: TargetInput;
  sourceColumns: readonly SourceColumn[] | null;
  targetColumns: readonly TargetColumn[] | null;
}): ColumnPlan {
  const { source, target } = parts;
  const targets = parts.targetColumns === null ? null : byName(parts.targetColumns);
  const sources = parts.sourceColumns === null ? null : byName(parts.sourceColumns);
  const mapping = readMapping(source, target);
  if (sources !== null) checkNamed(source, mapping, sources);
  const key = source.key.map((from, index) => keyPair(from, target.key?.[index], mapping));
  for (const { to } of key) {
    if (targets !== null && !targets.has(to)) throw notThere(to, 'the key');
  }

  const pairs = mapping ?? (sources === null ? null : allOf(sources, key, source.tombstone, targets));
  if (pairs === null) return { columns: null, open: targets, key };
  const columns = pairs.map(([from, to]) => plannedColumn(from, to, sources?.get(from) ?? null, targets));
  const written = new Set<string>();
  for (const { to } of columns) {
    if (written.has(to))
      throw invalidConfiguration(`Two columns of the source go to the column "${to}" of the target.`);
    written.add(to);
  }
  for (const { from, to } of key) {
    if (!written.has(to))
      throw invalidConfiguration(
        `The key "${from}" is not among \`columns\`; add it, so that records can be told apart.`,
      );
  }
  for (const column of targets?.values() ?? []) {
    if (column.isRequired && !written.has(column.name))
      throw invalidConfiguration(
        `The column "${column.name}" of the target must not be null and has no default, and nothing goes to it: add it to \`columns\`.`,
      );
  }
  return { columns, open: null, key };
}

type Pair = readonly [from: string, to: string];

/** Null: none was given. */
function readMapping({ columns, key }: SourceInput, target: TargetInput): Pair[] | null {
  if (columns === undefined) return null;
  const pairs: Pair[] = Array.isArray(columns)
    ? columns.map((name): Pair => {
        const renamed = target.key?.[key.indexOf(name)];
        return [name, key.includes(name) && renamed !== undefined ? renamed : name];
      })
    : Object.entries(columns);
  return pairs;
}

function keyPair(from: string, given: string | undefined, mapping: readonly Pair[] | null) {
  const mapped = mapping?.find((pair) => pair[0] === from)?.[1];
  if (given !== undefined && mapped !== undefined && given !== mapped) {
    throw invalidConfiguration(
      `The key "${from}" is called "${given}" in target.key and "${mapped}" in \`columns\`: make them the same.`,
    );
  }
  return { from, to: mapped ?? given ?? from };
}

function checkNamed(
  { watermark, key, tombstone }: SourceInput,
  mapping: readonly Pair[] | null,
  sources: ReadonlyMap<string, SourceColumn>,
): void {
  const named: [what: string, name: string][] = [
    ['`source.watermark`', watermark],
    ...key.map((name): [string, string] => ['`source.key`', name]),
    ...(tombstone === undefined ? [] : [['`source.tombstone`', tombstone] as [string, string]]),
    ...(mapping ?? []).map(([from]): [string, string] => ['`source.columns`', from]),
  ];
  for (const [what, name] of named) {
    if (!sources.has(name))
      throw invalidConfiguration(
        `${what} names the column "${name}", which the source does not have. It has ${listed([...sources.keys()])}.`,
      );
  }
}

function allOf(
  sources: ReadonlyMap<string, SourceColumn>,
  key: ColumnPlan['key'],
  tombstone: string | undefined,
  targets: ReadonlyMap<string, TargetColumn> | null,
): Pair[] {
  return [...sources.keys()].flatMap((from): Pair[] => {
    const to = key.find((each) => each.from === from)?.to ?? from;
    // What both sides compute is computed there; who is deleted is not written there.
    if (targets?.get(to)?.isGenerated) return [];
    if (from === tombstone && targets !== null && !targets.has(to)) return [];
    return [[from, to]];
  });
}

function plannedColumn(
  from: string,
  to: string,
  column: SourceColumn | null,
  targets: ReadonlyMap<string, TargetColumn> | null,
): PlannedColumn {
  if (targets === null) return { from, to, type: null };
  const found = targets.get(to);
  if (found === undefined) throw notThere(to, `"${from}"`);
  if (found.isGenerated)
    throw invalidConfiguration(
      `The column "${to}" of the target is computed there: leave it out of \`columns\`.`,
    );
  if (column !== null && !isCastable(column, found)) {
    throw invalidConfiguration(
      `The column "${from}" is ${column.type} at the source, and "${to}" is ${found.type} at the target: take another one, or cast it in a \`query\`.`,
    );
  }
  return { from, to, type: found.type };
}

/** Postgres' categories of types whose texts another kind never reads. */
const strict = 'NDBTGI';

/** Whether the texts of the one may be read as the other; single values may be refused still. */
function isCastable(from: SourceColumn, to: TargetColumn): boolean {
  if (from.category === null || from.category === 'S' || to.category === 'S') return true;
  if (from.type === to.type) return true;
  const isArray = from.category === 'A';
  if (isArray !== (to.category === 'A')) return false;
  return !strict.includes(from.category) && !strict.includes(to.category)
    ? true
    : from.category === to.category;
}

function notThere(column: string, what: string): Error {
  return invalidConfiguration(
    `The target has no column "${column}", which ${what} goes to: create it, or say in \`columns\` what goes where.`,
  );
}

function byName<T extends { name: string }>(columns: readonly T[]): Map<string, T> {
  return new Map(columns.map((column) => [column.name, column]));
}

const listedMax = 20;

function listed(all: readonly string[]): string {
  const shown = all.slice(0, listedMax).map((one) => `"${one}"`);
  return `${shown.join(', ')}${all.length > listedMax ? ' and more' : ''}`;
}
