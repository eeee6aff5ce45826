import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { retryRuns } from '../../src/db/run-store.ts';
import { type House, setupHouse } from '../support/house.ts';
import { every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

describe('remove', () => {
  it('takes the schedule away, and its name is free again', async () => {
    const created = await house.create({ name: 'gone' });
    await house.schedules.remove('gone');
    await expect(house.schedules.get(created.id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(house.schedules.remove('gone')).rejects.toMatchObject({ code: 'not_found' });
    expect((await house.create({ name: 'gone' })).id).not.toBe(created.id);
    const { rows } = await house.db.execute(sql`select count(*)::int as n from schedule_states`);
    expect(rows).toEqual([{ n: 1 }]);
  });

  it('lets nothing fire any more', async () => {
    const created = await house.create();
    await house.schedules.remove(created.id);
    await house.live(HOUR);
    expect(await house.dispatchAll()).toMatchObject({ claimed: 0, nextDueMs: null });
  });

  it('cancels what waits, tells what runs to cancel, and keeps the history', async () => {
    const created = await house.create({ overlap: 'allow' });
    const worker = await house.worker();
    await house.live(4 * MINUTE);
    await house.dispatchAll();
    const [succeeded, failing, running] = await worker.take(3);
    await worker.succeed(succeeded!);
    await worker.fail(failing!);
    await house.schedules.remove(created.id);
    expect(await house.timetable(created.id)).toEqual([
      '2026-03-01T00:01:00.000Z succeeded',
      '2026-03-01T00:02:00.000Z cancelled: schedule_deleted',
      '2026-03-01T00:03:00.000Z running',
      '2026-03-01T00:04:00.000Z cancelled: schedule_deleted',
    ]);
    expect(await house.runs.get(running!.id)).toMatchObject({ signal: 'cancel' });
    expect(await worker.take()).toEqual([]);
  });

  it('lets a run that was running end, without its schedule', async () => {
    const created = await house.create();
    const worker = await house.worker();
    await house.live(MINUTE);
    await house.dispatch();
    const [run] = await worker.take();
    await house.schedules.remove(created.id);
    expect(await worker.end(run!, 'cancelled', { reason: 'cancelled_by_hand' })).toBe(true);
    expect(await house.runs.get(run!.id)).toMatchObject({ status: 'cancelled', scheduleId: created.id });
  });

  it('gives what was due before it, or waits out its jitter, a disposition', async () => {
    const plain = await house.create({ timing: every(HOUR) });
    const jittered = await house.create({ timing: every(HOUR), jitterMs: 50 * MINUTE });
    await house.live(HOUR);
    await house.schedules.remove(plain.id);
    await house.schedules.remove(jittered.id);
    expect(await house.timetable(plain.id)).toEqual(['2026-03-01T01:00:00.000Z cancelled: schedule_deleted']);
    expect(await house.timetable(jittered.id)).toEqual([
      '2026-03-01T01:00:00.000Z skipped: schedule_deleted',
    ]);
  });

  it('of one whose run has its failure recorded at the same moment leaves no retry behind', async () => {
    const created = await house.create();
    const worker = await house.worker();
    await house.live(MINUTE);
    await house.dispatch();
    const [run] = await worker.take();
    const nowMs = house.clock.now();
    const { db } = house.another();
    const { done } = await db.transaction(async (tx) => {
      await retryRuns(tx, [
        {
          runId: run!.id,
          attempt: 1,
          status: 'failed',
          error: { type: 'Broken', message: 'as the test wanted' },
          finishedAtMs: nowMs,
          nextAttemptAtMs: nowMs + SECOND,
        },
      ]);
      const done = house.schedules.remove(created.id);
      await house.blocked();
      return { done };
    });
    await done;
    expect(await house.runs.get(run!.id)).toMatchObject({ status: 'cancelled', reason: 'schedule_deleted' });
  });

  it('works on a stopped and on a paused schedule', async () => {
    for (const command of ['stop', 'pause'] as const) {
      const created = await house.create();
      await house.schedules[command](created.id, null);
      await house.schedules.remove(created.id);
    }
    expect((await house.schedules.list({}, { limit: 10, after: null })).items).toEqual([]);
  });

  it('by many at once succeeds for one; the others find nothing', async () => {
    const created = await house.create();
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => house.schedules.remove(created.id)));
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'not_found' });
    }
  });
});
