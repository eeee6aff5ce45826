/**
 * Commands for all schedules that have certain labels. They are done some at a time, in the order of their ids, each
 * batch a transaction, so that no lock is held for long.
 *
 * Killed, or refused in the middle: the batches before are done, the others are not. To ask again finishes it, since what
 * is done already is left as it is.
 */
import type { Tx } from '../db/client.ts';
import { listLabelled, lockSchedules, type StoredSchedule } from '../db/schedule-store.ts';
import { DomainError } from '../errors.ts';
import { type Changed, type Deed, pauseSchedule, resumeSchedule, stopSchedule } from './commands.ts';
import { settled } from './hold.ts';
import { hasLabels, isHeldBy, labelsOf, type Selector } from './pauses.ts';
import { anyone, type Caller } from './precondition.ts';
import type { CatchUpPolicy, ScheduleStatus } from './schedule.ts';
import type { ScheduleServiceParts } from './schedule-service.ts';

export type GroupMember = { id: string; name: string; status: ScheduleStatus };

/** Counts are of all; the lists have the first of them, at most `membersToldMax` each. */
export type GroupOutcome = {
  matched: number;
  changed: { count: number; items: GroupMember[] };
  /** They were so already, or have ended. */
  unchanged: { count: number; items: GroupMember[] };
  /** Those that could not be changed, and why. */
  refused: { count: number; items: (GroupMember & { detail: string })[] };
};

/** The selector must name at least one label. */
export interface GroupService {
  /** What has ended is left alone. */
  pause(selector: Selector, options: { note: string | null }, caller?: Caller): Promise<GroupOutcome>;
  /** Lifts the pause of this very group, also from those whose labels have changed since, and no other pause. */
  resume(selector: Selector, options: { catchUp: CatchUpPolicy }, caller?: Caller): Promise<GroupOutcome>;
  stop(selector: Selector, options: { note: string | null }, caller?: Caller): Promise<GroupOutcome>;
}

export const membersToldMax = 200;
/** Schedules whose rows one transaction holds. */
const batchMax = 100;
/** Ids that are looked up at once. */
const idsMax = 10_000;

type Act = (tx: Tx, schedule: StoredSchedule, deed: Deed) => Promise<Changed>;

export function createGroupService(parts: ScheduleServiceParts): GroupService {
  const { db, onChange } = parts;

  async function each(
    selector: Selector,
    options: {
      actor: string;
      belongs(schedule: StoredSchedule): boolean;
      /** Whether there is anything to do; what has not is not even settled. */
      wants(schedule: StoredSchedule): boolean;
      /** Also those that a pause of this group holds. */
      held: boolean;
      /** Whether it may be refused when it has written something already. */
      mayBreakOff: boolean;
      act: Act;
    },
  ): Promise<GroupOutcome> {
    const outcome: GroupOutcome = {
      matched: 0,
      changed: { count: 0, items: [] },
      unchanged: { count: 0, items: [] },
      refused: { count: 0, items: [] },
    };
    const found = { paused: options.held ? selector : null, limit: idsMax };
    for (let afterId: string | null = null; ; ) {
      const ids = await listLabelled(db, labelsOf(selector), { ...found, afterId });
      for (let from = 0; from < ids.length; from += batchMax) {
        const batch = await db.transaction((tx) => actOn(tx, ids.slice(from, from + batchMax), options));
        for (const each of batch) tellOf(outcome, each);
        onChange();
      }
      if (ids.length < idsMax) return outcome;
      afterId = ids.at(-1)!;
    }
  }

  type Told = { kind: 'changed' | 'unchanged' | 'refused'; member: GroupMember; detail: string };

  async function actOn(
    tx: Tx,
    ids: readonly string[],
    { actor, belongs, wants, act, mayBreakOff }: Parameters<typeof each>[1],
  ): Promise<Told[]> {
    // A savepoint: what is refused half-way keeps nothing of it, and the others go on.
    const undoable = (tx: Tx, work: (inner: Tx) => Promise<void>) =>
      mayBreakOff ? tx.transaction(work) : work(tx);
    const told: Told[] = [];
    for (const found of await lockSchedules(tx, ids)) {
      // Its labels may have changed since they were looked for.
      if (!belongs(found)) continue;
      const { id, spec, status } = found;
      const tell = (kind: Told['kind'], now: ScheduleStatus, detail = '') =>
        told.push({ kind, member: { id, name: spec.name, status: now }, detail });
      if (!wants(found)) {
        tell('unchanged', status);
        continue;
      }
      try {
        await undoable(tx, async (inner) => {
          const { schedule, deed } = await settled(inner, parts, found, actor);
          // What was due may have been its last fire.
          const changed = wants(schedule) ? await act(inner, schedule, deed) : null;
          tell(changed === null ? 'unchanged' : 'changed', changed ?? schedule.status);
        });
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        tell('refused', status, error.message);
      }
    }
    return told;
  }

  return {
    pause: (labels, { note }, { actor } = anyone) =>
      each(labels, {
        actor,
        held: false,
        mayBreakOff: false,
        belongs: ({ spec }) => hasLabels(spec.labels, labels),
        wants: (schedule) => !hasEnded(schedule) && (note !== null || !isHeldBy(schedule.pauses, labels)),
        act: (tx, schedule, deed) => pauseSchedule(tx, schedule, { labels, note }, deed),
      }),

    resume: (labels, { catchUp }, { actor } = anyone) =>
      each(labels, {
        actor,
        held: true,
        mayBreakOff: catchUp !== 'none',
        belongs: ({ spec, pauses }) => hasLabels(spec.labels, labels) || isHeldBy(pauses, labels),
        wants: ({ pauses }) => isHeldBy(pauses, labels),
        act: (tx, schedule, deed) => resumeSchedule(tx, schedule, { lifted: labels, catchUp }, deed),
      }),

    stop: (labels, { note }, { actor } = anyone) =>
      each(labels, {
        actor,
        held: false,
        mayBreakOff: false,
        belongs: ({ spec }) => hasLabels(spec.labels, labels),
        wants: (schedule) => schedule.status !== 'stopped' || (note !== null && note !== schedule.note),
        act: (tx, schedule, deed) => stopSchedule(tx, schedule, { note }, deed),
      }),
  };
}

function hasEnded({ status }: StoredSchedule): boolean {
  return status === 'stopped' || status === 'completed';
}

function tellOf(
  outcome: GroupOutcome,
  {
    kind,
    member,
    detail,
  }: { kind: 'changed' | 'unchanged' | 'refused'; member: GroupMember; detail: string },
): void {
  outcome.matched += 1;
  outcome[kind].count += 1;
  if (outcome[kind].items.length < membersToldMax) outcome[kind].items.push({ ...member, detail });
}
