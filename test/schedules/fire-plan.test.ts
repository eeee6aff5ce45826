import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scheduledRunId } from '../../src/runs/run-id.ts';
import { type DueOptions, type DueSchedule, dueAt, type Outage } from '../../src/schedules/due-times.ts';
import {
  type FirePlan,
  faultRetryMs,
  inVainRecordsMax,
  newestInVain,
  type PlannedFire,
  planFires,
} from '../../src/schedules/fire-plan.ts';
import {
  catchUpPolicies,
  type OverlapPolicy,
  overlapPolicies,
  type Timing,
  type Trigger,
} from '../../src/schedules/schedule.ts';
import { nextAfter } from '../../src/schedules/trigger.ts';
import { at, cron, DAY, every, HOUR, less, MINUTE, ms, SECOND } from '../support/timings.ts';

const seed = 20_260_301;
const id = '018f3c9e-7b00-7000-8000-000000000001';

/** "02:30" or "02:30:15" on 1 March 2026, UTC. */
const t = (time: string): number => ms(`2026-03-01T${time.length === 5 ? `${time}:00` : time}Z`);
const show = (time: number): string => new Date(time).toISOString().slice(11, 19).replace(/:00$/, '');

/** Allows overlap, so that what is told is not a matter of overlap unless a test says so. */
function schedule(partial: Partial<DueSchedule> & { timing: Timing }): DueSchedule {
  return {
    id,
    name: 'seed',
    jitterMs: null,
    maxRuns: null,
    overlap: 'allow',
    catchUp: 'latest',
    catchUpWindowMs: DAY,
    nextRunAtMs: nextAfter(partial.timing, 'seed', t('00:00')) ?? t('00:00'),
    activeRuns: 0,
    held: { all: 0, backfills: 0 },
    fired: 0,
    ...partial,
  };
}

function plan(due: DueSchedule, now: string | number, options: Partial<DueOptions> = {}): FirePlan {
  return planFires(due, {
    nowMs: typeof now === 'string' ? t(now) : now,
    outages: [],
    timesMax: 1000,
    ...options,
  });
}

/** The plan as a timetable. */
function table({ fires, state }: FirePlan): string[] {
  const lines = fires
    .toSorted((a, b) => a.scheduledForMs - b.scheduledForMs)
    .map((fire) => {
      const what = fire.cause === 'catch_up' && fire.status === 'queued' ? 'caught up' : fire.status;
      const range =
        fire.missedCount === null ? '' : ` ×${fire.missedCount} until ${show(fire.missedUntilMs!)}`;
      return `${show(fire.scheduledForMs)} ${what}${fire.reason === null ? '' : `: ${fire.reason}`}${range}`;
    });
  const next = state.nextRunAtMs === null ? '' : `next ${show(state.nextRunAtMs)}`;
  return [...lines, state.completed ? 'completed' : next];
}

const outage = (from: string, until: string): Outage => ({ fromMs: t(from), untilMs: t(until) });

describe('live fires', () => {
  const hourly = schedule({ timing: every(HOUR) });

  it('a nominal time that has come becomes a run, and the following one is next', () => {
    expect(table(plan(hourly, '01:00'))).toEqual(['01:00 queued', 'next 02:00']);
  });

  it('lateness changes neither the nominal time nor the cause', () => {
    const { fires } = plan(hourly, '01:59:59');
    expect(fires).toEqual([
      {
        runId: scheduledRunId(id, t('01:00')),
        scheduleId: id,
        cause: 'schedule',
        scheduledForMs: t('01:00'),
        dueAtMs: t('01:00'),
        status: 'queued',
        reason: null,
        missedCount: null,
        missedUntilMs: null,
      },
    ]);
  });

  it('nothing that is not due yet is planned', () => {
    expect(table(plan(hourly, t('01:00') - 1))).toEqual(['next 01:00']);
  });

  it('several that have come are planned in their order, each with an id of its own', () => {
    const planned = plan(hourly, '03:10');
    expect(table(planned)).toEqual(['01:00 queued', '02:00 queued', '03:00 queued', 'next 04:00']);
    expect(planned.fires.map((fire) => fire.runId)).toEqual(
      [t('01:00'), t('02:00'), t('03:00')].map((time) => scheduledRunId(id, time)),
    );
  });

  it('a schedule whose last time has come is completed', () => {
    expect(table(plan(schedule({ timing: at(t('01:00'), t('02:00')) }), '02:00'))).toEqual([
      '01:00 queued',
      '02:00 queued',
      'completed',
    ]);
  });

  it('a schedule whose window ends is completed with its last time in it', () => {
    const timing = every(HOUR, 0, { endAtMs: t('02:00') });
    expect(table(plan(schedule({ timing }), '01:00'))).toEqual(['01:00 queued', 'next 02:00']);
    expect(table(plan(schedule({ timing, nextRunAtMs: t('02:00') }), '02:00'))).toEqual([
      '02:00 queued',
      'completed',
    ]);
  });
});

