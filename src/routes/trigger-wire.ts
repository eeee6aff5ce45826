/** The "when" on the wire: the fields that a schedule, a preview and a reschedule share. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { durationMsMax, type WrittenDuration, writtenDurationField } from '../duration.ts';
import { type Issue, messageOf } from '../errors.ts';
import { InvalidCron } from '../schedules/cron-expression.ts';
import { parsed } from '../schedules/cron-memory.ts';
import { DST_DEFAULT, type DstPolicy } from '../schedules/cron-times.ts';
import type { ScheduleSpec, Timing, Trigger } from '../schedules/schedule.ts';
import { isTimeZone, nearestTimeZone } from '../schedules/zone.ts';
import { presentDuration, takeDuration, type WrittenTexts } from './duration-wire.ts';
import { type ExclusionFields, toExclusions } from './exclusion-wire.ts';
import { instantField } from './query-wire.ts';

const expressionsMax = 20;
const expressionLengthMax = 256;
const instantsMax = 1_000;

const expression = z.string().max(expressionLengthMax);

/** Exactly one of cron, every, at and delay; toTiming looks after that. */
export const triggerFields = {
  cron: z
    .union([expression, z.array(expression).min(1).max(expressionsMax)])
    .optional()
    .meta({
      description: 'A cron expression of five or six fields (seconds first), or several: their union.',
      examples: ['0 2 * * *', ['0 9 * * 1-5', '0 12 * * 6']],
    }),
  every: writtenDurationField({
    minMs: 1_000,
    maxMs: durationMsMax,
    description: 'A fixed interval, counted from the Unix epoch.',
  }).optional(),
  offset: writtenDurationField({
    minMs: 0,
    maxMs: durationMsMax,
    description: 'Shifts `every`, and is shorter than it.',
  }).optional(),
  at: z
    .union([instantField, z.array(instantField).min(1).max(instantsMax)])
    .optional()
    .meta({
      description: 'An instant with any offset (RFC 3339), or several.',
      examples: ['2026-12-24T18:00:00+01:00'],
    }),
  delay: writtenDurationField({
    minMs: 1_000,
    maxMs: durationMsMax,
    description: 'So long after the end of the last run; the first run starts at once.',
  }).optional(),
};

const triggerNames = ['cron', 'every', 'at', 'delay'] as const;
const triggerWords = '`cron`, `every`, `at` and `delay`';

function zoneWords(given: unknown): string {
  const meant = nearestTimeZone(String(given));
  const advice = meant === null ? 'such as "Europe/Berlin" or "UTC"' : `perhaps "${meant}" is meant`;
  return `must be a time zone of the IANA list, ${advice}`;
}

export const zoneName = z
  .string()
  .max(64)
  .refine(isTimeZone, { error: ({ input }) => zoneWords(input) });

export const timezoneField = zoneName.meta({
  description: 'The IANA time zone that `cron` is read in.',
  examples: ['Asia/Shanghai'],
});

export const dstField = z
  .strictObject({
    gap: z.enum(['run', 'skip']).default(DST_DEFAULT.gap),
    repeat: z.enum(['auto', 'first', 'both', 'last']).default(DST_DEFAULT.repeat),
  })
  .meta({ description: 'What `cron` does when the clocks are set forward (gap) and back (repeat).' });

export const windowFields = {
  startAt: instantField.nullable().optional().describe('Nothing fires before; included.'),
  endAt: instantField.nullable().optional().describe('Nothing fires after; included.'),
};

const triggerObject = z.object({ ...triggerFields, ...windowFields });
export type TriggerFields = z.output<typeof triggerObject> & ExclusionFields;

export type Zone = { timezone: string; dst: DstPolicy };

/** What reading a body gathers beside the values. */
export type Findings = {
  /** What is wrong. */
  issues: Issue[];
  /** How durations were written. */
  written: WrittenTexts;
};

/**
 * The timing that the fields describe. What is wrong goes into `findings.issues`, and then the answer is null.
 * `seedName` is the schedule's name, which `H` in an expression depends on.
 */
export function toTiming(
  fields: TriggerFields,
  zone: Zone,
  seedName: string,
  findings: Findings,
): Timing | null {
  const { issues } = findings;
  const before = issues.length;
  const trigger = toTrigger(fields, zone, seedName, findings);
  const exclusions = toExclusions(fields, zone.timezone, seedName, issues);
  const startAtMs = fields.startAt ?? null;
  const endAtMs = fields.endAt ?? null;
  if (startAtMs !== null && endAtMs !== null && startAtMs > endAtMs) {
    issues.push({ pointer: '/endAt', detail: '`endAt` must not be before `startAt`.' });
  }
  if (trigger === null || issues.length > before) return null;
  return { trigger, startAtMs, endAtMs, ...(exclusions && { exclusions }) };
}

