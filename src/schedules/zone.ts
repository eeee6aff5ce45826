/**
 * Time zones as spans of constant UTC offset.
 *
 * The data are the platform's (Temporal, so the tz database that Node was built with). Asking Temporal
 * costs about 2 µs a question, ours costs some 20 ns, because each zone's spans are kept in chunks of
 * 8.7 years: a chunk has fewer than 25 spans, costs about 50 µs once, and the caches are bounded, so that
 * neither a far-off year nor a thousand spellings of one name make the process grow.
 *
 * Two facts about the tz database (checked in the tests) that the evaluator leans on: transitions lie on
 * whole seconds, and two transitions of one zone are at least five days apart, which is more than any shift.
 */

import { type NearestName, nearestAmong } from '../nearest-name.ts';

/** The time between two transitions. Instants and offsets in ms; `start` ≤ instant < `end`. */
export type OffsetSpan = {
  /** The transition that began it, or -Infinity. */
  readonly start: number;
  /** The transition that ends it, or Infinity. */
  readonly end: number;
  /** Local time minus UTC. Before 1972 it may have odd seconds (Africa/Monrovia: -2,670,000). */
  readonly offset: number;
  /** The offset that held just before `start` (`offset` when there is no start). */
  readonly offsetBefore: number;
  /** The offset that holds from `end` on (`offset` when there is no end). */
  readonly offsetAfter: number;
};

/** A change of the clock: a gap when `offsetAfter` is the larger one, a repeat when it is the smaller. */
export type Transition = {
  readonly at: number;
  readonly offsetBefore: number;
  readonly offsetAfter: number;
};

/** The largest and smallest instants of ECMAScript, ±100,000,000 days. */
export const INSTANT_MAX_MS = 8.64e15;

const CHUNK_MS = 2 ** 38; // 8.7 years
const CHUNKS_PER_ZONE_MAX = 24;
const ZONE_NAMES_MAX = 1_000;

type Zone = { readonly name: string; readonly chunks: Map<number, OffsetSpan[]>; latest: OffsetSpan };

const zones = new Map<string, Zone>();

/** Made when first asked for. */
let nearest: { byName: NearestName; byCity: NearestName } | undefined;

/**
 * Whether the platform's IANA list has this name. Links count (`Asia/Calcutta`, `US/Pacific`, `GMT`), and
 * letters may be of either case, as in every JavaScript API (`europe/berlin`). Refused are offsets
 * (`+08:00`), abbreviations that are no IANA name (`PST`), spaces around the name, and the empty string.
 */
export function isTimeZone(name: string): boolean {
  return findZone(name) !== undefined;
}

/** The zone of the IANA list that is most like what is none: by its name, or by its city alone (`berlin`). */
export function nearestTimeZone(given: string): string | null {
  nearest ??= findersOfZones();
  return nearest.byName(given) ?? nearest.byCity(given);
}

function findersOfZones(): { byName: NearestName; byCity: NearestName } {
  const names = ['UTC', ...Intl.supportedValuesOf('timeZone')];
  const cityOf = (name: string) => name.slice(name.lastIndexOf('/') + 1);
  const byCity = new Map(names.toReversed().map((name) => [cityOf(name), name]));
  const nearestCity = nearestAmong(names.map(cityOf));
  return {
    byName: nearestAmong(names),
    byCity: (given) => byCity.get(nearestCity(cityOf(given)) ?? '') ?? null,
  };
}

/**
 * The span that an instant (ms) lies in.
 * @throws RangeError for an unknown zone, or an instant beyond what a Date can hold.
 */
export function offsetSpanAt(zoneName: string, instant: number): OffsetSpan {
  const zone = zones.get(zoneName) ?? findZone(zoneName);
  if (zone === undefined) throw new RangeError(`unknown time zone ${JSON.stringify(zoneName)}`);
  const latest = zone.latest;
  if (instant >= latest.start && instant < latest.end) return latest;
  if (!(Math.abs(instant) <= INSTANT_MAX_MS)) throw new RangeError(`no such instant: ${instant}`);
  const spans = chunkOf(zone, Math.floor(instant / CHUNK_MS));
  let low = 0;
  let high = spans.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (spans[middle]!.start <= instant) low = middle;
    else high = middle - 1;
  }
  zone.latest = spans[low]!;
  return zone.latest;
}

/** Local time minus UTC at an instant, in ms. Throws as offsetSpanAt. */
export function offsetAt(zoneName: string, instant: number): number {
  return offsetSpanAt(zoneName, instant).offset;
}

