/**
 * A command against the dispatcher and against a worker, each order forced by a lock that a third connection holds. Cancel
 * against finish stands in runs/run-service.test.ts, two releases of one waiting fire in overlap.test.ts.
 */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimDue, recordFires } from '../../src/db/fire-store.ts';
import { planFires } from '../../src/schedules/fire-plan.ts';
import { type House, setupHouse, type TestWorker } from '../support/house.ts';
import { every, MINUTE } from '../support/timings.ts';

let house: House;
let worker: TestWorker;
beforeAll(async () => {
  house = await setupHouse();
});
afterAll(async () => await house?.close());
beforeEach(async () => {
  await house.reset();
  worker = await house.worker();
});

/** What a command writes last is held up until the answer is called: it has its locks, and has not committed. */
async function holdDefinition(scheduleId: string): Promise<() => Promise<void>> {
  const { promise: held, resolve: isHeld } = Promise.withResolvers<void>();
  const { promise: freed, resolve: free } = Promise.withResolvers<void>();
  const done = house.another().db.transaction(async (tx) => {
    await tx.execute(sql`select from schedules where id = ${scheduleId} for update`);
    isHeld();
    await freed;
  });
  await held;
  return async () => {
    free();
    await done;
  };
}

describe('pause against fire', () => {
  it('the fire first: it runs, and nothing after it', async () => {
    const { id } = await house.create({ timing: every(MINUTE) });
    await house.live(MINUTE);
    let paused: Promise<unknown> | undefined;
    await house.db.transaction(async (tx) => {
      const nowMs = house.clock.now();
      const [due] = await claimDue(tx, nowMs, 10);
      paused = house.schedules.pause(id, null);
      await house.blocked();
      const { fires, state } = planFires(due!, { nowMs, outages: [], timesMax: 10 });
      await recordFires(tx, { fires, states: [state] }, nowMs, house.served);
    });
    expect(await paused).toMatchObject({ status: 'paused', nextRunAtMs: null });
    await house.live(MINUTE);
    await house.dispatchAll();
    expect(await house.timetable(id)).toEqual(['2026-03-01T00:01:00.000Z queued']);
  });

  it('the pause first: what was due has its run from the pause, and the dispatcher finds nothing', async () => {
    const { id } = await house.create({ timing: every(MINUTE) });
    await house.live(MINUTE);
    const free = await holdDefinition(id);
    const paused = house.schedules.pause(id, null);
    await house.blocked();
    expect(await house.dispatch()).toMatchObject({ claimed: 0, started: 0 });
    await free();
    expect(await paused).toMatchObject({ status: 'paused' });
    await house.dispatchAll();
    expect(await house.timetable(id)).toEqual(['2026-03-01T00:01:00.000Z queued']);
  });
});

describe('reschedule against a queued run', () => {
  const queued = async () => {
    const { id } = await house.create({ timing: every(MINUTE) });
    await house.live(MINUTE);
    await house.dispatchAll();
    const [run] = await house.runsOf(id);
    return { id, run: run! };
  };
  const move = (id: string) =>
    house.schedules.update(id, ({ spec }) => ({ ...spec, timing: every(2 * MINUTE) }));

  it('the withdrawal first: the worker gets nothing', async () => {
    const { id, run } = await queued();
    const free = await holdDefinition(id);
    const moved = move(id);
    await house.blocked();
    const claim = worker.claim(run);
    await house.blocked(2);
    await free();
    await moved;
    expect(await claim).toBeNull();
    expect(await house.timetable(id)).toEqual(['2026-03-01T00:01:00.000Z cancelled: rescheduled']);
    expect((await house.stateOf(id)).activeRuns).toBe(0);
  });

  it('the worker first: the run goes on', async () => {
    const { id, run } = await queued();
    const claimed = await worker.claim(run);
    await move(id);
    expect(await worker.succeed(claimed!)).toBe(true);
    expect(await house.timetable(id)).toEqual(['2026-03-01T00:01:00.000Z succeeded']);
    expect((await house.stateOf(id)).activeRuns).toBe(0);
  });
});
