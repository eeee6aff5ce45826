/**
 * Cron expressions: text to sorted field sets.
 *
 * The dialect is crontab(5)'s with five fields, or six with the seconds first, plus Quartz's L, W and #,
 * and Jenkins' H. There is a tokenizer here and not cron-parser, although that is at hand: it takes `""`,
 * four fields and `5-7/99`, refuses `15W`, `LW`, `L-3` and `FRI-SUN`, hides which field was wrong, and does
 * not tell whether a field began with `*`, which crontab(5) hangs two rules on. Handling all of these before
 * it would be a tokenizer already, and then there would be two opinions about one text.
 *
 * One field is one list of items; each item is read by one regular expression. What an expression means
 * in time is cron-times.ts; on which days of a month it fires, cron-days.ts.
 */

import {
  type DayOfMonthField,
  type DayOfWeekField,
  type DaysByShape,
  daysByShape,
  lengthsOfMonth,
  shapeOf,
} from './cron-days.ts';

/** Sets as sorted arrays for whoever explains an expression; `sets` is the same for the evaluator. */
export type CronExpression = {
  /** As written, without space around it. */
  readonly source: string;
  /** Six fields. With five, `seconds` is [0]. */
  readonly hasSeconds: boolean;
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly dayOfMonth: DayOfMonthField;
  /** 1 is January. */
  readonly months: readonly number[];
  readonly dayOfWeek: DayOfWeekField;
  /**
   * Its minute or hour field begins with `*`, so it follows the wall clock through clock changes (cron(8)).
   * `H` names a value, if not which one: `H H * * *` is fixed. The seconds have no say.
   */
  readonly wildcard: boolean;
  /** Has an `H`, so that another seed name gives other times. */
  readonly usesHash: boolean;
  readonly sets: CronSets;
};

/** Members as bits: value v of 0-59 is bit v of `low`, or bit v - 30 of `high`. */
export type Set60 = { readonly low: number; readonly high: number };

export type CronSets = {
  readonly seconds: Set60;
  readonly minutes: Set60;
  /** Bit h is hour h. */
  readonly hours: number;
  /** Bit m - 1 is month m. */
  readonly months: number;
  readonly days: DaysByShape;
};

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

const LENGTH_MAX = 256;
/** No field has more values than this, so a longer list only repeats itself. */
const LIST_ITEMS_MAX = 60;

const NICKNAMES: Readonly<Record<string, string>> = {
  '@YEARLY': '0 0 1 1 *',
  '@ANNUALLY': '0 0 1 1 *',
  '@MONTHLY': '0 0 1 * *',
  '@WEEKLY': '0 0 * * 0',
  '@DAILY': '0 0 * * *',
  '@MIDNIGHT': '0 0 * * *',
  '@HOURLY': '0 * * * *',
};

