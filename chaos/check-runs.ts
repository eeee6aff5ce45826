/** The invariants about what became of runs: 5, 7 to 13 and 16 of the list in checker.ts. Pure. */
import { createDeadlines } from './deadlines.ts';
import type { Evidence, Rules, RunRow } from './evidence.ts';
import { livesOf } from './oracle.ts';
import type { WitnessLine } from './witness.ts';

const iso = (ms: number) => new Date(ms).toISOString();
const cancelHeededMs = 5000;
/** Between two steps of an attempt on a busy machine. */
const decidedWithinMs = 1500;
/** An end is rounded to whole milliseconds. */
const roundingMs = 2;
const stepNames = ['first', 'second', 'third'];

const nameOf = (run: RunRow) => `${run.scheduleName}'s run ${run.id}`;
const byRun = <T extends { runId: string }>(items: readonly T[]) => Map.groupBy(items, (item) => item.runId);

/** 5: what succeeded has been at the witness, and was answered there. */
export function successWasSeen({ runs, hits }: Evidence): string[] {
  const answered = byRun(hits.filter((hit) => hit.phase === 'answered' && hit.status === 200));
  return runs
    .filter((run) => run.status === 'succeeded')
    .flatMap((run) => {
      const own = answered.get(run.id) ?? [];
      const seen =
        run.jobType === 'stepping'
          ? stepNames.every((name) => own.some((hit) => hit.step === name))
          : own.some((hit) => hit.attempt === run.attempt);
      return seen
        ? []
        : [`${nameOf(run)} succeeded, and the witness did not answer its attempt ${run.attempt}`];
    });
}

/** 7: each hit belongs to an attempt that is on record, and an attempt calls once (a step of it, once). */
export function hitsAreRecorded({ runs, attempts, hits }: Evidence): string[] {
  const recorded = new Set(attempts.map((each) => `${each.runId} ${each.number}`));
  for (const run of runs) if (run.startedAtMs !== null) recorded.add(`${run.id} ${run.attempt}`);
  const calls = Map.groupBy(
    hits.filter((hit) => hit.phase === 'hit'),
    (hit) => `${hit.runId} ${hit.attempt} ${hit.step}`,
  );
  return [...calls.values()].flatMap((own) => {
    const { runId, attempt, step } = own[0]!;
    const what = `attempt ${attempt} of run ${runId}${step === '' ? '' : `, step ${step},`}`;
    if (!recorded.has(`${runId} ${attempt}`)) return [`${what} called, and is not on record`];
    return own.length > 1 ? [`${what} called ${own.length} times`] : [];
  });
}

/**
 * 8: after a checkpoint is committed its step is not called again. It was when the record says so; and, as a record could
 * be written over, at the latest when the step after it was called.
 *
 * One call nobody can take back: of a process that was frozen after it had decided to call, and before it was sent.
 */
export function checkpointsHold({ steps, hits, faults }: Evidence, rules: Rules): string[] {
  const own = Map.groupBy(hits, (hit) => `${hit.runId} ${hit.attempt}`);
  const wasOnItsWay = ({ runId, attempt, atMs }: WitnessLine) => {
    const before = own.get(`${runId} ${attempt}`)!.filter((line) => line.atMs < atMs);
    const lastMs = Math.max(...before.map((line) => line.atMs));
    return faults.some(
      ({ isFreeze, fromMs, healedMs }) =>
        isFreeze === true &&
        lastMs <= fromMs &&
        lastMs > fromMs - decidedWithinMs &&
        atMs <= healedMs + rules.clockMarginMs,
    );
  };
  const done = new Map<string, number>();
  const note = (runId: string, name: string, atMs: number) => {
    const key = `${runId} ${name}`;
    done.set(key, Math.min(atMs, done.get(key) ?? Number.POSITIVE_INFINITY));
  };
  for (const { runId, name, status, finishedAtMs } of steps)
    if (status === 'succeeded') note(runId, name, finishedAtMs!);
  for (const { phase, runId, step, atMs } of hits) {
    const before = stepNames[stepNames.indexOf(step) - 1];
    if (phase === 'hit' && before !== undefined) note(runId, before, atMs);
  }
  return hits.flatMap((hit) => {
    const doneMs = hit.phase === 'hit' ? done.get(`${hit.runId} ${hit.step}`) : undefined;
    if (doneMs === undefined || hit.atMs <= doneMs + rules.clockMarginMs || wasOnItsWay(hit)) return [];
    return [
      `step ${hit.step} of run ${hit.runId} was done at ${iso(doneMs)} and called again at ${iso(hit.atMs)}`,
    ];
  });
}

/** 9: an end that somebody has seen is the end. */
export function endsAreFinal({ runs, seen }: Evidence): string[] {
  const byId = new Map(runs.map((run) => [run.id, run]));
  return seen.flatMap((end) => {
    const run = byId.get(end.runId);
    if (run === undefined) return [`run ${end.runId} was ${end.status} at ${iso(end.seenMs)} and is gone`];
    const same =
      run.status === end.status && run.attempt === end.attempt && run.finishedAtMs === end.finishedAtMs;
    return same ? [] : [`${nameOf(run)} was ${end.status} at ${iso(end.seenMs)} and is ${run.status}`];
  });
}

