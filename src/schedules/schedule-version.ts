/** Versions of schedules: who changed what, and when. Pure types. */
import type { Pause, ScheduleSpec, ScheduleStatus } from './schedule.ts';

export const changeActions = [
  ...(['created', 'updated', 'rescheduled', 'applied', 'rolled_back'] as const),
  ...(['paused', 'resumed', 'stopped'] as const),
  // What Carillon does by itself: no time is left, or a calendar has given it one again.
  ...(['completed', 'reactivated'] as const),
  'deleted' as const,
] as const;
export type ChangeAction = (typeof changeActions)[number];

/** What is told of a change beside what it changes; without a note the schedule's own is kept with it. */
export type Told = { actor: string; action: ChangeAction; note?: string };

/** A schedule as it was from `atMs` on. */
export type ScheduleVersion = {
  scheduleId: string;
  version: number;
  atMs: number;
  actor: string;
  action: ChangeAction;
  note: string | null;
  /** For a deletion these three are what was deleted. */
  status: ScheduleStatus;
  pauses: readonly Pause[];
  spec: ScheduleSpec;
};