type FieldRule = {
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

const SECOND: FieldRule = { field: 'second', min: 0, max: 59 };
const MINUTE: FieldRule = { field: 'minute', min: 0, max: 59 };
const HOUR: FieldRule = { field: 'hour', min: 0, max: 23 };
/** H stays within 1-28, as in Jenkins, so that it comes every month. */
const DAY_OF_MONTH: FieldRule = { field: 'day-of-month', min: 1, max: 31, hashLast: 28 };
const MONTH: FieldRule = { field: 'month', min: 1, max: 12, names: MONTH_NAMES };
/** 7 is Sunday again, for ranges such as 5-7; it is no eighth day for `*`, steps and H. */
const DAY_OF_WEEK: FieldRule = { field: 'day-of-week', min: 0, max: 7, last: 6, names: DAY_NAMES };

/**
 * Reads an expression. `seedName` (the schedule's name) decides what `H` stands for: the same name gives the
 * same times on every machine and in every version; it does not matter without an `H`.
 * @throws InvalidCron, also for an expression that can never fire (`0 0 30 2 *`).
 */
export function parseCron(expression: string, seedName: string): CronExpression {
  if (expression.length > LENGTH_MAX) {
    const problem = `has ${expression.length} characters; at most ${LENGTH_MAX} are allowed`;
    throw new InvalidCron('expression', problem);
  }
  const source = expression.replace(/^[ \t]+|[ \t]+$/g, '');
  const texts = splitFields(source);
  const hasSeconds = texts.length === 6;
  if (!hasSeconds) texts.unshift('0');
  const [second, minute, hour, day, month, weekday] = texts as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const seconds = readField(second, SECOND, seedName);
  const minutes = readField(minute, MINUTE, seedName);
  const hours = readField(hour, HOUR, seedName);
  const dayOfMonth = readDayOfMonth(day, seedName);
  const months = readField(month, MONTH, seedName);
  const dayOfWeek = readDayOfWeek(weekday, seedName);
  const parsed: CronExpression = {
    source,
    hasSeconds,
    seconds,
    minutes,
    hours,
    dayOfMonth,
    months,
    dayOfWeek,
    wildcard: minute.startsWith('*') || hour.startsWith('*'),
    usesHash: texts.some((text) => /(^|,)H/.test(text)),
    sets: {
      seconds: set60(seconds),
      minutes: set60(minutes),
      hours: bits(hours, 0),
      months: bits(months, 1),
      days: daysByShape(dayOfMonth, dayOfWeek),
    },
  };
  if (neverFires(parsed)) {
    throw new InvalidCron(
      'day-of-month',
      `never fires: no month of ${show(month)} has a day for ${show(day)}`,
    );
  }
  return parsed;
}

/**
 * Whether no day of the Gregorian calendar matches, in any zone. parseCron refuses such expressions, so that
 * the evaluator always ends: what matches some day does so within any 40 years.
 */
export function neverFires(expression: CronExpression): boolean {
  for (const month of expression.months) {
    for (const length of lengthsOfMonth(month)) {
      for (let firstWeekday = 0; firstWeekday < 7; firstWeekday++) {
        if (expression.sets.days[shapeOf(length, firstWeekday)] !== 0) return false;
      }
    }
  }
  return true;
}

function splitFields(source: string): string[] {
  if (source === '') throw new InvalidCron('expression', 'is empty; write five fields, as in "0 2 * * *"');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the purpose; a tab is a space
  if (/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/.test(source)) {
    throw new InvalidCron('expression', `${show(source)} has control characters or more than one line`);
  }
  const text = source.toUpperCase();
  if (text.startsWith('@')) {
    const meaning = NICKNAMES[text];
    if (meaning !== undefined) return meaning.split(' ');
    const known = '@hourly, @daily, @weekly, @monthly or @yearly';
    throw new InvalidCron('expression', `${show(source)} is not known; write ${known}`);
  }
  const fields = text.split(/[ \t]+/);
  if (fields.length === 5 || fields.length === 6) return fields;
  const count = fields.length === 1 ? '1 field' : `${fields.length} fields`;
  const allowed = 'five (minute hour day-of-month month day-of-week), or six with the seconds first';
  throw new InvalidCron('expression', `${show(source)} has ${count}; there must be ${allowed}`);
}

function readField(text: string, rule: FieldRule, seedName: string): number[] {
  return sorted(itemsOf(text, rule).flatMap((item) => readItem(item, rule, seedName)));
}

function readDayOfMonth(text: string, seedName: string): DayOfMonthField {
  const days: number[] = [];
  const beforeLast: number[] = [];
  const weekdayNearest: number[] = [];
  const weekdayNearestBeforeLast: number[] = [];
  for (const item of itemsOf(text === '?' ? '*' : text, DAY_OF_MONTH)) {
    const fromLast = /^L(?:-(\d+))?(W)?$/.exec(item);
    const nearest = /^(\d+)W$/.exec(item);
    if (fromLast !== null) {
      const n = Number(fromLast[1] ?? 0);
      if (n > 30) throw new InvalidCron('day-of-month', `${n} in ${show(item)} is out of range 0-30`);
      (fromLast[2] === undefined ? beforeLast : weekdayNearestBeforeLast).push(n);
    } else if (nearest !== null) {
      weekdayNearest.push(readValue(nearest[1]!, item, DAY_OF_MONTH));
    } else {
      days.push(...readItem(item, DAY_OF_MONTH, seedName));
    }
  }
  return {
    star: text.startsWith('*') || text === '?',
    days: sorted(days),
    beforeLast: sorted(beforeLast),
    weekdayNearest: sorted(weekdayNearest),
    weekdayNearestBeforeLast: sorted(weekdayNearestBeforeLast),
  };
}

function readDayOfWeek(text: string, seedName: string): DayOfWeekField {
  const weekdays: number[] = [];
  const last: number[] = [];
  const nth: { weekday: number; nth: number }[] = [];
  for (const item of itemsOf(text === '?' ? '*' : text, DAY_OF_WEEK)) {
    const lastOne = /^(\w+)L$/.exec(item);
    const nthOne = /^(\w+)#(\d+)$/.exec(item);
    if (item === 'L') {
      weekdays.push(6); // Quartz: the last day of the week, Saturday
    } else if (lastOne !== null) {
      last.push(readValue(lastOne[1]!, item, DAY_OF_WEEK) % 7);
    } else if (nthOne !== null) {
      const n = Number(nthOne[2]);
      if (n < 1 || n > 5) throw new InvalidCron('day-of-week', `${n} in ${show(item)} is out of range 1-5`);
      nth.push({ weekday: readValue(nthOne[1]!, item, DAY_OF_WEEK) % 7, nth: n });
    } else {
      weekdays.push(...readItem(item, DAY_OF_WEEK, seedName).map((weekday) => weekday % 7));
    }
  }
  return {
    star: text.startsWith('*') || text === '?',
    weekdays: sorted(weekdays),
    last: sorted(last),
    nth: nth.sort((a, b) => a.nth - b.nth || a.weekday - b.weekday),
  };
}

function itemsOf(text: string, rule: FieldRule): string[] {
  const items = text.split(',');
  if (items.includes('')) throw new InvalidCron(rule.field, `${show(text)} has an empty place in its list`);
  if (items.length <= LIST_ITEMS_MAX) return items;
  throw new InvalidCron(rule.field, `a list of ${items.length} items; at most ${LIST_ITEMS_MAX} are allowed`);
}

/** `*`, `H`, `H(a-b)`, a value or a range; each but the plain value may have a step, and so may `n/step`. */
const ITEM = /^(?:(\*)|(H)(?:\((\w+)-(\w+)\))?|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/;

function readItem(item: string, rule: FieldRule, seedName: string): number[] {
  const parts = ITEM.exec(item);
  if (parts === null)
    throw new InvalidCron(rule.field, `${show(item)} is not understood; ${allowedIn(rule)}`);
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
  const high = rule === DAY_OF_WEEK && to === 'SUN' ? 7 : readValue(to, item, rule);
  if (low <= high) return [low, high];
  const hint = rule === DAY_OF_WEEK && high === 0 ? '; Sunday at the end of a range is 7' : '';
  throw new InvalidCron(rule.field, `the range ${show(item)} runs backwards${hint}`);
}

function readValue(text: string, item: string, rule: FieldRule): number {
  const named = rule.names?.indexOf(text) ?? -1;
  if (named >= 0) return named + rule.min;
  if (!/^\d+$/.test(text)) {
    throw new InvalidCron(rule.field, `${show(item)} is not understood; ${allowedIn(rule)}`);
  }
  const value = Number(text);
  if (value >= rule.min && value <= rule.max) return value;
  const where = item === text ? text : `${text} in ${show(item)}`;
  throw new InvalidCron(rule.field, `${where} is out of range ${rule.min}-${rule.max}`);
}

function readStep(text: string, item: string, rule: FieldRule): number {
  const step = Number(text);
  const most = (rule.last ?? rule.max) - rule.min + 1;
  if (step >= 1 && step <= most) return step;
  throw new InvalidCron(rule.field, `the step ${text} in ${show(item)} is out of range 1-${most}`);
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

function sorted(values: number[]): number[] {
  if (values.every((value, index) => index === 0 || value > values[index - 1]!)) return values;
  return [...new Set(values)].sort((a, b) => a - b);
}

function set60(values: readonly number[]): Set60 {
  return {
    low: bits(
      values.filter((v) => v < 30),
      0,
    ),
    high: bits(
      values.filter((v) => v >= 30),
      30,
    ),
  };
}

function bits(values: readonly number[], base: number): number {
  return values.reduce((set, value) => set | (1 << (value - base)), 0);
}

/** Quoted, so that odd characters show, and cut, so that nobody's log fills. */
function show(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function allowedIn(rule: FieldRule): string {
  const names = rule.names === undefined ? '' : ` or ${rule.names[0]}-${rule.names.at(-1)}`;
  const more = { 'day-of-month': ', L, L-n, nW, LW, ?', 'day-of-week': ', nL, n#k, ?' } as Partial<
    Record<CronField, string>
  >;
  return `allowed are ${rule.min}-${rule.max}${names}, lists, ranges, steps, * and H${more[rule.field] ?? ''}`;
}
