/**
 * Cron expressions: text to sorted field sets.
 *
 * The dialect is crontab(5)'s with five fields, or six with the seconds first, plus Quartz's L, W and #,
 * and Jenkins' H. There is a tokenizer here and not cron-parser, although that is at hand: it takes `""`,
 * four fields and `5-7/99`, refuses `15W`, `LW`, `L-3` and `FRI-SUN`, seldom says which field was wrong, and
 * does not tell whether a field began with `*`, which crontab(5) hangs two rules on. Handling all of these
 * before it would be a tokenizer already, and then there would be two opinions about one text.
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
import {
  DAY_OF_MONTH,
  DAY_OF_WEEK,
  HOUR,
  InvalidCron,
  itemsOf,
  MINUTE,
  MONTH,
  readField,
  readItem,
  readValue,
  SECOND,
  show,
  sorted,
} from './cron-field.ts';

export { InvalidCron };

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

const LENGTH_MAX = 256;

const NICKNAMES: Readonly<Record<string, string>> = {
  '@YEARLY': '0 0 1 1 *',
  '@ANNUALLY': '0 0 1 1 *',
  '@MONTHLY': '0 0 1 * *',
  '@WEEKLY': '0 0 * * 0',
  '@DAILY': '0 0 * * *',
  '@MIDNIGHT': '0 0 * * *',
  '@HOURLY': '0 * * * *',
};

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
  const [second = '', minute = '', hour = '', day = '', month = '', weekday = ''] = texts;
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
  const text = upperCase(source);
  if (text.startsWith('@')) {
    const meaning = NICKNAMES[text];
    if (meaning !== undefined) return meaning.split(' ');
    const why = text === '@REBOOT' ? 'is no time that a schedule could know' : 'is not known';
    const known = '@hourly, @daily, @weekly, @monthly or @yearly';
    throw new InvalidCron('expression', `${show(source)} ${why}; write ${known}`);
  }
  const fields = text.split(/[ \t]+/);
  const sixth = source.split(/[ \t]+/)[5];
  if (sixth !== undefined && isOfCrontabLine(sixth)) {
    const problem = `goes on with ${show(sixth)} behind the five fields, as a line of a crontab does; leave out the user and the command, since \`job\` says what to run`;
    throw new InvalidCron('expression', problem);
  }
  if (fields.length === 5 || fields.length === 6) return fields;
  const count = fields.length === 1 ? '1 field' : `${fields.length} fields`;
  const allowed = 'five (minute hour day-of-month month day-of-week), or six with the seconds first';
  throw new InvalidCron('expression', `${show(source)} has ${count}; there must be ${allowed}`);
}

/** A user or a command, as it stands in crontab(5) behind the times; no day of the week looks like it. */
function isOfCrontabLine(field: string): boolean {
  return /^[a-z_/.]/i.test(field) && !/^(sun|mon|tue|wed|thu|fri|sat|[hl](?![a-z]))/i.test(field);
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

/** ASCII only: toUpperCase would make an S of a long s. */
function upperCase(text: string): string {
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}
