import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ringForgotten } from '../../src/db/queue.ts';
import { endRuns, lockStates } from '../../src/db/run-end-store.ts';
import { heldReason } from '../../src/schedules/overlap-turn.ts';
import type { OverlapPolicy } from '../../src/schedules/schedule.ts';
import { type House, setupHouse, type TestWorker } from '../support/house.ts';
import { endOf } from '../support/run-ends.ts';
import { every, MINUTE, SECOND } from '../support/timings.ts';

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

/** A schedule of every minute, with this many fires dispatched, each at its time. */
async function fired(overlap: OverlapPolicy, fires: number) {
  const schedule = await house.create({ timing: every(MINUTE), overlap });
  await minutes(fires);
  return schedule;
}

async function minutes(count: number) {
  for (let n = 0; n < count; n += 1) {
    await house.live(MINUTE);
    await house.dispatchAll();
  }
}

/** "00:01 queued", "00:02 queued: held_by_overlap", … */
async function table(scheduleId?: string): Promise<string[]> {
  return (await house.timetable(scheduleId)).map((line) => `${line.slice(11, 16)}${line.slice(24)}`);
}

const counted = async (id: string) => {
  const { rows } = await house.db.execute(
    sql`select active_runs as active, held_runs as held, held_backfills as backfills, fired::int, skipped::int
      from schedule_states where schedule_id = ${id}`,
  );
  return rows[0];
};

describe('queue_one', () => {
  it('holds the first fire, skips the others, and lets it go when the run has ended', async () => {
    const { id } = await fired('queue_one', 3);
    const [first] = await worker.take();
    expect(await table()).toEqual(['00:01 running', `00:02 queued: ${heldReason}`, '00:03 skipped: overlap']);
    expect(await counted(id)).toEqual({ active: 1, held: 1, backfills: 0, fired: 2, skipped: 1 });
    expect(await worker.take()).toEqual([]);
    expect(await worker.succeed(first!)).toBe(true);
    expect(await counted(id)).toEqual({ active: 1, held: 0, backfills: 0, fired: 2, skipped: 1 });
    const [second] = await worker.take();
    expect(new Date(second!.scheduledForMs).toISOString()).toBe('2026-03-01T00:02:00.000Z');
    await worker.succeed(second!);
    expect(await table()).toEqual(['00:01 succeeded', '00:02 succeeded', '00:03 skipped: overlap']);
    expect(await counted(id)).toEqual({ active: 0, held: 0, backfills: 0, fired: 2, skipped: 1 });
  });

  it('waits for the whole retry chain', async () => {
    const { id } = await fired('queue_one', 2);
    const [first] = await worker.take();
    expect(await worker.fail(first!)).toBe('retrying');
    expect(await worker.take()).toEqual([]);
    expect(await counted(id)).toMatchObject({ active: 1, held: 1 });
    await house.live(30 * SECOND);
    await house.dispatchAll();
    const [again] = await worker.take();
    expect(again!.id).toBe(first!.id);
    await worker.fail(again!, { retryable: false });
    expect((await worker.take()).map((run) => run.attempt)).toEqual([1]);
    expect(await counted(id)).toMatchObject({ active: 1, held: 0 });
  });

  it('is released by a cancel by hand of the run that held it', async () => {
    const { id } = await fired('queue_one', 2);
    const [queued] = await house.runsOf(id);
    await house.runs.cancel(queued!.id);
    expect(await table()).toEqual(['00:01 cancelled: cancelled_by_hand', '00:02 queued']);
    expect((await worker.take()).length).toBe(1);
  });

  it('can be cancelled itself while it is held', async () => {
    const { id } = await fired('queue_one', 2);
    const [running] = await worker.take();
    const held = (await house.runsOf(id))[1]!;
    expect(await house.runs.cancel(held.id)).toMatchObject({
      status: 'cancelled',
      reason: 'cancelled_by_hand',
    });
    expect(await counted(id)).toMatchObject({ active: 1, held: 0 });
    await worker.succeed(running!);
    expect(await worker.take()).toEqual([]);
    expect(await counted(id)).toMatchObject({ active: 0, held: 0 });
  });

  it('no doorbell starts it before its time, and none is rung as forgotten', async () => {
    const { id } = await fired('queue_one', 2);
    const held = (await house.runsOf(id))[1]!;
    expect(await worker.claim(held)).toBeNull();
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    await house.live(10 * MINUTE);
    expect(await ringForgotten(house.db, new Date(house.clock.now()), ['default'], 100)).toBe(1);
  });
});