describe('overlap', () => {
  it('skip: while a run is active nothing starts, and each time is recorded', () => {
    const busy = schedule({ timing: every(HOUR), overlap: 'skip', activeRuns: 1 });
    expect(table(plan(busy, '02:00'))).toEqual([
      '01:00 skipped: overlap',
      '02:00 skipped: overlap',
      'next 03:00',
    ]);
  });

  it('skip: of several due times the first starts and the others overlap with it', () => {
    const idle = schedule({ timing: every(HOUR), overlap: 'skip' });
    expect(table(plan(idle, '03:00'))).toEqual([
      '01:00 queued',
      '02:00 skipped: overlap',
      '03:00 skipped: overlap',
      'next 04:00',
    ]);
  });

  it('allow: all start, whatever is active', () => {
    const busy = schedule({ timing: every(HOUR), overlap: 'allow', activeRuns: 7 });
    expect(table(plan(busy, '02:00'))).toEqual(['01:00 queued', '02:00 queued', 'next 03:00']);
  });
});

describe('maxRuns', () => {
  it('counts runs that were there before, and completes the schedule with the last one', () => {
    const due = schedule({ timing: every(HOUR), maxRuns: 3, fired: 2 });
    expect(table(plan(due, '01:00'))).toEqual(['01:00 queued', 'completed']);
  });

  it('does not count what was skipped', () => {
    const due = schedule({ timing: every(HOUR), maxRuns: 1, overlap: 'skip', activeRuns: 1 });
    expect(table(plan(due, '02:00'))).toEqual([
      '01:00 skipped: overlap',
      '02:00 skipped: overlap',
      'next 03:00',
    ]);
  });

  it('does not count what was missed', () => {
    const due = schedule({ timing: every(HOUR), maxRuns: 1, catchUp: 'none' });
    expect(table(plan(due, '02:30', { outages: [outage('00:00', '02:30')] }))).toEqual([
      '01:00 missed: catch_up_none',
      '02:00 missed: catch_up_none',
      'next 03:00',
    ]);
  });

  it('after the last run there are no nominal times, so none is skipped or missed', () => {
    const due = schedule({ timing: every(HOUR), maxRuns: 2, catchUp: 'none' });
    expect(table(plan(due, '05:30', { outages: [outage('02:30', '05:00')] }))).toEqual([
      '01:00 queued',
      '02:00 queued',
      'completed',
    ]);
  });
});

