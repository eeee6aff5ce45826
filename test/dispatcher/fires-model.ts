/**
 * What must be true of the core whatever happens, kept by hand beside it: which nominal times each schedule has had
 * (its periods of activity, and the pauses that somebody caught up), which runs each worker holds, what has ended.
 * `check` holds the database against that.
 */
import { sql } from 'drizzle-orm';
import { expect } from 'vitest';
import type { ClaimedRun } from '../../src/db/run-store.ts';
import { requeueFromWorker } from '../../src/db/run-store.ts';
import { DomainError } from '../../src/errors.ts';
import type { Run } from '../../src/runs/run.ts';
import { isActive } from '../../src/runs/run-state.ts';
import { DST_DEFAULT } from '../../src/schedules/cron-times.ts';
import { dueAt, type Outage } from '../../src/schedules/due-times.ts';
import { heldReason } from '../../src/schedules/overlap-turn.ts';
import type { CatchUpPolicy, OverlapPolicy, Schedule, Timing } from '../../src/schedules/schedule.ts';
import { nextAfter } from '../../src/schedules/trigger.ts';
import type { House, TestWorker } from '../support/house.ts';
import { at, cron, DAY, every, SECOND } from '../support/timings.ts';

export type ScheduleChoice = {
  timing: TimingChoice;
  jitterMs: number | null;
  overlap: OverlapPolicy;
  catchUp: CatchUpPolicy;
  catchUpWindowMs: number;
  maxRuns: number | null;
  pauseAfterFailures: number | null;
};

export type TimingChoice = 'every second' | 'every 7 s' | 'cron' | 'union' | 'three instants';

/** One thing that happens. `who` and `which` are taken modulo what there is. */
export type Step =
  | { kind: 'live' | 'down'; ms: number }
  | { kind: 'dispatch' | 'dispatch all' }
  | { kind: 'create'; choice: ScheduleChoice }
  | { kind: 'pause' | 'stop' | 'remove' | 'describe'; which: number }
  | { kind: 'resume'; which: number; catchUp: CatchUpPolicy }
  | { kind: 'trigger'; which: number; overlap?: OverlapPolicy }
  | { kind: 'reschedule'; which: number; timing: TimingChoice }
  | { kind: 'limit'; which: number; maxRuns: number | null }
  | { kind: 'cancel' | 'retry'; which: number }
  | { kind: 'take'; who: number; limit: number }
  | { kind: 'succeed' | 'fail' | 'fail for good' | 'time out' | 'heed'; who: number; which: number }
  | { kind: 'lose worker'; who: number }
  | { kind: 'late outcome'; which: number };

/** A stretch in which a schedule was active: nominal times strictly after `fromMs`, up to and with `untilMs`. */
type Period = { timing: Timing; fromMs: number; untilMs: number | null };

type Followed = {
  id: string;
  name: string;
  choice: ScheduleChoice;
  timing: Timing;
  maxRuns: number | null;
  deleted: boolean;
  status: Schedule['status'];
  version: number;
  pausedAtMs: number | null;
  periods: Period[];
  /** Pauses that a resume caught up: their nominal times may have a run, or none. */
  caughtUp: Period[];
  failuresInARow: number;
};

type Held = { worker: TestWorker; run: ClaimedRun };

export type Disposition = { scheduleId: string; atMs: number; run: Run | null };

