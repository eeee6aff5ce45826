/**
 * Defects for a copy of the service, each with the run that finds it: `npm run chaos -- --mutation <name>`. A checker that
 * has never found anything proves nothing.
 */
import type { FaultKind } from './fault-plan.ts';
import type { Edit } from './house-copy.ts';

export type Mutation = {
  /** In words. */
  defect: string;
  /** The invariants that say so; one of them is enough. */
  breaks: readonly number[];
  /** Where it is found. */
  run: { seed: number; short?: true; minutes?: number; only?: readonly FaultKind[] };
  edits: readonly Edit[];
};

const short = { seed: 1, short: true } as const;
/** A worker sleeps through its lease, again and again, and others take its runs over. */
const zombies = { seed: 1, minutes: 2.5, only: ['freeze'] } as const;

const fencelessEnds: Edit = {
  file: 'src/db/run-end-store.ts',
  from: 'where r.id = e.id and r.attempt = e.attempt and',
  to: 'where r.id = e.id and',
};
/** Otherwise it aborts its runs when it wakes, and has nothing to write that the fence must stop. */
const deafToItsLease: readonly Edit[] = [
  {
    file: 'src/jobs/lease.ts',
    from: 'const held = () => clock.monotonic() - renewedAtMs < heldWithoutRenewalMs;',
    to: 'const held = () => true;',
  },
  {
    file: 'src/jobs/worker.ts',
    from: "for (const { attempt } of live.values()) attempt.abort('lease_lost', 'The worker lost its lease.');",
    to: '',
  },
];

