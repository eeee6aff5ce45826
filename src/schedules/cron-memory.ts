/**
 * The one memory of read cron expressions and their latest answers. Many schedules share few expressions: a herd of
 * equal ones costs one search. It changes the cost and nothing else.
 */
import { createCronCache } from './cron-cache.ts';
import type { CronExpression } from './cron-expression.ts';
import type { DstPolicy } from './cron-times.ts';

const cache = createCronCache(10_000);

/** As parseCron, but remembers what it has read. */
export function parsed(text: string, seedName: string): CronExpression {
  return cache.parse(text, seedName);
}

/** parseCron and nextCron in one, remembered. */
export function nextCronTime(
  text: string,
  seedName: string,
  zone: string,
  dst: DstPolicy,
  afterMs: number,
): number | null {
  return cache.next(text, seedName, zone, dst, afterMs);
}
