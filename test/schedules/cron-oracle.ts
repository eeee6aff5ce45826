/**
 * A slow oracle for the cron evaluator. It shares nothing with src: it reads expressions anew, matches them
 * field by field against the wall clock at every minute (or second) of elapsed time, and asks the wall clock
 * of Intl (ICU's data), where the evaluator asks Temporal. It is meant to be obviously right, not fast.
 */

export type OraclePolicy = {
  readonly gap: 'run' | 'skip';
  readonly repeat: 'auto' | 'first' | 'both' | 'last';
};

type Wall = { year: number; month: number; day: number; hour: number; minute: number; second: number };

const MINUTE_MS = 60_000;
const formats = new Map<string, Intl.DateTimeFormat>();

/** What the clocks on the wall show, read off Intl's parts. */
export function wallClockAt(zone: string, instant: number): Wall {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  const parts = new Map(
    format.formatToParts(instant).map(({ type, value }) => [type as string, Number(value)]),
  );
  const part = (name: string) => parts.get(name)!;
  return {
    year: part('year'),
    month: part('month'),
    day: part('day'),
    hour: part('hour'),
    minute: part('minute'),
    second: part('second'),
  };
}

/** The wall clock as one number: the ms since 1970 that a UTC clock showing the same would have. */
export function intlLocal(zone: string, instant: number): number {
  const { year, month, day, hour, minute, second } = wallClockAt(zone, instant);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/**
 * All fires f of an expression with from ≤ f < to, by stepping through elapsed time. `stepMs` is a minute
 * for five fields and whole-minute offsets, else a second; `from` and `to` are multiples of it. For whether a
 * time is a first or a last occurrence it looks `marginMs` beyond both ends: more than any shift nearby.
 */
export function oracleFires(
  text: string,
  zone: string,
  policy: OraclePolicy,
  from: number,
  to: number,
  stepMs = MINUTE_MS,
  marginMs = 3 * 60 * MINUTE_MS,
): number[] {
  const cron = readCron(text);
  const { locals, isFirst, isLast } = stepsBetween(zone, from - marginMs, to + marginMs, stepMs);
  const repeat = policy.repeat !== 'auto' ? policy.repeat : cron.wildcard ? 'both' : 'first';
  const fires: number[] = [];
  for (let instant = from; instant < to; instant += stepMs) {
    const index = (instant - from + marginMs) / stepMs;
    const local = locals[index]!;
    const counts =
      repeat === 'both' || (repeat === 'first' && isFirst[index]) || (repeat === 'last' && isLast[index]);
    const previous = locals[index - 1]!;
    const lost = policy.gap === 'run' && !cron.wildcard && anyMatch(cron, previous + stepMs, local, stepMs);
    if (lost || (counts && matches(cron, local))) fires.push(instant);
  }
  return fires;
}

/** Whether a wall-clock time (as in intlLocal) matches the fields of an expression. */
export function oracleMatches(text: string, local: number): boolean {
  return matches(readCron(text), local);
}

/** The first match after a wall-clock time on a clock that is never changed, day by day; null within the days given. */
export function oracleNextInUtc(text: string, after: number, daysMax: number): number | null {
  const cron = readCron(text);
  const startOfDay = after - (((after % 86_400_000) + 86_400_000) % 86_400_000);
  for (let n = 0; n <= daysMax; n++) {
    const day = startOfDay + n * 86_400_000;
    if (!matchesDay(cron, day)) continue;
    for (let second = 0; second < 86_400; second++) {
      const local = day + second * 1_000;
      if (local > after && matches(cron, local)) return local;
    }
  }
  return null;
}

type Steps = {
  /** The wall clock at each step. */
  readonly locals: readonly number[];
  /** Whether no earlier, no later step shows the same. */
  readonly isFirst: readonly boolean[];
  readonly isLast: readonly boolean[];
};

/** The steps asked for last, since many expressions are tried around one transition. */
let stepsKept: { readonly key: string; readonly steps: Steps } | undefined;

function stepsBetween(zone: string, from: number, to: number, stepMs: number): Steps {
  const key = [zone, from, to, stepMs].join(' ');
  if (stepsKept?.key !== key) {
    const locals = localsBetween(zone, from, to, stepMs);
    const isFirst = marksNew(locals);
    const isLast = marksNew(locals.toReversed()).reverse();
    stepsKept = { key, steps: { locals, isFirst, isLast } };
  }
  return stepsKept.steps;
}

function marksNew(locals: readonly number[]): boolean[] {
  const seen = new Set<number>();
  return locals.map((local) => seen.size < seen.add(local).size);
}

/** Between two hours with one offset the offset is not asked again. */
function localsBetween(zone: string, from: number, to: number, stepMs: number): number[] {
  const locals: number[] = [];
  const hour = 60 * MINUTE_MS;
  let offset = intlLocal(zone, from) - from;
  for (let start = from; start < to; start += hour) {
    const end = Math.min(start + hour, to);
    const offsetAtEnd = intlLocal(zone, end) - end;
    for (let t = start; t < end; t += stepMs) {
      locals.push(offset === offsetAtEnd ? t + offset : intlLocal(zone, t));
    }
    offset = offsetAtEnd;
  }
  return locals;
}

function anyMatch(cron: Cron, from: number, to: number, stepMs: number): boolean {
  for (let local = from; local < to; local += stepMs) if (matches(cron, local)) return true;
  return false;
}

type Cron = {
  readonly fields: readonly [string, string, string, string, string, string];
  /** For each second, minute, hour whether it matches. */
  readonly seconds: readonly boolean[];
  readonly minutes: readonly boolean[];
  readonly hours: readonly boolean[];
  readonly wildcard: boolean;
  readonly days: Map<number, boolean>;
};

const cronsRead = new Map<string, Cron>();

function readCron(text: string): Cron {
  let cron = cronsRead.get(text);
  if (cron === undefined) {
    const fields = text.split(' ');
    if (fields.length === 5) fields.unshift('0');
    const [second, minute, hour] = fields as [string, string, string];
    const upTo = (field: string, max: number) =>
      Array.from({ length: max + 1 }, (_, value) => matchesField(field, value, 0, max));
    cron = {
      fields: fields as unknown as Cron['fields'],
      seconds: upTo(second, 59),
      minutes: upTo(minute, 59),
      hours: upTo(hour, 23),
      wildcard: minute.startsWith('*') || hour.startsWith('*'),
      days: new Map(),
    };
    if (cronsRead.size > 1_000) cronsRead.clear();
    cronsRead.set(text, cron);
  }
  return cron;
}

function matches(cron: Cron, local: number): boolean {
  const seconds = Math.floor(local / 1_000);
  return (
    cron.minutes[mod(Math.floor(seconds / 60), 60)]! &&
    cron.hours[mod(Math.floor(seconds / 3_600), 24)]! &&
    cron.seconds[mod(seconds, 60)]! &&
    matchesDay(cron, local - mod(local, 86_400_000))
  );
}

function mod(a: number, b: number): number {
  return ((a % b) + b) % b;
}

function matchesDay(cron: Cron, midnight: number): boolean {
  let answer = cron.days.get(midnight);
  if (answer === undefined) {
    const date = new Date(midnight);
    const [, , , day, month, weekday] = cron.fields;
    const byDate = matchesDayOfMonth(day, date);
    const byWeekday = matchesDayOfWeek(weekday, date);
    const oneIsStar = /^[*?]/.test(day) || /^[*?]/.test(weekday);
    answer =
      matchesField(
        named(month, 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC', 1),
        date.getUTCMonth() + 1,
        1,
        12,
      ) && (oneIsStar ? byDate && byWeekday : byDate || byWeekday);
    cron.days.set(midnight, answer);
  }
  return answer;
}

function matchesDayOfMonth(field: string, date: Date): boolean {
  const day = date.getUTCDate();
  const length = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  const isBusinessDay = date.getUTCDay() >= 1 && date.getUTCDay() <= 5;
  return field.split(',').some((item) => {
    if (item === '?') return true;
    const wanted = /^L-(\d+)/.exec(item)
      ? length - Number(/\d+/.exec(item)![0])
      : item.startsWith('L')
        ? length
        : parseInt(item, 10);
    if (!/[LW]/.test(item)) return matchesField(item, day, 1, 31);
    if (!item.endsWith('W')) return day === wanted;
    if (wanted < 1 || wanted > length || !isBusinessDay) return false;
    // No business day of this month is nearer to the wanted one; a Saturday has Friday at 1, a Sunday Monday at 1.
    const distance = Math.abs(day - wanted);
    for (let other = 1; other <= length; other++) {
      const weekday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), other)).getUTCDay();
      if (weekday >= 1 && weekday <= 5 && Math.abs(other - wanted) < distance) return false;
    }
    return true;
  });
}

