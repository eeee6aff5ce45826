/** Schedules as the house knows them → schedules on the wire. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { onExcludedPolicies } from '../schedules/allowed-times.ts';
import {
  catchUpPolicies,
  overlapPolicies,
  type Pause,
  type ScheduleSpec,
  type ScheduleView,
  scheduleStatuses,
} from '../schedules/schedule.ts';
import { presentDuration } from './duration-wire.ts';
import { presentExclusions } from './exclusion-wire.ts';
import { presentInstant } from './instant-wire.ts';
import { jobAnswer, presentJob } from './job-wire.ts';
import { notifyAnswer, presentNotify } from './notify-wire.ts';
import { presentRun, runAnswer } from './run-wire.ts';
import { presentTrigger } from './trigger-wire.ts';

const time = z.string().meta({ format: 'date-time' });
const count = z.int().min(0);

export const pausesAnswer = z
  .array(
    z.object({
      labels: z
        .array(z.string())
        .nullable()
        .describe('The group that was paused; null for a pause of the schedule itself.'),
      since: time,
      actor: z.string().describe('By whom.'),
      note: z.string().nullable(),
    }),
  )
  .describe('The pauses in force, oldest first; it is active again when all are lifted.');

export const scheduleAnswer = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    name: z.string(),
    description: z.string(),
    labels: z.record(z.string(), z.string()),
    cron: z.union([z.string(), z.array(z.string())]).optional(),
    every: z.string().optional(),
    offset: z.string().optional(),
    at: z.union([time, z.array(time)]).optional(),
    delay: z.string().optional(),
    timezone: z.string(),
    dst: z.object({ gap: z.enum(['run', 'skip']), repeat: z.enum(['auto', 'first', 'both', 'last']) }),
    startAt: time.nullable(),
    endAt: time.nullable(),
    maxRuns: z.int().nullable(),
    exclude: z.array(z.string()),
    only: z.array(z.string()),
    onExcluded: z.enum(onExcludedPolicies),
    jitter: z.string().nullable(),
    overlap: z.enum(overlapPolicies),
    catchUp: z.enum(catchUpPolicies),
    catchUpWindow: z.string(),
    pauseAfterFailures: z.int().nullable(),
    deleteAfterCompletion: z.string().nullable(),
    notify: notifyAnswer,
    lateAfter: z.string().nullable(),
    job: jobAnswer,
    status: z.enum(scheduleStatuses),
    note: z.string().nullable().describe('Why it is paused or stopped.'),
    pauses: pausesAnswer,
    version: z.int().describe('Grows by one with each change; also the `ETag`.'),
    createdAt: time,
    updatedAt: time,
    nextRunAt: time.nullable().describe('The next nominal time; null when nothing will fire.'),
    upcoming: z.array(time).describe('The next five nominal times.'),
    lastRun: runAnswer.nullable().describe('The run that ended last.'),
    runningRuns: z.array(runAnswer).describe('Queued, running and retrying runs, newest first, at most 20.'),
    activeRuns: count.describe('How many runs are queued, running or retrying, without those that are held.'),
    heldRuns: count.describe('How many runs wait in the queue until the active ones have ended (`overlap`).'),
    counts: z.object({ fired: count, succeeded: count, failed: count, skipped: count, missed: count }),
    fault: z.string().nullable().describe('Why its next time could not be computed; null when all is well.'),
  })
  .meta({ id: 'Schedule', description: 'A schedule with its state.' });

export type ScheduleAnswer = z.output<typeof scheduleAnswer>;

/** What can be written of a schedule, in the form in which it is written. */
export function presentDefinition(spec: ScheduleSpec) {
  return {
    name: spec.name,
    description: spec.description,
    labels: spec.labels,
    ...presentTrigger(spec.timing.trigger, spec.written),
    timezone: spec.timezone,
    dst: spec.dst,
    startAt: presentInstant(spec.timing.startAtMs),
    endAt: presentInstant(spec.timing.endAtMs),
    maxRuns: spec.maxRuns,
    ...presentExclusions(spec.timing),
    jitter: spec.jitterMs === null ? null : presentDuration(spec.jitterMs, '/jitter', spec.written),
    overlap: spec.overlap,
    catchUp: spec.catchUp,
    catchUpWindow: presentDuration(spec.catchUpWindowMs, '/catchUpWindow', spec.written),
    pauseAfterFailures: spec.pauseAfterFailures,
    deleteAfterCompletion:
      spec.deleteAfterMs === null
        ? null
        : presentDuration(spec.deleteAfterMs, '/deleteAfterCompletion', spec.written),
    notify: presentNotify(spec.notify),
    lateAfter:
      spec.lateAfterMs === undefined ? null : presentDuration(spec.lateAfterMs, '/lateAfter', spec.written),
    job: presentJob(spec.job, spec.written),
  };
}

export function presentPauses(pauses: readonly Pause[]): z.output<typeof pausesAnswer> {
  return pauses.map(({ labels, sinceMs, actor, note }) => ({
    labels: labels === null ? null : [...labels],
    since: toIso(sinceMs),
    actor,
    note,
  }));
}

export function presentSchedule(view: ScheduleView): ScheduleAnswer {
  return {
    id: view.id,
    ...presentDefinition(view.spec),
    status: view.status,
    note: view.note,
    pauses: presentPauses(view.pauses),
    version: view.version,
    createdAt: toIso(view.createdAtMs),
    updatedAt: toIso(view.updatedAtMs),
    nextRunAt: presentInstant(view.nextRunAtMs),
    upcoming: view.upcomingMs.map(toIso),
    lastRun: view.lastRun && presentRun(view.lastRun),
    runningRuns: view.runningRuns.map(presentRun),
    activeRuns: view.activeRuns,
    heldRuns: view.held.all,
    counts: view.counts,
    fault: view.fault,
  };
}
