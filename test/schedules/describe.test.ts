import fc from 'fast-check';
import { expect, describe as group, it, test } from 'vitest';
import { describe } from '../../src/schedules/describe.ts';
import { chooseLocale } from '../../src/schedules/locale.ts';
import type { Timing } from '../../src/schedules/schedule.ts';
import { at, cron, every, MINUTE } from '../support/timings.ts';
import { anyFiveFields, anySixFields } from './cron-arbitrary.ts';

const english = (text: string) => describe(cron(text)).replace(/, in UTC\.$/, '');
const chinese = (text: string) => describe(cron(text), 'zh_CN').replace(/（UTC 时间）。$/, '');

group('a cron expression', () => {
  test.each([
    ['0 2 * * *', 'At 02:00', '在 02:00'],
    ['*/15 * * * *', 'Every 15 minutes', '每隔 15 分钟'],
    [
      '0 9-17 * * MON-FRI',
      'Every hour, between 09:00 and 17:00, Monday through Friday',
      '每小时，在 09:00 和 17:00 之间，星期一至星期五',
    ],
    [
      '30 0 4 1 1 ?',
      'At 04:00:30, on day 1 of the month, only in January',
      '在 04:00:30，限每月 1 号，仅于一月份',
    ],
    ['@weekly', 'At 00:00, only on Sunday', '在 00:00，仅星期日'],
    ['0 0 * * 0,7', 'At 00:00, only on Sunday', '在 00:00，仅星期日'],
    ['0-59 0-23 1-31 * *', 'Every minute', '每分钟'],
    [
      '0 0 1 1,6,DEC *',
      'At 00:00, on day 1 of the month, only in January, June, and December',
      '在 00:00，限每月 1 号，仅于一月、六月 和 十二月份',
    ],
    ['0 0 LW * *', 'At 00:00, on the last weekday of the month', '在 00:00，限每月的最后一个工作日'],
    ['0 0 * * FRIL', 'At 00:00, on the last Friday of the month', '在 00:00，限每月的最后一个星期五'],
    [
      '0 0 L-3 * *',
      'At 00:00, 3 days before the last day of the month',
      '在 00:00，限每月最后一天之前的第3天',
    ],
  ])('%j: %s', (text, words, translated) => {
    expect(english(text)).toBe(words);
    expect(chinese(text)).toBe(translated);
  });

  test.each([
    // What cronstrue would say wrongly, or not at all.
    ['*/7 * * * *', 'At 0, 7, 14, 21, 28, 35, 42, 49, and 56 minutes past the hour'],
    ['0 */5 * * *', 'At 00:00, 05:00, 10:00, 15:00 and 20:00'],
    ['0 0 13 * 5', 'At 00:00, on day 13 of the month; and at 00:00, only on Friday'],
    ['0 0 */2 * 1', 'At 00:00, every 2 days in a month, only on Monday'],
    ['0 0 L,15 * *', 'At 00:00, on day 15 of the month; and at 00:00, on the last day of the month'],
    [
      '0 0 1W,15W * *',
      'At 00:00, on the first weekday of the month; and at 00:00, on the weekday nearest day 15 of the month',
    ],
    ['0 0 * * */7', 'At 00:00, only on Sunday'],
    ['0 0 1-31 * 1', 'At 00:00'],
    ['0 0 L-3W * *', 'At the times of "0 0 L-3W * *"'],
    ['0 0 */2 * 5L', 'At the times of "0 0 */2 * 5L"'],
  ])('%j: %s', (text, words) => {
    expect(english(text)).toBe(words);
  });

  it('with H is quoted, and told in full once the name is known', () => {
    expect(describe(cron('H H * * *'))).toBe('At the times of "H H * * *", in UTC.');
    expect(describe(cron('H H * * *'), 'en', 'nightly')).toBe('At 13:27, in UTC.');
    expect(describe(cron('H/15 * * * *'), 'zh_CN', 'nightly')).toBe(
      '在整点后的第 12、27、42 和 57 分钟（UTC 时间）。',
    );
  });

  it('is told with its zone, and several as their union, each once', () => {
    expect(describe(cron('0 2 * * *', { timezone: 'Asia/Shanghai' }), 'zh_CN')).toBe(
      '在 02:00（Asia/Shanghai 时间）。',
    );
    expect(describe(cron(['0 2 * * *', '0 12 * * 6', '0 2 * * *'], { timezone: 'Europe/Berlin' }))).toBe(
      'At 02:00; and at 12:00, only on Saturday, in Europe/Berlin.',
    );
    expect(describe(cron(['0 2 * * *', '0 0 L-3W * *']), 'zh_CN')).toBe(
      '在 02:00；以及按“0 0 L-3W * *”的时间（UTC 时间）。',
    );
  });
});

