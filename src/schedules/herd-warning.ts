/** Whether many schedules fire in one minute, read off a forecast. Pure. */
import type { ForecastBucket } from './forecast.ts';
import { DAY_MS, formatDay, formatTimeOfDay } from './local-time.ts';
import type { Locale } from './locale.ts';
import { fill, warningParts, warningTexts } from './warning-words.ts';
import type { Warning } from './warnings.ts';
import { toLocal } from './zone.ts';

/** Fewer runs than this at once are no herd. */
export const herdMin = 20;

/** A herd has so many times the runs of a mean bucket. */
const herdFactor = 10;

export type HerdInput = {
  /** Of one minute each; of an hour they would hide a herd. */
  buckets: readonly ForecastBucket[];
  /** How many schedules the forecast counts. */
  schedules: number;
  /** The clock that the time is told by. */
  timezone: string;
  locale?: Locale;
};

/** The largest herd (of equals the first), or null. */
export function herdWarning({ buckets, ...told }: HerdInput): Warning | null {
  let peak: ForecastBucket | null = null;
  let sum = 0;
  for (const bucket of buckets) {
    sum += bucket.fires;
    if (peak === null || bucket.fires > peak.fires) peak = bucket;
  }
  if (peak === null || peak.fires < herdMin || peak.fires * buckets.length < herdFactor * sum) return null;
  return herdAt({ ...peak, ...told });
}

/** The warning of a minute with so many fires. */
export function herdAt({
  startMs,
  fires,
  schedules,
  timezone,
  locale = 'en',
}: ForecastBucket & Omit<HerdInput, 'buckets'>): Warning {
  const local = toLocal(timezone, startMs);
  const who = fires === schedules ? warningParts.all_schedules : warningParts.many_fires;
  const message = fill(warningTexts.herd[locale], {
    who: fill(who[locale], { count: fires, all: schedules }),
    time: formatTimeOfDay(local),
    date: formatDay(Math.floor(local / DAY_MS)),
    zone: timezone,
  });
  return { code: 'herd', message, at: startMs };
}
