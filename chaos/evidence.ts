/** What a run leaves for the checker: three logs, and what the harness did itself. Plain values. Times are epoch milliseconds. */
import type { PlannedSchedule } from './plan.ts';
import type { WitnessLine } from './witness.ts';

/** What a client was answered. The command took effect at some instant between the two times, or perhaps not at all. */
export type Ack = {
  kind: 'create' | 'change' | 'pause' | 'resume' | 'delete' | 'relabel' | 'trigger' | 'cancel';
  name: string;
  /** Of this incarnation of the name. */
  scheduleId: string;
  sentMs: number;
  /** Null: nobody knows whether it happened. */
  ackMs: number | null;
  /** The definition from then on. */
  definition?: PlannedSchedule;
  catchUp?: 'none' | 'latest' | 'all';
  label?: string;
  runId?: string;
  /** Of the schedule, as answered. */
  version?: number;
};

/** An answer that cannot be if what was acknowledged before is still there. */
export type Surprise = { atMs: number; what: string };

export type RunRow = {
  id: string;
  scheduleId: string;
  scheduleName: string;
  jobType: string;
  cause: string;
  scheduledForMs: number;
  dueAtMs: number;
  createdAtMs: number;
  startedAtMs: number | null;
  attemptStartedAtMs: number | null;
  finishedAtMs: number | null;
  status: string;
  reason: string | null;
  attempt: number;
  failures: number;
  missedCount: number | null;
  missedUntilMs: number | null;
  retry: {
    maxAttempts: number;
    initialIntervalMs: number;
    maxIntervalMs: number;
    backoffCoefficient: number;
  };
  output: unknown;
};

export type AttemptRow = {
  runId: string;
  number: number;
  startedAtMs: number;
  finishedAtMs: number;
  status: string;
};
export type StepRow = { runId: string; name: string; status: string; finishedAtMs: number | null };
export type OutageRow = { fromMs: number; untilMs: number };
export type ScheduleRow = {
  id: string;
  name: string;
  status: string;
  trigger: { kind: string; everyMs?: number; offsetMs?: number; expressions?: string[] };
  label: string | null;
  version: number;
  activeRuns: number;
  heldRuns: number;
  fault: string | null;
};

/** The end of a run as somebody saw it while the run went on. */
export type SeenEnd = {
  runId: string;
  status: string;
  attempt: number;
  finishedAtMs: number;
  seenMs: number;
};

/** `recoveryMs`: what the service has, after it, to be as if nothing had been. */
export type FaultWindow = {
  label: string;
  fromMs: number;
  healedMs: number;
  recoveryMs: number;
  /** Nobody dispatched, or nobody could: from when to when at least. */
  nobodyDispatched?: { fromMs: number; untilMs: number };
  /** A process stood still, and went on where it was. */
  isFreeze?: true;
  /** The machine had no turn to give: nobody's fault. */
  isStall?: true;
};

export type ProcessEnd = {
  node: number;
  pid: number;
  code: number | null;
  signal: string | null;
  atMs: number;
  /** What the harness had sent, and when. */
  asked: { signal: 'SIGKILL' | 'SIGTERM'; atMs: number } | null;
  /** It had not been ready yet. */
  starting: boolean;
};

export type MemorySample = { pid: number; atMs: number; rssMb: number };

export type Evidence = {
  fromMs: number;
  /** From here on nothing has to be dispatched any more. */
  untilMs: number;
  acks: readonly Ack[];
  surprises: readonly Surprise[];
  hits: readonly WitnessLine[];
  runs: readonly RunRow[];
  attempts: readonly AttemptRow[];
  steps: readonly StepRow[];
  outages: readonly OutageRow[];
  schedules: readonly ScheduleRow[];
  doorbells: number;
  seen: readonly SeenEnd[];
  faults: readonly FaultWindow[];
  ends: readonly ProcessEnd[];
  /** Lines of the nodes' output that no healthy program writes. */
  cries: readonly string[];
  memory: readonly MemorySample[];
  graceMs: number;
};

export type Rules = {
  /** How far two clocks of the run may be apart. */
  clockMarginMs: number;
  /** A start later than this is late while all is well. */
  epsilonMs: number;
};
