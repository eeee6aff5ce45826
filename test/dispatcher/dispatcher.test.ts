import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue, recordFires } from '../../src/db/fire-store.ts';
import {
  claimBatchMax,
  type DispatchCounts,
  dispatchPass,
  idleSleepMsMax,
  sleepAfter,
} from '../../src/dispatcher/dispatcher.ts';
import { createPulse } from '../../src/dispatcher/pulse.ts';
import { scheduledRunId } from '../../src/runs/run-id.ts';
import { planFires } from '../../src/schedules/fire-plan.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

describe('a dispatch pass', () => {
  it('with nothing due does nothing, and tells when the next thing is', async () => {
    const created = await house.create();
    expect(await house.dispatch()).toEqual({
      claimed: 0,
      started: 0,
      held: 0,
      skipped: 0,
      missed: 0,
      retried: 0,
      faults: 0,
      nextDueMs: created.nextRunAtMs,
    });
  });

  it('with nothing at all tells so', async () => {
    expect(await house.dispatch()).toMatchObject({ claimed: 0, nextDueMs: null });
  });

  it('makes a run of a due time: the row, the doorbell, the counts, and the next time', async () => {
    const created = await house.create({
      name: 'daily-echo',
      job: { type: 'echo', input: { text: 'hello' }, taskQueue: 'default', timeoutMs: 1234 },
    });
    await house.live(MINUTE + 300);
    const dueMs = created.nextRunAtMs!;
    expect(await house.dispatch()).toEqual({
      claimed: 1,
      started: 1,
      held: 0,
      skipped: 0,
      missed: 0,
      retried: 0,
      faults: 0,
      nextDueMs: dueMs + MINUTE,
    });
    const id = scheduledRunId(created.id, dueMs);
    expect(await house.runsOf()).toEqual([
      {
        id,
        scheduleId: created.id,
        scheduleName: 'daily-echo',
        scheduleVersion: 1,
        jobType: 'echo',
        taskQueue: 'default',
        cause: 'schedule',
        backfillId: null,
        scheduledForMs: dueMs,
        dueAtMs: dueMs,
        createdAtMs: house.clock.now(),
        startedAtMs: null,
        finishedAtMs: null,
        status: 'queued',
        reason: null,
        attempt: 1,
        nextAttemptAtMs: null,
        input: { text: 'hello' },
        output: null,
        error: null,
        timeoutMs: 1234,
        retry: created.spec.job.retry,
        signal: null,
        missed: null,
      },
    ]);
    expect(await house.doorbells()).toMatchObject([
      { runId: id, attempt: 1, taskQueue: 'default', priority: 0 },
    ]);
    expect(await house.stateOf(created.id)).toEqual({
      nextRunAtMs: dueMs + MINUTE,
      dueAtMs: dueMs + MINUTE,
      activeRuns: 1,
      heldRuns: 0,
      fired: 1,
      succeeded: 0,
      failed: 0,
      skipped: 0,
      missed: 0,
      failuresInARow: 0,
      lastRunId: null,
      lastStatus: null,
      fault: null,
    });
  });

  it('a second time finds nothing more to do', async () => {
    await house.create();
    await house.live(MINUTE);
    await house.dispatch();
    expect(await house.dispatch()).toMatchObject({ claimed: 0, started: 0 });
    expect(await house.runsOf()).toHaveLength(1);
  });

  it('records a skipped time and rings for nothing', async () => {
    const created = await house.create({ overlap: 'skip' });
    await house.live(MINUTE);
    await house.dispatch();
    await house.live(MINUTE);
    expect(await house.dispatch()).toMatchObject({ claimed: 1, started: 0, skipped: 1 });
    expect((await house.runsOf())[1]).toMatchObject({
      status: 'skipped',
      reason: 'overlap',
      finishedAtMs: house.clock.now(),
      startedAtMs: null,
    });
    expect(await house.doorbells()).toHaveLength(1);
    expect(await house.stateOf(created.id)).toMatchObject({ activeRuns: 1, fired: 1, skipped: 1 });
  });

  it('starts again when the active run has ended, and not before its retries have', async () => {
    await house.create({ overlap: 'skip' });
    const worker = await house.worker();
    await house.live(MINUTE);
    await house.dispatch();
    await house.live(MINUTE - SECOND);
    await worker.fail((await worker.take())[0]!);
    await house.live(SECOND);
    await house.dispatch(); // retried, and skipped
    await worker.succeed((await worker.take())[0]!);
    await house.live(MINUTE);
    await house.dispatch();
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z succeeded',
      '2026-03-01T00:02:00.000Z skipped: overlap',
      '2026-03-01T00:03:00.000Z queued',
    ]);
  });

  it('completes a schedule with its last time, as a change of its own', async () => {
    const created = await house.create({ timing: at(house.clock.now() + SECOND) });
    await house.live(SECOND);
    expect(await house.dispatch()).toMatchObject({ started: 1, nextDueMs: null });
    expect(await house.schedules.get(created.id)).toMatchObject({
      status: 'completed',
      version: 2,
      updatedAtMs: house.clock.now(),
      nextRunAtMs: null,
      upcomingMs: [],
    });
    // The run was made from the schedule as it was.
    expect((await house.runsOf())[0]!.scheduleVersion).toBe(1);
  });

  it('completes a schedule with its last run', async () => {
    const created = await house.create({ maxRuns: 2, overlap: 'skip' });
    const worker = await house.worker();
    for (const end of [true, false, true]) {
      await house.live(MINUTE);
      await house.dispatch();
      if (!end) continue;
      for (const run of await worker.take()) await worker.succeed(run);
    }
    expect(await house.schedules.get(created.id)).toMatchObject({
      status: 'completed',
      counts: { fired: 2, skipped: 0 },
    });
  });

  it('passes over fires that are there already, and counts them for nothing', async () => {
    const created = await house.create({ overlap: 'allow' });
    await house.live(MINUTE);
    await house.dispatch();
    // As if the state had been set back by a restored backup.
    await house.db.execute(sql`update schedule_states set next_run_at = ${new Date(created.nextRunAtMs!).toISOString()},
      due_at = ${new Date(created.nextRunAtMs!).toISOString()}`);
    await house.live(MINUTE);
    expect(await house.dispatch()).toMatchObject({ claimed: 1, started: 1 });
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z queued',
      '2026-03-01T00:02:00.000Z queued',
    ]);
    expect(await house.stateOf(created.id)).toMatchObject({ activeRuns: 2, fired: 2 });
    expect(await house.doorbells()).toHaveLength(2);
  });

  it('takes schedules that are longest due first, at most a batch', async () => {
    for (let n = 0; n < 3; n += 1) await house.create({ timing: every(HOUR, (3 - n) * MINUTE) });
    await house.live(5 * MINUTE);
    const claimed = await house.db.transaction((tx) => claimDue(tx, house.clock.now(), 2));
    expect(claimed.map((schedule) => schedule.nextRunAtMs)).toEqual([
      ms('2026-03-01T00:01:00Z'),
      ms('2026-03-01T00:02:00Z'),
    ]);
  });

  it('passes over schedules that somebody holds, and takes them the next time', async () => {
    const held = await house.create({ name: 'held' });
    await house.create({ name: 'free' });
    await house.live(MINUTE);
    await house.another().db.transaction(async (tx) => {
      await tx.execute(sql`select from schedule_states where schedule_id = ${held.id} for update`);
      const counts = await house.dispatch();
      expect(counts).toMatchObject({ claimed: 1, started: 1, nextDueMs: held.nextRunAtMs });
      expect(sleepAfter(counts, house.clock.now())).toBe(0);
      const again = await house.dispatch();
      expect(again).toMatchObject({ claimed: 0 });
      expect(sleepAfter(again, house.clock.now())).toBeGreaterThan(0);
    });
    expect(await house.dispatch()).toMatchObject({ claimed: 1, started: 1 });
  });

  it('of a schedule with jitter waits until that is over', async () => {
    const created = await house.create({ timing: every(HOUR), jitterMs: 50 * MINUTE });
    const { dueAtMs } = await house.stateOf(created.id);
    house.clock.set(dueAtMs! - 1);
    await house.live(0);
    expect(await house.dispatch()).toMatchObject({ claimed: 0, nextDueMs: dueAtMs });
    await house.live(1);
    await house.dispatch();
    expect(await house.runsOf()).toMatchObject([
      { scheduledForMs: created.nextRunAtMs, dueAtMs, createdAtMs: dueAtMs },
    ]);
  });
});

