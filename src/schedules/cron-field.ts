/**
 * One field of a cron expression: which values it may have, and what an item of its list stands for. Text is
 * upper case here. What only day fields know (L, W, #) is in cron-expression.ts.
 */

export type CronField = 'second' | 'minute' | 'hour' | 'day-of-month' | 'month' | 'day-of-week';

/** Refused text. The message begins with the field and says what was found and what is allowed. */
export class InvalidCron extends Error {
  override readonly name = 'InvalidCron';
  /** `expression` when it is not about one field. */
  readonly field: CronField | 'expression';

  constructor(field: CronField | 'expression', problem: string) {
    super(`${field}: ${problem}`);
    this.field = field;
  }
}

/** No field has more values than this, so a longer list only repeats itself. */
const LIST_ITEMS_MAX = 60;

export type FieldRule = {
  readonly field: CronField;
  readonly min: number;
  readonly max: number;
  /** What `*`, `H` and an open `n/step` reach up to, where that is not `max`. */
  readonly last?: number;
  readonly hashLast?: number;
  readonly names?: readonly string[];
};

const MONTH_NAMES = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const DAY_NAMES = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

export const SECOND: FieldRule = { field: 'second', min: 0, max: 59 };
export const MINUTE: FieldRule = { field: 'minute', min: 0, max: 59 };
export const HOUR: FieldRule = { field: 'hour', min: 0, max: 23 };
/** H stays within 1-28, as in Jenkins, so that it comes every month. */
export const DAY_OF_MONTH: FieldRule = { field: 'day-of-month', min: 1, max: 31, hashLast: 28 };
export const MONTH: FieldRule = { field: 'month', min: 1, max: 12, names: MONTH_NAMES };
/** 7 is Sunday again, for ranges such as 5-7; it is no eighth day for `*`, steps and H. */
export const DAY_OF_WEEK: FieldRule = { field: 'day-of-week', min: 0, max: 7, last: 6, names: DAY_NAMES };

/** The values of a field that has nothing but plain items, sorted. */
export function readField(text: string, rule: FieldRule, seedName: string): number[] {
  return sorted(itemsOf(text, rule).flatMap((item) => readItem(item, rule, seedName)));
}

/** The list's items, as upper-case text. */
export function itemsOf(text: string, rule: FieldRule): string[] {
  const items = text.split(',');
  if (items.includes('')) throw new InvalidCron(rule.field, `${show(text)} has an empty place in its list`);
  if (items.length <= LIST_ITEMS_MAX) return items;
  throw new InvalidCron(rule.field, `a list of ${items.length} items; at most ${LIST_ITEMS_MAX} are allowed`);
}

/** `*`, `H`, `H(a-b)`, a value or a range, each with or without a step; `n/step` reaches to the field's end. */
const ITEM = /^(?:(\*)|(H)(?:\((\w+)-(\w+)\))?|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/;

/** The values that one item of a list stands for. Of day-of-week it may have 7 for Sunday. */
export function readItem(item: string, rule: FieldRule, seedName: string): number[] {
  const parts = ITEM.exec(item);
  if (parts === null) throw notUnderstood(item, rule);
  const [, star, hash, hashFrom, hashTo, from, to, stepText] = parts;
  const step = stepText === undefined ? undefined : readStep(stepText, item, rule);
  const last = rule.last ?? rule.max;
  if (star !== undefined) return every(rule.min, last, step ?? 1);
  if (hash !== undefined) {
    const [low, high] =
      hashFrom === undefined ? [rule.min, rule.hashLast ?? last] : readRange(hashFrom, hashTo!, item, rule);
    return hashed(low, high, step, item, rule, seedName);
  }
  if (to !== undefined) return every(...readRange(from!, to, item, rule), step ?? 1);
  const value = readValue(from!, item, rule);
  return step === undefined ? [value] : every(value, Math.max(value, last), step);
}

function readRange(from: string, to: string, item: string, rule: FieldRule): [number, number] {
  const low = readValue(from, item, rule);
  // A week that ends on Sunday: FRI-SUN is 5-7.
  const high = rule === DAY_OF_WEEK && to === 'SUN' && low !== 0 ? 7 : readValue(to, item, rule);
  if (low <= high) return [low, high];
  const hint = rule === DAY_OF_WEEK && high === 0 ? '; Sunday at the end of a range is 7' : '';
  throw new InvalidCron(rule.field, `the range ${show(item)} runs backwards${hint}`);
}

/** A number or a name within the field's range; `item` is what it is part of, for the message. */
export function readValue(text: string, item: string, rule: FieldRule): number {
  const named = rule.names?.indexOf(text) ?? -1;
  if (named >= 0) return named + rule.min;
  if (!/^\d+$/.test(text)) throw notUnderstood(item, rule);
  const value = Number(text);
  if (value >= rule.min && value <= rule.max) return value;
  const where = item === text ? cut(text) : `${cut(text)} in ${show(item)}`;
  throw new InvalidCron(rule.field, `${where} is out of range ${rule.min}-${rule.max}`);
}

function readStep(text: string, item: string, rule: FieldRule): number {
  const step = Number(text);
  const most = (rule.last ?? rule.max) - rule.min + 1;
  if (step >= 1 && step <= most) return step;
  throw new InvalidCron(rule.field, `the step ${cut(text)} in ${show(item)} is out of range 1-${most}`);
}

/**
 * Jenkins: `H` is one value of the range; `H/n` is every nth, from a first one among the range's first n.
 * (Jenkins reads `H/1` as `H`; here it is every value, which is what it says.)
 */
function hashed(
  low: number,
  high: number,
  step: number | undefined,
  item: string,
  rule: FieldRule,
  seedName: string,
): number[] {
  const size = high - low + 1;
  if (step !== undefined && step > size) {
    throw new InvalidCron(rule.field, `the step ${step} in ${show(item)} is out of range 1-${size}`);
  }
  const hash = stableHash(`${rule.field}:${seedName}`);
  return step === undefined ? [low + (hash % size)] : every(low + (hash % step), high, step);
}

/** FNV-1a with a final mix, since its low bits alone are poor. Stored schedules lean on it: never change it. */
function stableHash(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function every(low: number, high: number, step: number): number[] {
  const values: number[] = [];
  for (let value = low; value <= high; value += step) values.push(value);
  return values;
}

/** In order and each once. Nearly all lists are so already. */
export function sorted(values: number[]): number[] {
  if (values.every((value, index) => index === 0 || value > values[index - 1]!)) return values;
  return [...new Set(values)].sort((a, b) => a - b);
}

/** Quoted, so that odd characters show, and cut, so that nobody's log fills. */
export function show(text: string): string {
  return JSON.stringify(cut(text));
}

function cut(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

const DAY_EXTRAS: Partial<Record<CronField, string>> = {
  'day-of-month': ', L, L-n, nW, LW, ?',
  'day-of-week': ', nL, n#k, ?',
};

function notUnderstood(item: string, { field, min, max, names }: FieldRule): InvalidCron {
  const named = names === undefined ? '' : ` or ${names[0]}-${names.at(-1)}`;
  const allowed = `${min}-${max}${named}, lists, ranges, steps, * and H${DAY_EXTRAS[field] ?? ''}`;
  return new InvalidCron(field, `${show(item)} is not understood; allowed are ${allowed}`);
}
