/**
 * A trigger in words, in English or Chinese, with its zone. It never throws: what cannot be put into words is
 * quoted, since a preview must not fail for want of a description. Pure.
 */
import { toIso } from '../clock.ts';
import { formatDuration } from '../duration.ts';
import { parsed } from './cron-memory.ts';
import { cronWords } from './cron-words.ts';
import type { Locale } from './locale.ts';
import type { Timing, Trigger } from './schedule.ts';

/** The kinds that descriptions know; `delay` is an interval after the end of the last run. */
type Described = Trigger | { kind: 'delay'; delayMs: number };

/**
 * One sentence on when a trigger fires. `seedName` is the schedule's name: with it an `H` is told as the time
 * it stands for, without it the expression is quoted.
 */
export function describe(timing: Timing, locale: Locale = 'en', seedName?: string): string {
  const say = phrases[locale];
  try {
    const { startAtMs, endAtMs } = timing;
    const from = startAtMs === null ? '' : say.from(toIso(startAtMs));
    const until = endAtMs === null ? '' : say.until(toIso(endAtMs));
    return `${words(timing.trigger, locale, seedName)}${from}${until}${say.stop}`;
  } catch {
    return say.unknown;
  }
}

function words(trigger: Described, locale: Locale, seedName: string | undefined): string {
  const say = phrases[locale];
  switch (trigger.kind) {
    case 'cron': {
      const sentences = trigger.expressions.flatMap((text) => expressionWords(text, locale, seedName));
      // Written once each, however many expressions come to the same.
      const union = [...new Set(sentences)].map((text, index) => (index === 0 ? text : say.further(text)));
      return say.inZone(union.join(say.and), trigger.timezone);
    }
    case 'every':
      return say.every(
        duration(trigger.everyMs, locale),
        trigger.offsetMs === 0 ? null : duration(trigger.offsetMs, locale),
      );
    case 'at': {
      const [first = 0] = trigger.atMs;
      return trigger.atMs.length === 1
        ? say.once(toIso(first))
        : say.instants(trigger.atMs.length, toIso(first));
    }
    case 'delay':
      return say.delay(duration(trigger.delayMs, locale));
  }
}

function expressionWords(text: string, locale: Locale, seedName: string | undefined): string[] {
  const quoted = [phrases[locale].quoted(text.trim())];
  try {
    const expression = parsed(text, seedName ?? '');
    if (expression.usesHash && seedName === undefined) return quoted;
    return cronWords(expression, locale) ?? quoted;
  } catch {
    return quoted;
  }
}

/** As formatDuration, in the words of a language. */
export function duration(ms: number, locale: Locale): string {
  const text = formatDuration(ms);
  if (locale === 'en') return text;
  const parts = [...text.matchAll(/(\d+)(ms|[dhms])/g)];
  return parts
    .map(([, count, unit]) => `${count} ${chineseUnits[unit as keyof typeof chineseUnits]}`)
    .join(' ');
}

const chineseUnits = { d: '天', h: '小时', m: '分钟', s: '秒', ms: '毫秒' };

type Phrases = {
  quoted(expression: string): string;
  further(sentence: string): string;
  and: string;
  inZone(sentence: string, zone: string): string;
  every(interval: string, offset: string | null): string;
  delay(interval: string): string;
  once(at: string): string;
  instants(count: number, first: string): string;
  from(at: string): string;
  until(at: string): string;
  stop: string;
  unknown: string;
};

const phrases: Readonly<Record<Locale, Phrases>> = {
  en: {
    quoted: (expression) => `At the times of "${expression}"`,
    further: (sentence) => sentence.replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase()),
    and: '; and ',
    inZone: (sentence, zone) => `${sentence}, in ${zone}`,
    every: (interval, offset) =>
      `Every ${interval}, counted from the Unix epoch${offset === null ? '' : ` plus ${offset}`}`,
    delay: (interval) => `${interval} after the end of the last run`,
    once: (at) => `Once, at ${at}`,
    instants: (count, first) => `At ${count} instants, the first at ${first}`,
    from: (at) => `, from ${at}`,
    until: (at) => `, until ${at}`,
    stop: '.',
    unknown: 'At times that this version of Carillon has no words for.',
  },
  zh_CN: {
    quoted: (expression) => `按“${expression}”的时间`,
    further: (sentence) => sentence,
    and: '；以及',
    inZone: (sentence, zone) => `${sentence}（${zone} 时间）`,
    every: (interval, offset) =>
      `每隔 ${interval}，自 Unix 纪元${offset === null ? '' : `加 ${offset} `}起算`,
    delay: (interval) => `上次运行结束后 ${interval}`,
    once: (at) => `一次，于 ${at}`,
    instants: (count, first) => `共 ${count} 个时刻，最早于 ${first}`,
    from: (at) => `，自 ${at} 起`,
    until: (at) => `，至 ${at} 止`,
    stop: '。',
    unknown: '此版本的 Carillon 无法描述其时间。',
  },
};
