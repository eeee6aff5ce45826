/**
 * What can be done to one schedule, as functions of a transaction that holds its lock. A single call, a group and a
 * document that is applied all come here, each with transactions of its own. All of what a function does is written by
 * that transaction, or nothing of it.
 *
 * Each answers the schedule's status if it changed the schedule, or null where that was so already: then there is no new
 * version either.
 */
import { isDeepStrictEqual } from 'node:util';
import { linkCalendars } from '../db/calendar-store.ts';
import type { Db, Tx } from '../db/client.ts';
import { setLateAfter } from '../db/lateness-store.ts';
import { tellPaused } from '../db/notify-event-store.ts';
import { releaseHeld } from '../db/overlap-store.ts';
import { withdrawWaiting } from '../db/run-end-store.ts';
import { lockActiveRuns, signalRunning } from '../db/run-store.ts';
import { resetFailures, setNext, setWatch } from '../db/schedule-state-store.ts';
import { deleteSchedule, insertSchedule, type StoredSchedule, updateSchedule } from '../db/schedule-store.ts';
import { messageOf } from '../errors.ts';
import { newId } from '../runs/run-id.ts';
import type { RunSignal } from '../runs/run-state.ts';
import { namedCalendars } from './calendar-book.ts';
import { computed, type DefinitionChecks, noTime, secretsNamed } from './definition-checks.ts';
import { kindsOf } from './notify.ts';
import { noteOf, type Selector, withoutPause, withPause } from './pauses.ts';
import type { CatchUpPolicy, Schedule, ScheduleSpec, ScheduleStatus } from './schedule.ts';
import {
  firstTime,
  haveSameTimes,
  type NextTime,
  nextTime,
  roomForRuns,
  statusAfter,
  timeFromNow,
} from './schedule-next.ts';
import { completedIsOver, nameTaken, notComputable, stoppedIsFinal } from './schedule-refusals.ts';
import type { Told } from './schedule-version.ts';
import { catchUpPause, dropPending, type Moment } from './settle.ts';
import { type Calendars, noCalendars } from './trigger.ts';

/** When it happens, and who does it. */
export type Deed = Moment & { actor: string };
export type Changed = ScheduleStatus | null;

type Creation = { spec: ScheduleSpec } & Pick<Deed, 'nowMs' | 'actor'>;

/** The schedule as it is stored, or `name_taken`. */
export async function createSchedule(
  tx: Tx,
  checks: DefinitionChecks,
  creation: Creation,
): Promise<StoredSchedule | 'name_taken'> {
  const { spec } = creation;
  await checks.job(tx, spec);
  await checks.notify(tx, spec);
  const calendars = await checks.calendars(tx, spec);
  const created = await store(tx, creation, calendars);
  if (created === 'name_taken') return created;
  const { id } = created;
  if (calendars.size > 0) await linkCalendars(tx, id, namedCalendars(spec.timing));
  if (secretsNamed(spec).length > 0) await checks.link(tx, id, spec);
  const watch = watchOf(spec);
  if (watch.notifyOn !== null || watch.lateAfterMs !== null) await setWatch(tx, id, watch);
  return created;
}

/** It names nothing that must stay as it is until it is stored, and there is nothing to be written beside it. */
export function standsAlone(spec: ScheduleSpec): boolean {
  return (
    spec.timing.exclusions === undefined &&
    spec.notify === undefined &&
    spec.lateAfterMs === undefined &&
    secretsNamed(spec).length === 0
  );
}

/** Of one that `standsAlone`: a single statement, which is a transaction by itself. */
export async function createLoneSchedule(
  db: Db,
  checks: DefinitionChecks,
  creation: Creation,
): Promise<StoredSchedule | 'name_taken'> {
  await checks.job(db, creation.spec);
  return await store(db, creation, noCalendars);
}