describe('queue_all', () => {
  it('runs one after the other, oldest first', async () => {
    const { id } = await fired('queue_all', 4);
    for (const minute of [1, 2, 3, 4]) {
      const runs = await worker.take();
      expect(runs.map((run) => new Date(run.scheduledForMs).getUTCMinutes())).toEqual([minute]);
      await worker.succeed(runs[0]!);
    }
    expect(await counted(id)).toEqual({ active: 0, held: 0, backfills: 0, fired: 4, skipped: 0 });
  });

  it('says queue_full beyond a thousand', async () => {
    const { id } = await house.create({
      timing: every(SECOND),
      overlap: 'queue_all',
      catchUp: 'all',
    });
    await house.live(1003 * SECOND);
    await house.dispatchAll();
    expect(await counted(id)).toEqual({ active: 1, held: 1000, backfills: 0, fired: 1001, skipped: 2 });
    expect((await house.timetable(id)).at(-1)).toMatch(/skipped: queue_full$/);
  });

  it('lets all go when the policy becomes allow', async () => {
    const { id } = await fired('queue_all', 3);
    await house.schedules.update(id, ({ spec }) => ({ ...spec, overlap: 'allow' }));
    expect(await table()).toEqual(['00:01 queued', '00:02 queued', '00:03 queued']);
    expect(await counted(id)).toMatchObject({ active: 3, held: 0 });
    expect((await worker.take()).length).toBe(3);
  });
});

describe('cancel_running', () => {
  it('cancels the run, waits for its end, and starts the newest', async () => {
    const { id } = await fired('cancel_running', 1);
    const [first] = await worker.take();
    await minutes(2);
    expect(await table()).toEqual([
      '00:01 running',
      '00:02 cancelled: superseded',
      `00:03 queued: ${heldReason}`,
    ]);
    expect(await counted(id)).toEqual({ active: 1, held: 1, backfills: 0, fired: 3, skipped: 0 });
    expect((await house.runs.get(first!.id)).signal).toBe('cancel');
    expect(await worker.end(first!, 'cancelled', { reason: 'cancelled_by_hand' })).toBe(true);
    expect(await table()).toEqual([
      '00:01 cancelled: cancelled_by_overlap',
      '00:02 cancelled: superseded',
      '00:03 queued',
    ]);
    expect((await worker.take()).length).toBe(1);
  });

  it('starts at once where what was active had not started', async () => {
    const { id } = await fired('cancel_running', 3);
    expect(await table()).toEqual([
      '00:01 cancelled: cancelled_by_overlap',
      '00:02 cancelled: cancelled_by_overlap',
      '00:03 queued',
    ]);
    expect(await counted(id)).toMatchObject({ active: 1, held: 0 });
    expect((await worker.take()).length).toBe(1);
  });

  it('does not wait for a retry that would come', async () => {
    await fired('cancel_running', 1);
    const [first] = await worker.take();
    await worker.fail(first!);
    await minutes(1);
    expect(await table()).toEqual(['00:01 cancelled: cancelled_by_overlap', '00:02 queued']);
  });

  it('of fires that are due at once only the newest becomes a run', async () => {
    const { id } = await house.create({ timing: every(MINUTE), overlap: 'cancel_running', maxRuns: 2 });
    await house.live(3 * MINUTE);
    await house.dispatchAll();
    expect(await table()).toEqual(['00:01 skipped: superseded', '00:02 skipped: superseded', '00:03 queued']);
    expect(await counted(id)).toEqual({ active: 1, held: 0, backfills: 0, fired: 1, skipped: 2 });
  });
});

describe('a trigger by hand', () => {
  it('may have a policy of its own', async () => {
    const { id } = await fired('skip', 1);
    const [running] = await worker.take();
    expect(await house.schedules.trigger(id, {})).toMatchObject({ status: 'skipped', reason: 'overlap' });
    const waiting = await house.schedules.trigger(id, { overlap: 'queue_all' });
    expect(waiting).toMatchObject({ status: 'queued', reason: heldReason, cause: 'manual' });
    await worker.succeed(running!);
    expect((await worker.take()).map((run) => run.id)).toEqual([waiting.id]);
  });

  it('with cancel_running takes the place of what runs', async () => {
    const { id } = await fired('skip', 1);
    const [running] = await worker.take();
    const newest = await house.schedules.trigger(id, { overlap: 'cancel_running' });
    expect(newest.reason).toBe(heldReason);
    await worker.end(running!, 'cancelled', { reason: 'cancelled_by_hand' });
    expect((await worker.take()).map((run) => run.id)).toEqual([newest.id]);
  });
});

