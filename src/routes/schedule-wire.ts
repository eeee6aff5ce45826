/** Schedules as callers write them → schedules as the house knows them. */
import { z } from 'zod';
import { durationMsMax, writtenDurationField } from '../duration.ts';
import { invalidAll } from '../errors.ts';
import { applyMergePatch } from '../merge-patch.ts';
import { DST_DEFAULT } from '../schedules/cron-times.ts';
import type { JobCatalog } from '../schedules/job-catalog.ts';
import { catchUpPolicies, overlapPolicies, type Schedule, type ScheduleSpec } from '../schedules/schedule.ts';
import { takeDuration } from './duration-wire.ts';
import { exclusionFieldsWhole } from './exclusion-wire.ts';
import { jobInput, toJobSpec } from './job-wire.ts';
import { notifyFields, toNotify } from './notify-wire.ts';
import { presentDefinition } from './schedule-answer.ts';
import { nameLengthMax, readName } from './schedule-name.ts';
import {
  dstField,
  type Findings,
  timezoneField,
  toTiming,
  triggerFields,
  windowFields,
} from './trigger-wire.ts';
import { checkPart, readOnlyFields } from './zod-validation.ts';

const dayMs = 86_400_000;
const catchUpWindowDefault = '24h';
const labelsMax = 32;
const labelKeyLengthMax = 63;
const labelValueLengthMax = 255;

export const nameField = z
  .string()
  .transform((text, context) => {
    const read = readName(text);
    if ('name' in read) return read.name;
    context.issues.push({ code: 'custom', message: read.reason, input: text });
    return z.NEVER;
  })
  .meta({
    description: 'Unique. Letters and digits of any script, `.`, `_` and `-`.',
    minLength: 1,
    maxLength: nameLengthMax,
    examples: ['daily-backup'],
  });

const labelsField = z
  .record(z.string(), z.string().max(labelValueLengthMax))
  .superRefine((labels, context) => {
    const keys = Object.keys(labels);
    if (keys.length > labelsMax)
      context.addIssue({ code: 'custom', message: `must have at most ${labelsMax} pairs` });
    for (const key of keys) {
      if (key === '' || key.includes(':') || [...key].length > labelKeyLengthMax) {
        const message = `must have a key of 1 to ${labelKeyLengthMax} characters without ":"`;
        context.addIssue({ code: 'custom', path: [key], message });
      }
    }
  })
  .meta({ description: 'Pairs to find schedules by.', examples: [{ team: 'data' }] });

export const overlapField = z
  .enum(overlapPolicies)
  .meta({ description: 'What a fire does when a run of this schedule is still active.' });

export const jitterField = writtenDurationField({
  minMs: 0,
  maxMs: dayMs,
  description: 'Delays each start by up to this long.',
});

const fields = {
  description: z.string().max(2_000).default(''),
  labels: labelsField.default({}),
  ...triggerFields,
  timezone: timezoneField.default('UTC'),
  dst: dstField.default(DST_DEFAULT),
  ...windowFields,
  maxRuns: z.int().min(1).max(1e9).nullable().default(null).describe('After so many runs it is completed.'),
  ...exclusionFieldsWhole,
  jitter: jitterField.nullable().default(null),
  overlap: overlapField.default('skip').meta({ default: 'skip' }),
  catchUp: z
    .enum(catchUpPolicies)
    .default('latest')
    .describe('What happens to times that passed while Carillon was down.'),
  catchUpWindow: writtenDurationField({
    minMs: 10_000,
    maxMs: durationMsMax,
    description: 'Older times are only missed.',
  })
    .default({ ms: dayMs, text: catchUpWindowDefault })
    .meta({ default: catchUpWindowDefault }),
  pauseAfterFailures: z
    .int()
    .min(1)
    .max(1e6)
    .nullable()
    .default(null)
    .describe('So many failed runs in a row pause it.'),
  deleteAfterCompletion: writtenDurationField({
    minMs: 0,
    maxMs: durationMsMax,
    description: 'So long after it is completed it is deleted; its runs stay in the history.',
  })
    .nullable()
    .default(null),
  ...notifyFields,
  job: jobInput,
};

/** What Carillon itself keeps of a schedule. */
const readOnly = {
  names: [
    'id',
    'status',
    'note',
    'pauses',
    'version',
    'createdAt',
    'updatedAt',
    'nextRunAt',
    'upcoming',
    'lastRun',
    'runningRuns',
    'activeRuns',
    'heldRuns',
    'counts',
    'fault',
  ],
};

const exampleJob = { type: 'task', input: { url: 'http://127.0.0.1:3000/healthz' } };

export const scheduleInput = z
  .strictObject({ name: nameField, ...fields })
  .register(readOnlyFields, readOnly)
  .meta({
    id: 'ScheduleDefinition',
    description: 'What to run and when: exactly one of `cron`, `every`, `at` and `delay`, and a job.',
    examples: [{ name: 'ping', every: '5s', job: exampleJob }],
  });

/** PUT: the path has the name. */
export const replacementInput = z
  .strictObject({ name: nameField.optional(), ...fields })
  .register(readOnlyFields, readOnly)
  .meta({
    id: 'ScheduleReplacement',
    description: "As ScheduleDefinition; the name is the path's.",
    examples: [{ cron: '0 2 * * *', timezone: 'Europe/Berlin', labels: { team: 'data' }, job: exampleJob }],
  });

export type ScheduleInput = z.output<typeof scheduleInput>;

/** DomainError `invalid` with all that the fields' own rules could not see. */
export function toSpec(input: ScheduleInput, catalog: JobCatalog): ScheduleSpec {
  const findings: Findings = { issues: [], written: {} };
  const { issues, written } = findings;
  const { timezone, dst } = input;
  const timing = toTiming(input, { timezone, dst }, input.name, findings);
  const job = toJobSpec(input.job, catalog, findings);
  const notify = toNotify(input, input.jitter?.ms ?? null, findings);
  if (timing === null || job === null || issues.length > 0) throw invalidAll(issues);
  const spec: ScheduleSpec = {
    name: input.name,
    description: input.description,
    labels: input.labels,
    timing,
    timezone,
    dst,
    maxRuns: input.maxRuns,
    jitterMs: input.jitter && takeDuration(input.jitter, '/jitter', written),
    overlap: input.overlap,
    catchUp: input.catchUp,
    catchUpWindowMs: takeDuration(input.catchUpWindow, '/catchUpWindow', written),
    pauseAfterFailures: input.pauseAfterFailures,
    deleteAfterMs:
      input.deleteAfterCompletion &&
      takeDuration(input.deleteAfterCompletion, '/deleteAfterCompletion', written),
    ...notify,
    job,
  };
  return Object.keys(written).length === 0 ? spec : { ...spec, written };
}

/** The spec after a merge patch (RFC 7396), which is checked as a whole, as if it had been posted. */
export function patchedSpec(current: Schedule, patch: unknown, catalog: JobCatalog): ScheduleSpec {
  const merged = applyMergePatch(presentDefinition(current.spec), patch);
  return toSpec(checkPart(scheduleInput, merged, 'body'), catalog);
}
