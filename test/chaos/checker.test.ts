/** A checker that cannot fail proves nothing: in clean logs each defect is planted, and each must be found. */
import { describe, expect, it } from 'vitest';
import { checkpointsHold } from '../../chaos/check-runs.ts';
import { checkAll, invariants } from '../../chaos/checker.ts';
import type { Evidence, Rules, RunRow } from '../../chaos/evidence.ts';
import { ack, at, cleanEvidence, hits, noRun, run } from './clean-evidence.ts';

const rules: Rules = { clockMarginMs: 200, epsilonMs: 1000 };
const broken = (evidence: Evidence) =>
  checkAll(evidence, rules)
    .filter(({ faults }) => faults.length > 0)
    .map(({ invariant, faults }) => `${invariant.number} ${faults[0]}`);
const numbers = (evidence: Evidence) => broken(evidence).map((line) => Number.parseInt(line, 10));

it('finds nothing in clean logs', () => {
  expect(broken(cleanEvidence())).toEqual([]);
});

/** The logs, with one run as it should not be. */
function withRun(id: string, change: Partial<RunRow>): Evidence {
  const evidence = cleanEvidence();
  expect(evidence.runs.some((each) => each.id === id)).toBe(true);
  return { ...evidence, runs: evidence.runs.map((each) => (each.id === id ? { ...each, ...change } : each)) };
}
const withoutRun = (id: string): Evidence => ({
  ...cleanEvidence(),
  runs: cleanEvidence().runs.filter((each) => each.id !== id),
});
const withRuns = (...more: RunRow[]): Evidence => ({
  ...cleanEvidence(),
  runs: [...cleanEvidence().runs, ...more],
  hits: [
    ...cleanEvidence().hits,
    ...more.flatMap((each) => hits(each.id, (each.startedAtMs! - at(0)) / 1000)),
  ],
});
/** As if that fire had never been. */
const unfired = (evidence: Evidence, id: string): Evidence => ({
  ...evidence,
  runs: evidence.runs.filter((each) => each.id !== id),
  hits: evidence.hits.filter((each) => each.runId !== id),
});
const changed = (change: (evidence: Evidence) => Partial<Evidence>): Evidence => ({
  ...cleanEvidence(),
  ...change(cleanEvidence()),
});