describe('catch-up after an outage', () => {
  const down = { outages: [outage('00:30', '04:30')] };

  it('none: all that came due in it are missed', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'none' });
    expect(table(plan(due, '04:30', down))).toEqual([
      '01:00 missed: catch_up_none',
      '02:00 missed: catch_up_none',
      '03:00 missed: catch_up_none',
      '04:00 missed: catch_up_none',
      'next 05:00',
    ]);
  });

  it('latest: the newest one runs, the others are missed', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'latest' });
    expect(table(plan(due, '04:30', down))).toEqual([
      '01:00 missed: not_latest',
      '02:00 missed: not_latest',
      '03:00 missed: not_latest',
      '04:00 caught up',
      'next 05:00',
    ]);
  });

  it('all: each runs', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'all' });
    expect(table(plan(due, '04:30', down))).toEqual([
      '01:00 caught up',
      '02:00 caught up',
      '03:00 caught up',
      '04:00 caught up',
      'next 05:00',
    ]);
  });

  it('all: under the overlap policy', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'all', overlap: 'skip' });
    expect(table(plan(due, '03:30', { outages: [outage('00:30', '03:30')] }))).toEqual([
      '01:00 caught up',
      '02:00 skipped: overlap',
      '03:00 skipped: overlap',
      'next 04:00',
    ]);
  });

  it.each(['latest', 'all'] as const)('%s: what is older than the window is missed', (catchUp) => {
    const due = schedule({ timing: every(HOUR), catchUp, catchUpWindowMs: 90 * MINUTE });
    const third = catchUp === 'all' ? '03:00 caught up' : '03:00 missed: not_latest';
    expect(table(plan(due, '04:30', down))).toEqual([
      '01:00 missed: outside_catch_up_window',
      '02:00 missed: outside_catch_up_window',
      third,
      '04:00 caught up',
      'next 05:00',
    ]);
  });

  it('latest: when even the newest is older than the window, nothing runs', () => {
    const due = schedule({ timing: at(t('01:00'), t('02:00')), catchUpWindowMs: HOUR });
    expect(table(plan(due, '04:30', down))).toEqual([
      '01:00 missed: outside_catch_up_window',
      '02:00 missed: outside_catch_up_window',
      'completed',
    ]);
  });

  it('does not touch times that came due before the outage or after it', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'none' });
    expect(table(plan(due, '05:00', { outages: [outage('01:30', '03:30')] }))).toEqual([
      '01:00 queued',
      '02:00 missed: catch_up_none',
      '03:00 missed: catch_up_none',
      '04:00 queued',
      '05:00 queued',
      'next 06:00',
    ]);
  });

  it('both ends of an outage belong to it', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'none' });
    expect(table(plan(due, '03:30', { outages: [outage('01:00', '03:00')] }))).toEqual([
      '01:00 missed: catch_up_none',
      '02:00 missed: catch_up_none',
      '03:00 missed: catch_up_none',
      'next 04:00',
    ]);
  });

  it('what counts is when a time is due, which jitter may put into the outage', () => {
    const jittered = schedule({ timing: every(HOUR), jitterMs: 30 * MINUTE, catchUp: 'none' });
    const dueAtMs = dueAt(jittered, t('01:00'));
    expect(dueAtMs).toBeGreaterThan(t('01:00'));
    const after = [{ fromMs: t('01:00') + 1, untilMs: dueAtMs + SECOND }];
    expect(table(plan(jittered, dueAtMs + SECOND, { outages: after }))[0]).toBe(
      '01:00 missed: catch_up_none',
    );
    const before = [{ fromMs: t('00:00'), untilMs: dueAtMs - 1 }];
    expect(table(plan(jittered, dueAtMs + SECOND, { outages: before }))[0]).toBe('01:00 queued');
  });

  it('a live time that follows makes no difference to which one was the newest', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'latest' });
    expect(table(plan(due, '05:00', down))).toEqual([
      '01:00 missed: not_latest',
      '02:00 missed: not_latest',
      '03:00 missed: not_latest',
      '04:00 caught up',
      '05:00 queued',
      'next 06:00',
    ]);
  });
});

