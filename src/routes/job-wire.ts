/** A schedule's job on the wire: what is left out comes from its job type. */
import { z } from 'zod';
import { formatDuration, writtenDurationField } from '../duration.ts';
import type { RetryPolicy } from '../runs/retry-policy.ts';
import type { JobCatalog, JobTypeInfo } from '../schedules/job-catalog.ts';
import type { JobSpec, ScheduleSpec } from '../schedules/schedule.ts';
import { checkWithoutValues } from '../secrets/secret-references.ts';
import { presentDuration, takeDuration } from './duration-wire.ts';
import type { Findings } from './trigger-wire.ts';

const dayMs = 86_400_000;
const intervalMsMax = 30 * dayMs;

export const taskQueuePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

const retryInput = z
  .strictObject({
    maxAttempts: z.int().min(1).max(1_000).describe('Tries in all, the first included.'),
    initialInterval: writtenDurationField({
      minMs: 0,
      maxMs: intervalMsMax,
      description: 'Before the first retry.',
    }),
    maxInterval: writtenDurationField({
      minMs: 0,
      maxMs: intervalMsMax,
      description: 'The longest wait between tries.',
    }),
    backoffCoefficient: z.number().min(1).max(100).describe('Each wait is this many times the one before.'),
    nonRetryableErrorTypes: z
      .array(z.string().min(1).max(128))
      .max(50)
      .describe('Error types that are not tried again.'),
  })
  .partial();

export const jobInput = z
  .strictObject({
    type: z.string().min(1).describe('One of GET /job-types.'),
    input: z.unknown().optional().describe('What the job type needs; kept as given. Default: `{}`.'),
    taskQueue: z
      .string()
      .regex(
        taskQueuePattern,
        'must be 1 to 63 letters, digits, ".", "_" or "-", beginning with a letter or digit',
      )
      .optional()
      .describe("Where its runs wait. Default: the job type's."),
    timeout: writtenDurationField({
      minMs: 1_000,
      maxMs: 7 * dayMs,
      description: 'For each attempt.',
    }).optional(),
    retry: retryInput.optional().describe('What is left out is as the job type has it.'),
  })
  .meta({ id: 'Job', description: 'What to run.' });

/** The job that the fields describe. What is wrong goes into `findings.issues`, and then the answer is null. */
export function toJobSpec(
  job: z.output<typeof jobInput>,
  catalog: JobCatalog,
  findings: Findings,
): JobSpec | null {
  const { issues, written } = findings;
  const before = issues.length;
  const info = catalog.find(job.type);
  if (info === undefined) {
    const known = catalog
      .list()
      .map((item) => item.type)
      .join(', ');
    issues.push({
      pointer: '/job/type',
      detail: `\`job.type\`: there is no job type ${JSON.stringify(job.type.slice(0, 100))}. Known are: ${known}.`,
    });
    return null;
  }
  const input = job.input === undefined ? {} : job.input;
  for (const issue of checkWithoutValues(input, (filled) => catalog.check(job.type, filled))) {
    issues.push({ pointer: `/job/input${issue.pointer}`, detail: issue.detail });
  }
  const retry = toRetry(job.retry ?? {}, info, findings);
  if (issues.length > before) return null;
  return {
    type: job.type,
    input,
    taskQueue: job.taskQueue ?? info.taskQueue,
    timeoutMs:
      job.timeout === undefined ? info.timeoutMs : takeDuration(job.timeout, '/job/timeout', written),
    retry,
  };
}

function toRetry(
  given: z.output<typeof retryInput>,
  info: JobTypeInfo,
  { issues, written }: Findings,
): RetryPolicy {
  const { initialInterval, maxInterval } = given;
  const initialIntervalMs =
    initialInterval === undefined
      ? info.retry.initialIntervalMs
      : takeDuration(initialInterval, '/job/retry/initialInterval', written);
  // A longer first wait than the type's longest is no contradiction unless the caller gave both.
  const maxIntervalMs =
    maxInterval === undefined
      ? Math.max(info.retry.maxIntervalMs, initialIntervalMs)
      : takeDuration(maxInterval, '/job/retry/maxInterval', written);
  if (maxIntervalMs < initialIntervalMs) {
    issues.push({
      pointer: '/job/retry/maxInterval',
      detail: `\`job.retry.maxInterval\` must not be shorter than \`initialInterval\` (${initialInterval?.text ?? formatDuration(initialIntervalMs)}).`,
    });
  }
  return {
    maxAttempts: given.maxAttempts ?? info.retry.maxAttempts,
    initialIntervalMs,
    maxIntervalMs,
    backoffCoefficient: given.backoffCoefficient ?? info.retry.backoffCoefficient,
    nonRetryableErrorTypes: given.nonRetryableErrorTypes ?? info.retry.nonRetryableErrorTypes,
  };
}

export const retryAnswer = z.object({
  maxAttempts: z.int(),
  initialInterval: z.string(),
  maxInterval: z.string(),
  backoffCoefficient: z.number(),
  nonRetryableErrorTypes: z.array(z.string()),
});

export const jobAnswer = z.object({
  type: z.string(),
  input: z.unknown(),
  taskQueue: z.string(),
  timeout: z.string(),
  retry: retryAnswer,
});

export function presentJob(job: JobSpec, written?: ScheduleSpec['written']): z.output<typeof jobAnswer> {
  return {
    type: job.type,
    input: job.input,
    taskQueue: job.taskQueue,
    timeout: presentDuration(job.timeoutMs, '/job/timeout', written),
    retry: presentRetry(job.retry, written),
  };
}

export function presentRetry(
  retry: RetryPolicy,
  written?: ScheduleSpec['written'],
): z.output<typeof retryAnswer> {
  return {
    maxAttempts: retry.maxAttempts,
    initialInterval: presentDuration(retry.initialIntervalMs, '/job/retry/initialInterval', written),
    maxInterval: presentDuration(retry.maxIntervalMs, '/job/retry/maxInterval', written),
    backoffCoefficient: retry.backoffCoefficient,
    nonRetryableErrorTypes: [...retry.nonRetryableErrorTypes],
  };
}
