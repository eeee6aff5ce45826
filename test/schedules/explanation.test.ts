/** The whole decision as a table; what the facts are gathered from is in test/api/explain-schedule.test.ts. */
import { expect, it } from 'vitest';
import type { Run } from '../../src/runs/run.ts';
import { type ExplanationFacts, explain } from '../../src/schedules/explanation.ts';
import type { ScheduleVersion } from '../../src/schedules/schedule-version.ts';
import { verdicts } from '../../src/schedules/verdict.ts';
import { specOf } from '../routes/stand-in.ts';
import { HOUR, MINUTE, ms } from '../support/timings.ts';

const atMs = ms('2026-03-02T02:00:00Z');

function versionOf(changes: Partial<ScheduleVersion> = {}): ScheduleVersion {
  return {
    scheduleId: 'x',
    version: 3,
    atMs: ms('2026-03-01T00:00:00Z'),
    actor: 'ann',
    action: 'updated',
    note: null,
    status: 'active',
    pauses: [],
    spec: specOf({ maxRuns: 5 }),
    ...changes,
  };
}

const aRun = (changes: Partial<Run>) =>
  ({
    id: 'r1',
    taskQueue: 'default',
    cause: 'schedule',
    scheduledForMs: atMs,
    dueAtMs: atMs,
    createdAtMs: atMs,
    startedAtMs: null,
    finishedAtMs: null,
    status: 'queued',
    reason: null,
    error: null,
    missed: null,
    ...changes,
  }) as Run;
const skipped = (reason: string) => ({
  run: aRun({ status: 'skipped', reason, finishedAtMs: atMs }),
});

/** To come, and nothing speaks against it. */
const plain: ExplanationFacts = {
  atMs,
  nowMs: atMs - HOUR,
  version: versionOf(),
  first: versionOf({ version: 1, action: 'created', atMs: 0 }),
  following: null,
  taking: null,
  present: { nextRunAtMs: atMs, fault: null },
  place: { kind: 'nominal', movedFromMs: null },
  dueAtMs: atMs,
  run: null,
  byRun: null,
  outage: null,
  laterOnRecord: false,
  usedUpBefore: false,
  previousMs: atMs - HOUR,
  nextMs: atMs + HOUR,
};
const past = { nowMs: atMs + HOUR, present: { nextRunAtMs: atMs + 2 * HOUR, fault: null } };
const newer = versionOf({ version: 4, atMs: atMs + MINUTE });

