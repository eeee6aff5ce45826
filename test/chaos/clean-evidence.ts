/** The logs of a small run in which all went well, written by hand: what defects are planted in. */
import type { Ack, Evidence, RunRow } from '../../chaos/evidence.ts';
import type { PlannedSchedule } from '../../chaos/plan.ts';
import type { WitnessLine } from '../../chaos/witness.ts';

/** A whole minute, so that `every` and cron of seconds name it. */
export const startMs = Date.UTC(2026, 0, 1);
export const at = (seconds: number) => startMs + seconds * 1000;

const base: PlannedSchedule = {
  name: 'ten',
  trigger: { every: '10s' },
  overlap: 'skip',
  catchUp: 'latest',
  jitter: null,
  job: {
    type: 'task',
    delayMs: 0,
    failsOneIn: 0,
    failStatus: 503,
    timeout: '40s',
    retry: { maxAttempts: 3, initialInterval: '1s', maxInterval: '3s', backoffCoefficient: 2 },
    ignoresAbort: false,
  },
  createAtMs: 0,
};

export function planned(change: Partial<PlannedSchedule>): PlannedSchedule {
  return { ...base, ...change };
}

export function ack(kind: Ack['kind'], name: string, seconds: number, more: Partial<Ack> = {}): Ack {
  return { kind, name, scheduleId: `id of ${name}`, sentMs: at(seconds), ackMs: at(seconds) + 20, ...more };
}

/** A run that succeeded at once. */
export function run(name: string, seconds: number, more: Partial<RunRow> = {}): RunRow {
  return {
    id: `${name} ${seconds}`,
    scheduleId: `id of ${name}`,
    scheduleName: name,
    jobType: 'task',
    cause: 'schedule',
    scheduledForMs: at(seconds),
    dueAtMs: at(seconds),
    createdAtMs: at(seconds) + 5,
    startedAtMs: at(seconds) + 10,
    attemptStartedAtMs: at(seconds) + 10,
    finishedAtMs: at(seconds) + 30,
    status: 'succeeded',
    reason: null,
    attempt: 1,
    failures: 0,
    missedCount: null,
    missedUntilMs: null,
    retry: { maxAttempts: 3, initialIntervalMs: 1000, maxIntervalMs: 3000, backoffCoefficient: 2 },
    output: { statusCode: 200, body: { attempt: 1 } },
    ...more,
  };
}

/** One that did not become a run. */
export function noRun(
  name: string,
  seconds: number,
  status: 'missed' | 'skipped',
  more: Partial<RunRow> = {},
) {
  const never = { startedAtMs: null, attemptStartedAtMs: null, output: null };
  return run(name, seconds, { status, reason: 'because', finishedAtMs: at(seconds) + 5, ...never, ...more });
}

export function hits(of: string, seconds: number, more: Partial<WitnessLine> = {}): WitnessLine[] {
  const line = { runId: of, attempt: 1, step: '', key: of, status: 200, monotonicMs: 0, ...more };
  return [
    { phase: 'hit', atMs: at(seconds), ...line },
    { phase: 'answered', atMs: at(seconds) + 5, ...line },
  ];
}

/**
 * `ten` fires every 10 s for two minutes and is paused from 25 s to 55 s, its fire of 60 s fails once and its last is
 * cancelled; `old` (catch-up none) and `all` live through an outage from 70.2 s to 79.8 s; `steps` has one run of three steps;
 * `gone` is deleted.
 */
