/** What is coming: the times of a trigger that is not stored, and the load of all schedules together. Reads only. */
import type { Clock } from '../clock.ts';
import type { Db } from '../db/client.ts';
import { countDue, listActiveTimings } from '../db/timing-store.ts';
import { invalidAll } from '../errors.ts';
import { createBreath, listTimes } from './breath.ts';
import type { CalendarBook } from './calendar-book.ts';
import { bucketsMax, type Forecast, startForecast } from './forecast.ts';
import { startGroups } from './forecast-groups.ts';
import { herdAt, herdMin, herdWarning } from './herd-warning.ts';
import type { Locale } from './locale.ts';
import type { Timing } from './schedule.ts';
import { exclusionsHangOnName, hangsOnName } from './schedule-next.ts';
import { nothingLeft, unknownCalendars } from './schedule-refusals.ts';
import { exclusionWeight, filterOf, lastMs, nextAfter } from './trigger.ts';
import { fill, warningTexts } from './warning-words.ts';
import { type Warning, warningsFor } from './warnings.ts';

export type PreviewRequest = {
  timing: Timing;
  /** The name of the schedule to be, for an `H`. */
  seedName: string;
  timezone: string;
  jitterMs: number | null;
  /** Times are strictly after this; null: now. */
  fromMs: number | null;
  count: number;
  locale: Locale;
};

export type Preview = { timesMs: number[]; warnings: Warning[] };

export type ForecastRequest = {
  /** Included; null: now. */
  fromMs: number | null;
  /** Not included; null: a day after `fromMs`. */
  untilMs: number | null;
  /** Null: a minute for up to a day, else an hour. */
  bucketMs: number | null;
  /** The clock that warnings tell the time by. */
  timezone: string;
  locale: Locale;
};

export type ForecastView = Forecast & {
  fromMs: number;
  untilMs: number;
  bucketMs: number;
  /** Active schedules whose times hang on their runs (`delay`), and those whose times cannot be computed. */
  schedulesUnknown: number;
  warnings: Warning[];
};

export interface OutlookService {
  /** DomainError `invalid` for calendars that there are not, and for exclusions that leave nothing. */
  preview(request: PreviewRequest): Promise<Preview>;
  /**
   * Nominal times of all active schedules, counted. Bounded in time whatever they are; what was estimated or left out
   * for it is told. DomainError `invalid` for a range that is empty or has too many buckets.
   */
  forecast(request: ForecastRequest): Promise<ForecastView>;
}

const minuteMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 86_400_000;
/** Schedules that a preview compares with are counted up to here. */
const countMax = 100_000;
/** A herd is at least this share of all schedules. */
const herdShare = 0.1;
/** Schedules per statement: a few milliseconds, so that no fire waits for it. */
const pageSize = 1_000;
/** Times that one forecast computes, and of one group of equal timings. A thousand take about a millisecond. */
const timesMax = 500_000;
const groupTimesMax = 10_080;