const table: [string, Partial<ExplanationFacts>, string, RegExp][] = [
  ['nothing against it', {}, 'will_run', /^It will run at 2026-03-02T02:00:00Z, .* version 3/],
  ['all runs used up by then', { usedUpBefore: true }, 'completed', /`maxRuns` 5/],
  ['a fault', { present: { nextRunAtMs: atMs, fault: 'Broken.' } }, 'unknown', /^Broken\.$/],
  ['times that cannot be computed', { place: { kind: 'fault', why: 'no zone' } }, 'unknown', /no zone/],
  [
    'a run',
    { ...past, run: aRun({ status: 'succeeded', startedAtMs: atMs, finishedAtMs: atMs }) },
    'ran',
    /run r1/,
  ],
  [
    'a run that was cancelled while it ran',
    {
      ...past,
      run: aRun({ status: 'cancelled', reason: 'rescheduled', startedAtMs: atMs, finishedAtMs: atMs }),
    },
    'ran',
    /was cancelled at/,
  ],
  [
    'a run that runs',
    { ...past, run: aRun({ status: 'running', startedAtMs: atMs }) },
    'running',
    /runs since/,
  ],
  [
    'a run between two attempts',
    { ...past, run: aRun({ status: 'retrying', startedAtMs: atMs, nextAttemptAtMs: atMs + MINUTE }) },
    'running',
    /goes on at 2026-03-02T02:01:00Z/,
  ],
  ['a run in the queue', { ...past, run: aRun({}) }, 'waiting', /"default" .* \(1h\)/],
  [
    'a held run',
    { ...past, run: aRun({ reason: 'held_by_overlap' }) },
    'waiting',
    /until the runs before it/,
  ],
  [
    'overlap',
    skipped('overlap'),
    'skipped',
    /another run of the schedule was still active \(`overlap` "skip"\)/,
  ],
  ['a full queue', skipped('queue_full'), 'skipped', /as many runs as may/],
  ['a newer one', skipped('superseded'), 'skipped', /a newer one took its place/],
  [
    'a pause in its jitter',
    skipped('paused'),
    'paused',
    /while it waited out its jitter the schedule was paused/,
  ],
  [
    'a reschedule in its jitter, by whom',
    { ...skipped('rescheduled'), taking: newer },
    'withdrawn',
    /changed at 2026-03-02T02:01:00Z by ann \(version 4\)/,
  ],
  ['a stop', skipped('stopped'), 'stopped', /since the schedule was stopped/],
  ['a deletion', skipped('schedule_deleted'), 'deleted', /since the schedule was deleted/],
  [
    'a cancel by hand',
    { run: aRun({ status: 'cancelled', reason: 'cancelled_by_hand', finishedAtMs: atMs }) },
    'cancelled',
    /cancelled before it started/,
  ],
  [
    'downtime',
    {
      run: aRun({ status: 'missed', reason: 'not_latest', cause: 'catch_up' }),
      outage: { fromMs: atMs - HOUR, untilMs: atMs + HOUR },
      byRun: aRun({ id: 'r2' }),
    },
    'missed',
    /^Nobody dispatched from 2026-03-02T01:00:00Z until 2026-03-02T03:00:00Z, .* run r2/,
  ],
  [
    'downtime whose record is gone, and a range',
    {
      run: aRun({
        status: 'missed',
        reason: 'outside_catch_up_window',
        missed: { count: 7, untilMs: atMs + HOUR },
      }),
    },
    'missed',
    /not on record any more\), and .* `catchUpWindow` of 24h\. It is one of 7 times/,
  ],
  [
    'an exclusion',
    { place: { kind: 'excluded', rule: { list: 'exclude', item: '2026-03-02' }, movedToMs: null } },
    'excluded',
    /"2026-03-02"\.$/,
  ],
  ['a window', { place: { kind: 'outside_window' } }, 'outside_window', /fires only/],
  ['no time', { place: { kind: 'none' } }, 'not_a_nominal_time', /01:00:00Z before and .*03:00:00Z after it/],
  [
    'no time, and none near',
    { place: { kind: 'none' }, previousMs: null, nextMs: null },
    'not_a_nominal_time',
    /none next to it/,
  ],
  [
    'a pause',
    {
      version: versionOf({
        status: 'paused',
        pauses: [{ labels: null, sinceMs: 0, actor: 'bob', note: 'moving' }],
      }),
    },
    'paused',
    /paused at 1970-01-01T00:00:00Z by bob \("moving"\)/,
  ],
  [
    'a stop before',
    { version: versionOf({ status: 'stopped', note: 'over' }) },
    'stopped',
    /by ann\) \("over"\)/,
  ],
  ['its completion before', { version: versionOf({ status: 'completed' }) }, 'completed', /no time was left/],
  ['its deletion before', { version: versionOf({ action: 'deleted' }) }, 'deleted', /has been deleted/],
  ['its creation after', { version: null }, 'before_creation', /was created at/],
  ['a history that was pruned', { version: null, first: versionOf() }, 'unknown', /oldest version/],
  [
    'jitter',
    { nowMs: atMs, dueAtMs: atMs + MINUTE, version: versionOf({ spec: specOf({ jitterMs: HOUR }) }) },
    'waiting',
    /jitter \(up to 1h\) and is due at 2026-03-02T02:01:00Z/,
  ],
  ['a dispatcher that is late', { nowMs: atMs + 5 }, 'waiting', /in a moment/],
  [
    'nobody who dispatches',
    { nowMs: atMs + HOUR, outage: { fromMs: atMs - HOUR, untilMs: atMs + HOUR } },
    'waiting',
    /since 2026-03-02T01:00:00Z; .*"latest"/,
  ],
  [
    'the circuit breaker',
    { ...past, following: versionOf({ version: 4, atMs: atMs + MINUTE, status: 'paused' }) },
    'paused',
    /had not been dispatched/,
  ],
  [
    'its last run before',
    { ...past, following: versionOf({ version: 4, atMs: atMs + MINUTE, status: 'completed' }) },
    'completed',
    /all its runs before/,
  ],
  ['a record that was pruned', past, 'unknown', /CARILLON_RETENTION_DAYS/],
  [
    'a record that was pruned, before a pause',
    {
      ...past,
      following: versionOf({ version: 4, atMs: atMs + MINUTE, status: 'paused' }),
      laterOnRecord: true,
    },
    'unknown',
    /CARILLON_RETENTION_DAYS/,
  ],
];

it.each(table)('%s', (_what, facts, verdict, words) => {
  const told = explain({ ...plain, ...facts });
  expect([told.verdict, told.detail]).toEqual([verdict, expect.stringMatching(words)]);
});

it('the table has every verdict', () => {
  expect(new Set(table.map(([, , verdict]) => verdict))).toEqual(new Set(verdicts));
});

it('a record is told before what was in force', () => {
  const run = aRun({ status: 'succeeded', startedAtMs: atMs, finishedAtMs: atMs });
  for (const status of ['paused', 'stopped', 'completed'] as const) {
    expect(explain({ ...plain, version: versionOf({ status }), run }).verdict).toBe('ran');
  }
});