describe('a backlog of missed times', () => {
  it('is one range a pass, however many schedules share it, and the newest are told one by one', () => {
    const down = { fromMs: t('00:00'), untilMs: t('00:00') + DAY };
    let next: number | null = t('00:01');
    const ranges: number[] = [];
    let singles = 0;
    while (next !== null && next < down.untilMs) {
      const due = schedule({ timing: every(MINUTE), catchUp: 'none', nextRunAtMs: next });
      const { fires, state } = plan(due, down.untilMs, { outages: [down], timesMax: 4, missedTimesMax: 40 });
      for (const { missedCount } of fires) {
        if (missedCount === null) singles += 1;
        else ranges.push(missedCount);
      }
      next = state.nextRunAtMs;
    }
    expect(singles).toBeLessThanOrEqual(inVainRecordsMax);
    expect(ranges.reduce((sum, count) => sum + count, 0) + singles).toBe(24 * 60);
    expect(ranges.every((count) => count === 40)).toBe(true);
  });

  it('is never wider than the rows that a pass may write', () => {
    const down = { fromMs: t('00:00'), untilMs: t('00:00') + DAY };
    const due = schedule({
      timing: every(MINUTE),
      catchUp: 'all',
      catchUpWindowMs: 2 * DAY,
      nextRunAtMs: t('00:01'),
    });
    const { fires } = plan(due, down.untilMs, { outages: [down], timesMax: 4, missedTimesMax: 40 });
    expect(fires).toHaveLength(4);
  });
});

describe('exclusions that leave nothing more', () => {
  const only = (text: string) => less(every(HOUR), [], { only: [text] });

  it('do not take the last time from the schedule, with jitter or without', () => {
    for (const jitterMs of [null, 5 * MINUTE]) {
      const due = schedule({ timing: only('2026-03-01'), nextRunAtMs: t('23:00'), jitterMs });
      const planned = plan(due, t('23:00') + 10 * MINUTE);
      expect(planned.fires).toMatchObject([{ scheduledForMs: t('23:00'), status: 'queued' }]);
      expect(planned.state).toMatchObject({ completed: true, nextRunAtMs: null, fault: null });
    }
  });

  it('are no fault when they were looked at for years', () => {
    const timing = {
      ...cron('28 11 * * *'),
      ...pick(less(cron('* * * * *'), [], { only: ['2026-03-01', '* 0-5 * * *'] })),
    };
    const due = schedule({ timing, nextRunAtMs: t('11:28') });
    const planned = plan(due, t('11:28'));
    expect(planned.fires).toMatchObject([{ scheduledForMs: t('11:28'), status: 'queued' }]);
    expect(planned.state).toMatchObject({ completed: true, fault: null });
  });

  it('are a fault that keeps the fire when looks run out before', () => {
    const timing = {
      ...cron('*/30 * * * * *'),
      ...pick(less(cron('* * * * *'), [], { only: ['28 11 1 3 *', '1-59/2 * * * * *'] })),
    };
    const due = schedule({ timing, nextRunAtMs: t('11:28:30'), jitterMs: 5 * SECOND });
    const planned = plan(due, t('11:29'));
    expect(planned.fires).toMatchObject([{ scheduledForMs: t('11:28:30'), status: 'queued' }]);
    expect(planned.state.fault).toMatch(/exclusions leave none/);
    // Looked at again a minute later it is the same fire, which the store knows already.
    const again = plan({ ...due, nextRunAtMs: planned.state.nextRunAtMs! }, t('11:30'));
    expect(again.fires.map((fire) => fire.runId)).toEqual(planned.fires.map((fire) => fire.runId));
  });
});

/** The exclusions of a timing. */
function pick({ exclusions }: Timing): Pick<Timing, 'exclusions'> {
  return exclusions === undefined ? {} : { exclusions };
}

