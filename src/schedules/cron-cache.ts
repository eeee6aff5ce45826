/**
 * Remembers parsed expressions and their latest answer, so that a herd of schedules with one expression costs
 * one parse and one search. Between two fires the next time is the same for every instant, so what is
 * kept is the stretch for which an answer holds, and schedules whose instants differ share it too.
 *
 * The cache changes only the cost. It is a value to hand round, not a global, so tests can compare it with none.
 */
import { type CronExpression, parseCron } from './cron-expression.ts';
import { type DstPolicy, nextCron, previousCron } from './cron-times.ts';

export type CronCache = {
  /** As parseCron, with its errors. Refused expressions are not remembered. */
  readonly parse: (expression: string, seedName: string) => CronExpression;
  /** parseCron and nextCron in one. */
  readonly next: (
    expression: string,
    seedName: string,
    zone: string,
    dst: DstPolicy,
    afterMs: number,
  ) => number | null;
  /** parseCron and previousCron in one. */
  readonly previous: (
    expression: string,
    seedName: string,
    zone: string,
    dst: DstPolicy,
    beforeMs: number,
  ) => number | null;
  /** The expressions remembered now. */
  readonly size: () => number;
};

type Answer = { zone: string; gap: DstPolicy['gap']; repeat: DstPolicy['repeat']; low: number; high: number };

/** An answer holds for low ≤ after < high as next (its value is high), low < before ≤ high as previous (low). */
type Entry = { readonly parsed: CronExpression; next?: Answer; previous?: Answer };

/** At most `entriesMax` expressions are kept; beyond that the oldest is dropped. */
export function createCronCache(entriesMax: number): CronCache {
  const entries = new Map<string, Entry>();

  function entryFor(expression: string, seedName: string): Entry {
    let key = expression;
    let entry = entries.get(key);
    if (entry?.parsed.usesHash) {
      // This text means something else under each name.
      key = `${expression}\n${seedName}`;
      entry = entries.get(key);
    }
    if (entry !== undefined) return entry;
    entry = { parsed: parseCron(expression, seedName) };
    keep(key, entry);
    if (key === expression && entry.parsed.usesHash) keep(`${expression}\n${seedName}`, entry);
    return entry;
  }

  function keep(key: string, entry: Entry): void {
    if (entries.size >= entriesMax) entries.delete(entries.keys().next().value!);
    entries.set(key, entry);
  }

  return {
    parse: (expression, seedName) => entryFor(expression, seedName).parsed,
    next(expression, seedName, zone, dst, afterMs) {
      const entry = entryFor(expression, seedName);
      const known = entry.next;
      if (known !== undefined && isFor(known, zone, dst) && afterMs >= known.low && afterMs < known.high) {
        return known.high;
      }
      const fire = nextCron(entry.parsed, zone, dst, afterMs);
      if (fire !== null) entry.next = { zone, gap: dst.gap, repeat: dst.repeat, low: afterMs, high: fire };
      return fire;
    },
    previous(expression, seedName, zone, dst, beforeMs) {
      const entry = entryFor(expression, seedName);
      const known = entry.previous;
      if (known !== undefined && isFor(known, zone, dst) && beforeMs > known.low && beforeMs <= known.high) {
        return known.low;
      }
      const fire = previousCron(entry.parsed, zone, dst, beforeMs);
      if (fire !== null)
        entry.previous = { zone, gap: dst.gap, repeat: dst.repeat, low: fire, high: beforeMs };
      return fire;
    },
    size: () => entries.size,
  };
}

function isFor(answer: Answer, zone: string, dst: DstPolicy): boolean {
  return answer.zone === zone && answer.gap === dst.gap && answer.repeat === dst.repeat;
}