describe('many due times', () => {
  it('of one schedule are dispatched pass by pass until it has caught up', async () => {
    const created = await house.create({ timing: every(SECOND), overlap: 'allow' });
    await house.live(5000 * SECOND);
    const first = await house.dispatch();
    expect(first).toMatchObject({ claimed: 1, started: 2000 });
    expect(sleepAfter(first, house.clock.now())).toBe(0);
    expect(await house.dispatchAll()).toMatchObject({ started: 3000 });
    const runs = await house.runsOf();
    expect(runs.map((run) => run.scheduledForMs)).toEqual(
      Array.from({ length: 5000 }, (_, n) => created.createdAtMs + (n + 1) * SECOND),
    );
    expect(await house.stateOf(created.id)).toMatchObject({ fired: 5000, activeRuns: 5000 });
  });

  it('of many schedules are shared out fairly', async () => {
    const backlog = await house.create({ timing: every(SECOND), overlap: 'allow' });
    await house.live(4000 * SECOND);
    const punctual = await house.create({ timing: at(house.clock.now() + SECOND), overlap: 'allow' });
    await house.live(SECOND);
    expect(await house.dispatch()).toMatchObject({ claimed: 2, started: 1001 });
    expect(await house.runsOf(punctual.id)).toHaveLength(1);
    expect(await house.runsOf(backlog.id)).toHaveLength(1000);
  });

  it('of more schedules than a batch take several passes', async () => {
    const { id } = await house.create({ timing: every(HOUR, SECOND) });
    await house.copy(id, claimBatchMax + 19);
    await house.live(SECOND);
    expect(await house.dispatch()).toMatchObject({ claimed: claimBatchMax, started: claimBatchMax });
    expect(await house.dispatch()).toMatchObject({ claimed: 20, started: 20 });
    expect(await house.dispatch()).toMatchObject({ claimed: 0 });
  });
});

