/** What a chaos run will do: schedules, what clients do to them, and faults. Pure: the same seed, the same plan. */
import { type FaultKind, type FaultStep, planFaults } from './fault-plan.ts';
import { type Seeded, seeded } from './seeded.ts';

/** A trigger, in as many words as the oracle understands. Cron has six fields, each `*`, `a step`, or a list of numbers. */
export type PlannedTrigger = { every: string; offset?: string } | { cron: string };

export type PlannedSchedule = {
  name: string;
  trigger: PlannedTrigger;
  overlap: 'skip' | 'queue_one' | 'queue_all' | 'cancel_running' | 'allow';
  catchUp: 'none' | 'latest' | 'all';
  jitter: string | null;
  job: {
    type: 'task' | 'stepping';
    /** How long the witness takes to answer, milliseconds. */
    delayMs: number;
    /** One call in so many is answered with this status; 0: none is. */
    failsOneIn: number;
    failStatus: number;
    timeout: string;
    retry: { maxAttempts: number; initialInterval: string; maxInterval: string; backoffCoefficient: number };
    /** Of `stepping`: a step goes on calling after it was told to end. */
    ignoresAbort: boolean;
  };
  createAtMs: number;
};

export type PlannedOp =
  | { kind: 'pause' | 'trigger' | 'cancel' | 'delete' | 'relabel' | 'look' }
  | { kind: 'resume'; catchUp: 'none' | 'latest' | 'all' }
  | { kind: 'change' | 'reschedule' | 'put'; trigger: PlannedTrigger };

export type PlannedCall = { atMs: number; name: string; op: PlannedOp };

export type ChaosPlan = {
  seed: number;
  loadMs: number;
  schedules: readonly PlannedSchedule[];
  calls: readonly PlannedCall[];
  faults: readonly FaultStep[];
};

/** `only`: these faults alone (none: none), without the backlog; null: all that the length allows. */
export type PlanOptions = {
  seed: number;
  minutes: number;
  short: boolean;
  only?: readonly FaultKind[] | null;
};

const overlaps = ['skip', 'queue_one', 'queue_all', 'cancel_running', 'allow'] as const;
const catchUps = ['none', 'latest', 'all'] as const;
/** Between two calls of clients, on the average. */
const callEveryMs = 350;

export function planChaos({ seed, minutes, short, only = null }: PlanOptions): ChaosPlan {
  const faults = planFaults({ seed, loadMs: minutes * 60_000, short, only });
  const loadMs =
    short && only === null
      ? Math.max(...faults.map((fault) => fault.atMs + fault.lastsMs)) + 3000
      : minutes * 60_000;
  const count = short ? 45 : 150;
  const chances = seeded(seed, 'schedules');
  const schedules = Array.from({ length: count }, (_, n) => planSchedule(chances, n, short, loadMs));
  return { seed, loadMs, schedules, calls: planCalls(seed, schedules, loadMs), faults };
}

function planSchedule(chances: Seeded, n: number, short: boolean, loadMs: number): PlannedSchedule {
  const overlap = overlaps[n % overlaps.length]!;
  // Co-prime lengths of the two lists make all pairs.
  const catchUp = catchUps[n % catchUps.length]!;
  const steps = n % 7 === 3;
  // What queues behind each other without a limit would take hours.
  const long = overlap === 'queue_all' ? 1500 : short ? 4000 : 20_000;
  const delayMs = chances.chance(0.6) ? chances.int(0, 60) : chances.int(100, long);
  const failsOneIn = chances.chance(0.3) ? chances.int(2, 5) : 0;
  return {
    name: `s${String(n).padStart(3, '0')}`,
    trigger: planTrigger(chances),
    overlap,
    catchUp,
    jitter: chances.chance(0.1) ? `${chances.int(1, 3)}s` : null,
    job: {
      type: steps ? 'stepping' : 'task',
      delayMs: steps ? Math.min(delayMs, 4000) : delayMs,
      failsOneIn: steps ? 0 : failsOneIn,
      failStatus: chances.chance(0.8) ? 503 : 400,
      timeout: !steps && delayMs > 2000 && chances.chance(0.3) ? '2s' : '60s',
      retry: {
        maxAttempts: chances.int(1, 3),
        initialInterval: `${chances.int(1, 2)}s`,
        maxInterval: '3s',
        backoffCoefficient: 2,
      },
      ignoresAbort: steps && chances.chance(0.5),
    },
    createAtMs: chances.chance(0.8) ? 0 : chances.int(1000, Math.floor(loadMs * 0.7)),
  };
}

/** Periods of 1 s to 1 min, more of the short ones. */
function planTrigger(chances: Seeded): PlannedTrigger {
  const seconds = chances.pick([1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60]);
  const kind = chances.int(0, 2);
  if (kind === 0) return { every: `${seconds}s` };
  if (kind === 1 && seconds > 1) return { every: `${seconds}s`, offset: `${chances.int(1, seconds - 1)}s` };
  if (chances.chance(0.2)) {
    const first = chances.int(0, 19);
    return { cron: `${first},${first + chances.int(1, 20)},${first + chances.int(21, 40)} * * * * *` };
  }
  return { cron: seconds === 60 ? `${chances.int(0, 59)} * * * * *` : `*/${seconds} * * * * *` };
}

function planCalls(seed: number, schedules: readonly PlannedSchedule[], loadMs: number): PlannedCall[] {
  const chances = seeded(seed, 'calls');
  const calls: PlannedCall[] = [];
  const catchUp = () => chances.pick(catchUps);
  const stepping = schedules.filter(({ job }) => job.type === 'stepping');
  for (let atMs = 1500; atMs < loadMs; atMs += chances.int(50, 2 * callEveryMs - 50)) {
    const { name } = chances.pick(schedules);
    const roll = chances.next();
    if (roll < 0.18) {
      // A pause without a resume would let the load die out.
      calls.push({ atMs, name, op: { kind: 'pause' } });
      const until = atMs + chances.int(500, 9000);
      calls.push({ atMs: until, name, op: { kind: 'resume', catchUp: catchUp() } });
    } else if (roll < 0.4) calls.push({ atMs, name, op: { kind: 'trigger' } });
    else if (roll < 0.52) {
      // Of one of several steps more often: what must not begin any more is seen there.
      const of = chances.chance(0.5) ? chances.pick(stepping).name : name;
      calls.push({ atMs, name: of, op: { kind: 'cancel' } });
    } else if (roll < 0.6) calls.push({ atMs, name, op: { kind: 'change', trigger: planTrigger(chances) } });
    else if (roll < 0.68)
      calls.push({ atMs, name, op: { kind: 'reschedule', trigger: planTrigger(chances) } });
    else if (roll < 0.74) calls.push({ atMs, name, op: { kind: 'put', trigger: planTrigger(chances) } });
    else if (roll < 0.8) calls.push({ atMs, name, op: { kind: 'relabel' } });
    else if (roll < 0.83) calls.push({ atMs, name, op: { kind: 'delete' } });
    else calls.push({ atMs, name, op: { kind: 'look' } });
  }
  return calls.toSorted((a, b) => a.atMs - b.atMs);
}
