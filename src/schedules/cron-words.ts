/**
 * A cron expression in words. cronstrue speaks forty languages, but not our dialect: it refuses `H`, `L-3W`
 * and lists of `W`; writes "on day the last day and 15"; calls the OR of the two day fields "and"; and says
 * "every 7 minutes" of `*\/7`, which starts anew each hour. So it is given what it says well, field by field,
 * from what the expression was read to be, and a union of expressions where one field means several things.
 * What is left is not put into words. Pure.
 */
import imported from 'cronstrue/i18n.js';
import type { CronExpression } from './cron-expression.ts';
import type { Locale } from './locale.ts';

/**
 * CommonJS that calls itself a translated ES module: loaders differ in whether its default is the class or
 * the whole.
 */
const cronstrue = imported.default ?? (imported as unknown as typeof imported.default);

/**
 * Sentences without their full stop, whose union the expression is; null when it is better quoted than
 * described.
 */
export function cronWords(expression: CronExpression, locale: Locale): string[] | null {
  const { source, hasSeconds } = expression;
  const texts = source.startsWith('@') ? fieldsOfNickname(source) : source.split(/[ \t]+/);
  const [minuteText = '*', hourText = '*', dayText = '*', monthText = '*', weekdayText = '*'] =
    texts.slice(-5);
  const second = hasSeconds ? plainField(texts[0] ?? '0', expression.seconds, 60) : '0';
  const minute = plainField(minuteText, expression.minutes, 60);
  const hour = plainField(hourText, expression.hours, 24);
  const month = plainField(monthText, expression.months, 12);
  const days = dayPairs(expression, dayText, weekdayText);
  if (days === null || days.length > alternativesMax) return null;
  try {
    return days.map(([day, weekday]) => {
      const time = second === '0' ? `${minute} ${hour}` : `${second} ${minute} ${hour}`;
      return spoken(`${time} ${day} ${month} ${weekday}`, locale);
    });
  } catch {
    return null;
  }
}

const alternativesMax = 4;

function spoken(expression: string, locale: Locale): string {
  const text = cronstrue.toString(expression, {
    locale,
    use24HourTimeFormat: true,
    // The two day fields never both restrict as OR here: dayPairs has taken them apart.
    logicalAndDayFields: true,
    throwExceptionOnParseError: true,
  });
  if (text.trim() === '' || /undefined|null|NaN|%s/.test(text))
    throw new Error(`cronstrue is at a loss: ${text}`);
  return locale === 'zh_CN' ? chinese(text) : text;
}

/** cronstrue's Chinese with the punctuation of Chinese: lists have another comma than clauses. */
function chinese(text: string): string {
  return text
    .replace(/,? 和 +/g, ' 和 ')
    .replace(/(?<=\d|号), +(?=\d)/g, '、')
    .replace(/(?<=星期[一二三四五六日]), +(?=星期)/g, '、')
    .replace(/(?<=月), +(?=[一二三四五六七八九十]+月)/g, '、')
    .replaceAll(', ', '，')
    .replace(/ {2,}/g, ' ')
    .replace(/在(?=\d)/g, '在 ');
}

/** The field as cronstrue says it best: its text where that is simple, else its values. */
function plainField(text: string, values: readonly number[], size: number): string {
  if (values.length === size) return '*';
  if (values.length === 1) return String(values[0]);
  const step = /^(?:\*|\d+)\/(\d+)$/.exec(text);
  if (step !== null && size % Number(step[1]) === 0) return text;
  if (/^\w+-\w+$/.test(text) || (/^\d+-\d+\/\d+$/.test(text) && values.length > listedMax)) return text;
  return values.join(',');
}

/** Fewer values than this and one are listed rather than described by their step. */
const listedMax = 6;

/** Day-of-month and day-of-week of each part of the union; null when a day has no words. */
function dayPairs(
  { dayOfMonth, dayOfWeek }: CronExpression,
  dayText: string,
  weekdayText: string,
): [day: string, weekday: string][] | null {
  if (dayOfMonth.weekdayNearestBeforeLast.some((n) => n !== 0)) return null;
  const days = [
    ...dayOfMonth.weekdayNearest.map((day) => `${day}W`),
    ...dayOfMonth.weekdayNearestBeforeLast.map(() => 'LW'),
    ...dayOfMonth.beforeLast.map((n) => (n === 0 ? 'L' : `L-${n}`)),
  ];
  const weekdays = [
    ...dayOfWeek.nth.map(({ weekday, nth }) => `${weekday}#${nth}`),
    ...dayOfWeek.last.map((weekday) => `${weekday}L`),
  ];
  const special = days.length + weekdays.length > 0;
  if (dayOfMonth.days.length > 0) days.unshift(plainDays(dayText, dayOfMonth.days));
  if (dayOfWeek.weekdays.length > 0) weekdays.unshift(plainWeekdays(weekdayText, dayOfWeek.weekdays));
  if (days.includes('*') && weekdays.includes('*')) return [['*', '*']];
  if (dayOfMonth.star || dayOfWeek.star) {
    // Both must match. "The last Friday, every 2 days" would leave open how.
    if (special && !days.includes('*') && !weekdays.includes('*')) return null;
    return days.flatMap((day) => weekdays.map((weekday): [string, string] => [day, weekday]));
  }
  if (days.includes('*') || weekdays.includes('*')) return [['*', '*']];
  return [
    ...days.map((day): [string, string] => [day, '*']),
    ...weekdays.map((weekday): [string, string] => ['*', weekday]),
  ];
}

function plainDays(text: string, days: readonly number[]): string {
  if (days.length === 31) return '*';
  const simple = /^(?:\d+-\d+|\*\/\d+)$/.test(text);
  return simple && (days.length > listedMax + 1 || !text.includes('/')) ? text : days.join(',');
}

function plainWeekdays(text: string, weekdays: readonly number[]): string {
  if (weekdays.length === 7) return '*';
  return /^\d-\d$|^[A-Za-z]{3}-[A-Za-z]{3}$/.test(text) ? text : weekdays.join(',');
}

function fieldsOfNickname(nickname: string): string[] {
  const fields: Readonly<Record<string, string>> = {
    '@hourly': '0 * * * *',
    '@weekly': '0 0 * * 0',
    '@monthly': '0 0 1 * *',
    '@yearly': '0 0 1 1 *',
    '@annually': '0 0 1 1 *',
  };
  return (fields[nickname.toLowerCase()] ?? '0 0 * * *').split(' ');
}