describe('more due times than one pass looks at', () => {
  it('are left to the next pass', () => {
    const due = schedule({ timing: every(HOUR) });
    expect(table(plan(due, '05:00', { timesMax: 2 }))).toEqual([
      '01:00 queued',
      '02:00 queued',
      'next 03:00',
    ]);
  });

  it('latest: the newest of all runs, and not the newest of each pass', () => {
    const options = { timesMax: 2, outages: [outage('00:30', '05:30')] };
    const due = schedule({ timing: every(HOUR), catchUp: 'latest' });
    const lines: string[] = [];
    for (let next: number | null = due.nextRunAtMs; next !== null && next <= t('05:30'); ) {
      const planned = plan({ ...due, nextRunAtMs: next }, '05:30', options);
      lines.push(...table(planned).slice(0, -1));
      next = planned.state.nextRunAtMs;
    }
    expect(lines).toEqual([
      '01:00 missed: not_latest',
      '02:00 missed: not_latest',
      '03:00 missed: not_latest',
      '04:00 missed: not_latest',
      '05:00 caught up',
    ]);
  });

  it('latest: the newest caught one runs when only live ones are left to the next pass', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'latest' });
    const options = { timesMax: 2, outages: [outage('00:30', '02:30')] };
    expect(table(plan(due, '03:00', options))).toEqual([
      '01:00 missed: not_latest',
      '02:00 caught up',
      'next 03:00',
    ]);
  });

  it('one at a time comes to the same end as all at once', () => {
    const due = schedule({ timing: every(HOUR), catchUp: 'all', overlap: 'skip', maxRuns: 2 });
    const outages = [outage('00:30', '02:30')];
    const atOnce = plan(due, '05:00', { outages }).fires;
    const stepwise = [];
    let current = due;
    for (;;) {
      const { fires, state } = plan(current, '05:00', { outages, timesMax: 1 });
      stepwise.push(...fires);
      if (state.nextRunAtMs === null || state.nextRunAtMs > t('05:00')) break;
      const started = fires.filter((fire) => fire.status === 'queued').length;
      current = {
        ...current,
        nextRunAtMs: state.nextRunAtMs,
        activeRuns: current.activeRuns + started,
        fired: current.fired + started,
      };
    }
    expect(stepwise).toEqual(atOnce);
  });
});

describe('a hundred and more missed times', () => {
  const minutely = schedule({ timing: every(MINUTE), catchUp: 'latest' });
  const missedIn = (due: DueSchedule, now: string, outages: Outage[]) =>
    plan(due, now, { outages }).fires.filter((fire) => fire.status === 'missed');

  it('up to a hundred are recorded one by one', () => {
    const missed = missedIn(minutely, '01:41:30', [outage('00:00', '01:41:30')]);
    expect(missed).toHaveLength(inVainRecordsMax);
    expect(missed.every((fire) => fire.missedCount === null && fire.missedUntilMs === null)).toBe(true);
  });

  it('of more the newest ten are recorded one by one, the older ones as one range', () => {
    const missed = missedIn(minutely, '10:00:30', [outage('00:00', '10:00:30')]);
    expect(missed).toHaveLength(newestInVain + 1);
    const [range, first] = missed;
    expect(range).toMatchObject({
      runId: scheduledRunId(id, t('00:01')),
      scheduledForMs: t('00:01'),
      missedCount: 589,
      missedUntilMs: t('09:49'),
      reason: 'not_latest',
    });
    expect(first).toMatchObject({ scheduledForMs: t('09:50'), missedCount: null });
    expect(missed.at(-1)).toMatchObject({ scheduledForMs: t('09:59') });
  });

  it('a range has one reason: where the reason changes another one begins', () => {
    const due = { ...minutely, catchUpWindowMs: 8 * HOUR };
    const ranges = missedIn(due, '10:00:30', [outage('00:00', '10:00:30')]).filter(
      (fire) => fire.missedCount,
    );
    expect(
      ranges.map((range) => [range.reason, show(range.scheduledForMs), show(range.missedUntilMs!)]),
    ).toEqual([
      ['outside_catch_up_window', '00:01', '02:00'],
      ['not_latest', '02:01', '09:49'],
    ]);
  });

  it('a range holds only missed times: a live one between two outages parts it', () => {
    const due = { ...minutely, catchUp: 'none' as const };
    const outages = [outage('00:00', '01:00:30'), outage('01:01:30', '06:00:30')];
    const planned = plan(due, '06:00:30', { outages });
    const ranges = planned.fires.filter((fire) => fire.missedCount !== null);
    expect(
      ranges.map((range) => [show(range.scheduledForMs), range.missedCount, show(range.missedUntilMs!)]),
    ).toEqual([
      ['00:01', 60, '01:00'],
      ['01:02', 289, '05:50'],
    ]);
    expect(
      planned.fires.filter((fire) => fire.status === 'queued').map((fire) => show(fire.scheduledForMs)),
    ).toEqual(['01:01']);
  });
});

