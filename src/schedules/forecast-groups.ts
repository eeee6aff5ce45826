/**
 * Schedules with equal times as groups. An `H` is first turned into the values that it stands for, so a
 * hundred thousand `H H * * *` are at most 1,440 groups. Only what has an `H` is looked into, and only its
 * fields. Pure.
 */
import type { OnExcluded } from './allowed-times.ts';
import {
  DAY_OF_MONTH,
  DAY_OF_WEEK,
  type FieldRule,
  HOUR,
  InvalidCron,
  MINUTE,
  MONTH,
  readField,
  SECOND,
} from './cron-field.ts';
import type { Filter } from './exclusion.ts';
import type { ForecastGroup } from './forecast.ts';
import type { Timing } from './schedule.ts';

/** A schedule, as far as a forecast goes. */
export type ForecastItem = {
  timing: Timing;
  seedName: string;
  filter?: Filter | null;
  onExcluded?: OnExcluded;
  timezone?: string;
  timesMax?: number;
  /** Equal for equal filters. */
  filterKey?: string;
};

export type TimingGroups = {
  /** Costs a few microseconds. */
  add(item: ForecastItem): void;
  groups(): ForecastGroup[];
};

/** Item by item, since who groups many takes breaks. */
export function startGroups(): TimingGroups {
  const groups = new Map<string, ForecastGroup>();
  return {
    add({ filterKey = '', ...item }) {
      const plain = withoutHash(item.timing, item.seedName);
      const timing = plain ?? item.timing;
      // What is left of an `H` still depends on the name.
      const seed = plain === null ? item.seedName : '';
      const key = `${JSON.stringify([timing, seed, item.onExcluded, item.timezone])}${filterKey}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { ...item, timing, count: 1 });
      else group.count += 1;
    },
    groups: () => [...groups.values()],
  };
}

/** As parseCron takes it. */
const expressionLengthMax = 256;
const rules: readonly FieldRule[] = [SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK];

/** The same times without an `H`; null when they cannot be written so. */
function withoutHash(timing: Timing, seedName: string): Timing | null {
  const { trigger } = timing;
  if (trigger.kind !== 'cron' || !trigger.expressions.some(mayHaveHash)) return timing;
  const expressions = trigger.expressions.map((text) => resolved(text, seedName));
  if (expressions.some((text) => text === null || text.length > expressionLengthMax)) return null;
  return { ...timing, trigger: { ...trigger, expressions: expressions as string[] } };
}

/** THU has an H too, but does not begin with it. */
function mayHaveHash(text: string): boolean {
  return /(?:^|[\s,])h/i.test(text);
}

function resolved(text: string, seedName: string): string | null {
  const fields = text
    .trim()
    .toUpperCase()
    .split(/[ \t]+/);
  const first = rules.length - fields.length;
  try {
    return fields
      .map((field, index) =>
        mayHaveHash(field) ? readField(field, rules[first + index]!, seedName).join(',') : field,
      )
      .join(' ');
  } catch (error) {
    // An `H` beside an L, W or # is left to the evaluator.
    if (error instanceof InvalidCron) return null;
    throw error;
  }
}
