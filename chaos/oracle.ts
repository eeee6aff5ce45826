/**
 * What was due, by an oracle that shares no code with the service: every second of the run is tried against the text of
 * the trigger. Pure.
 *
 * A command took effect somewhere between its sending and its answer, so a second in between may be judged by what was
 * before or by what was after: such times *may* be due, others *must* be or must *not*.
 */
import type { Ack } from './evidence.ts';
import type { PlannedSchedule, PlannedTrigger } from './plan.ts';

type State = { active: boolean; paused: boolean; definition: PlannedSchedule | null };
type Turn = { fromMs: number; untilMs: number; state: State };

export type Verdict = 'must' | 'may' | 'not';

/** One incarnation of a schedule's name, from its creation to its deletion. */
export type Life = {
  id: string;
  name: string;
  definition: PlannedSchedule;
  /** The states that it went through; each turn says between which instants it came to be. */
  turns: readonly Turn[];
  /** Pauses that were ended by a resume with a catch-up. */
  caughtPauses: readonly {
    fromMs: number;
    surelyFromMs: number;
    untilMs: number;
    surelyUntilMs: number;
    catchUp: 'none' | 'latest' | 'all';
    changed: boolean;
  }[];
  /** An answer never came: nothing is known from here on. */
  unknownFromMs: number;
  verdict(atMs: number): Verdict;
  /** Why it must not: for the message. */
  inPause(atMs: number): boolean;
  /** Whether no command was given within this stretch. */
  quietIn(fromMs: number, untilMs: number): boolean;
};

export function livesOf(acks: readonly Ack[], clockMarginMs: number): Map<string, Life> {
  const byId = new Map<string, Ack[]>();
  for (const ack of acks) {
    if (['trigger', 'cancel', 'relabel'].includes(ack.kind)) continue;
    byId.set(ack.scheduleId, [...(byId.get(ack.scheduleId) ?? []), ack]);
  }
  return new Map([...byId].map(([id, own]) => [id, lifeOf(id, own, clockMarginMs)]));
}

function lifeOf(id: string, acks: readonly Ack[], marginMs: number): Life {
  const sorted = acks.toSorted((a, b) => a.sentMs - b.sentMs);
  const turns: Turn[] = [];
  const caughtPauses: Life['caughtPauses'][number][] = [];
  let state: State = { active: false, paused: false, definition: null };
  let pause: { fromMs: number; surelyFromMs: number; changed: boolean } | null = null;
  let unknownFromMs = Number.POSITIVE_INFINITY;
  for (const ack of sorted) {
    const fromMs = ack.sentMs - marginMs;
    if (ack.ackMs === null) {
      unknownFromMs = Math.min(unknownFromMs, fromMs);
      break;
    }
    const untilMs = ack.ackMs + marginMs;
    if (ack.kind === 'create') state = { active: true, paused: false, definition: ack.definition! };
    else if (ack.kind === 'change') {
      state = { ...state, definition: ack.definition! };
      if (pause !== null) pause.changed = true;
    } else if (ack.kind === 'pause') {
      pause ??= { fromMs, surelyFromMs: untilMs, changed: false };
      state = { ...state, active: false, paused: true };
    } else if (ack.kind === 'resume') {
      if (pause !== null) {
        caughtPauses.push({ ...pause, untilMs, surelyUntilMs: fromMs, catchUp: ack.catchUp! });
      }
      pause = null;
      state = { ...state, active: true, paused: false };
    } else if (ack.kind === 'delete') state = { ...state, active: false, paused: false };
    turns.push({ fromMs, untilMs, state });
  }
  const before: State = { active: false, paused: false, definition: null };
  const possible = (atMs: number): State[] => {
    const settled = turns.findLastIndex((turn) => turn.untilMs < atMs);
    const open = turns.slice(settled + 1).filter((turn) => turn.fromMs <= atMs);
    return [settled < 0 ? before : turns[settled]!.state, ...open.map((turn) => turn.state)];
  };
  const names = ({ active, definition }: State, atMs: number) =>
    active && definition !== null && isNamed(definition.trigger, atMs);
  return {
    id,
    name: sorted[0]!.name,
    definition: sorted[0]!.definition!,
    turns,
    caughtPauses,
    unknownFromMs,
    verdict(atMs) {
      if (atMs >= unknownFromMs) return 'may';
      const states = possible(atMs);
      const named = states.filter((each) => names(each, atMs)).length;
      if (named === states.length) return 'must';
      if (named > 0) return 'may';
      const caught = caughtPauses.some(
        (each) => each.catchUp !== 'none' && each.fromMs <= atMs && atMs <= each.untilMs,
      );
      const asIfActive = states.some((each) => names({ ...each, active: each.paused }, atMs));
      return caught && asIfActive ? 'may' : 'not';
    },
    inPause: (atMs) => possible(atMs).every((each) => each.paused),
    quietIn: (fromMs, untilMs) =>
      unknownFromMs > untilMs && !turns.some((turn) => turn.fromMs <= untilMs && turn.untilMs >= fromMs),
  };
}

/** All seconds of the stretch that the trigger names, whatever the state. */
export function namedTimes(trigger: PlannedTrigger, fromMs: number, untilMs: number): number[] {
  const times: number[] = [];
  for (let at = Math.ceil(fromMs / 1000) * 1000; at <= untilMs; at += 1000) {
    if (isNamed(trigger, at)) times.push(at);
  }
  return times;
}

/** Times that must be due within the stretch. */
export function mustTimes(life: Life, fromMs: number, untilMs: number): number[] {
  const times: number[] = [];
  const first = life.turns[0]?.fromMs ?? untilMs;
  for (let at = Math.ceil(Math.max(fromMs, first) / 1000) * 1000; at <= untilMs; at += 1000) {
    if (life.verdict(at) === 'must') times.push(at);
  }
  return times;
}

export function isNamed(trigger: PlannedTrigger, atMs: number): boolean {
  if (atMs % 1000 !== 0) return false;
  if ('every' in trigger) {
    const everyS = Number.parseInt(trigger.every, 10);
    const offsetS = Number.parseInt(trigger.offset ?? '0', 10);
    return (atMs / 1000 - offsetS) % everyS === 0;
  }
  const at = new Date(atMs);
  const [second, minute, hour, ...days] = trigger.cron.split(' ');
  if (days.some((field) => field !== '*')) throw new Error(`the oracle knows no days: ${trigger.cron}`);
  return (
    matches(second!, at.getUTCSeconds()) &&
    matches(minute!, at.getUTCMinutes()) &&
    matches(hour!, at.getUTCHours())
  );
}

function matches(field: string, value: number): boolean {
  return field.split(',').some((part) => {
    if (part === '*') return true;
    if (part.startsWith('*/')) return value % Number(part.slice(2)) === 0;
    return Number(part) === value;
  });
}