describe('times of an outage that overlap lets not run', () => {
  const many = (overlap: OverlapPolicy) =>
    plan(schedule({ timing: every(MINUTE), catchUp: 'all', overlap }), '10:00:30', {
      outages: [outage('00:00', '10:00:30')],
    }).fires;

  it('are ranges too', () => {
    const [first, range, ...newest] = many('skip');
    expect(first).toMatchObject({ scheduledForMs: t('00:01'), status: 'queued' });
    expect(range).toMatchObject({
      status: 'skipped',
      reason: 'overlap',
      cause: 'catch_up',
      scheduledForMs: t('00:02'),
      missedCount: 589,
      missedUntilMs: t('09:50'),
    });
    expect(newest).toHaveLength(newestInVain);
  });

  it('under cancel_running come before the one that runs', () => {
    const fires = many('cancel_running');
    expect(fires.at(-1)).toMatchObject({ scheduledForMs: t('10:00'), status: 'queued' });
    expect(fires[0]).toMatchObject({ status: 'skipped', reason: 'superseded', missedCount: 589 });
    expect(fires).toHaveLength(newestInVain + 2);
  });

  it('run each under allow', () => {
    expect(many('allow').every((each) => each.status === 'queued')).toBe(true);
    expect(many('allow')).toHaveLength(600);
  });
});

describe('jitter', () => {
  const jittered = schedule({ timing: every(HOUR), jitterMs: 50 * MINUTE });
  const dueAtMs = dueAt(jittered, t('01:00'));

  it('delays when a time is due, never the nominal time', () => {
    expect(dueAtMs).toBeGreaterThan(t('01:00'));
    expect(dueAtMs).toBeLessThan(t('01:50'));
    expect(table(plan(jittered, dueAtMs - 1))).toEqual(['next 01:00']);
    const { fires, state } = plan(jittered, dueAtMs);
    expect(fires).toMatchObject([{ scheduledForMs: t('01:00'), dueAtMs, status: 'queued' }]);
    expect(state).toMatchObject({ nextRunAtMs: t('02:00'), dueAtMs: dueAt(jittered, t('02:00')) });
  });

  it('is cut to the gap before the next nominal time', () => {
    const close = schedule({ timing: at(t('01:00'), t('01:00') + 5), jitterMs: DAY });
    expect(dueAt(close, t('01:00'))).toBeLessThan(t('01:00') + 5);
  });

  it('of the last time has nothing to be cut to', () => {
    const last = schedule({ timing: at(t('01:00')), jitterMs: DAY });
    expect(dueAt(last, t('01:00'))).toBeGreaterThan(t('01:00') + MINUTE);
  });
});

describe('a trigger that cannot be computed', () => {
  const broken: [string, unknown][] = [
    ['an expression that is none', cron('every full moon').trigger],
    ['a zone that does not exist', cron('* * * * *', { timezone: 'Mars/Phobos' }).trigger],
    ['a kind that is unknown', { kind: 'moon' }],
    ['no trigger at all', null],
    ['an interval of nothing', { kind: 'every', everyMs: 0, offsetMs: 0 }],
  ];
  it.each(broken)('%s is told in the state and does not throw', (_, trigger) => {
    const timing: Timing = { trigger: trigger as Trigger, startAtMs: null, endAtMs: null };
    const due = { ...schedule({ timing: every(HOUR) }), timing, nextRunAtMs: t('01:00') };
    const planned = plan(due, '01:00:10');
    expect(planned.fires).toEqual([]);
    expect(planned.state).toMatchObject({
      nextRunAtMs: t('01:00'),
      dueAtMs: t('01:00:10') + faultRetryMs,
      completed: false,
    });
    expect(planned.state.fault).toMatch(
      /^The next time could not be computed \(.+\); .* Reschedule it to mend it\.$/,
    );
  });
});

const isRun = (fire: PlannedFire) => fire.status === 'queued' || fire.status === 'held';

