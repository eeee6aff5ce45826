/**
 * Reads records of JSON (or of CSV) from a source that can neither sort nor compare: which are new, which are bad, and
 * how far the watermark may move when all of them are stored. Pure but for what it remembers.
 */
import { invalidConfiguration } from '../storage/target-faults.ts';
import type { ColumnPlan } from './column-plan.ts';
import { fieldOf, isRecord, type JsonValue, textOf } from './exact-json.ts';
import type { SourceInput } from './sync-input.ts';
import type { BadRecord, Cells, JsonRecord, Mark, SyncRow, SyncStart } from './sync-page.ts';
import { before, compareWatermarks, kindOfWatermark, type WatermarkKind } from './watermark-order.ts';

/** Of one watermark so many keys are remembered; beyond, its records are read again by the next run. */
const keysMax = 1_000;
const shownLengthMax = 200;

export type RecordReader = {
  /** Undefined: not new. `place`: where it stands, for who can see no key. */
  read(record: JsonValue, place: string): { row: SyncRow } | { bad: BadRecord } | undefined;
  readonly mark: Mark | null;
  /** What is older than this is not new; null: all is. */
  readonly since: string | null;
};

export type RecordReaderOptions = {
  plan: ColumnPlan;
  start: SyncStart;
  /** For a target that takes texts as they are; records of CSV. */
  asCells: boolean;
};

export function createRecordReader(
  input: SourceInput,
  { plan, start, asCells }: RecordReaderOptions,
): RecordReader {
  const known = start.mark;
  const knownKeys = new Set(known?.keys?.map(keyText));
  const isWindowed = input.lookback !== undefined;
  let kind: WatermarkKind | null = known === null ? null : kindOfWatermark(known.watermark);
  const since = known === null ? null : sinceOf(input, kind!, known.watermark);
  let mark = start.goOn?.mark ?? known;
  let markKeys = new Set(mark?.keys?.map(keyText));
  let previous: string | null = null;

  function isNew(watermark: string, key: readonly string[]): boolean {
    if (since === null) return true;
    if (compareWatermarks(kind!, watermark, since) < 0) return false;
    return isWindowed || watermark !== known!.watermark || !knownKeys.has(keyText(key));
  }

  function note(watermark: string, key: string[]): void {
    const order = mark === null ? 1 : compareWatermarks(kind!, watermark, mark.watermark);
    if (order < 0) return;
    if (order > 0) {
      mark = { watermark, keys: [key] };
      markKeys = new Set([keyText(key)]);
    } else if (mark!.keys !== null && !markKeys.has(keyText(key))) {
      const keys = mark!.keys.length < keysMax ? [...mark!.keys, key] : null;
      mark = { watermark: mark!.watermark, keys };
      markKeys.add(keyText(key));
    }
  }

  return {
    get mark() {
      return mark;
    },
    since,
    read(record, place) {
      const bad = (message: string, name = place) => ({ bad: { record: name, message } });
      if (!isRecord(record)) return bad('It is no JSON object.');
      const key: string[] = [];
      for (const name of input.key) {
        const text = textOf(fieldOf(record, name));
        if (text === null) return bad(`Its key \`${name}\` is missing or null.`);
        key.push(text);
      }
      const name = nameOf(input.key, key);
      const watermark = textOf(fieldOf(record, input.watermark));
      if (watermark === null) return bad(`Its watermark \`${input.watermark}\` is missing or null.`, name);
      if (![watermark, ...key].every(isStorable))
        return bad('Its key or watermark has characters that no database takes.', name);
      const itsKind = kindOfWatermark(watermark);
      kind ??= itsKind;
      if (itsKind !== kind)
        return bad(`Its watermark ${shown(watermark)} is no ${kind}, as those of others are.`, name);
      if (input.sorted && previous !== null && compareWatermarks(kind, watermark, previous) < 0) {
        throw invalidConfiguration(
          `The source is not sorted: ${shown(watermark)} (${name}) comes behind ${shown(previous)}. Leave out \`source.sorted\`, or have it sorted.`,
        );
      }
      previous = watermark;
      if (!isNew(watermark, key)) return undefined;
      note(watermark, key);
      const deleted = input.tombstone !== undefined && isSet(fieldOf(record, input.tombstone));
      return { row: { key, deleted, data: dataOf(record, plan, asCells) } };
    },
  };
}

function sinceOf({ lookback }: SourceInput, kind: WatermarkKind, watermark: string): string {
  if (lookback === undefined) return watermark;
  const fits = typeof lookback === 'number' ? kind === 'number' : kind === 'time';
  if (!fits)
    throw invalidConfiguration(
      `\`source.lookback\` is a ${typeof lookback === 'number' ? 'number' : 'duration'}, and the watermark ${shown(watermark)} is a ${kind}: ${kind === 'text' ? 'leave it out' : `write it as a ${kind === 'time' ? 'duration' : 'number'}`}.`,
    );
  return before(kind, watermark, typeof lookback === 'number' ? lookback : lookback.ms);
}

function dataOf(record: JsonRecord, plan: ColumnPlan, asCells: boolean): Cells | JsonRecord {
  const { columns, open, key } = plan;
  if (columns !== null) {
    if (asCells) return columns.map(({ from }) => textOf(fieldOf(record, from)));
    return Object.fromEntries(columns.map(({ from, to }) => [to, fieldOf(record, from) ?? null]));
  }
  const fields = Object.entries(record).map(([name, value]): [string, JsonValue] => [name, value]);
  // The key may have another name there, and may lie deeper in the record.
  const named = new Map(fields);
  for (const { from, to } of key) {
    if (from !== to) named.delete(from);
    named.set(to, fieldOf(record, from) ?? null);
  }
  const taken = [...named].filter(([name]) => open === null || open.get(name)?.isGenerated === false);
  return Object.fromEntries(taken);
}

/** Of a tombstone. */
function isSet(value: JsonValue | undefined): boolean {
  return !['', 'f', 'false', '0'].includes(textOf(value) ?? '');
}

/** Neither a null character nor half of a surrogate pair. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

const keyText = (key: readonly string[]) => (key.length === 1 ? key[0]! : JSON.stringify(key));

/** As `id 7`, for messages. */
export function nameOf(names: readonly string[], key: readonly string[]): string {
  return names.map((name, index) => `${name} ${shown(key[index] ?? '')}`).join(', ');
}

function shown(text: string): string {
  return text.length <= shownLengthMax ? text : `${text.slice(0, shownLengthMax)}…`;
}
