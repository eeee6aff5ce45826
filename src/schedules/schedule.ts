/** A schedule as the house knows it. Times are epoch milliseconds, durations milliseconds. Pure types. */
import type { RetryPolicy } from '../runs/retry-policy.ts';
import type { Run } from '../runs/run.ts';
import type { OnExcluded } from './allowed-times.ts';
import type { DstPolicy } from './cron-times.ts';
import type { Notify } from './notify.ts';

/** The "when". Instants and fires are whole milliseconds since the Unix epoch. */
export type Trigger =
  /** The union of the expressions; a nominal time that they share fires once. */
  | { kind: 'cron'; expressions: readonly string[]; timezone: string; dst: DstPolicy }
  /** Every `everyMs` elapsed milliseconds from the epoch plus `offsetMs`. */
  | { kind: 'every'; everyMs: number; offsetMs: number }
  /** These instants, sorted, without repeats. */
  | { kind: 'at'; atMs: readonly number[] }
  /** `delayMs` after the end of the last run; the first fires at once. */
  | { kind: 'delay'; delayMs: number };

/** What a schedule leaves out or keeps to, as texts that `parseExclusion` reads. */
export type Exclusions = {
  exclude: readonly string[];
  only: readonly string[];
  onExcluded: OnExcluded;
  /** The clock on which dates and cron expressions of the lists are. */
  timezone: string;
};

/** A trigger and the window (both ends included) in which its times count. */
export type Timing = {
  trigger: Trigger;
  startAtMs: number | null;
  endAtMs: number | null;
  /** Absent when nothing is left out and nothing is said of it. */
  exclusions?: Exclusions;
};

export const overlapPolicies = ['skip', 'queue_one', 'queue_all', 'cancel_running', 'allow'] as const;
export type OverlapPolicy = (typeof overlapPolicies)[number];

export const catchUpPolicies = ['none', 'latest', 'all'] as const;
export type CatchUpPolicy = (typeof catchUpPolicies)[number];

export const scheduleStatuses = ['active', 'paused', 'stopped', 'completed'] as const;
export type ScheduleStatus = (typeof scheduleStatuses)[number];

/**
 * One reason why a schedule is paused; it is active again when all are lifted. `labels`: the selector of the group that
 * was paused, sorted, each as `key:value`; null for a pause of the schedule itself.
 */
export type Pause = {
  labels: readonly string[] | null;
  sinceMs: number;
  actor: string;
  note: string | null;
};

export type JobSpec = {
  type: string;
  input: unknown;
  taskQueue: string;
  timeoutMs: number;
  retry: RetryPolicy;
};

/** What a caller says of a schedule: everything but what Carillon itself keeps. */
export type ScheduleSpec = {
  name: string;
  description: string;
  labels: Readonly<Record<string, string>>;
  timing: Timing;
  /** Kept for `every` and `at` too, where only descriptions and local times use it. */
  timezone: string;
  dst: DstPolicy;
  maxRuns: number | null;
  jitterMs: number | null;
  overlap: OverlapPolicy;
  catchUp: CatchUpPolicy;
  catchUpWindowMs: number;
  pauseAfterFailures: number | null;
  /** So long after its completion it is deleted; null: it stays. */
  deleteAfterMs: number | null;
  /** Absent when nobody is told. */
  notify?: readonly Notify[];
  /** A run that has not started so long after its nominal time is missed; absent when nobody looks. */
  lateAfterMs?: number;
  job: JobSpec;
  /**
   * How the caller wrote durations, by JSON Pointer into the wire format (`/job/timeout` → `90s`), where that differs
   * from the canonical form. Only for telling them again; absent when there is none.
   */
  written?: Readonly<Record<string, string>>;
};

/** `backfills` are those of all that a backfill made: they go last and are in nobody's way. */
export type HeldRuns = { all: number; backfills: number };

export type ScheduleCounts = {
  fired: number;
  succeeded: number;
  failed: number;
  skipped: number;
  missed: number;
};

export type Schedule = {
  id: string;
  spec: ScheduleSpec;
  status: ScheduleStatus;
  note: string | null;
  /** Grows by one with each change of the schedule. */
  version: number;
  createdAtMs: number;
  updatedAtMs: number;
  /** Since when nothing fires; what a resume may catch up begins here. */
  pausedAtMs: number | null;
  /** The pauses in force, in the order in which they came. */
  pauses: readonly Pause[];
  /** The next nominal time; null when nothing will fire. */
  nextRunAtMs: number | null;
  counts: ScheduleCounts;
  /** Runs that are queued, running or retrying, without those that are held. */
  activeRuns: number;
  /** Runs that wait for the active ones, as the overlap policy has it. */
  held: HeldRuns;
  /** Why its next time could not be computed; null when all is well. */
  fault: string | null;
};

/** A schedule with what a reader wants beside it. */
export type ScheduleView = Schedule & {
  /** The next five nominal times, `nextRunAtMs` first. */
  upcomingMs: number[];
  /** The run that ended last. */
  lastRun: Run | null;
  /** Queued, running and retrying runs, newest first, at most 20. */
  runningRuns: Run[];
};