/** 10: nothing that an old attempt wrote counts: attempts follow each other, and the output is the last one's. */
export function oldAttemptsAreFenced({ runs, attempts }: Evidence, rules: Rules): string[] {
  const byId = byRun(attempts);
  return runs.flatMap((run) => {
    const own = (byId.get(run.id) ?? []).toSorted((a, b) => a.number - b.number);
    const numbers = own.map((each) => each.number);
    // One that was cancelled while it waited for a retry has ended with an attempt that is on record.
    const waited = run.status === 'cancelled' && numbers.length === run.attempt;
    const isWhole = waited || numbers.length === run.attempt - 1;
    if (!isWhole || numbers.some((number, at) => number !== at + 1)) {
      return [
        `${nameOf(run)} is at attempt ${run.attempt} and has ${numbers.join(', ') || 'none'} before it`,
      ];
    }
    const last = own.at(-1);
    if (last !== undefined && run.attemptStartedAtMs !== null && !waited) {
      if (run.attemptStartedAtMs < last.finishedAtMs - rules.clockMarginMs) {
        return [`${nameOf(run)}'s attempt ${run.attempt} began before attempt ${last.number} was over`];
      }
    }
    const from = attemptOf(run.output);
    if (run.status === 'succeeded' && from !== run.attempt) {
      return [`${nameOf(run)} has the output of attempt ${from}, and is at attempt ${run.attempt}`];
    }
    return [];
  });
}

/** The witness answers with the attempt that called. */
function attemptOf(output: unknown): unknown {
  if (typeof output !== 'object' || output === null) return undefined;
  if ('attempt' in output) return output.attempt;
  if (!('body' in output)) return undefined;
  const { body } = output;
  return typeof body === 'string' ? attemptOf(JSON.parse(body)) : attemptOf(body);
}

/** 11: but for `allow`, no run of a schedule starts before the one before it has ended. */
export function noOverlap(evidence: Evidence, rules: Rules): string[] {
  const lives = livesOf(evidence.acks, rules.clockMarginMs);
  const faults: string[] = [];
  for (const [scheduleId, runs] of Map.groupBy(evidence.runs, (run) => run.scheduleId)) {
    const overlap = lives.get(scheduleId)?.definition.overlap;
    if (overlap === undefined || overlap === 'allow') continue;
    const started = runs
      .filter((run) => run.startedAtMs !== null)
      .toSorted((a, b) => a.startedAtMs! - b.startedAtMs!);
    let busyUntilMs = Number.NEGATIVE_INFINITY;
    for (const run of started) {
      if (run.startedAtMs! < busyUntilMs - rules.clockMarginMs) {
        faults.push(`${nameOf(run)} (${overlap}) started at ${iso(run.startedAtMs!)}, beside another`);
      }
      busyUntilMs = Math.max(busyUntilMs, run.finishedAtMs ?? Number.POSITIVE_INFINITY);
    }
  }
  return faults;
}

/** 12: at the end nothing is in limbo: no run without an end, no doorbell, no count that says otherwise. */
export function noLimbo({ runs, schedules, doorbells }: Evidence): string[] {
  return [
    ...runs
      .filter((run) => run.finishedAtMs === null)
      .map((run) => `${nameOf(run)} is ${run.status}${run.reason === null ? '' : ` (${run.reason})`}`),
    ...schedules
      .filter((each) => each.activeRuns !== 0 || each.heldRuns !== 0)
      .map((each) => `${each.name} counts ${each.activeRuns} active and ${each.heldRuns} held runs`),
    ...schedules
      .filter((each) => each.fault !== null)
      .map((each) => `${each.name} has a fault: ${each.fault}`),
    ...(doorbells === 0 ? [] : [`${doorbells} doorbells are left`]),
  ];
}

/** 13: between a failure and the next attempt lies what the policy says, and not much more. */
export function backoffIsKept(evidence: Evidence, rules: Rules): string[] {
  const deadlines = createDeadlines(evidence.faults);
  const runs = new Map(evidence.runs.map((run) => [run.id, run]));
  const faults: string[] = [];
  for (const [runId, attempts] of byRun(evidence.attempts)) {
    const run = runs.get(runId);
    if (run === undefined) continue;
    const { initialIntervalMs, maxIntervalMs, backoffCoefficient, maxAttempts } = run.retry;
    let failures = 0;
    let wait = initialIntervalMs;
    for (const each of attempts.toSorted((a, b) => a.number - b.number)) {
      if (each.status !== 'failed' && each.status !== 'timed_out') continue;
      failures += 1;
      const leastMs = Math.min(wait, maxIntervalMs);
      wait *= backoffCoefficient;
      const next = attempts.find((other) => other.number === each.number + 1)?.startedAtMs;
      const nextMs = next ?? (run.attempt === each.number + 1 ? run.attemptStartedAtMs : null);
      if (nextMs == null) continue;
      const gapMs = nextMs - each.finishedAtMs;
      if (gapMs < leastMs - roundingMs - rules.clockMarginMs) {
        faults.push(`${nameOf(run)} waited ${gapMs} ms before attempt ${each.number + 1}, not ${leastMs}`);
      } else if (nextMs > deadlines.of(each.finishedAtMs + leastMs, rules.epsilonMs)) {
        faults.push(`${nameOf(run)} waited ${gapMs} ms before attempt ${each.number + 1}, for ${leastMs}`);
      }
    }
    if (failures >= maxAttempts) faults.push(`${nameOf(run)} went on after ${failures} failures`);
  }
  return faults;
}

/** 16: a run whose cancel was acknowledged begins nothing more than 5 s later. */
export function cancelIsHeeded({ acks, hits, faults: windows }: Evidence): string[] {
  const deadlines = createDeadlines(windows);
  const calls = byRun(hits.filter((hit) => hit.phase === 'hit'));
  return acks.flatMap((ack) => {
    if (ack.kind !== 'cancel' || ack.ackMs === null) return [];
    const untilMs = deadlines.of(ack.ackMs, cancelHeededMs);
    const late = (calls.get(ack.runId!) ?? []).filter((hit) => hit.atMs > untilMs);
    if (late.length === 0) return [];
    return [`run ${ack.runId} was cancelled at ${iso(ack.ackMs)} and called at ${iso(late[0]!.atMs)}`];
  });
}