describe('due retries', () => {
  it('are claimed at the exact instant of their backoff, attempt by attempt', async () => {
    const created = await house.create({ timing: every(HOUR) });
    const worker = await house.worker();
    await house.live(HOUR);
    await house.dispatch();
    const waits: number[] = [];
    for (let attempt = 1; attempt < 5; attempt += 1) {
      const [run] = await worker.take();
      expect(run).toMatchObject({ attempt, failures: attempt - 1 });
      await house.live(100);
      expect(await worker.fail(run!)).toBe('retrying');
      const failedAtMs = house.clock.now();
      const { nextDueMs } = await house.dispatch();
      waits.push(nextDueMs! - failedAtMs);
      house.clock.set(nextDueMs! - 1);
      await house.live(0);
      expect(await house.dispatch()).toMatchObject({ retried: 0, nextDueMs });
      await house.live(1);
      expect(await house.dispatch()).toMatchObject({ claimed: 0, retried: 1 });
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000]);
    const [last] = await worker.take();
    expect(await worker.fail(last!)).toBe('failed');
    const detail = await house.runs.get(last!.id);
    expect(detail).toMatchObject({ status: 'failed', attempt: 5 });
    expect(detail.attempts.map((attempt) => attempt.status)).toEqual(Array(5).fill('failed'));
    expect(await house.stateOf(created.id)).toMatchObject({ activeRuns: 0, fired: 1, failed: 1 });
  });

  it('wait at least as long as a receiver asked', async () => {
    await house.create();
    const worker = await house.worker();
    await house.live(MINUTE);
    await house.dispatch();
    await worker.fail((await worker.take())[0]!, { retryAfterMs: 30 * SECOND });
    const nowMs = house.clock.now();
    expect(await house.dispatch()).toMatchObject({ nextDueMs: nowMs + 30 * SECOND });
  });

  it('go on after a downtime, however long it was: a wait that is over is no fire that was missed', async () => {
    await house.create({ catchUp: 'none', timing: at(house.clock.now() + SECOND) });
    const worker = await house.worker();
    await house.live(SECOND);
    await house.dispatch();
    await worker.fail((await worker.take())[0]!);
    house.down(HOUR);
    expect(await house.dispatch()).toMatchObject({ retried: 1, missed: 0 });
    expect(await worker.take()).toHaveLength(1);
  });

  it('are taken a batch at a time', async () => {
    await house.create({ timing: every(SECOND), overlap: 'allow' });
    const worker = await house.worker();
    await house.live(520 * SECOND);
    await house.dispatchAll();
    await house.schedules.pause((await house.runsOf())[0]!.scheduleId, null);
    for (const run of await house.runsOf()) await worker.fail((await worker.claim(run))!);
    await house.live(SECOND);
    expect(await house.dispatch()).toMatchObject({ retried: 500 });
    expect(await house.dispatch()).toMatchObject({ retried: 20, nextDueMs: null });
  });
});