function toTrigger(
  fields: TriggerFields,
  zone: Zone,
  seedName: string,
  { issues, written }: Findings,
): Trigger | null {
  const given = triggerNames.filter((name) => fields[name] !== undefined);
  if (given.length === 0) {
    issues.push({
      pointer: '',
      detail: `Say when to run: exactly one of ${triggerWords} is needed.`,
    });
  }
  if (given.length > 1) {
    const detail = `Only one of ${triggerWords} may be given, not ${given.map((name) => `\`${name}\``).join(' and ')}. A PATCH sets the old one to null.`;
    for (const name of given) issues.push({ pointer: `/${name}`, detail });
  }
  if (fields.offset !== undefined && fields.every === undefined) {
    issues.push({ pointer: '/offset', detail: '`offset` goes with `every` only.' });
  }
  if (given.length !== 1) return null;
  if (fields.cron !== undefined) return toCron(fields.cron, zone, seedName, issues);
  if (fields.every !== undefined) return toEvery(fields.every, fields.offset, { issues, written });
  if (fields.delay !== undefined) {
    return { kind: 'delay', delayMs: takeDuration(fields.delay, '/delay', written) };
  }
  const instants = [fields.at ?? []].flat();
  return { kind: 'at', atMs: [...new Set(instants)].sort((a, b) => a - b) };
}

function toCron(cron: string | string[], zone: Zone, seedName: string, issues: Issue[]): Trigger {
  const expressions = [cron].flat();
  for (const [index, text] of expressions.entries()) {
    const field = Array.isArray(cron) ? `cron[${index}]` : 'cron';
    const pointer = Array.isArray(cron) ? `/cron/${index}` : '/cron';
    try {
      parsed(text, seedName);
    } catch (error) {
      if (!(error instanceof InvalidCron)) throw error;
      issues.push({ pointer, detail: `\`${field}\` ${JSON.stringify(text)}: ${messageOf(error)}.` });
    }
  }
  return { kind: 'cron', expressions, ...zone };
}

function toEvery(
  every: WrittenDuration,
  offset: WrittenDuration | undefined,
  { issues, written }: Findings,
): Trigger {
  const everyMs = takeDuration(every, '/every', written);
  const offsetMs = offset === undefined ? 0 : takeDuration(offset, '/offset', written);
  if (offsetMs >= everyMs) {
    issues.push({
      pointer: '/offset',
      detail: `\`offset\` must be shorter than \`every\` (${every.text}).`,
    });
  }
  return { kind: 'every', everyMs, offsetMs };
}

/** The trigger's own fields; of the four only the one in use, and a list of one as its element. */
export function presentTrigger(
  trigger: Trigger,
  written?: ScheduleSpec['written'],
): {
  cron?: string | string[];
  every?: string;
  offset?: string;
  at?: string | string[];
  delay?: string;
} {
  try {
    switch (trigger.kind) {
      case 'cron':
        return { cron: oneOrMany(trigger.expressions) };
      case 'every': {
        const every = presentDuration(trigger.everyMs, '/every', written);
        if (trigger.offsetMs === 0) return { every };
        return { every, offset: presentDuration(trigger.offsetMs, '/offset', written) };
      }
      case 'at':
        return { at: oneOrMany(trigger.atMs.map(toIso)) };
      case 'delay':
        return { delay: presentDuration(trigger.delayMs, '/delay', written) };
    }
  } catch {
    // A stored trigger that is none spoils its own answer, where `fault` tells of it, and not the whole list's.
  }
  return {};
}

/** A spec's texts after its trigger was written anew; without the field where there was and is none. */
export function rewritten(
  { written: before }: ScheduleSpec,
  { '/every': every, '/offset': offset, '/delay': delay }: WrittenTexts,
): Pick<ScheduleSpec, 'written'> {
  const { '/every': _every, '/offset': _offset, '/delay': _delay, ...others } = before ?? {};
  const written = {
    ...others,
    ...(every && { '/every': every }),
    ...(offset && { '/offset': offset }),
    ...(delay && { '/delay': delay }),
  };
  if (Object.keys(written).length > 0) return { written };
  return before === undefined ? {} : { written: undefined };
}

function oneOrMany(texts: readonly string[]): string | string[] {
  const [first] = texts;
  return texts.length === 1 && first !== undefined ? first : [...texts];
}