describe('ends and fires at the same moment', () => {
  /** The schedule's hot row, held by another process until `free` is called. */
  async function hold(scheduleId: string) {
    const { promise: held, resolve: isHeld } = Promise.withResolvers<void>();
    const { promise: freed, resolve: free } = Promise.withResolvers<void>();
    const done = house.another().db.transaction(async (tx) => {
      await lockStates(tx, [scheduleId]);
      isHeld();
      await freed;
    });
    await held;
    return async () => {
      free();
      await done;
    };
  }

  it('an end that began before a fire was held releases it all the same', async () => {
    const { id } = await fired('queue_one', 1);
    const [first] = await worker.take();
    const free = await hold(id);
    // A pass steps over the locked row; a trigger waits for it, and so does the end, with a snapshot from before.
    const held = house.schedules.trigger(id, {});
    await house.blocked(1);
    const end = worker.succeed(first!);
    await house.blocked(2);
    await free();
    const waited = await held;
    expect(await end).toBe(true);
    expect((await worker.take()).map((run) => run.id)).toContain(waited.id);
    expect(await counted(id)).toMatchObject({ active: 1, held: 0 });
  });

  it('a fire that waits for an end is not held for nothing', async () => {
    const { id } = await fired('queue_one', 1);
    const [first] = await worker.take();
    const free = await hold(id);
    const end = worker.succeed(first!);
    await house.blocked(1);
    const fire = house.schedules.trigger(id, {});
    await house.blocked(2);
    await free();
    expect(await end).toBe(true);
    expect(await fire).toMatchObject({ status: 'queued', reason: null });
    expect((await worker.take()).length).toBe(1);
  });

  it.each([
    'end first',
    'cancel first',
  ])('two releases of one waiting fire let it go once: %s', async (order) => {
    const { id } = await house.create({ timing: every(MINUTE), overlap: 'allow' });
    await minutes(2);
    const [one, two] = await worker.take();
    const waiting = await house.schedules.trigger(id, { overlap: 'queue_one' });
    await house.runs.cancel(two!.id);
    const free = await hold(id);
    const end = () => worker.succeed(one!);
    const cancelled = () => worker.end(two!, 'cancelled', { reason: 'cancelled_by_hand' });
    const [first, second] = order === 'end first' ? [end, cancelled] : [cancelled, end];
    const firstDone = first();
    await house.blocked(1);
    const secondDone = second();
    await house.blocked(2);
    await free();
    expect(await Promise.all([firstDone, secondDone])).toEqual([true, true]);
    expect((await house.doorbells()).filter((bell) => bell.runId === waiting.id)).toHaveLength(1);
    expect(await counted(id)).toMatchObject({ active: 1, held: 0 });
  });

  it('one batch of ends lets go what waits for it and ends what nothing waits for', async () => {
    const free = await fired('skip', 1);
    const busy = await fired('queue_one', 2);
    const runs = (await worker.take()).filter((run) => [free.id, busy.id].includes(run.scheduleId));
    const ended = await endRuns(
      house.db,
      runs.map((run) => endOf(run, house.clock.now())),
      ['default'],
    );
    expect(ended).toEqual(new Set(runs.map((run) => run.id)));
    expect(await counted(busy.id)).toMatchObject({ active: 1, held: 0 });
    expect(await counted(free.id)).toMatchObject({ active: 0, held: 0 });
  });
});

describe('what takes a schedule away', () => {
  it.each(['stop', 'delete', 'reschedule'])('%s ends what is held', async (command) => {
    const { id } = await fired('queue_all', 3);
    const [running] = await worker.take();
    if (command === 'stop') await house.schedules.stop(id, null);
    else if (command === 'delete') await house.schedules.remove(id);
    else await house.schedules.update(id, ({ spec }) => ({ ...spec, timing: every(2 * MINUTE) }));
    const reason = { stop: 'stopped', delete: 'schedule_deleted', reschedule: 'rescheduled' }[command];
    expect((await table(id)).slice(1)).toEqual([`00:02 cancelled: ${reason}`, `00:03 cancelled: ${reason}`]);
    expect(await worker.end(running!, 'cancelled', { reason: 'cancelled_by_hand' })).toBe(true);
    expect(await worker.take()).toEqual([]);
    const [first] = await house.runsOf(id);
    expect(first!.reason).toBe(command === 'reschedule' ? 'cancelled_by_hand' : reason);
  });

  it('a pause lets what was held run, since its time had come before', async () => {
    const { id } = await fired('queue_one', 2);
    await house.schedules.pause(id, null);
    const [first] = await worker.take();
    await worker.succeed(first!);
    expect((await worker.take()).length).toBe(1);
  });
});