export const mutations: Readonly<Record<string, Mutation>> = {
  'lost-labels': {
    defect: 'a change is answered, and its labels are not written',
    breaks: [1],
    run: short,
    edits: [
      {
        file: 'src/db/schedule-store.ts',
        from: '...(change.spec === undefined ? {} : toColumns(change.spec)),',
        to: '...(change.spec === undefined ? {} : { ...toColumns(change.spec), labels: undefined }),',
      },
    ],
  },
  'async-commits': {
    defect: 'no commit waits for the disk',
    breaks: [1, 7, 9],
    run: { seed: 1, minutes: 1, only: ['postgres_kill'] },
    edits: [
      {
        file: 'src/db/client.ts',
        from: "(options.durable === false ? '; set synchronous_commit = off' : '') +",
        to: "'; set synchronous_commit = off' +",
      },
    ],
  },
  'next-from-now': {
    defect: 'the next time is computed from now on, not from the time before',
    breaks: [2],
    run: short,
    edits: [
      {
        file: 'src/schedules/due-times.ts',
        from: 'at = following(schedule, at);',
        to: 'at = following(schedule, Math.max(at, nowMs));',
      },
    ],
  },
  'stale-next': {
    defect: 'a new trigger leaves the next time as it was',
    breaks: [3],
    run: short,
    edits: [
      {
        file: 'src/schedules/commands.ts',
        from: "await setNext(tx, schedule.id, status === 'active' ? known(next) : null);",
        to: "if (!retimed) await setNext(tx, schedule.id, status === 'active' ? known(next) : null);",
      },
    ],
  },
  'no-identity': {
    defect: 'runs have ids of chance, and two dispatchers may claim one schedule',
    breaks: [4],
    run: { seed: 1, minutes: 1, only: [] },
    edits: [
      {
        file: 'src/runs/run-id.ts',
        from: "return layOut(scheduledForMs, hash('sha256',",
        to: "if (scheduleId !== '') return newId(scheduledForMs);\n  return layOut(scheduledForMs, hash('sha256',",
      },
      { file: 'src/db/fire-store.ts', from: 'for update skip locked', to: '' },
    ],
  },
  'blind-success': {
    defect: 'a call that was answered has succeeded, whatever the answer',
    breaks: [5],
    run: short,
    edits: [
      {
        file: 'src/jobs/task/http-task.ts',
        from: 'if (!isExpected(statusCode)) {',
        to: 'if (statusCode < 200) {',
      },
      {
        file: 'src/jobs/task/http-task.ts',
        from: 'const isExpected = expectation(input.expectStatus);',
        to: 'const isExpected = (_status: number) => true;',
      },
    ],
  },
  'early-start': {
    defect: 'a pass takes what is due within the next 700 ms',
    breaks: [6],
    run: short,
    edits: [
      {
        file: 'src/dispatcher/dispatcher.ts',
        from: 'const nowMs = clock.now();\n  if (due.scheduleMs',
        to: 'const nowMs = clock.now() + 700;\n  if (due.scheduleMs',
      },
    ],
  },
  'forgotten-steps': {
    defect: 'a step that has succeeded is done again by the next attempt',
    breaks: [8],
    run: { seed: 1, minutes: 1.7, only: ['kill', 'terminate'] },
    edits: [
      {
        file: 'src/jobs/step.ts',
        from: "const known = (await records()).get(name);\n    if (known?.status === 'succeeded') return known.output as T;\n    if (known?.status === 'failed') throw finalError(known.error!);",
        to: 'const known = null as StepRecord | null;\n    await records();',
      },
    ],
  },
  'mutable-ends': {
    defect: 'an end is written over by whoever comes later, and the database lets it',
    breaks: [9],
    run: zombies,
    edits: [
      {
        ...fencelessEnds,
        from: `${fencelessEnds.from} r.status = any(\${array(from)}::text[])`,
        to: 'where r.id = e.id',
      },
      {
        file: 'migrations/0014_hot_starts.sql',
        from: 'WHEN (OLD."finished_at" IS NOT NULL)',
        to: 'WHEN (false)',
      },
      ...deafToItsLease,
    ],
  },
  'no-fence': {
    defect:
      'the end of a run is taken from whatever attempt says so, and a zombie does not know that it is one',
    breaks: [10],
    run: zombies,
    edits: [fencelessEnds, ...deafToItsLease],
  },
  'no-overlap': {
    defect: 'overlap is not looked at',
    breaks: [11],
    run: short,
    edits: [
      {
        file: 'src/schedules/overlap.ts',
        from: "if (policy === 'allow' || active === 0) return 'start';",
        to: "if (policy !== 'cancel_running') return 'start';",
      },
    ],
  },
  'lost-ends': {
    defect: 'the end of one run in sixteen is forgotten',
    breaks: [12],
    run: short,
    edits: [
      {
        file: 'src/jobs/outcome-recorder.ts',
        from: 'const { status, reason, output, error } = end;',
        to: "if (run.id.endsWith('7')) return true;\n        const { status, reason, output, error } = end;",
      },
    ],
  },
  'no-backoff': {
    defect: 'retries come at once',
    breaks: [13],
    run: short,
    edits: [
      {
        file: 'src/runs/retry-policy.ts',
        from: 'return { retryInMs: Math.max(backoffMs(policy, failures), asked) };',
        to: 'return { retryInMs: asked };',
      },
    ],
  },
  'late-pause': {
    defect: 'a pause does not take the next time away',
    breaks: [14],
    run: short,
    edits: [
      {
        file: 'src/schedules/commands.ts',
        from: 'note: change.note, atMs: nowMs });\n  await setNext(tx, schedule.id, null);',
        to: 'note: change.note, atMs: nowMs });',
      },
    ],
  },
  'no-outages': {
    defect: 'a pass forgets that what passed while nobody dispatched belongs to catch-up',
    breaks: [15],
    run: short,
    edits: [
      {
        file: 'src/dispatcher/dispatcher.ts',
        from: 'const outages = pulse.outages();',
        to: 'const outages: ReturnType<typeof pulse.outages> = [];',
      },
    ],
  },
  'deaf-cancel': {
    defect: 'a running run is not told that it was cancelled',
    breaks: [16],
    // Of a dozen cancels of slow steps one comes so early that another step would begin 5 s later.
    run: { seed: 1, minutes: 4, only: [] },
    edits: [
      {
        file: 'src/jobs/worker.ts',
        from: "if (signal === 'cancel') told.attempt.abort('cancel', 'The run was cancelled.');\n        else told.attempt.stopRequested = true;",
        to: "if (signal !== 'cancel') told.attempt.stopRequested = true;",
      },
    ],
  },
  'deaf-pool': {
    defect: 'nobody listens for the faults of idle connections',
    breaks: [17],
    run: { seed: 1, minutes: 0.8, only: ['cut', 'postgres_fast'] },
    edits: [
      {
        file: 'src/db/client.ts',
        from: "pool.on('error', (error) => options.onFault(error));\n",
        to: '',
      },
    ],
  },
};
