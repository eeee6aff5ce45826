/** What a schedule leaves out or keeps to, on the wire: `exclude`, `only`, `onExcluded`. */
import { z } from 'zod';
import type { Issue } from '../errors.ts';
import { onExcludedPolicies } from '../schedules/allowed-times.ts';
import { calendarsOf, exclusionsMax, InvalidExclusion, parseExclusion } from '../schedules/exclusion.ts';
import type { Exclusions, Timing } from '../schedules/schedule.ts';

const itemLengthMax = 300;
/** Of one schedule, both lists together. */
const calendarsMax = 20;
const lists = ['exclude', 'only'] as const;

const items = z.array(z.string().max(itemLengthMax)).max(exclusionsMax);

const exclude = items.meta({
  description:
    'Times that it does not fire at: dates and ranges of dates (on the clock of `timezone`), calendars, and cron expressions whose every match is left out.',
  examples: [['2026-12-25', '2026-12-27..2026-12-31', 'calendar:cn-holidays', '* * * * 0']],
});
const only = items.meta({
  description: 'It fires at no other times than these; the same items as in `exclude`. Empty: at all.',
  examples: [['calendar:trading-days']],
});
const onExcluded = z.enum(onExcludedPolicies).meta({
  description:
    'What becomes of a time that is left out: nothing, or it moves to the same time of day on the next or previous day that is allowed.',
});

/** For a reschedule: what is left out stays as it is. */
export const exclusionFields = {
  exclude: exclude.optional(),
  only: only.optional(),
  onExcluded: onExcluded.optional(),
};

/** For whatever is defined as a whole. */
export const exclusionFieldsWhole = {
  exclude: exclude.default([]),
  only: only.default([]),
  onExcluded: onExcluded.default('skip'),
};

export type ExclusionFields = Omit<Exclusions, 'timezone'>;

/**
 * As a timing has them; undefined where nothing is said. What is wrong goes into `issues`. `seedName` is the
 * schedule's name, for an `H`.
 */
export function toExclusions(
  { exclude, only, onExcluded }: ExclusionFields,
  timezone: string,
  seedName: string,
  issues: Issue[],
): Exclusions | undefined {
  for (const list of lists) {
    for (const [index, text] of { exclude, only }[list].entries()) {
      try {
        parseExclusion(text, seedName);
      } catch (error) {
        if (!(error instanceof InvalidExclusion)) throw error;
        issues.push({ pointer: `/${list}/${index}`, detail: `\`${list}[${index}]\`: ${error.message}` });
      }
    }
  }
  if (calendarsOf([...exclude, ...only]).length > calendarsMax) {
    const detail = `\`exclude\` and \`only\` name more than ${calendarsMax} calendars; put their days into fewer.`;
    issues.push({ pointer: '/exclude', detail });
  }
  if (exclude.length + only.length === 0 && onExcluded === 'skip') return undefined;
  const tidy = (texts: readonly string[]) => texts.map((text) => text.trim());
  return { exclude: tidy(exclude), only: tidy(only), onExcluded, timezone };
}

export function presentExclusions({ exclusions }: Timing): {
  exclude: string[];
  only: string[];
  onExcluded: Exclusions['onExcluded'];
} {
  const { exclude = [], only = [], onExcluded = 'skip' } = exclusions ?? {};
  return { exclude: [...exclude], only: [...only], onExcluded };
}