async function store(
  db: Db | Tx,
  { spec, nowMs, actor }: Creation,
  calendars: Calendars,
): Promise<StoredSchedule | 'name_taken'> {
  const id = newId(nowMs);
  const next = computed(spec, () => firstTime(id, spec, nowMs, calendars));
  if (next === null) throw noTime(spec, nowMs);
  const told = { actor, action: 'created' } as const;
  return (await insertSchedule(db, { id, spec, atMs: nowMs, next: known(next) }, told)) ?? 'name_taken';
}

/** Gives it this definition. `as`: what kind of change it is told as. */
export async function replaceSchedule(
  tx: Tx,
  checks: DefinitionChecks,
  schedule: StoredSchedule,
  spec: ScheduleSpec,
  as: Omit<Told, 'actor'>,
  deed: Deed,
): Promise<Changed> {
  const { nowMs, actor } = deed;
  await checks.job(tx, spec);
  await checks.notify(tx, spec);
  if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
  // Schedules as code are put again and again; only what differs is a change.
  if (isDeepStrictEqual(schedule.spec, spec)) return null;
  const retimed = !haveSameTimes(schedule.spec, spec);
  const calendars = await checks.calendars(tx, spec);
  const next = computed(spec, () => nextTime(schedule, spec, retimed, nowMs, calendars));
  // What was true when it was stored need not be so now; only a new timing must still have a time to come.
  if (retimed && next === null) throw noTime(spec, nowMs);
  const status = statusAfter(schedule, spec, next !== null);
  if (retimed) {
    await dropPending(tx, schedule, 'rescheduled', deed);
    const fresh = { reason: 'rescheduled', retrying: false, fresh: true };
    await withdrawWaiting(tx, schedule.id, { ...fresh, nowMs, served: deed.served });
  }
  // What a resume may catch up are the times of this timing, and it had none before.
  const pausedAtMs = retimed && status === 'paused' ? { pausedAtMs: nowMs } : {};
  const change = { spec, status, ...pausedAtMs };
  const stored = await updateSchedule(tx, schedule.id, change, nowMs, { actor, ...as });
  if (stored === 'name_taken') throw nameTaken(spec.name, 'active');
  if (schedule.spec.timing.exclusions !== undefined || spec.timing.exclusions !== undefined) {
    await linkCalendars(tx, schedule.id, namedCalendars(spec.timing));
  }
  if (!isDeepStrictEqual(secretsNamed(schedule.spec), secretsNamed(spec))) {
    await checks.link(tx, schedule.id, spec);
  }
  if (schedule.spec.lateAfterMs !== spec.lateAfterMs) {
    await setLateAfter(tx, schedule.id, spec.lateAfterMs ?? null);
  }
  if (!isDeepStrictEqual(watchOf(schedule.spec), watchOf(spec))) {
    await setWatch(tx, schedule.id, watchOf(spec));
  }
  await setNext(tx, schedule.id, status === 'active' ? known(next) : null);
  if (spec.overlap === 'allow' && schedule.held.all > 0) await releaseHeld(tx, schedule.id, deed.served);
  return status;
}

/** `labels`: of the group that is paused; null for the schedule itself. */
export async function pauseSchedule(
  tx: Tx,
  schedule: StoredSchedule,
  { labels, note }: { labels: Selector | null; note: string | null },
  deed: Deed,
): Promise<Changed> {
  const { nowMs, actor } = deed;
  if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
  if (schedule.status === 'completed') throw completedIsOver(schedule, 'paused');
  const pauses = withPause(schedule.pauses, { labels, sinceMs: Math.floor(nowMs), actor, note });
  if (pauses === null) return null;
  const told = { actor, action: 'paused' } as const;
  if (schedule.status === 'paused') {
    await updateSchedule(tx, schedule.id, { pauses, note: noteOf(pauses) }, nowMs, told);
    return 'paused';
  }
  await dropPending(tx, schedule, 'paused', deed);
  const change = { status: 'paused', pauses, note: noteOf(pauses), pausedAtMs: nowMs } as const;
  await updateSchedule(tx, schedule.id, change, nowMs, told);
  await tellPaused(tx, schedule.id, { key: newId(nowMs), note: change.note, atMs: nowMs });
  await setNext(tx, schedule.id, null);
  return 'paused';
}

