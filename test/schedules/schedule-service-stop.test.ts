import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { requeueFromWorker, retryRuns, startRuns } from '../../src/db/run-store.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

/** A schedule with runs in the states that are asked for, in that order. */
async function busy(...states: ('queued' | 'running' | 'retrying' | 'succeeded')[]) {
  const created = await house.create({ overlap: 'allow' });
  const worker = await house.worker();
  for (const state of states) {
    await house.live(MINUTE);
    await house.dispatch();
    if (state === 'queued') continue;
    const run = (await house.runsOf(created.id)).at(-1)!;
    const claimed = (await worker.claim(run))!;
    if (state === 'retrying') await worker.fail(claimed);
    if (state === 'succeeded') await worker.succeed(claimed);
  }
  return { id: created.id, worker };
}

const statuses = async () => (await house.runsOf()).map((run) => run.status);

describe('stop', () => {
  it('is final: nothing fires any more', async () => {
    const created = await house.create();
    const stopped = await house.schedules.stop(created.id, 'out of service');
    expect(stopped).toMatchObject({
      status: 'stopped',
      note: 'out of service',
      version: 2,
      nextRunAtMs: null,
      upcomingMs: [],
    });
    await house.live(HOUR);
    house.down(HOUR);
    await house.dispatchAll();
    expect(await house.runsOf()).toEqual([]);
  });

  it('again is no error: the note may change, and without one nothing does', async () => {
    const created = await house.create();
    const first = await house.schedules.stop(created.id, 'why');
    await house.live(SECOND);
    expect(await house.schedules.stop(created.id, null)).toEqual(first);
    expect(await house.schedules.stop(created.id, 'why')).toEqual(first);
    expect(await house.schedules.stop(created.id, 'therefore')).toMatchObject({
      status: 'stopped',
      note: 'therefore',
    });
  });

  it('ends what waits, tells what runs, and leaves what has ended', async () => {
    const { id, worker } = await busy('succeeded', 'running', 'retrying', 'queued');
    const stopped = await house.schedules.stop(id, null);
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z succeeded',
      '2026-03-01T00:02:00.000Z running',
      '2026-03-01T00:03:00.000Z cancelled: stopped',
      '2026-03-01T00:04:00.000Z cancelled: stopped',
    ]);
    expect(stopped.activeRuns).toBe(1);
    const [, running] = await house.runsOf();
    expect(running!.signal).toBe('stop');
    expect(await worker.take()).toEqual([]);
  });

  it('lets a running run end as it will, and does not retry it', async () => {
    const { id, worker } = await busy('running', 'running');
    const runs = await house.runsOf();
    await house.schedules.stop(id, null);
    // As at a lost answer: the worker asks again and is given the same runs.
    const claimed = await startRuns(
      house.db,
      worker.id,
      runs.map((run) => ({ runId: run.id, attempt: 1 })),
      house.clock.now(),
    );
    const [first, second] = runs.map((run) => claimed.find((each) => each.id === run.id)!);
    expect(first!.signal).toBe('stop');
    expect(await worker.succeed(first!)).toBe(true);
    expect(await worker.fail(second!)).toBe('failed');
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z succeeded',
      '2026-03-01T00:02:00.000Z failed: stopped',
    ]);
    expect(await house.stateOf(id)).toMatchObject({ activeRuns: 0, succeeded: 1, failed: 1 });
  });

  it('gives what was due before it a disposition before it takes effect', async () => {
    const created = await house.create({ overlap: 'allow' });
    await house.live(2 * MINUTE);
    await house.schedules.stop(created.id, null);
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z cancelled: stopped',
      '2026-03-01T00:02:00.000Z cancelled: stopped',
    ]);
    expect(await house.stateOf(created.id)).toMatchObject({ fired: 2, activeRuns: 0 });
  });

  it('records a nominal time that waits out its jitter as skipped', async () => {
    const created = await house.create({ timing: every(HOUR), jitterMs: 50 * MINUTE });
    await house.live(HOUR);
    await house.schedules.stop(created.id, null);
    expect(await house.timetable()).toEqual(['2026-03-01T01:00:00.000Z skipped: stopped']);
  });

  it('works on a paused and on a completed schedule', async () => {
    const paused = await house.create();
    await house.schedules.pause(paused.id, 'a rest');
    expect(await house.schedules.stop(paused.id, null)).toMatchObject({
      status: 'stopped',
      note: null,
      pausedAtMs: null,
    });
    const completed = await house.create({ timing: at(house.clock.now() + SECOND) });
    await house.live(SECOND);
    await house.dispatch();
    expect(await house.schedules.stop(completed.id, null)).toMatchObject({ status: 'stopped' });
  });

  it('of an unknown schedule is not found', async () => {
    await expect(house.schedules.stop('nobody', null)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('stop reaches a run that changes its state at the same moment:', () => {
  it('one that is being claimed is told', async () => {
    const { id, worker } = await busy('queued');
    const [run] = await house.runsOf();
    const { db } = house.another();
    const stopping = await db.transaction(async (tx) => {
      await startRuns(tx, worker.id, [{ runId: run!.id, attempt: 1 }], house.clock.now());
      const stopped = house.schedules.stop(id, null);
      await house.blocked();
      return { stopped };
    });
    await stopping.stopped;
    expect(await house.runsOf()).toMatchObject([{ status: 'running', signal: 'stop' }]);
  });

  it('one whose failure is being recorded is not retried', async () => {
    const { id } = await busy('running');
    const [run] = await house.runsOf();
    const { db } = house.another();
    const nowMs = house.clock.now();
    const stopping = await db.transaction(async (tx) => {
      const moved = await retryRuns(tx, [
        {
          runId: run!.id,
          attempt: 1,
          status: 'failed',
          error: { type: 'Broken', message: 'as the test wanted' },
          finishedAtMs: nowMs,
          nextAttemptAtMs: nowMs + 1000,
        },
      ]);
      expect(moved.size).toBe(1);
      const stopped = house.schedules.stop(id, null);
      await house.blocked();
      return { stopped };
    });
    await stopping.stopped;
    expect(await statuses()).toEqual(['cancelled']);
    expect((await house.stateOf(id)).activeRuns).toBe(0);
  });

  it('one that is being taken back from a lost worker does not go on', async () => {
    const { id, worker } = await busy('running');
    const { db } = house.another();
    const stopping = await db.transaction(async (tx) => {
      await requeueFromWorker(tx, {
        workerId: worker.id,
        except: [],
        cause: 'worker_lost',
        nowMs: house.clock.now(),
        served: [],
      });
      const stopped = house.schedules.stop(id, null);
      await house.blocked();
      return { stopped };
    });
    await stopping.stopped;
    expect(await statuses()).toEqual(['cancelled']);
    expect((await house.stateOf(id)).activeRuns).toBe(0);
  });
});
