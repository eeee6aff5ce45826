/**
 * From the wall clock to instants: whole local days, stretches of local time, and single local times. A local
 * time is the milliseconds that a clock set to UTC would show (see zone.ts); a local day is a number of days
 * since 1970-01-01. Pure.
 */
import { toIso } from '../clock.ts';
import type { Interval } from './intervals.ts';
import { OFFSET_MAX_MS, offsetAt, offsetSpanAt, toInstants } from './zone.ts';

export const DAY_MS = 86_400_000;

/** Beyond this many days from either end of a stretch no clock change matters to that end. */
const EDGE_MS = 3 * DAY_MS;

/**
 * The instant for a local time, by the rules of DESIGN §5 for fixed times: in a gap the gap's end, of two the
 * first. It never falls when `local` rises.
 */
export function placeLocal(zone: string, local: number): number {
  const [first] = toInstants(zone, local);
  // Sixteen hours before a local time that was skipped is still before the skip.
  return first ?? offsetSpanAt(zone, local - OFFSET_MAX_MS).end;
}

/**
 * Exactly the instants t at which the wall clock shows fromLocal ≤ local(t) < untilLocal: one stretch as a
 * rule, none when all of it was skipped, two when the clock was set back across an end of it.
 */
export function instantsWithin(zone: string, fromLocal: number, untilLocal: number): Interval[] {
  if (untilLocal - fromLocal <= 4 * EDGE_MS) return pieces(zone, fromLocal, untilLocal);
  // A long stretch has no holes inside, so its spans need not be walked: only its ends depend on clock
  // changes.
  const inside = fromLocal + EDGE_MS;
  const insideToo = untilLocal - EDGE_MS;
  const head = pieces(zone, fromLocal, fromLocal + 2 * EDGE_MS);
  const tail = pieces(zone, untilLocal - 2 * EDGE_MS, untilLocal);
  const [from] = head.find((piece) => piece[1] > inside)!;
  const [, until] = tail.findLast((piece) => piece[0] <= insideToo)!;
  return [
    ...head.filter((piece) => piece[1] <= inside),
    [from, until],
    ...tail.filter((piece) => piece[0] > insideToo),
  ];
}

function pieces(zone: string, fromLocal: number, untilLocal: number): Interval[] {
  const found: Interval[] = [];
  let span = offsetSpanAt(zone, fromLocal - OFFSET_MAX_MS);
  for (;;) {
    const from = Math.max(span.start, fromLocal - span.offset);
    const until = Math.min(span.end, untilLocal - span.offset);
    const previous = found.at(-1);
    if (from < until) {
      if (previous !== undefined && previous[1] === from) found[found.length - 1] = [previous[0], until];
      else found.push([from, until]);
    }
    if (span.end > untilLocal + OFFSET_MAX_MS) return found;
    span = offsetSpanAt(zone, span.end);
  }
}

/** Both ends are included. */
export type DayRange = { fromDay: number; toDay: number };

/**
 * `"2026-12-25"`, `"2026-12-24..2026-12-31"` or ISO 8601's `"2026-12-24/2026-12-31"`. Null for what has not
 * the form of either; the reason why for what has it and names no days.
 */
export function readDayRange(text: string): DayRange | { reason: string } | null {
  const match = /^(\d{4}-\d{2}-\d{2})(?:(?:\.\.|\/)(\d{4}-\d{2}-\d{2}))?$/.exec(text);
  if (match === null) return null;
  const [, from = '', to = from] = match;
  const fromDay = readDay(from);
  const toDay = readDay(to);
  if (fromDay === null) return { reason: `${from} is not in the calendar between 1970 and 9999` };
  if (toDay === null) return { reason: `${to} is not in the calendar between 1970 and 9999` };
  if (toDay < fromDay) return { reason: `it ends on ${to}, before it begins on ${from}` };
  return { fromDay, toDay };
}

/** The canonical text of a range. */
export function formatDayRange({ fromDay, toDay }: DayRange): string {
  return fromDay === toDay ? formatDay(fromDay) : `${formatDay(fromDay)}..${formatDay(toDay)}`;
}

/** `YYYY-MM-DD` of a local day, and so of a local time's `Math.floor(local / DAY_MS)`. */
export function formatDay(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

/** `HH:MM` of a local time, with seconds where there are any. */
export function formatTimeOfDay(local: number): string {
  return new Date(local).toISOString().slice(11, 19).replace(/:00$/, '');
}

function readDay(text: string): number | null {
  const [year = 0, month = 0, day = 0] = text.split('-').map(Number);
  if (year < 1970) return null;
  const local = Date.UTC(year, month - 1, day);
  // Date.UTC rolls over what the calendar lacks.
  return formatDay(local / DAY_MS) === text ? local / DAY_MS : null;
}

/** What the clocks of a zone show at an instant, with the offset in force: "2027-03-28T03:00:00+02:00". */
export function presentLocal(timezone: string, ms: number): string {
  const offsetMs = offsetAt(timezone, ms);
  const wall = toIso(ms + offsetMs)
    .slice(0, -1)
    .replace(/\.000$/, '');
  // Before 1972 some offsets had seconds, which RFC 3339 cannot say.
  const minutes = Math.round(Math.abs(offsetMs) / 60_000);
  const pad = (count: number): string => String(count).padStart(2, '0');
  return `${wall}${offsetMs < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}