export function cleanEvidence(): Evidence {
  const steps = planned({ name: 'steps', trigger: { every: '60s' } });
  const old = planned({ name: 'old', trigger: { every: '5s' }, catchUp: 'none', overlap: 'allow' });
  const all = planned({ name: 'all', trigger: { cron: '*/5 * * * * *' }, catchUp: 'all', overlap: 'allow' });
  const latest = planned({ name: 'latest', trigger: { every: '3s' }, overlap: 'allow' });
  const runs: RunRow[] = [];
  const fire = (name: string, every: number, from: number) => {
    for (let second = from; second < 120; second += every) runs.push(run(name, second));
  };
  fire('ten', 10, 10);
  fire('old', 5, 5);
  fire('all', 5, 5);
  fire('latest', 3, 3);
  runs.push(run('steps', 60, { jobType: 'stepping', output: { attempt: 2, steps: [1, 2, 2] }, attempt: 2 }));
  const put = (changed: RunRow) => {
    const found = runs.findIndex((each) => each.id === changed.id);
    runs[found] = changed;
  };
  for (const second of [30, 40, 50])
    runs.splice(
      runs.findIndex((each) => each.id === `ten ${second}`),
      1,
    );
  const late = {
    cause: 'catch_up',
    createdAtMs: at(80),
    startedAtMs: at(80),
    attemptStartedAtMs: at(80),
    finishedAtMs: at(80) + 20,
  };
  const missed = { cause: 'catch_up', createdAtMs: at(80), finishedAtMs: at(80) };
  put(noRun('old', 75, 'missed', missed));
  put(run('all', 75, late));
  put(noRun('latest', 72, 'missed', { ...missed, missedCount: 2, missedUntilMs: at(75) }));
  runs.splice(
    runs.findIndex((each) => each.id === 'latest 75'),
    1,
  );
  put(run('latest', 78, late));
  put(
    run('ten', 60, {
      attempt: 2,
      failures: 1,
      attemptStartedAtMs: at(61) + 40,
      finishedAtMs: at(61) + 60,
      output: { body: '{"attempt":2}' },
    }),
  );
  put(run('ten', 110, { status: 'cancelled', finishedAtMs: at(113), output: null }));
  const witnessed = runs
    .filter((each) => each.startedAtMs !== null && each.jobType === 'task')
    .flatMap((each) => hits(each.id, (each.attemptStartedAtMs! - startMs) / 1000, { attempt: each.attempt }));
  return {
    fromMs: at(1),
    untilMs: at(118),
    acks: [
      ack('create', 'ten', 2, { definition: base, version: 1 }),
      ack('create', 'old', 2, { definition: old }),
      ack('create', 'all', 2, { definition: all }),
      ack('create', 'latest', 2, { definition: latest }),
      ack('create', 'steps', 2, { definition: steps }),
      ack('create', 'gone', 2, { definition: planned({ name: 'gone', trigger: { cron: '59 * * * * *' } }) }),
      ack('delete', 'gone', 5),
      ack('relabel', 'ten', 22, { label: 'seven', version: 2 }),
      ack('pause', 'ten', 25, { version: 3 }),
      ack('resume', 'ten', 55, { catchUp: 'none', version: 4 }),
      ack('cancel', 'ten', 112, { runId: 'ten 110' }),
      ack('trigger', 'ten', 57, { runId: 'ten by hand' }),
    ],
    surprises: [],
    hits: [
      ...witnessed,
      ...hits('ten 60', 60, { status: 503 }),
      ...hits('ten by hand', 57),
      ...hits('steps 60', 60.02, { step: 'first' }),
      ...hits('steps 60', 60.04, { step: 'second', attempt: 2 }),
      ...hits('steps 60', 60.06, { step: 'third', attempt: 2 }),
    ],
    runs: [...runs, run('ten', 57, { id: 'ten by hand', cause: 'manual' })],
    attempts: [
      { runId: 'ten 60', number: 1, startedAtMs: at(60) + 10, finishedAtMs: at(60) + 30, status: 'failed' },
      { runId: 'steps 60', number: 1, startedAtMs: at(60), finishedAtMs: at(60) + 5, status: 'lost' },
    ],
    steps: ['first', 'second', 'third'].map((name, n) => ({
      runId: 'steps 60',
      name,
      status: 'succeeded',
      finishedAtMs: at(60.025 + n * 0.02),
    })),
    outages: [{ fromMs: at(70.2), untilMs: at(79.8) }],
    schedules: ['ten', 'old', 'all', 'latest', 'steps'].map((name) => ({
      id: `id of ${name}`,
      name,
      status: 'active',
      trigger:
        name === 'all'
          ? { kind: 'cron', expressions: ['*/5 * * * * *'] }
          : {
              kind: 'every',
              everyMs: { ten: 10_000, old: 5000, latest: 3000, steps: 60_000 }[name]!,
              offsetMs: 0,
            },
      label: name === 'ten' ? 'seven' : null,
      version: name === 'ten' ? 4 : 1,
      activeRuns: 0,
      heldRuns: 0,
      fault: null,
    })),
    doorbells: 0,
    seen: [{ runId: 'ten 10', status: 'succeeded', attempt: 1, finishedAtMs: at(10) + 30, seenMs: at(11) }],
    faults: [
      {
        label: 'Postgres was away',
        fromMs: at(70),
        healedMs: at(80),
        recoveryMs: 5000,
        nobodyDispatched: { fromMs: at(70), untilMs: at(79) },
      },
    ],
    ends: [
      {
        node: 0,
        pid: 100,
        code: null,
        signal: 'SIGKILL',
        atMs: at(71),
        asked: { signal: 'SIGKILL', atMs: at(71) },
        starting: false,
      },
      {
        node: 1,
        pid: 101,
        code: 0,
        signal: null,
        atMs: at(119),
        asked: { signal: 'SIGTERM', atMs: at(118) },
        starting: false,
      },
    ],
    cries: [],
    memory: Array.from({ length: 30 }, (_, n) => ({
      pid: 101,
      atMs: at(n * 10),
      rssMb: n < 10 ? 90 + n : 100 + (n % 3),
    })),
    graceMs: 3000,
  };
}