/** `lifted`: the pause of a group, or all. Only when none is left it fires again. */
export async function resumeSchedule(
  tx: Tx,
  schedule: StoredSchedule,
  { lifted, catchUp }: { lifted: Selector | 'all'; catchUp: CatchUpPolicy },
  deed: Deed,
): Promise<Changed> {
  const { nowMs, actor } = deed;
  if (schedule.status === 'stopped') throw stoppedIsFinal(schedule);
  if (schedule.status === 'completed') throw completedIsOver(schedule, 'resumed');
  const pauses = withoutPause(schedule.pauses, lifted);
  if (pauses === null) return null;
  const told = { actor, action: 'resumed' } as const;
  if (pauses.length > 0) {
    await updateSchedule(tx, schedule.id, { pauses, note: noteOf(pauses) }, nowMs, told);
    return 'paused';
  }
  // No dispatcher has looked at it during the pause: what cannot be computed is found here.
  const first = firstTimeOrRefusal(schedule, deed);
  const caught = catchUp === 'none' ? schedule : await catchUpPause(tx, schedule, catchUp, deed);
  const next = roomForRuns(caught, schedule.spec) ? first : null;
  const status = next === null ? 'completed' : 'active';
  await updateSchedule(tx, schedule.id, { status, pauses, note: null, pausedAtMs: null }, nowMs, told);
  await resetFailures(tx, schedule.id);
  await setNext(tx, schedule.id, known(next));
  return status;
}

export async function stopSchedule(
  tx: Tx,
  schedule: StoredSchedule,
  { note }: { note: string | null },
  deed: Deed,
): Promise<Changed> {
  const { nowMs, actor } = deed;
  const told = { actor, action: 'stopped' } as const;
  if (schedule.status === 'stopped') {
    if (note === null || note === schedule.note) return null;
    await updateSchedule(tx, schedule.id, { note }, nowMs, told);
    return 'stopped';
  }
  await dropPending(tx, schedule, 'stopped', deed);
  const change = { status: 'stopped', pauses: [], note, pausedAtMs: null } as const;
  await updateSchedule(tx, schedule.id, change, nowMs, told);
  await setNext(tx, schedule.id, null);
  await endOrTell(tx, schedule.id, 'stopped', 'stop', deed);
  return 'stopped';
}

/** Its unstarted runs are cancelled, running ones are told to cancel; runs and versions stay. */
export async function removeSchedule(
  tx: Tx,
  schedule: StoredSchedule,
  deed: Deed,
  note?: string,
): Promise<void> {
  const { nowMs, actor } = deed;
  await dropPending(tx, schedule, 'schedule_deleted', deed);
  await endOrTell(tx, schedule.id, 'schedule_deleted', 'cancel', deed);
  await deleteSchedule(tx, schedule.id, { actor, ...(note !== undefined && { note }) }, nowMs);
}

/** Ends the runs that wait, and tells those that run. None slips through between the two. */
async function endOrTell(
  tx: Tx,
  id: string,
  reason: string,
  signal: RunSignal,
  { nowMs, served }: Moment,
): Promise<void> {
  await lockActiveRuns(tx, id);
  await withdrawWaiting(tx, id, { reason, retrying: true, fresh: false, nowMs, served });
  await signalRunning(tx, id, signal, reason);
}

/** What the hot row has of it. */
function watchOf(spec: ScheduleSpec) {
  return { notifyOn: kindsOf(spec.notify), lateAfterMs: spec.lateAfterMs ?? null };
}

/** What is stored of a next time. */
function known(next: NextTime): { atMs: number; dueAtMs: number } | null {
  return next === 'awaits_end' ? null : next;
}

function firstTimeOrRefusal(schedule: Schedule, { nowMs, calendars }: Moment): NextTime {
  try {
    return timeFromNow(schedule, schedule.spec, nowMs, calendars);
  } catch (error) {
    throw notComputable(schedule, messageOf(error));
  }
}