const planted: [number, string, () => Evidence][] = [
  [1, 'an acknowledged schedule is gone', () => changed((e) => ({ schedules: e.schedules.slice(1) }))],
  [
    1,
    'a deleted schedule is there again',
    () => changed((e) => ({ acks: [...e.acks, ack('delete', 'ten', 117)] })),
  ],
  [1, 'a pause was forgotten', () => changed((e) => ({ acks: [...e.acks, ack('pause', 'ten', 118)] }))],
  [
    1,
    'an older label is back',
    () => changed((e) => ({ schedules: e.schedules.map((each) => ({ ...each, label: null })) })),
  ],
  [
    1,
    'an older trigger is back',
    () =>
      changed((e) => ({
        schedules: e.schedules.map((each) => ({ ...each, trigger: { ...each.trigger, everyMs: 7000 } })),
      })),
  ],
  [1, 'an acknowledged run is gone', () => withoutRun('ten by hand')],
  [
    1,
    'a schedule that is there is answered with 404',
    () => changed(() => ({ surprises: [{ atMs: at(9), what: '404' }] })),
  ],
  [2, 'a due time has no disposition', () => withoutRun('ten 20')],
  [2, 'a range counts one too few', () => withRun('latest 72', { missedCount: 1 })],
  [
    2,
    'a range covers what has a run of its own',
    () => withRun('latest 72', { missedUntilMs: at(78), missedCount: 3 }),
  ],
  [3, 'a fire between two nominal times', () => withRuns(run('ten', 13))],
  [3, 'a fire before the schedule was created', () => withRuns(run('old', 0))],
  [3, 'a fire of a deleted schedule', () => withRuns(run('gone', 59))],
  [4, 'two runs for one nominal time', () => withRuns(run('old', 20, { id: 'another' }))],
  [
    5,
    'a success that nobody saw',
    () => changed((e) => ({ hits: e.hits.filter((hit) => hit.runId !== 'ten 20') })),
  ],
  [
    5,
    'a success of steps of which one was not seen',
    () => changed((e) => ({ hits: e.hits.filter((hit) => hit.step !== 'third') })),
  ],
  [
    5,
    'a success though the answer was a failure',
    () =>
      changed((e) => ({
        hits: e.hits.map((hit) => (hit.runId === 'ten 20' ? { ...hit, status: 503 } : hit)),
      })),
  ],
  [6, 'a start before its time', () => withRun('ten 20', { startedAtMs: at(19.5) })],
  [
    6,
    'a call before its time',
    () =>
      changed((e) => ({
        hits: e.hits.map((hit) => (hit.runId === 'ten 20' ? { ...hit, atMs: at(19.5) } : hit)),
      })),
  ],
  [
    6,
    'a late start while all is well',
    () => withRun('ten 20', { startedAtMs: at(21.2), finishedAtMs: at(21.3) }),
  ],
  [
    6,
    'a start later than the recovery',
    () => withRun('all 75', { startedAtMs: at(86.1), finishedAtMs: at(86.2) }),
  ],
  [6, 'a record later than the recovery', () => withRun('old 75', { createdAtMs: at(86.1) })],
  [7, 'an attempt calls twice', () => changed((e) => ({ hits: [...e.hits, ...hits('ten 20', 20.1)] }))],
  [
    7,
    'a call of an attempt that is not on record',
    () => changed((e) => ({ hits: [...e.hits, ...hits('ten 20', 21, { attempt: 2 })] })),
  ],
  [
    7,
    'a call of a run that is not on record',
    () => changed((e) => ({ hits: [...e.hits, ...hits('nobody', 21)] })),
  ],
  [
    8,
    'a step is called after its checkpoint',
    () => changed((e) => ({ hits: [...e.hits, ...hits('steps 60', 60.4, { step: 'first', attempt: 2 })] })),
  ],
  [
    8,
    'a step is called after the next one was, whatever its record says now',
    () =>
      changed((e) => ({
        steps: e.steps.map((step) => (step.name === 'first' ? { ...step, finishedAtMs: at(63) } : step)),
        hits: [...e.hits, ...hits('steps 60', 62.9, { step: 'first', attempt: 2 })],
      })),
  ],
  [9, 'an end that was seen has changed', () => withRun('ten 10', { status: 'failed' })],
  [9, 'an end that was seen has a new attempt', () => withRun('ten 10', { finishedAtMs: at(12) })],
  [9, 'an end that was seen is gone', () => withoutRun('ten 10')],
  [
    10,
    'the output is that of an older attempt',
    () => withRun('ten 60', { output: { body: '{"attempt":1}' } }),
  ],
  [10, 'an attempt is missing in between', () => withRun('ten 60', { attempt: 3 })],
  [
    10,
    'an attempt began before the one before was over',
    () => withRun('ten 60', { attemptStartedAtMs: at(59.7) }),
  ],
  [11, 'two runs at once under skip', () => withRun('ten 100', { finishedAtMs: at(110.5) })],
  [12, 'a run without an end', () => withRun('all 75', { status: 'running', finishedAtMs: null })],
  [12, 'a doorbell is left', () => changed(() => ({ doorbells: 1 }))],
  [
    12,
    'a count of active runs that is not zero',
    () => changed((e) => ({ schedules: e.schedules.map((each) => ({ ...each, activeRuns: 1 })) })),
  ],
  [13, 'a retry before its backoff', () => withRun('ten 60', { attemptStartedAtMs: at(60.5) })],
  [
    13,
    'a retry long after its backoff',
    () => withRun('ten 60', { attemptStartedAtMs: at(62.5), finishedAtMs: at(63) }),
  ],
  [
    13,
    'more attempts than the policy has',
    () =>
      withRun('ten 60', {
        retry: { maxAttempts: 1, initialIntervalMs: 1000, maxIntervalMs: 3000, backoffCoefficient: 2 },
      }),
  ],
  [14, 'a fire inside a pause', () => withRuns(run('ten', 40))],
  [15, 'a run though catch-up is none', () => withRun('old 75', { status: 'cancelled' })],
  [
    15,
    'a missed time though catch-up is all',
    () => withRun('all 75', noRun('all', 75, 'missed', { cause: 'catch_up' })),
  ],
  [15, 'two runs though catch-up is latest', () => withRun('latest 72', { status: 'cancelled' })],
  [
    15,
    'no run though catch-up is latest',
    () => withRun('latest 78', noRun('latest', 78, 'missed', { cause: 'catch_up' })),
  ],
  [15, 'an outage that nobody noticed', () => changed(() => ({ outages: [] }))],
  [
    15,
    'a resume with all that left times out',
    () =>
      changed((e) => ({
        acks: e.acks.map((each) => (each.kind === 'resume' ? { ...each, catchUp: 'all' } : each)),
      })),
  ],
  [
    16,
    'a call long after its run was cancelled',
    () => changed((e) => ({ hits: [...e.hits, ...hits('ten 110', 117.1)] })),
  ],
  [17, 'a process that ended by itself', () => changed((e) => ({ ends: [{ ...e.ends[0]!, asked: null }] }))],
  [17, 'a process that did not stop', () => changed((e) => ({ ends: [{ ...e.ends[1]!, atMs: at(142) }] }))],
  [17, 'an unhandled rejection', () => changed(() => ({ cries: ['uncaught'] }))],
  [
    17,
    'memory that grows without end',
    () => changed((e) => ({ memory: e.memory.map((each, n) => ({ ...each, rssMb: 100 + 20 * n })) })),
  ],
];