function matchesDayOfWeek(field: string, date: Date): boolean {
  const weekday = date.getUTCDay();
  const day = date.getUTCDate();
  const inAWeek = new Date(date.getTime() + 7 * 86_400_000);
  return named(field.replaceAll('-SUN', '-7'), 'SUN MON TUE WED THU FRI SAT', 0)
    .split(',')
    .some((item) => {
      if (item === '?') return true;
      const [value, nth] = item.split('#');
      if (nth !== undefined) return Number(value) % 7 === weekday && Math.ceil(day / 7) === Number(nth);
      if (item.endsWith('L'))
        return parseInt(item, 10) % 7 === weekday && inAWeek.getUTCMonth() !== date.getUTCMonth();
      return (
        matchesField(item, weekday, 0, 6) ||
        (weekday === 0 && /[-7]/.test(item) && matchesField(item, 7, 0, 7))
      );
    });
}

function named(field: string, names: string, first: number): string {
  return names.split(' ').reduce((text, name, index) => text.replaceAll(name, String(index + first)), field);
}

/** Plain items only: `*`, `n`, `a-b`, each with a step, and `n/step`. */
function matchesField(field: string, value: number, min: number, max: number): boolean {
  if (field === '*') return true;
  return field.split(',').some((item) => {
    const [range, step] = item.split('/');
    const [from, to] = range === '*' ? [min, max] : range!.split('-').map(Number);
    const last = to ?? (step === undefined ? from! : max);
    return value >= from! && value <= last && (value - from!) % Number(step ?? 1) === 0;
  });
}
