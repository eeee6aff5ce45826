/** What warnings say, in every language. `{name}` stands for a part that the caller fills in. Pure. */
import type { Locale } from './locale.ts';

/** Stable: programs may tell warnings apart by their code. */
export const warningTexts = {
  dst_gap_moved: {
    en: 'Will not run at {time} on {date}, which does not exist in {zone}; runs at {instead} instead.',
    zh_CN: '{zone} 的 {date} 没有 {time}，届时不会运行，改在 {instead} 运行。',
  },
  dst_gap_skipped: {
    en: 'Will not run at {time} on {date}, which does not exist in {zone}; it is skipped.',
    zh_CN: '{zone} 的 {date} 没有 {time}，届时不会运行，该次跳过。',
  },
  dst_repeat_first: {
    en: '{time} comes twice on {date} in {zone}; runs at the first of the two only.',
    zh_CN: '{zone} 的 {date} 有两个 {time}，只在第一个运行。',
  },
  dst_repeat_last: {
    en: '{time} comes twice on {date} in {zone}; runs at the second of the two only.',
    zh_CN: '{zone} 的 {date} 有两个 {time}，只在第二个运行。',
  },
  dst_repeat_twice: {
    en: 'Runs twice at {time} on {date}, since it comes twice in {zone}.',
    zh_CN: '{zone} 的 {date} 有两个 {time}，会运行两次。',
  },
  every_second: {
    en: '"{text}" fires every second: up to 86,400 runs a day.',
    zh_CN: '“{text}”每秒触发：每天最多 86,400 次运行。',
  },
  faster_than_a_second: {
    en: '"{text}" is faster than once a second, which cannot be kept.',
    zh_CN: '“{text}”快于每秒一次，无法做到。',
  },
  every_minute_of_hour: {
    en: '"{text}" fires every minute of each hour that it names, 60 times; write a minute, as in "0 2 * * *", to fire once.',
    zh_CN: '“{text}”在所列的每个小时内每分钟触发，共 60 次；若只需一次，请写明分钟，如“0 2 * * *”。',
  },
  step_restarts: {
    en: '"{item}" starts anew {period}: from its last value to its first the gap is shorter.',
    zh_CN: '“{item}”{period}重新计数：从最后一个值到第一个值的间隔较短。',
  },
  days_ored: {
    en: '"{text}" restricts day-of-month and day-of-week: they are OR-ed, as in crontab, so it fires on days that match either.',
    zh_CN: '“{text}”同时限定了日期和星期：与 crontab 一样按“或”处理，满足任一即触发。',
  },
  days_anded: {
    en: '"{text}" has a day field that begins with "*", so day-of-month and day-of-week must both match.',
    zh_CN: '“{text}”的日期或星期字段以“*”开头，因此两者须同时满足。',
  },
  only_31_day_months: {
    en: '"{text}" fires in months with 31 days only, and never in those with 30, nor in February.',
    zh_CN: '“{text}”只在有 31 天的月份触发，有 30 天的月份和二月都不会触发。',
  },
  never_in_february: {
    en: '"{text}" never fires in February, which has no such day.',
    zh_CN: '“{text}”在二月从不触发，因为没有这一天。',
  },
  february_in_leap_years: {
    en: '"{text}" fires in February in leap years only.',
    zh_CN: '“{text}”只在闰年的二月触发。',
  },
  leap_day_only: {
    en: '"{text}" fires on 29 February only: in leap years, next on {date}.',
    zh_CN: '“{text}”只在 2 月 29 日触发，即仅限闰年，下次为 {date}。',
  },
  fifth_weekday_only: {
    en: '"{text}" skips the months that have no fifth such weekday.',
    zh_CN: '没有第五个该星期几的月份，“{text}”不会触发。',
  },
  less_than_yearly: {
    en: 'Fires less than once a year: on {date}, and then on {next}.',
    zh_CN: '触发少于每年一次：{date} 之后是 {next}。',
  },
  never_fires: {
    en: 'Nothing will fire any more: all its times are past, or outside of startAt and endAt.',
    zh_CN: '不会再触发：所有时间都已过去，或不在 startAt 与 endAt 之间。',
  },
  every_drifts: {
    en: '{every} does not divide a day, so the time of day is another one each day.',
    zh_CN: '{every}不能整除一天，因此每天的触发时刻都不同。',
  },
  every_ignores_dst: {
    en: 'An interval counts elapsed time: from {date} on, when the clocks change in {zone}, its local times shift by {shift}.',
    zh_CN: '间隔按实际经过的时间计算：自 {date} {zone} 调整时钟起，其本地时间将偏移 {shift}。',
  },
  at_past: {
    en: '{past} of {all} instants are past and will not fire.',
    zh_CN: '{all} 个时刻中有 {past} 个已过去，不会触发。',
  },
  name_missing: {
    en: 'An H stands for a time by the name of the schedule; give `name` to see the times that it will have.',
    zh_CN: 'H 按计划的名称决定时间；请提供 `name`，以得到其实际时间。',
  },
  cut_short: {
    en: 'Only the first {count} times are shown: what is left out makes it too dear to look further.',
    zh_CN: '仅显示前 {count} 次：排除规则使继续计算的代价过高。',
  },
  delay_from_end: {
    en: 'Its times hang on how long its runs take: the first run starts at once, each other {delay} after the end of the one before.',
    zh_CN: '其时间取决于运行时长：首次立即运行，之后每次在上一次结束 {delay}后运行。',
  },
  excluded_all_year: {
    en: 'All its times of the coming year are excluded.',
    zh_CN: '未来一年内的所有时间都被排除。',
  },
  jitter_cut: {
    en: 'The jitter of {jitter} is longer than the {gap} between two fires; it is cut to that.',
    zh_CN: '抖动 {jitter}长于两次触发之间的 {gap}，将被截短为该间隔。',
  },
  herd: {
    en: '{who} fire at {time} on {date} in {zone}: consider H (a time by the name of each) or jitter.',
    zh_CN: '{who}在 {zone} 的 {date} {time} 触发：请考虑用 H（按名称散列的时间）或抖动来错开。',
  },
} as const satisfies Record<string, Readonly<Record<Locale, string>>>;

export type WarningCode = keyof typeof warningTexts;

/** Parts that are words themselves. */
export const warningParts = {
  each_minute: { en: 'each minute', zh_CN: '每分钟' },
  each_hour: { en: 'each hour', zh_CN: '每小时' },
  each_day: { en: 'each day', zh_CN: '每天' },
  each_month: { en: 'each month', zh_CN: '每月' },
  each_year: { en: 'each year', zh_CN: '每年' },
  all_schedules: { en: 'All {count} of your schedules', zh_CN: '全部 {count} 个计划都' },
  many_fires: { en: '{count} runs of {all} schedules', zh_CN: '{all} 个计划中有 {count} 次运行' },
} as const satisfies Record<string, Readonly<Record<Locale, string>>>;

/** A text with its parts filled in. */
export function fill(text: string, parts: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(parts[name] ?? ''));
}
