/**
 * What a schedule leaves out (`exclude`) or keeps to (`only`): texts to exclusions, and those to one filter.
 *
 * An item is a date or a range of dates (whole days on the schedule's clock, both ends included), the name of
 * a calendar (whose days are on the calendar's own clock), or a cron expression (every instant at which the
 * wall clock matches it). An instant is allowed when no item of `exclude` has it and, unless `only` is empty,
 * some item of `only` does.
 */
import type { CompiledCalendar } from './calendar.ts';
import { cronCover } from './cron-cover.ts';
import { type CronExpression, InvalidCron } from './cron-expression.ts';
import { parsed } from './cron-memory.ts';
import { type Cover, intervalCover, toIntervalSet } from './intervals.ts';
import { DAY_MS, instantsWithin, readDayRange } from './local-time.ts';

export type Exclusion = { text: string } & (
  | { kind: 'days'; fromDay: number; toDay: number }
  | { kind: 'calendar'; calendar: string }
  | { kind: 'cron'; expression: CronExpression }
);

/** Items that `exclude` and `only` may have, each. */
export const exclusionsMax = 100;

/** A text that is no exclusion. The message is a sentence that says what is wrong with it. */
export class InvalidExclusion extends Error {
  override readonly name = 'InvalidExclusion';
}

const calendarPrefix = 'calendar:';
/** The shape of every name of Carillon. Whether there is such a calendar is not known here. */
const calendarName = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]{0,127}$/u;

/** `seedName` is the schedule's name, for an `H`. Throws InvalidExclusion. */
export function parseExclusion(text: string, seedName: string): Exclusion {
  const item = text.trim();
  if (item.startsWith(calendarPrefix)) {
    const calendar = item.slice(calendarPrefix.length).trim().normalize('NFC');
    if (calendarName.test(calendar)) return { kind: 'calendar', text: item, calendar };
    throw new InvalidExclusion(
      `${shown(text)} must name a calendar, as in "calendar:cn-holidays": letters, digits, ".", "_" and "-".`,
    );
  }
  const days = readDayRange(item);
  if (days !== null) {
    if ('reason' in days) throw new InvalidExclusion(`${shown(text)}: ${days.reason}.`);
    return { kind: 'days', text: item, ...days };
  }
  try {
    return { kind: 'cron', text: item, expression: parsed(item, seedName) };
  } catch (error) {
    if (!(error instanceof InvalidCron)) throw error;
    throw new InvalidExclusion(
      looksLikeCron(item)
        ? `${shown(text)} is no cron expression: ${error.message}.`
        : `${shown(text)} is neither a date ("2026-12-25"), a range of dates ("2026-12-24..2026-12-31"), a calendar ("calendar:cn-holidays") nor a cron expression ("* * 1-5 * *").`,
    );
  }
}

function looksLikeCron(item: string): boolean {
  return item.startsWith('@') || /\*|\s\S+\s/.test(item);
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** The names of the calendars that some items refer to. */
export function calendarsOf(items: readonly string[]): string[] {
  const named = items.map((item) => item.trim()).filter((item) => item.startsWith(calendarPrefix));
  return [...new Set(named.map((item) => item.slice(calendarPrefix.length).trim().normalize('NFC')))];
}

/** An item of `exclude` that has the instant; or `only`, none of whose items has it. */
export type ExclusionRule = { list: 'exclude'; item: string } | { list: 'only'; item: null };

/** Which instants are allowed. All of them are epoch ms. */
export type Filter = {
  allows(atMs: number): boolean;
  /** What keeps an instant out; null when it is allowed. */
  rule(atMs: number): ExclusionRule | null;
  /**
   * The end of the excluded stretch that an instant lies in: nothing before it is allowed. It is mostly
   * allowed itself, but may begin another stretch, so ask again. The instant itself when it is allowed; null:
   * nothing later is allowed.
   */
  excludedUntil(atMs: number): number | null;
  /**
   * As excludedUntil for the allowed stretch: nothing before it is excluded. Null: nothing later is excluded.
   */
  allowedUntil(atMs: number): number | null;
};

export type FilterSpec = { exclude: readonly Exclusion[]; only: readonly Exclusion[] };

/**
 * A filter on the clock of `timezone`. Compiling costs microseconds; `calendars` are the ones that the items
 * name. Throws RangeError for a calendar that is missing, since leaving it out would run what must not run.
 */
export function compileFilter(
  { exclude, only }: FilterSpec,
  timezone: string,
  calendars: ReadonlyMap<string, CompiledCalendar>,
): Filter {
  const excluded = exclude.map((item) => ({ item, cover: coverOf(item, timezone, calendars) }));
  const kept = only.map((item) => coverOf(item, timezone, calendars));
  const keeps = (atMs: number) => kept.length === 0 || kept.some((cover) => cover.covers(atMs));
  return {
    allows: (atMs) => keeps(atMs) && !excluded.some(({ cover }) => cover.covers(atMs)),
    rule(atMs) {
      const found = excluded.find(({ cover }) => cover.covers(atMs));
      if (found !== undefined) return { list: 'exclude', item: found.item.text };
      return keeps(atMs) ? null : { list: 'only', item: null };
    },
    excludedUntil(atMs) {
      let until = atMs;
      for (const { cover } of excluded) {
        until = cover.uncoveredFrom(until);
        if (until === Infinity) return null;
      }
      if (!keeps(until)) until = Math.min(...kept.map((cover) => cover.coveredFrom(until)));
      return until < Infinity ? until : null;
    },
    allowedUntil(atMs) {
      let until = kept.length === 0 ? Infinity : atMs;
      for (const cover of kept) if (until < Infinity) until = cover.uncoveredFrom(until);
      for (const { cover } of excluded) until = Math.min(until, cover.coveredFrom(atMs));
      return until < Infinity ? until : null;
    },
  };
}

function coverOf(item: Exclusion, timezone: string, calendars: ReadonlyMap<string, CompiledCalendar>): Cover {
  switch (item.kind) {
    case 'days':
      return intervalCover(
        toIntervalSet(instantsWithin(timezone, item.fromDay * DAY_MS, (item.toDay + 1) * DAY_MS)),
      );
    case 'calendar': {
      const calendar = calendars.get(item.calendar);
      if (calendar === undefined) throw new RangeError(`there is no calendar ${shown(item.calendar)}`);
      return calendar.cover;
    }
    case 'cron':
      return cronCover(item.expression, timezone);
  }
}