describe('finds', () => {
  it.each(planted)('invariant %i broken: %s', (number, _, plant) => {
    expect(numbers(plant())).toContain(number);
  });

  it('a defect of each invariant', () => {
    const tried = new Set(planted.map(([number]) => number));
    expect(invariants.map(({ number }) => number).filter((number) => !tried.has(number))).toEqual([]);
    expect(invariants).toHaveLength(17);
  });
});

describe('does not blame', () => {
  it('what lies between the sending of a command and its answer', () => {
    const evidence = changed((e) => ({
      acks: e.acks.map((each) => (each.kind === 'pause' ? { ...each, sentMs: at(18) } : each)),
    }));
    expect(broken(evidence)).toEqual([]);
    // With or without the fire of 20 s.
    expect(broken(unfired(evidence, 'ten 20'))).toEqual([]);
  });

  it('a schedule of which the last answer never came', () => {
    const lost = changed((e) => ({
      acks: [...e.acks, ack('pause', 'ten', 98, { ackMs: null })],
      schedules: e.schedules.map((each) => (each.name === 'ten' ? { ...each, status: 'paused' } : each)),
    }));
    expect(broken(unfired(lost, 'ten 100'))).toEqual([]);
  });

  it('a run between the last sign of life and the silence that followed', () => {
    // The outage begins before the fire of 70 s, which was dispatched before nobody dispatched.
    const early = changed((e) => ({
      outages: e.outages.map((each) => ({ ...each, fromMs: at(69.9) })),
      faults: e.faults.map(({ nobodyDispatched, ...each }) => ({
        ...each,
        ...(nobodyDispatched && { nobodyDispatched: { ...nobodyDispatched, fromMs: at(70.1) } }),
      })),
    }));
    expect(broken(early)).toEqual([]);
  });

  it('a late start while the machine stood still', () => {
    const late = withRun('ten 20', { startedAtMs: at(22), finishedAtMs: at(22.1) });
    const stall = { label: 'stall', fromMs: at(20), healedMs: at(21.5), recoveryMs: 1000 };
    expect(numbers({ ...late, faults: [...late.faults, stall] })).toEqual([]);
  });

  it('a process that took long to stop where the machine stood still, and no other fault excuses it', () => {
    const slow = changed((e) => ({ ends: [{ ...e.ends[1]!, atMs: at(142) }] }));
    const window = { label: 'stall', fromMs: at(100), healedMs: at(140), recoveryMs: 2000 };
    expect(numbers({ ...slow, faults: [...slow.faults, { ...window, isStall: true }] })).toEqual([]);
    expect(numbers({ ...slow, faults: [...slow.faults, window] })).toEqual([17]);
  });

  it('the one call that was on its way when its process was frozen, and no later one', () => {
    const second = hits('steps 60', 63, { step: 'second' });
    const third = hits('steps 60', 63.2, { step: 'third' });
    const woken = (more: typeof second, frozenFrom: number) => {
      const freeze = { label: 'freeze', fromMs: at(frozenFrom), healedMs: at(63.1), recoveryMs: 0 };
      const evidence = changed((e) => ({
        hits: [...e.hits, ...more],
        faults: [...e.faults, { ...freeze, isFreeze: true }],
      }));
      return checkpointsHold(evidence, rules);
    };
    expect(woken(second, 60.5)).toEqual([]);
    expect(woken([...second, ...third], 60.5)).toEqual([expect.stringContaining('step third')]);
    // It had had time to hear that it was lost before it was frozen.
    expect(woken(second, 62.9)).toEqual([expect.stringContaining('step second')]);
  });
});
