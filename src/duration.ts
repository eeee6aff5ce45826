/** Lengths of time as people write them: `"90s"`, `"1h30m"`, `"PT15M"`. Pure. */
import { z } from 'zod';

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** The longest duration that is understood: ten years, leap days included. */
export const durationMsMax = 3_653 * dayMs;

/** Units from the largest to the smallest, each at most once. `ms` cannot be taken for `m`: what follows must fit too. */
const shortForm = '(?=\\d)(?:(\\d+)d)?(?:(\\d+)h)?(?:(\\d+)m)?(?:(\\d+)s)?(?:(\\d+)ms)?';
/** ISO 8601 without years and months, whose length depends on the calendar. Weeks stand alone, as the standard wants. */
const isoForm = 'P(?=[\\dT])(?:(\\d+)W|(?:(\\d+)D)?(?:T(?=\\d)(?:(\\d+)H)?(?:(\\d+)M)?(?:(\\d+)S)?)?)';

const shortPattern = new RegExp(`^${shortForm}$`);
const isoPattern = new RegExp(`^${isoForm}$`);
const shortUnitsMs = [dayMs, hourMs, minuteMs, secondMs, 1];
const isoUnitsMs = [7 * dayMs, dayMs, hourMs, minuteMs, secondMs];

/** Longer texts are no durations; keeps the patterns away from megabytes. */
const textLengthMax = 64;

/**
 * Milliseconds of `"500ms"`, `"90s"`, `"1h30m"`, `"1d"`, or of ISO 8601 `"PT15M"`, `"P1DT2H"`, `"P2W"`. Units stand in
 * descending order, each at most once, with whole numbers. Null for anything else, and beyond ten years.
 */
export function parseDuration(text: string): number | null {
  if (text.length > textLengthMax) return null;
  const short = shortPattern.exec(text);
  if (short) return sum(short, shortUnitsMs);
  const iso = isoPattern.exec(text);
  return iso ? sum(iso, isoUnitsMs) : null;
}

function sum(match: RegExpExecArray, unitsMs: readonly number[]): number | null {
  let ms = 0;
  for (const [index, unitMs] of unitsMs.entries()) ms += Number(match[index + 1] ?? 0) * unitMs;
  return ms <= durationMsMax ? ms : null;
}

const canonicalUnits: readonly [string, number][] = [
  ['h', hourMs],
  ['m', minuteMs],
  ['s', secondMs],
  ['ms', 1],
];

/**
 * The one canonical form of a number of milliseconds: hours, minutes, seconds and milliseconds, the largest first,
 * zeros left out. 5,400,000 is `"1h30m"`, 90,000 `"1m30s"`, 86,400,000 `"24h"`, 0 `"0s"`. No days: on a clock that is set
 * forward or back a day is not 24 hours. `parseDuration` gives the same value back. A fraction of a millisecond is
 * rounded; throws a RangeError for what is no duration.
 */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms);
  if (!(rest >= 0 && Number.isFinite(rest))) throw new RangeError(`${ms} ms is not a duration.`);
  if (rest === 0) return '0s';
  let text = '';
  for (const [unit, unitMs] of canonicalUnits) {
    const count = Math.floor(rest / unitMs);
    rest -= count * unitMs;
    if (count > 0) text += `${count}${unit}`;
  }
  return text;
}

/** A duration together with the text in which it is told again: as it was written, or canonical. */
export type WrittenDuration = { readonly ms: number; readonly text: string };

/** As `parseDuration`; what is in the short form is told again as it is, ISO 8601 in the canonical form. */
export function readDuration(text: string): WrittenDuration | null {
  const ms = parseDuration(text);
  if (ms === null) return null;
  return { ms, text: shortPattern.test(text) ? text : formatDuration(ms) };
}

export type DurationFieldOptions = {
  /** The shortest that is allowed; included. */
  minMs: number;
  /** The longest that is allowed; included. */
  maxMs: number;
  /** What the duration is for, in the API's documentation. */
  description?: string;
};

const formsHint = 'write it like "90s", "15m", "1h30m" or "PT15M"';

/**
 * A field that reads a duration and yields milliseconds. Its JSON Schema (`io: 'input'`) is a string with a pattern and
 * examples. A default goes in by `.prefault('30s')`, so that the schema shows the text and not the milliseconds.
 */
export function durationField(options: DurationFieldOptions) {
  return writtenDurationField(options).transform(({ ms }) => ms);
}

/** As `durationField`, for those who tell the duration again: it yields the text, too. */
export function writtenDurationField({ minMs, maxMs, description }: DurationFieldOptions) {
  const range = `from ${inWords(minMs)} to ${inWords(maxMs)}`;
  return z
    .string({ error: `Must be a duration as text: ${formsHint}.` })
    .meta({
      description: `${description === undefined ? '' : `${description} `}A duration ${range}.`,
      pattern: `^(?:${uncaptured(shortForm)}|${uncaptured(isoForm)})$`,
      examples: examples.filter((text) => isWithin(text, minMs, maxMs)),
    })
    .transform((text, context) => {
      const read = readDuration(text);
      if (read !== null && read.ms >= minMs && read.ms <= maxMs) return read;
      const message = read === null ? `Not a duration: ${formsHint}.` : `Must be a duration ${range}.`;
      context.issues.push({ code: 'custom', message, input: text });
      return z.NEVER;
    });
}

const examples = ['90s', '15m', '1h30m', 'PT15M'];

function isWithin(text: string, minMs: number, maxMs: number): boolean {
  const ms = parseDuration(text);
  return ms !== null && ms >= minMs && ms <= maxMs;
}

/** Bounds of years are better read in days. */
function inWords(ms: number): string {
  return ms > 2 * dayMs && ms % dayMs === 0 ? `${ms / dayMs}d` : formatDuration(ms);
}

function uncaptured(pattern: string): string {
  return pattern.replaceAll('(\\d+)', '\\d+');
}