group('other triggers', () => {
  test.each<[Timing, string, string]>([
    [every(15 * MINUTE), 'Every 15m, counted from the Unix epoch.', '每隔 15 分钟，自 Unix 纪元起算。'],
    [
      every(90 * MINUTE, 2 * MINUTE, { startAtMs: 0, endAtMs: 1_000 }),
      'Every 1h30m, counted from the Unix epoch plus 2m, from 1970-01-01T00:00:00.000Z, until 1970-01-01T00:00:01.000Z.',
      '每隔 1 小时 30 分钟，自 Unix 纪元加 2 分钟 起算，自 1970-01-01T00:00:00.000Z 起，至 1970-01-01T00:00:01.000Z 止。',
    ],
    [at(0), 'Once, at 1970-01-01T00:00:00.000Z.', '一次，于 1970-01-01T00:00:00.000Z。'],
    [
      at(0, 1),
      'At 2 instants, the first at 1970-01-01T00:00:00.000Z.',
      '共 2 个时刻，最早于 1970-01-01T00:00:00.000Z。',
    ],
    [
      { trigger: { kind: 'delay', delayMs: 600_000 }, startAtMs: null, endAtMs: null } as unknown as Timing,
      '10m after the end of the last run.',
      '上次运行结束后 10 分钟。',
    ],
  ])('%j in words', (timing, words, translated) => {
    expect(describe(timing)).toBe(words);
    expect(describe(timing, 'zh_CN')).toBe(translated);
  });
});

group('any trigger', () => {
  it('has words in every language, without a hole', () => {
    fc.assert(
      fc.property(fc.oneof(anyFiveFields, anySixFields), fc.constantFrom('en', 'zh_CN'), (text, locale) => {
        const words = describe(cron(text), locale as 'en' | 'zh_CN', 'name');
        expect(words).toMatch(locale === 'en' ? /^[A-Z\d].*, in UTC\.$/ : /（UTC 时间）。$/);
        expect(words).not.toMatch(/undefined|null|NaN|%s| {2}/);
      }),
      { seed: 3_39, numRuns: 1_000 },
    );
  });

  it.each<unknown>([
    null,
    undefined,
    {},
    { trigger: null },
    { trigger: { kind: 'moon' } },
    cron('foo'),
    every(-1),
  ])('that is broken is told too: %j', (timing) => {
    expect(describe(timing as Timing)).toMatch(/\.$/);
    expect(describe(timing as Timing, 'zh_CN')).toMatch(/。$/);
  });
});

group('chooseLocale', () => {
  test.each([
    [undefined, 'en'],
    ['', 'en'],
    ['zh', 'zh_CN'],
    ['zh-CN,zh;q=0.9,en;q=0.8', 'zh_CN'],
    ['ZH-hans-cn', 'zh_CN'],
    ['zh-TW', 'zh_CN'],
    ['en-US,en;q=0.9,zh;q=0.8', 'en'],
    ['fr-FR, de;q=0.9, zh;q=0.2', 'zh_CN'],
    ['en;q=0.5, zh;q=0.7', 'zh_CN'],
    ['en;q=0.7, zh;q=0.7', 'en'],
    ['zh;q=0.7, en;q=0.7', 'zh_CN'],
    ['zh;q=0, *', 'en'],
    ['en;q=0, *', 'zh_CN'],
    ['*', 'en'],
    ['fr', 'en'],
    ['zh;q=0', 'en'],
    ['zh;q=1.5', 'en'],
    ['zh;q=nan, en;q=0.1', 'en'],
    ['zh ; q=0.9 , en;q=0.1', 'zh_CN'],
    [';;;,,,', 'en'],
    [`zh${',zh'.repeat(1_000)}`, 'en'],
  ])('%j: %s', (header, locale) => {
    expect(chooseLocale(header)).toBe(locale);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        expect(['en', 'zh_CN']).toContain(chooseLocale(header));
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});
