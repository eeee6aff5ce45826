/** Runs, their attempts and their log lines on the wire. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import type { Run, RunAttempt, RunDetail, RunLogLine, RunStep } from '../runs/run.ts';
import { attemptStatuses, runCauses, runStatuses, stepStatuses } from '../runs/run-state.ts';
import { presentInstant } from './instant-wire.ts';

const time = z.string().meta({ format: 'date-time' });
const errorAnswer = z.object({ type: z.string(), message: z.string() });

const runFields = {
  id: z.string().meta({ format: 'uuid' }),
  scheduleId: z.string().meta({ format: 'uuid' }),
  scheduleName: z.string(),
  scheduleVersion: z.int().describe('The version of the schedule that it was made from.'),
  jobType: z.string(),
  taskQueue: z.string(),
  cause: z.enum(runCauses),
  backfillId: z.string().nullable().describe('The backfill that asked for it, where one did.'),
  scheduledFor: time.describe('The nominal time: which fire this is. Jitter and lateness do not change it.'),
  dueAt: time.describe('When it may start: the nominal time plus jitter.'),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  durationMs: z.number().nullable().describe('From the start to the end; null until then.'),
  status: z.enum(runStatuses),
  reason: z.string().nullable().describe('Why it ended so, or waits.'),
  attempt: z.int(),
  maxAttempts: z.int(),
  nextAttemptAt: time.nullable(),
  input: z.unknown(),
  output: z.unknown(),
  error: errorAnswer.nullable(),
  missed: z
    .object({ count: z.int(), until: time })
    .nullable()
    .describe(
      'Only on a `missed` or `skipped` entry that stands for many nominal times: how many, and the last of them.',
    ),
};

export const runAnswer = z
  .object(runFields)
  .meta({ id: 'Run', description: "One execution of a schedule's job." });

const attemptAnswer = z.object({
  number: z.int(),
  startedAt: time,
  finishedAt: time.nullable(),
  status: z.enum(attemptStatuses),
  error: errorAnswer.nullable(),
  worker: z.string().nullable().describe('The worker process that made it.'),
});

const stepAnswer = z.object({
  name: z.string(),
  status: z
    .enum([...stepStatuses, 'cancelled', 'timed_out'])
    .describe('`cancelled`, `timed_out`: its run ended so while it went on.'),
  attempts: z.int().describe('Tries, those that were lost with their worker included.'),
  startedAt: time,
  finishedAt: time.nullable(),
  output: z.unknown(),
  error: errorAnswer.nullable(),
});

const progressAnswer = z.object({
  done: z.number(),
  total: z.number().nullable().describe('Null when the job does not know.'),
  unit: z.string(),
  at: time,
});

export const runDetailAnswer = z
  .object({
    ...runFields,
    attempts: z.array(attemptAnswer),
    steps: z.array(stepAnswer),
    progress: progressAnswer.nullable().describe('How far the job says that it is.'),
  })
  .meta({ id: 'RunDetail', description: 'A run with its attempts and steps.' });

export const logLineAnswer = z
  .object({ seq: z.int(), attempt: z.int(), time, level: z.string(), message: z.string() })
  .meta({ id: 'LogLine', description: 'A line that a run wrote.' });

export type RunAnswer = z.output<typeof runAnswer>;

export function presentRun(run: Run): RunAnswer {
  const { startedAtMs, finishedAtMs } = run;
  return {
    id: run.id,
    scheduleId: run.scheduleId,
    scheduleName: run.scheduleName,
    scheduleVersion: run.scheduleVersion,
    jobType: run.jobType,
    taskQueue: run.taskQueue,
    cause: run.cause,
    backfillId: run.backfillId,
    scheduledFor: toIso(run.scheduledForMs),
    dueAt: toIso(run.dueAtMs),
    createdAt: toIso(run.createdAtMs),
    startedAt: presentInstant(startedAtMs),
    finishedAt: presentInstant(finishedAtMs),
    durationMs: startedAtMs === null || finishedAtMs === null ? null : Math.round(finishedAtMs - startedAtMs),
    status: run.status,
    reason: run.reason,
    attempt: run.attempt,
    maxAttempts: run.retry.maxAttempts,
    nextAttemptAt: presentInstant(run.nextAttemptAtMs),
    input: run.input,
    output: run.output ?? null,
    error: run.error,
    missed: run.missed && { count: run.missed.count, until: toIso(run.missed.untilMs) },
  };
}

export function presentRunDetail(run: RunDetail): z.output<typeof runDetailAnswer> {
  const { progress } = run;
  return {
    ...presentRun(run),
    attempts: run.attempts.map(presentAttempt),
    steps: run.steps.map((step) => presentStep(step, run)),
    progress: progress && {
      done: progress.done,
      total: progress.total,
      unit: progress.unit,
      at: toIso(progress.atMs),
    },
  };
}

/** A step that has no end on record when its run has one is over with it: as it failed last, else as its run ended. */
function presentStep(step: RunStep, { status, finishedAtMs }: RunDetail): z.output<typeof stepAnswer> {
  const isCut = step.finishedAtMs === null && finishedAtMs !== null;
  const ended = status === 'timed_out' || status === 'failed' ? status : 'cancelled';
  return {
    name: step.name,
    status: isCut ? (step.error === null ? ended : 'failed') : step.status,
    attempts: step.attempts,
    startedAt: toIso(step.startedAtMs),
    finishedAt: presentInstant(isCut ? finishedAtMs : step.finishedAtMs),
    output: step.output ?? null,
    error: step.error,
  };
}

function presentAttempt(attempt: RunAttempt): z.output<typeof attemptAnswer> {
  return {
    number: attempt.number,
    startedAt: toIso(attempt.startedAtMs),
    finishedAt: presentInstant(attempt.finishedAtMs),
    status: attempt.status,
    // While an attempt runs, its run still tells the error of the one before.
    error: attempt.finishedAtMs === null ? null : attempt.error,
    worker: attempt.worker,
  };
}

export function presentLogLine(line: RunLogLine): z.output<typeof logLineAnswer> {
  return {
    seq: line.seq,
    attempt: line.attempt,
    time: toIso(line.atMs),
    level: line.level,
    message: line.message,
  };
}