export function createOutlookService({
  db,
  clock,
  book,
}: {
  db: Db;
  clock: Clock;
  book: CalendarBook;
}): OutlookService {
  /** Whether the others of this house fire in the same minute. */
  async function herdOf(firstMs: number | undefined, request: PreviewRequest): Promise<Warning[]> {
    if (firstMs === undefined) return [];
    const startMs = Math.floor(firstMs / minuteMs) * minuteMs;
    const fires = await countDue(db, startMs, startMs + minuteMs, countMax);
    if (fires < herdMin) return [];
    const schedules = await countDue(db, 0, lastMs, countMax);
    if (fires < schedules * herdShare) return [];
    return [herdAt({ startMs, fires, schedules, timezone: request.timezone, locale: request.locale })];
  }

  return {
    async preview(request) {
      const { timing, seedName, timezone, jitterMs, count, locale } = request;
      const fromMs = request.fromMs ?? clock.now();
      const calendars = await book.read(db, [timing]);
      const unknown = unknownCalendars(timing, calendars);
      if (unknown.length > 0) throw invalidAll(unknown);
      const { exclusions, ...plain } = timing;
      const filter = filterOf(timing, seedName, calendars);
      const onExcluded = exclusions?.onExcluded ?? 'skip';
      const next = (afterMs: number) => nextAfter(timing, seedName, afterMs, calendars);
      const asked = timing.trigger.kind === 'delay' ? 0 : count;
      const { timesMs, cut } = await listTimes(next, fromMs, asked, createBreath(clock));
      if (cut !== null && (exclusions === undefined || !(cut instanceof RangeError))) throw cut;
      if (cut !== null && timesMs.length === 0) throw nothingLeft(exclusions!);
      const warnings = warningsFor({
        timing: plain,
        seedName,
        fromMs,
        locale,
        timezone,
        filter,
        onExcluded,
        jitterMs,
      });
      const nameless: Warning[] =
        seedName === '' && hangsOnName(timing)
          ? [{ code: 'name_missing', message: warningTexts.name_missing[locale] }]
          : [];
      const short: Warning[] =
        cut === null
          ? []
          : [{ code: 'cut_short', message: fill(warningTexts.cut_short[locale], { count: timesMs.length }) }];
      const herd = await herdOf(timesMs[0], request);
      return { timesMs, warnings: [...nameless, ...short, ...warnings, ...herd] };
    },

    async forecast({ timezone, locale, ...range }) {
      const fromMs = range.fromMs ?? clock.now();
      const untilMs = range.untilMs ?? Math.min(fromMs + dayMs, lastMs);
      const bucketMs = range.bucketMs ?? (untilMs - fromMs <= dayMs ? minuteMs : hourMs);
      checkRange(fromMs, untilMs, bucketMs);
      const breath = createBreath(clock);
      const grouping = startGroups();
      let schedulesUnknown = 0;
      for (let after: string | null = null; ; ) {
        const page = await listActiveTimings(db, after, pageSize);
        const calendars = await book.read(
          db,
          page.map(({ timing }) => timing),
        );
        for (const { name, timing } of page) {
          const { exclusions, ...plain } = timing;
          try {
            if (timing.trigger.kind === 'delay') throw new RangeError('known only when its run has ended');
            const filter = filterOf(timing, name, calendars);
            grouping.add(
              filter === null
                ? { timing: plain, seedName: name }
                : {
                    timing: plain,
                    seedName: name,
                    filter,
                    onExcluded: exclusions!.onExcluded,
                    timezone: exclusions!.timezone,
                    timesMax: timesMaxOf(timing),
                    filterKey: JSON.stringify([exclusions, exclusionsHangOnName(exclusions) ? name : '']),
                  },
            );
          } catch {
            schedulesUnknown += 1;
          }
        }
        if (page.length < pageSize) break;
        after = page.at(-1)!.id;
        await breath.take();
      }
      const run = startForecast({
        fromMs,
        untilMs,
        bucketMs,
        budget: timesMax,
        groupBudget: groupTimesMax,
      });
      // What is left out when the budget is used up weighs least.
      const groups = grouping.groups().sort((a, b) => b.count - a.count);
      for (const group of groups) {
        await breath.take();
        try {
          run.add(group);
        } catch {
          schedulesUnknown += group.count;
        }
      }
      const forecast = run.result();
      const herd =
        bucketMs === minuteMs
          ? herdWarning({
              buckets: forecast.buckets,
              schedules: forecast.schedulesCounted + forecast.schedulesLeftOut,
              timezone,
              locale,
            })
          : null;
      const warnings = herd === null ? [] : [herd];
      return { ...forecast, fromMs, untilMs, bucketMs, schedulesUnknown, warnings };
    },
  };
}

/** What moves times costs many looks for each, and so does a long list. */
function timesMaxOf(timing: Timing): number {
  const moves = timing.exclusions!.onExcluded !== 'skip';
  return Math.ceil(groupTimesMax / exclusionWeight(timing) ** 2 / (moves ? 20 : 1));
}

function checkRange(fromMs: number, untilMs: number, bucketMs: number): void {
  if (untilMs <= fromMs) {
    throw invalidAll([{ pointer: '?until', detail: '`until` must be after `from`.' }]);
  }
  const buckets = Math.ceil(untilMs / bucketMs) - Math.floor(fromMs / bucketMs);
  if (buckets > bucketsMax) {
    const detail = `The range has ${buckets} buckets, and may have ${bucketsMax}; ask for less, or for bucket=hour.`;
    throw invalidAll([{ pointer: '?until', detail }]);
  }
}