/** The wall clock at an instant, as the ms that a clock set to UTC would need to show the same. */
export function toLocal(zoneName: string, instant: number): number {
  return instant + offsetSpanAt(zoneName, instant).offset;
}

/**
 * The instants at which the wall clock shows `local` (ms, as in toLocal), earliest first: one as a rule,
 * none in a gap, two where the clock was set back.
 */
export function toInstants(zoneName: string, local: number): number[] {
  const instants: number[] = [];
  // Offsets lie within ±16 h, so these two are the spans on either side of any transition nearby.
  const early = offsetSpanAt(zoneName, Math.max(local - OFFSET_MAX_MS, -INSTANT_MAX_MS));
  const late = offsetSpanAt(zoneName, Math.min(local + OFFSET_MAX_MS, INSTANT_MAX_MS));
  for (const span of early === late || early.start === late.start ? [early] : [early, late]) {
    const instant = local - span.offset;
    if (instant >= span.start && instant < span.end) instants.push(instant);
  }
  return instants;
}

/** No zone was ever further from UTC than 15 h 57 min (Asia/Manila before 1845). */
export const OFFSET_MAX_MS = 16 * 3_600_000;

/** The transitions t with from < t ≤ to, in order. The caller bounds the range. */
export function transitionsBetween(zoneName: string, from: number, to: number): Transition[] {
  const found: Transition[] = [];
  for (let span = offsetSpanAt(zoneName, from); span.end <= to; span = offsetSpanAt(zoneName, span.end)) {
    found.push({ at: span.end, offsetBefore: span.offset, offsetAfter: span.offsetAfter });
  }
  return found;
}

function findZone(name: string): Zone | undefined {
  const known = zones.get(name);
  if (known !== undefined) return known;
  // Temporal would also take "+08:00" and whole timestamps such as "2020-01-01T00:00[Europe/Berlin]".
  if (!/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+)*$/.test(name)) return undefined;
  let canonical: string;
  try {
    canonical = new Temporal.ZonedDateTime(0n, name).timeZoneId;
  } catch {
    return undefined;
  }
  // Other spellings share the data of the usual one.
  const zone: Zone =
    canonical === name
      ? { name, chunks: new Map(), latest: NO_SPAN }
      : (zones.get(canonical) ?? { name: canonical, chunks: new Map(), latest: NO_SPAN });
  if (zones.size >= ZONE_NAMES_MAX) zones.clear();
  zones.set(name, zone);
  if (canonical !== name) zones.set(canonical, zone);
  return zone;
}

const NO_SPAN: OffsetSpan = { start: Infinity, end: -Infinity, offset: 0, offsetBefore: 0, offsetAfter: 0 };

function chunkOf(zone: Zone, index: number): OffsetSpan[] {
  const known = zone.chunks.get(index);
  if (known !== undefined) return known;
  const spans = readSpans(zone.name, index * CHUNK_MS, (index + 1) * CHUNK_MS);
  if (zone.chunks.size >= CHUNKS_PER_ZONE_MAX) zone.chunks.clear();
  zone.chunks.set(index, spans);
  return spans;
}

/** All spans that overlap from ≤ instant < to; the first and the last reach beyond. */
function readSpans(zoneName: string, from: number, to: number): OffsetSpan[] {
  const spans: OffsetSpan[] = [];
  const edge = zoned(zoneName, from);
  // Temporal looks strictly backwards, so a transition at `from` itself is found from a ms later.
  let starts = edge.add({ milliseconds: 1 }).getTimeZoneTransition('previous');
  let offsetBefore = starts === null ? offsetMs(edge) : offsetMs(starts.subtract({ milliseconds: 1 }));
  let offset = offsetMs(edge);
  let next = edge.getTimeZoneTransition('next');
  for (;;) {
    const offsetAfter = next === null ? offset : offsetMs(next);
    const end = next === null ? Infinity : next.epochMilliseconds;
    const start = starts === null ? -Infinity : starts.epochMilliseconds;
    spans.push({ start, end, offset, offsetBefore, offsetAfter });
    if (next === null || end >= to) return spans;
    offsetBefore = offset;
    offset = offsetAfter;
    starts = next;
    next = next.getTimeZoneTransition('next');
  }
}

function zoned(zoneName: string, instant: number): Temporal.ZonedDateTime {
  // The outermost chunks begin beyond the first instant there is.
  const clamped = Math.max(-INSTANT_MAX_MS, instant);
  return new Temporal.ZonedDateTime(BigInt(clamped) * 1_000_000n, zoneName);
}

function offsetMs(at: Temporal.ZonedDateTime): number {
  return at.offsetNanoseconds / 1e6;
}