describe('a dispatcher that is killed before its commit', () => {
  it('has done nothing, and the next one does it all', async () => {
    const schedules = [];
    for (let n = 0; n < 5; n += 1) schedules.push(await house.create());
    await house.live(MINUTE);
    await house.dispatch();
    await house.live(MINUTE);
    const before = await Promise.all(schedules.map(({ id }) => house.stateOf(id)));

    const doomed = house.another('doomed');
    const nowMs = house.clock.now();
    const killed = doomed.db.transaction(async (tx) => {
      const claimed = await claimDue(tx, nowMs, 500);
      expect(claimed).toHaveLength(5);
      const plans = claimed.map((due) => planFires(due, { nowMs, outages: [], timesMax: 100 }));
      const plan = {
        fires: plans.flatMap((each) => each.fires),
        states: plans.map((each) => each.state),
      };
      expect(await recordFires(tx, plan, nowMs, ['default'])).toMatchObject({ skipped: 5 });
      // While it lives, nobody else gets hold of what it holds.
      expect(await house.dispatch()).toMatchObject({ claimed: 0 });
      await house.db.execute(sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'doomed' and xact_start is not null`);
      await tx.execute(sql`select 1`);
    });
    await expect(killed).rejects.toThrow();

    expect(await house.runsOf()).toHaveLength(5);
    expect(await Promise.all(schedules.map(({ id }) => house.stateOf(id)))).toEqual(before);
    expect(await house.dispatch()).toMatchObject({ claimed: 5, skipped: 5 });
    expect(await house.runsOf()).toHaveLength(10);
  });

  it('in the middle of a real pass leaves neither half a batch nor a doorbell without a run', async () => {
    for (let n = 0; n < 20; n += 1) await house.create();
    await house.live(MINUTE);
    const doomed = house.another('doomed');
    const pulse = createPulse({ db: doomed.db, clock: house.clock });
    // Somebody holds a schedule row, so the pass waits in the statement that completes it.
    const last = await house.create({ timing: at(house.clock.now() + 1) });
    await house.live(1);
    await house.another().db.transaction(async (tx) => {
      await tx.execute(sql`select from schedules where id = ${last.id} for update`);
      const pass = dispatchPass({
        db: doomed.db,
        clock: house.clock,
        pulse,
        book: house.book,
        served: () => [],
      });
      const outcome = pass.then(
        () => 'done',
        () => 'failed',
      );
      await house.blocked();
      await house.db.execute(sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'doomed' and xact_start is not null`);
      expect(await outcome).toBe('failed');
    });
    expect(await house.runsOf()).toEqual([]);
    expect(await house.doorbells()).toEqual([]);
    expect(await house.dispatch()).toMatchObject({ claimed: 21, started: 21 });
    expect(await house.runsOf()).toHaveLength(21);
    expect(await house.doorbells()).toHaveLength(21);
  });
});

describe('sleepAfter', () => {
  const counts = (part: Partial<DispatchCounts>): DispatchCounts => ({
    claimed: 0,
    started: 0,
    held: 0,
    skipped: 0,
    missed: 0,
    retried: 0,
    faults: 0,
    nextDueMs: null,
    ...part,
  });

  it.each([
    ['the longest when nothing waits', counts({}), idleSleepMsMax],
    ['until the next thing is due', counts({ nextDueMs: 1100 }), 100],
    ['the longest when the next thing is far', counts({ nextDueMs: 99_000 }), idleSleepMsMax],
    ['not at all when more is due and some was done', counts({ nextDueMs: 1000, claimed: 500 }), 0],
    ['not at all when more retries are due', counts({ nextDueMs: 900, retried: 500 }), 0],
    ['a moment when all that is due is held by others', counts({ nextDueMs: 900 }), 5],
  ])('is %s', (_, done, expected) => {
    expect(sleepAfter(done, 1000)).toBe(expected);
  });
});

describe('a backlog of an outage', () => {
  it('keeps no live schedule waiting: what came due last can be claimed first', async () => {
    const old = await house.create({ timing: every(MINUTE) });
    await house.copy(old.id, 600);
    await house.live(10 * MINUTE);
    const live = await house.create({ timing: every(SECOND) });
    await house.live(SECOND);
    const claimed = (first: 'oldest' | 'newest') =>
      house.db.transaction((tx) => claimDue(tx, house.clock.now(), 500, first));
    expect((await claimed('oldest')).map(({ id }) => id)).not.toContain(live.id);
    expect((await claimed('newest'))[0]!.id).toBe(live.id);
  });

  it('is taken schedule by schedule, in few rows for each', async () => {
    const { id } = await house.create({ timing: every(SECOND), catchUp: 'latest' });
    await house.copy(id, 9);
    await house.live(1);
    house.down(5000 * SECOND);
    const first = await house.dispatch();
    // 20,000 times a pass: four schedules whole; the others stay due.
    expect(first).toMatchObject({ claimed: 10, missed: 4 * 4999, started: 4 });
    await house.dispatchAll();
    const runs = await house.runsOf();
    expect(runs.filter((run) => run.status === 'queued')).toHaveLength(10);
    expect(runs.length).toBeLessThanOrEqual(10 * 13);
    expect((await house.stateOf(id)).missed).toBe(4999);
  });
});
