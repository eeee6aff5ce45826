/**
 * The order of watermarks that come as texts: times, numbers, or texts by their characters. Exact: microseconds and
 * numbers of any length are compared as they are written. Pure.
 */
export type WatermarkKind = 'time' | 'number' | 'text';

const time = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s?(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;
const decimal = /^([+-]?)(\d+)(?:\.(\d+))?$/;

export function kindOfWatermark(text: string): WatermarkKind {
  if (decimal.test(text)) return 'number';
  return time.test(text) && Number.isFinite(secondsOf(time.exec(text)!)) ? 'time' : 'text';
}

/** Negative: `a` is before `b`. Both are of this kind. */
export function compareWatermarks(kind: WatermarkKind, a: string, b: string): number {
  if (kind === 'time') return compareTimes(a, b);
  if (kind === 'number') return compareDecimals(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * What lies so far before a watermark; of times rounded down to the millisecond. A text has no "before".
 *
 * @param lookback milliseconds of a time, else a number
 */
export function before(kind: WatermarkKind, text: string, lookback: number): string {
  if (kind === 'number') return subtracted(text, lookback);
  if (kind === 'text') return text;
  const match = time.exec(text)!;
  const ms = secondsOf(match) * 1000 + Number((match[4] ?? '').padEnd(3, '0').slice(0, 3));
  return new Date(ms - lookback).toISOString();
}

/** Whole seconds since the epoch; without a zone it is UTC. */
function secondsOf([, date, minutes = '00:00', seconds = '00', , zone = 'Z']: RegExpExecArray): number {
  const offset = /^[+-]\d\d$/.test(zone)
    ? `${zone}:00`
    : zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2').toUpperCase();
  return Date.parse(`${date}T${minutes}:${seconds}${offset}`) / 1000;
}

function compareTimes(a: string, b: string): number {
  const [left, right] = [time.exec(a)!, time.exec(b)!];
  const seconds = secondsOf(left) - secondsOf(right);
  if (seconds !== 0) return seconds;
  const [one, other] = [(left[4] ?? '').replace(/0+$/, ''), (right[4] ?? '').replace(/0+$/, '')];
  return one < other ? -1 : one > other ? 1 : 0;
}

function compareDecimals(a: string, b: string): number {
  const digits = Math.max(fractionOf(a).length, fractionOf(b).length);
  const difference = scaled(a, digits) - scaled(b, digits);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function subtracted(text: string, lookback: number): string {
  const by = decimal.test(String(lookback)) ? String(lookback) : lookback.toFixed(20);
  const digits = Math.max(fractionOf(text).length, fractionOf(by).length);
  const value = scaled(text, digits) - scaled(by, digits);
  const all = (value < 0n ? -value : value).toString().padStart(digits + 1, '0');
  const whole = all.slice(0, all.length - digits);
  return `${value < 0n ? '-' : ''}${whole}${digits === 0 ? '' : `.${all.slice(-digits)}`}`;
}

function fractionOf(text: string): string {
  return decimal.exec(text)![3] ?? '';
}

function scaled(text: string, digits: number): bigint {
  const [, sign, whole, fraction = ''] = decimal.exec(text)!;
  const value = BigInt(whole! + fraction.padEnd(digits, '0'));
  return sign === '-' ? -value : value;
}