describe('for every schedule', () => {
  const instant = fc.integer({ min: 0, max: 2 * DAY });
  const anyTiming = fc.oneof(
    fc
      .tuple(fc.integer({ min: MINUTE, max: 5 * HOUR }), fc.nat(59_999))
      .map(([period, offset]) => every(period, offset)),
    fc
      .uniqueArray(instant, { minLength: 1, maxLength: 30 })
      .map((offsets) => at(...offsets.map((offset) => t('00:00') + offset).sort((a, b) => a - b))),
    fc.constantFrom(cron('*/5 * * * *'), cron(['0 * * * *', '*/45 * * * *']), cron('30 */2 * * *')),
  );
  const anySchedule = fc
    .record({
      timing: anyTiming,
      jitterMs: fc.option(fc.integer({ min: 1, max: 3 * HOUR })),
      maxRuns: fc.option(fc.integer({ min: 1, max: 20 })),
      overlap: fc.constantFrom(...overlapPolicies),
      catchUp: fc.constantFrom(...catchUpPolicies),
      catchUpWindowMs: fc.integer({ min: MINUTE, max: 2 * DAY }),
      activeRuns: fc.nat(2),
    })
    .map((partial) => schedule(partial))
    .filter((due) => nextAfter(due.timing, due.name, t('00:00')) !== null);
  const anyOutages = fc
    .array(fc.tuple(instant, fc.nat(DAY)), { maxLength: 3 })
    .map((list): Outage[] =>
      list.map(([from, length]) => ({ fromMs: t('00:00') + from, untilMs: t('00:00') + from + length })),
    );

  it('each due nominal time has exactly one disposition, and nothing else has one', () => {
    fc.assert(
      fc.property(anySchedule, instant, anyOutages, (due, offset, outages) => {
        const nowMs = t('00:00') + offset;
        const { fires, state } = plan(due, nowMs, { outages, timesMax: 5000 });
        const expected: number[] = [];
        let time: number | null = due.nextRunAtMs;
        while (time !== null && dueAt(due, time) <= nowMs) {
          expected.push(time);
          time = nextAfter(due.timing, due.name, time);
        }
        const told = fires
          .flatMap((fire) => {
            if (fire.missedCount === null) return [fire.scheduledForMs];
            const inside = expected.filter(
              (each) => each >= fire.scheduledForMs && each <= fire.missedUntilMs!,
            );
            expect(inside).toHaveLength(fire.missedCount);
            return inside;
          })
          .sort((a, b) => a - b);
        const runs = fires.filter(isRun).length;
        if (due.maxRuns !== null && runs >= due.maxRuns) {
          expect(runs).toBe(due.maxRuns);
          expect(told).toEqual(expected.slice(0, told.length));
          expect(state).toMatchObject({ nextRunAtMs: null, dueAtMs: null, completed: true });
        } else {
          expect(told).toEqual(expected);
          expect(state).toMatchObject({ nextRunAtMs: time, completed: time === null });
        }
      }),
      { seed, numRuns: 400 },
    );
  });

  it('how many times a pass looks at decides only how many passes there are', () => {
    fc.assert(
      fc.property(
        anySchedule,
        instant,
        anyOutages,
        fc.integer({ min: 1, max: 40 }),
        (due, offset, outages, timesMax) => {
          fc.pre(due.catchUp !== 'latest' || outages.length <= 1);
          // What a pass starts, the next one cancels.
          fc.pre(due.overlap !== 'cancel_running');
          const nowMs = t('00:00') + offset;
          const atOnce = plan(due, nowMs, { outages, timesMax: 5000 });
          const runs = [];
          let current = due;
          for (;;) {
            const { fires, state } = plan(current, nowMs, { outages, timesMax });
            const became = fires.filter(isRun);
            runs.push(...became);
            const started = became.filter((fire) => fire.status === 'queued').length;
            const all = current.held.all + became.length - started;
            if (state.nextRunAtMs === null || state.dueAtMs! > nowMs) break;
            current = {
              ...current,
              nextRunAtMs: state.nextRunAtMs,
              activeRuns: current.activeRuns + started,
              held: { ...current.held, all },
              fired: current.fired + became.length,
            };
          }
          expect(runs).toEqual(atOnce.fires.filter(isRun));
        },
      ),
      { seed, numRuns: 300 },
    );
  });
});