export function createModel(house: House, workers: readonly [TestWorker, TestWorker]) {
  const { clock, db } = house;
  const followed: Followed[] = [];
  const holds = new Map<TestWorker, ClaimedRun[]>(workers.map((worker) => [worker, []]));
  /** Claims that were taken away; nothing that is said for them may count. */
  const late: Held[] = [];
  const ended = new Map<string, Run>();
  /** The stretches in which dispatching was alive, in whole milliseconds as the database has them. */
  const alive: Outage[] = [];

  function timingOf(choice: TimingChoice): Timing {
    const now = Math.ceil(clock.now() / SECOND) * SECOND;
    switch (choice) {
      case 'every second':
        return every(SECOND);
      case 'every 7 s':
        return every(7 * SECOND, 2500);
      case 'cron':
        return cron('*/5 * * * * *');
      case 'union':
        return cron(['*/4 * * * * *', '*/6 * * * * *'], { timezone: 'Europe/Berlin' });
      case 'three instants':
        return at(now + 2 * SECOND, now + 2 * SECOND + 1, now + 9 * SECOND);
    }
  }

  const pick = <T>(list: readonly T[], index: number): T | undefined =>
    list[index % Math.max(1, list.length)];
  const one = (which: number) =>
    pick(
      followed.filter((each) => !each.deleted),
      which,
    );

  async function create(choice: ScheduleChoice): Promise<void> {
    const timing = timingOf(choice.timing);
    const view = await house.create({ ...choice, timing });
    followed.push({
      id: view.id,
      name: view.spec.name,
      choice,
      timing,
      maxRuns: choice.maxRuns,
      deleted: false,
      status: 'active',
      version: 1,
      pausedAtMs: null,
      periods: [{ timing, fromMs: clock.now(), untilMs: null }],
      caughtUp: [],
      failuresInARow: 0,
    });
  }

  /** Whether it has had all its runs, so that it has no nominal times after the last one. */
  async function isUsedUp({ id, maxRuns }: Followed): Promise<boolean> {
    if (maxRuns === null) return false;
    const started = (run: Run) => isFire(run) && run.status !== 'skipped' && run.status !== 'missed';
    return (await house.runsOf(id)).filter(started).length >= maxRuns;
  }

  async function lastTime(schedule: Followed, fromMs: number): Promise<number> {
    const fires = (await house.runsOf(schedule.id)).filter(isFire);
    return Math.max(fromMs, ...fires.map((run) => run.missed?.untilMs ?? run.scheduledForMs));
  }

  /** A command that settles what is due may thereby complete the schedule, and then its period ends with its last run. */
  async function close(schedule: Followed, untilMs: number, usedUp: boolean): Promise<void> {
    const open = schedule.periods.at(-1);
    if (open?.untilMs === null) open.untilMs = usedUp ? await lastTime(schedule, open.fromMs) : untilMs;
  }

  /** A command on a schedule; false when it was refused. */
  async function ask(command: () => Promise<unknown>): Promise<boolean> {
    try {
      await command();
      return true;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return false;
    }
  }

  async function take(worker: TestWorker, limit: number): Promise<void> {
    for (const run of await worker.take(limit)) {
      expect(holds.get(worker)!.map((each) => each.id)).not.toContain(run.id);
      holds.get(worker)!.push(run);
    }
  }

  function release(worker: TestWorker, which: number): ClaimedRun | undefined {
    const mine = holds.get(worker)!;
    const run = pick(mine, which);
    if (run !== undefined) mine.splice(mine.indexOf(run), 1);
    return run;
  }

  function tally(run: ClaimedRun, outcome: string): void {
    const schedule = followed.find((each) => each.id === run.scheduleId)!;
    if (outcome === 'succeeded') schedule.failuresInARow = 0;
    if (outcome === 'failed' || outcome === 'timed_out') schedule.failuresInARow += 1;
  }

  async function step(what: Step): Promise<void> {
    switch (what.kind) {
      case 'live': {
        const fromMs = Math.floor(clock.now());
        await house.live(what.ms);
        return void alive.push({ fromMs, untilMs: Math.floor(clock.now()) });
      }
      case 'down':
        return house.down(what.ms);
      case 'dispatch':
        return void (await house.dispatch());
      case 'dispatch all':
        return void (await house.dispatchAll());
      case 'create':
        return followed.length < 4 ? await create(what.choice) : undefined;
      case 'take':
        return await take(workers[what.who % 2]!, what.limit);
      case 'cancel':
      case 'retry': {
        const run = pick(await house.runsOf(), what.which);
        if (run !== undefined) await ask(() => house.runs[what.kind](run.id));
        return;
      }
      case 'succeed':
      case 'fail':
      case 'fail for good':
      case 'time out':
      case 'heed':
        return await finish(workers[what.who % 2]!, what);
      case 'lose worker':
        return await lose(workers[what.who % 2]!);
      case 'late outcome': {
        const held = pick(late, what.which);
        if (held === undefined) return;
        expect(await held.worker.succeed(held.run)).toBe(false);
        expect(await held.worker.fail(held.run)).toBe('not_mine');
        return;
      }
      default: {
        const schedule = one(what.which);
        if (schedule !== undefined) await command(schedule, what);
      }
    }
  }

  async function finish(worker: TestWorker, { kind, which }: { kind: string; which: number }): Promise<void> {
    const run = release(worker, which);
    if (run === undefined) return;
    if (kind === 'succeed') {
      expect(await worker.succeed(run)).toBe(true);
      return tally(run, 'succeeded');
    }
    if (kind === 'heed') {
      // What a worker does that looks for signals; without one it goes on.
      const { signal } = await house.runs.get(run.id);
      if (signal === 'cancel')
        expect(await worker.end(run, 'cancelled', { reason: 'cancelled_by_hand' })).toBe(true);
      else holds.get(worker)!.push(run);
      return;
    }
    const outcome = await worker.fail(run, {
      retryable: kind !== 'fail for good',
      timedOut: kind === 'time out',
    });
    expect(outcome).not.toBe('not_mine');
    tally(run, outcome);
  }

  async function lose(worker: TestWorker): Promise<void> {
    const mine = holds.get(worker)!.splice(0);
    const taken = await db.transaction((tx) =>
      requeueFromWorker(tx, {
        workerId: worker.id,
        except: [],
        cause: 'worker_lost',
        nowMs: clock.now(),
        served: house.served,
      }),
    );
    expect(taken.requeued + taken.cancelled).toBe(mine.length);
    late.push(...mine.map((run) => ({ worker, run })));
  }

  async function command(schedule: Followed, what: Step & { which: number }): Promise<void> {
    const { id } = schedule;
    const nowMs = clock.now();
    switch (what.kind) {
      case 'pause':
        if (await ask(() => house.schedules.pause(id, null))) await close(schedule, nowMs, false);
        return;
      case 'stop':
        if (await ask(() => house.schedules.stop(id, null))) {
          await close(schedule, nowMs, await isUsedUp(schedule));
        }
        return;
      case 'remove':
        schedule.deleted = await ask(() => house.schedules.remove(id));
        expect(schedule.deleted).toBe(true);
        await close(schedule, nowMs, await isUsedUp(schedule));
        return;
      case 'describe':
        await ask(() => house.schedules.update(id, ({ spec }) => ({ ...spec, description: `at ${nowMs}` })));
        return;
      case 'resume': {
        const { status, pausedAtMs } = await house.schedules.get(id);
        if (!(await ask(() => house.schedules.resume(id, { catchUp: what.catchUp }))) || status !== 'paused')
          return;
        if (what.catchUp !== 'none') {
          schedule.caughtUp.push({ timing: schedule.timing, fromMs: pausedAtMs!, untilMs: nowMs });
        }
        schedule.failuresInARow = 0;
        open(schedule, await house.schedules.get(id));
        return;
      }
      case 'trigger':
        await ask(() => house.schedules.trigger(id, what.overlap ? { overlap: what.overlap } : {}));
        return;
      case 'reschedule':
        return await change(schedule, timingOf(what.timing), schedule.maxRuns);
      case 'limit':
        return await change(schedule, schedule.timing, what.maxRuns);
    }
  }

  async function change(schedule: Followed, timing: Timing, maxRuns: number | null): Promise<void> {
    const { timezone, dst } =
      timing.trigger.kind === 'cron' ? timing.trigger : { timezone: 'UTC', dst: DST_DEFAULT };
    const before = await house.schedules.get(schedule.id);
    if (
      !(await ask(() =>
        house.schedules.update(schedule.id, ({ spec }) => ({ ...spec, timing, timezone, dst, maxRuns })),
      ))
    )
      return;
    const retimed = JSON.stringify(timing) !== JSON.stringify(schedule.timing);
    const usedUp = await isUsedUp(schedule);
    schedule.timing = timing;
    schedule.maxRuns = maxRuns;
    const after = await house.schedules.get(schedule.id);
    if (retimed || usedUp) await close(schedule, clock.now(), usedUp);
    if (after.status === 'active' && (retimed || usedUp || before.status !== 'active')) open(schedule, after);
  }

  function open(schedule: Followed, view: Schedule): void {
    if (view.status === 'active') {
      schedule.periods.push({ timing: schedule.timing, fromMs: clock.now(), untilMs: null });
    }
  }

  /** The nominal times of a period, as far as it is settled. */
  function timesIn(schedule: Followed, period: Period, settledMs: number): number[] {
    const times: number[] = [];
    let time = nextAfter(period.timing, schedule.name, period.fromMs);
    while (time !== null && time <= settledMs) {
      times.push(time);
      time = nextAfter(period.timing, schedule.name, time);
    }
    return times;
  }

  const isHeld = (run: Run) => run.status === 'queued' && run.reason === heldReason;

  const isFire = (run: Run) => run.cause === 'schedule' || run.cause === 'catch_up';

  /** All nominal times that a row stands for. */
  function timesOf(schedule: Followed, run: Run): number[] {
    if (run.missed === null) return [run.scheduledForMs];
    const period = schedule.periods.find(
      ({ fromMs, untilMs }) =>
        fromMs < run.scheduledForMs && run.scheduledForMs <= (untilMs ?? Number.POSITIVE_INFINITY),
    )!;
    const times = timesIn(schedule, { ...period, fromMs: run.scheduledForMs - 1 }, run.missed.untilMs);
    expect(times).toHaveLength(run.missed.count);
    return times;
  }

  async function check(): Promise<void> {
    const { rows } = await db.execute<{ ms: number }>(
      sql`select (extract(epoch from alive_until) * 1000)::float8 as ms from dispatch_state`,
    );
    const [last] = rows;
    if (last !== undefined && alive.at(-1)?.untilMs !== last.ms)
      alive.push({ fromMs: last.ms, untilMs: last.ms });
    const runs = await house.runsOf();
    const rung = new Set(
      (await house.doorbells()).map((doorbell) => `${doorbell.runId} ${doorbell.attempt}`),
    );
    checkRuns(runs, rung);
    for (const schedule of followed) {
      const mine = runs.filter((run) => run.scheduleId === schedule.id);
      if (!schedule.deleted) await checkSchedule(schedule, mine);
      checkFires(schedule, mine, schedule.deleted ? null : await house.stateOf(schedule.id));
    }
    await checkAttempts();
  }

  function checkRuns(runs: readonly Run[], rung: ReadonlySet<string>): void {
    const held = new Map([...holds.values()].flat().map((run) => [run.id, run.attempt]));
    for (const run of runs) {
      // What has ended never changes.
      const before = ended.get(run.id);
      if (before !== undefined) expect(run).toEqual(before);
      else if (!isActive(run.status)) ended.set(run.id, run);
      // What waits can be heard of, what runs has one owner.
      if (isHeld(run)) expect(rung).not.toContain(`${run.id} ${run.attempt}`);
      else if (run.status === 'queued') expect(rung).toContain(`${run.id} ${run.attempt}`);
      expect(held.get(run.id)).toBe(run.status === 'running' ? run.attempt : undefined);
    }
    for (const id of ended.keys()) expect(runs.some((run) => run.id === id)).toBe(true);
  }

  async function checkSchedule(schedule: Followed, runs: readonly Run[]): Promise<void> {
    const view = await house.schedules.get(schedule.id);
    const state = await house.stateOf(schedule.id);
    const count = (which: (run: Run) => boolean) => runs.filter(which).length;
    const times = (status: Run['status']) =>
      runs.filter((run) => run.status === status).reduce((sum, run) => sum + (run.missed?.count ?? 1), 0);
    expect(state).toMatchObject({
      activeRuns: count((run) => isActive(run.status) && !isHeld(run)),
      heldRuns: count(isHeld),
      fired: count((run) => isFire(run) && run.status !== 'skipped' && run.status !== 'missed'),
      succeeded: count((run) => run.status === 'succeeded'),
      failed: count((run) => run.status === 'failed' || run.status === 'timed_out'),
      skipped: times('skipped'),
      missed: times('missed'),
      failuresInARow: schedule.failuresInARow,
      fault: null,
    });
    if (schedule.maxRuns !== null && view.status === 'active')
      expect(state.fired).toBeLessThan(schedule.maxRuns);
    // What is held is held by something.
    if (state.heldRuns > 0) expect(state.activeRuns).toBeGreaterThan(0);
    if (schedule.choice.overlap !== 'allow') {
      expect(count((run) => isFire(run) && isActive(run.status) && !isHeld(run))).toBeLessThanOrEqual(1);
    }
    if (schedule.choice.overlap === 'queue_one' || schedule.choice.overlap === 'cancel_running') {
      expect(count((run) => isFire(run) && isHeld(run))).toBeLessThanOrEqual(1);
    }
    if (schedule.choice.overlap === 'skip') expect(count((run) => isFire(run) && isHeld(run))).toBe(0);
    expect(view.version).toBeGreaterThanOrEqual(schedule.version);
    if (view.status !== schedule.status) expect(view.version).toBeGreaterThan(schedule.version);
    expect(state.nextRunAtMs === null).toBe(view.status !== 'active');
    await follow(schedule, view);
  }

  /** Learns what the core did of itself: the circuit breaker's pause, and completion. */
  async function follow(schedule: Followed, view: Schedule): Promise<void> {
    const period = schedule.periods.at(-1);
    if (view.status === 'paused' && period?.untilMs === null) {
      const limit = schedule.choice.pauseAfterFailures;
      expect(limit).not.toBeNull();
      expect(schedule.failuresInARow).toBeGreaterThanOrEqual(limit!);
      expect(view.note).toBe(`paused after ${schedule.failuresInARow} failures in a row`);
      expect(view.pausedAtMs).toBeLessThanOrEqual(clock.now());
      await close(schedule, view.pausedAtMs!, false);
    }
    if (view.status === 'completed' && period?.untilMs === null) {
      const last = await lastTime(schedule, period.fromMs);
      if (!(await isUsedUp(schedule))) expect(nextAfter(period.timing, schedule.name, last)).toBeNull();
      await close(schedule, last, false);
    }
    schedule.status = view.status;
    schedule.version = view.version;
    schedule.pausedAtMs = view.pausedAtMs;
  }

  /** Exactly one disposition for each nominal time of the periods of activity, and none for any other. */
  function checkFires(
    schedule: Followed,
    runs: readonly Run[],
    state: { nextRunAtMs: number | null; dueAtMs: number | null } | null,
  ): void {
    const fires = runs.filter(isFire);
    const told = fires.flatMap((run) => timesOf(schedule, run)).sort((a, b) => a - b);
    expect(new Set(told).size).toBe(told.length);

    const expected = new Set<number>();
    for (const period of schedule.periods) {
      const settledMs = period.untilMs ?? state!.nextRunAtMs! - 1;
      for (const time of timesIn(schedule, period, settledMs)) expected.add(time);
      if (period.untilMs === null) {
        // And the next time is the first that has none.
        expect(nextAfter(period.timing, schedule.name, Math.max(period.fromMs, settledMs))).toBe(
          state!.nextRunAtMs,
        );
        const { id, name, choice } = schedule;
        const due = dueAt(
          { id, name, timing: period.timing, jitterMs: choice.jitterMs },
          state!.nextRunAtMs!,
        );
        expect(state!.dueAtMs).toBe(due);
      }
    }
    const others = new Set(schedule.caughtUp.flatMap((period) => timesIn(schedule, period, period.untilMs!)));
    expect([...expected].filter((time) => !told.includes(time))).toEqual([]);
    expect(told.filter((time) => !expected.has(time) && !others.has(time))).toEqual([]);
    for (const run of fires) checkPolicy(schedule, run, others);
  }

  function checkPolicy(schedule: Followed, run: Run, caughtUp: ReadonlySet<number>): void {
    const { catchUp, catchUpWindowMs, overlap } = schedule.choice;
    const now = Math.floor(clock.now());
    const outages = [...alive, { fromMs: now, untilMs: now }]
      .map(({ fromMs: untilMs }, n): Outage => ({ fromMs: alive[n - 1]?.untilMs ?? untilMs, untilMs }))
      .filter(({ fromMs, untilMs }) => untilMs - fromMs > 2000);
    const outage = outages.find(({ fromMs, untilMs }) => fromMs <= run.dueAtMs && run.dueAtMs <= untilMs);
    if (run.cause === 'catch_up' && !caughtUp.has(run.scheduledForMs)) expect(outage).toBeDefined();
    if (run.status === 'missed') {
      expect(run.cause).toBe('catch_up');
      const reasons = {
        none: ['catch_up_none'],
        latest: ['not_latest', 'outside_catch_up_window'],
        all: ['outside_catch_up_window'],
      };
      expect(reasons[catchUp]).toContain(run.reason);
      if (run.reason === 'outside_catch_up_window') {
        // The clock has fractions of a millisecond, the row has none.
        expect(run.scheduledForMs).toBeLessThan(run.createdAtMs + 1 - catchUpWindowMs);
      }
    }
    const dropped = run.status === 'skipped' && !['overlap', 'queue_full'].includes(run.reason!);
    if (run.cause === 'schedule' && outage !== undefined && !dropped) {
      // It was decided before the silence was long enough to be called an outage.
      expect(run.createdAtMs).toBeLessThanOrEqual(outage.fromMs + 2000);
    }
    if (run.reason === 'overlap') expect(['skip', 'queue_one']).toContain(overlap);
    if (run.reason === 'queue_full') expect(overlap).toBe('queue_all');
    expect(run.dueAtMs).toBeGreaterThanOrEqual(run.scheduledForMs);
    expect(run.dueAtMs).toBeLessThanOrEqual(run.scheduledForMs + (schedule.choice.jitterMs ?? 0));
  }

  /** An attempt is on record when, and only when, another one followed it or waits. */
  async function checkAttempts(): Promise<void> {
    const { rows } = await db.execute<{
      status: string;
      reason: string | null;
      attempt: number;
      failures: number;
      lost: number;
      numbers: number[];
      failed: number;
      lostAttempts: number;
    }>(sql`
      select r.status, r.reason, r.attempt, r.failures::int, r.lost::int,
        coalesce(array_agg(a.number order by a.number) filter (where a.number is not null), '{}') as numbers,
        (count(*) filter (where a.status in ('failed', 'timed_out')))::int as failed,
        (count(*) filter (where a.status = 'lost'))::int as "lostAttempts"
      from runs r left join run_attempts a on a.run_id = r.id group by r.id`);
    for (const row of rows) {
      const before = Array.from({ length: row.attempt - 1 }, (_, n) => n + 1);
      const cancelledWhileWaiting = row.status === 'cancelled' && row.numbers.length === row.attempt;
      const whole = row.status === 'retrying' || cancelledWhileWaiting;
      expect(row.numbers).toEqual(whole ? [...before, row.attempt] : before);
      const last = row.status === 'failed' || row.status === 'timed_out' ? 1 : 0;
      expect([row.failures, row.lost]).toEqual([row.failed + last, row.lostAttempts]);
    }
  }

  /** All nominal times of the periods of activity, with the row that each is in, if it has one. */
  async function dispositions(): Promise<Disposition[]> {
    const runs = await house.runsOf();
    return followed.flatMap((schedule) => {
      const fires = runs.filter((run) => run.scheduleId === schedule.id && isFire(run));
      const rowOf = new Map(
        fires.flatMap((run) => timesOf(schedule, run).map((time) => [time, run] as const)),
      );
      const times = schedule.periods.flatMap((period) =>
        timesIn(schedule, period, period.untilMs ?? clock.now()),
      );
      return [...new Set([...times, ...rowOf.keys()])].map((atMs) => ({
        scheduleId: schedule.id,
        atMs,
        run: rowOf.get(atMs) ?? null,
      }));
    });
  }

  return { step, check, create, dispositions };
}

/** The catch-up windows that the steps' seconds can be shorter and longer than. */
export const windowsMs = [10 * SECOND, DAY] as const;
