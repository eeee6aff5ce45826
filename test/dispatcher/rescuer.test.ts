import { sql } from 'drizzle-orm';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { markGone, renewLease, servedTaskQueues } from '../../src/db/worker-store.ts';
import { createRescuer, lostAfterMs, type Rescuer } from '../../src/dispatcher/rescuer.ts';
import { createServedQueues } from '../../src/dispatcher/served-queues.ts';
import { type House, setupHouse, type TestWorker } from '../support/house.ts';
import { DAY, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
let rescuer: Rescuer;
let worker: TestWorker;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(async () => {
  await house.reset();
  rescuer = newRescuer();
  worker = await house.worker();
});
afterAll(() => house.close());

const newRescuer = () =>
  createRescuer({
    db: house.db,
    clock: house.clock,
    logger: pino({ level: 'silent' }),
    served: () => house.served,
  });
const nothing = { lostWorkers: 0, requeued: 0, cancelled: 0, unlockedPools: 0, rung: 0, rehomed: 0 };
const beat = (each = worker, poolIds: string[] = []) =>
  renewLease(house.db, each.id, poolIds, house.clock.now());

/** `count` runs that the worker executes, of schedules that fire no more. */
async function running(count: number, by = worker) {
  const created = await house.create({ overlap: 'allow', maxRuns: count });
  await house.live(count * MINUTE);
  await house.dispatchAll();
  await beat();
  expect(await by.take()).toHaveLength(count);
  return await house.runsOf(created.id);
}

describe('the rescuer', () => {
  it('leaves workers alone whose heartbeat is not older than thirty seconds', async () => {
    await running(2);
    await house.live(lostAfterMs);
    expect(await rescuer.pass()).toEqual(nothing);
    await beat();
    await house.live(lostAfterMs);
    expect(await rescuer.pass()).toEqual(nothing);
  });

  it('takes a lost worker’s runs back: they go on under the next attempt number', async () => {
    const runs = await running(2);
    await house.live(lostAfterMs + 1);
    expect(await rescuer.pass()).toEqual({ ...nothing, lostWorkers: 1, requeued: 2 });
    for (const run of runs) {
      expect(await house.runs.get(run.id)).toMatchObject({
        status: 'queued',
        attempt: 2,
        reason: 'worker_lost',
        attempts: [{ number: 1, status: 'lost', worker: 'test:1' }],
      });
    }
    const other = await house.worker();
    const again = await other.take();
    expect(again.map((run) => [run.id, run.attempt])).toEqual(runs.map((run) => [run.id, 2]));
    for (const run of again) await other.succeed(run);
    expect(await house.stateOf(runs[0]!.scheduleId)).toMatchObject({
      activeRuns: 0,
      succeeded: 2,
      failed: 0,
    });
  });

  it('declares it gone, so that it knows when it wakes, and what it did is not counted', async () => {
    const [run] = await running(1);
    await house.live(lostAfterMs + 1);
    await rescuer.pass();
    expect(await beat()).toBe(false);
    expect(await worker.succeed({ ...run!, attempt: 1 } as never)).toBe(false);
    expect(await house.runs.get(run!.id)).toMatchObject({ status: 'queued', attempt: 2 });
    expect(await rescuer.pass()).toEqual(nothing);
  });

  it('ends those of its runs that had been told to cancel or stop', async () => {
    const [cancelled, lost] = await running(2);
    const [stopped] = await running(1);
    await house.runs.cancel(cancelled!.id);
    await house.schedules.stop(stopped!.scheduleId, null);
    await house.live(lostAfterMs + 1);
    expect(await rescuer.pass()).toEqual({ ...nothing, lostWorkers: 1, requeued: 1, cancelled: 2 });
    expect(await house.runs.get(cancelled!.id)).toMatchObject({
      status: 'cancelled',
      reason: 'cancelled_by_hand',
    });
    expect(await house.runs.get(stopped!.id)).toMatchObject({ status: 'cancelled', reason: 'stopped' });
    expect(await house.runs.get(lost!.id)).toMatchObject({ status: 'queued' });
  });

  it('leaves what other workers execute', async () => {
    const other = await house.worker();
    await running(1, other);
    await house.live(lostAfterMs);
    await beat(other);
    await house.live(1);
    expect(await rescuer.pass()).toMatchObject({ lostWorkers: 1, requeued: 0 });
  });

  it('on two nodes at once takes each run back once', async () => {
    const runs = await running(10);
    await house.live(lostAfterMs + 1);
    const second = createRescuer({
      db: house.another().db,
      clock: house.clock,
      logger: pino({ level: 'silent' }),
      served: () => house.served,
    });
    const counts = await Promise.all([rescuer.pass(), second.pass()]);
    expect(counts[0]!.lostWorkers + counts[1]!.lostWorkers).toBe(1);
    expect(counts[0]!.requeued + counts[1]!.requeued).toBe(10);
    for (const run of runs) expect((await house.runs.get(run.id)).attempt).toBe(2);
  });

  it('takes one run back as often as its workers are lost', async () => {
    const [run] = await running(1);
    for (let attempt = 2; attempt <= 4; attempt += 1) {
      await house.live(lostAfterMs + 1);
      await rescuer.pass();
      const next = await house.worker();
      expect(await next.take()).toMatchObject([{ id: run!.id, attempt, failures: 0 }]);
    }
    expect((await house.runs.get(run!.id)).attempts.map((attempt) => attempt.status)).toEqual([
      'lost',
      'lost',
      'lost',
      'running',
    ]);
  });

  it('unlocks the doorbells of a lost worker’s pools at once', async () => {
    await house.create({ overlap: 'allow' });
    await house.live(MINUTE);
    await house.dispatch();
    await beat(worker, ['pool-1', 'pool-2']);
    const lockedAt = new Date(house.clock.now()).toISOString();
    await house.db.execute(
      sql`update graphile_worker._private_jobs set locked_by = 'pool-2', locked_at = ${lockedAt}`,
    );
    await house.live(lostAfterMs + 1);
    expect(await rescuer.pass()).toMatchObject({ lostWorkers: 1 });
    expect(await house.doorbells()).toMatchObject([{ lockedBy: null }]);
  });

  it('unlocks the doorbells of a pool that nobody owns up to, after 45 seconds', async () => {
    await house.create();
    await house.live(MINUTE);
    await house.dispatch();
    const lockedAt = new Date(house.clock.now()).toISOString();
    await house.db.execute(
      sql`update graphile_worker._private_jobs set locked_by = 'unknown', locked_at = ${lockedAt}`,
    );
    for (let n = 0; n < 3; n += 1) {
      await house.live(15 * SECOND);
      await beat();
      expect(await rescuer.pass()).toEqual(nothing);
    }
    await house.live(1);
    expect(await rescuer.pass()).toEqual({ ...nothing, unlockedPools: 1 });
    expect(await house.doorbells()).toMatchObject([{ lockedBy: null }]);
  });
});

describe('once a minute the rescuer', () => {
  /** A minute in which the workers live. */
  async function minute() {
    for (let n = 0; n < 4; n += 1) {
      await house.live(15 * SECOND);
      await beat();
    }
  }

  it('rings again for runs that have waited for a minute and have lost their doorbell', async () => {
    const created = await house.create({ maxRuns: 1 });
    await minute();
    await house.dispatch();
    const [run] = await house.runsOf(created.id);
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    expect(await rescuer.pass()).toEqual(nothing); // it has waited for no time at all
    await minute();
    await house.live(1);
    expect(await rescuer.pass()).toEqual({ ...nothing, rung: 1 });
    expect(await house.doorbells()).toMatchObject([{ runId: run!.id }]);
    await minute();
    expect(await rescuer.pass()).toEqual(nothing);
  });

  it('and not more often', async () => {
    await house.create({ maxRuns: 1 });
    await minute();
    await house.dispatch();
    await minute();
    await house.live(SECOND);
    await rescuer.pass();
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    await house.live(MINUTE - 1);
    await beat();
    expect(await rescuer.pass()).toMatchObject({ rung: 0 });
    await house.live(1);
    expect(await rescuer.pass()).toMatchObject({ rung: 1 });
  });

  it('brings doorbells of queues that nobody serves any more to the default queue', async () => {
    house.served = ['default', 'backup'];
    const leaving = await house.worker();
    house.served = ['default'];
    const created = await house.create({ maxRuns: 1, job: { taskQueue: 'backup' } });
    await house.live(MINUTE);
    house.served = ['default', 'backup'];
    await house.dispatch();
    expect(await house.doorbells()).toMatchObject([{ taskQueue: 'backup' }]);
    await beat();
    await beat(leaving);
    expect(await rescuer.pass()).toMatchObject({ rehomed: 0 });
    await markGone(house.db, leaving.id, house.clock.now());
    // graphile knows of the default queue since a worker listens to it.
    await house.db.execute(sql`insert into graphile_worker._private_tasks (identifier) values ('run/default')
      on conflict do nothing`);
    await minute();
    expect(await rescuer.pass()).toMatchObject({ rehomed: 1 });
    expect(await house.doorbells()).toMatchObject([{ taskQueue: 'default' }]);
    expect((await house.runsOf(created.id))[0]!.taskQueue).toBe('backup');
  });

  it('leaves them when no worker has served the default queue for a minute: it would help nobody', async () => {
    await markGone(house.db, worker.id, house.clock.now());
    house.served = ['default', 'backup'];
    await house.create({ maxRuns: 1, job: { taskQueue: 'backup' } });
    await house.live(MINUTE);
    await house.dispatch();
    house.served = ['default'];
    await house.worker(); // has just come
    expect(await rescuer.pass()).toMatchObject({ rehomed: 0 });
  });

  it('forgets workers that have been gone for a month', async () => {
    await markGone(house.db, worker.id, house.clock.now());
    const count = async () => (await house.db.execute(sql`select from workers`)).rowCount;
    await house.live(30 * DAY);
    await rescuer.pass();
    expect(await count()).toBe(1);
    await house.live(MINUTE);
    await rescuer.pass();
    expect(await count()).toBe(0);
  });
});

describe('the served queues', () => {
  it('are those of the living workers, and the process’ own in any case', async () => {
    house.served = ['default', 'sync'];
    const other = await house.worker();
    const served = createServedQueues(house.db, ['backup']);
    expect(served.names()).toEqual(['backup']);
    await served.refresh();
    expect([...served.names()].sort()).toEqual(['backup', 'default', 'sync']);
    await markGone(house.db, other.id, house.clock.now());
    await served.refresh();
    expect([...served.names()].sort()).toEqual(['backup', 'default']);
  });

  it('are served since the longest of their workers lives', async () => {
    const start = house.clock.now();
    await house.live(MINUTE);
    house.served = ['default', 'sync'];
    await house.worker();
    expect(await servedTaskQueues(house.db)).toEqual(
      new Map([
        ['default', start],
        ['sync', start + MINUTE],
      ]),
    );
  });
});
