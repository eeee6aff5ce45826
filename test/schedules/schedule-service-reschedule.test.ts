import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startRuns } from '../../src/db/run-store.ts';
import { DST_DEFAULT } from '../../src/schedules/cron-times.ts';
import type { Timing } from '../../src/schedules/schedule.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, cron, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const reschedule = (ref: string, timing: Timing, timezone = 'UTC') =>
  house.schedules.reschedule(ref, () => ({ timing, timezone, dst: DST_DEFAULT }));

describe('reschedule', () => {
  it('is in force at once, and changes nothing but when', async () => {
    const created = await house.create({ timing: every(HOUR), description: 'kept', labels: { kept: 'yes' } });
    await house.live(SECOND);
    const timing = cron('*/10 * * * * *', { timezone: 'Europe/Berlin' });
    const changed = await reschedule(created.id, timing, 'Europe/Berlin');
    expect(changed).toMatchObject({
      version: 2,
      spec: { ...created.spec, timing, timezone: 'Europe/Berlin' },
      nextRunAtMs: ms('2026-03-01T00:00:10Z'),
    });
    await house.live(9 * SECOND);
    await house.dispatch();
    expect(await house.timetable()).toEqual(['2026-03-01T00:00:10.000Z queued']);
  });

  it('hands the present schedule to the change', async () => {
    const created = await house.create({ timing: every(HOUR), timezone: 'Asia/Shanghai' });
    const changed = await house.schedules.reschedule(created.id, ({ spec }) => ({
      timing: every(MINUTE),
      timezone: spec.timezone,
      dst: spec.dst,
    }));
    expect(changed.spec.timezone).toBe('Asia/Shanghai');
  });

  it('gives what was due under the old trigger a disposition, and withdraws it since it has not started', async () => {
    const created = await house.create({ overlap: 'allow' });
    await house.live(2 * MINUTE);
    await reschedule(created.id, every(HOUR));
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z cancelled: rescheduled',
      '2026-03-01T00:02:00.000Z cancelled: rescheduled',
    ]);
    expect(await house.stateOf(created.id)).toMatchObject({ activeRuns: 0, fired: 2, skipped: 0 });
  });

  it('withdraws fires that are queued and not started, and nothing else', async () => {
    const created = await house.create({ overlap: 'allow' });
    const worker = await house.worker();
    const fire = async () => {
      await house.live(MINUTE);
      await house.dispatch();
      return (await house.runsOf(created.id)).at(-1)!;
    };
    const succeeded = await worker.claim(await fire());
    await worker.succeed(succeeded!);
    await worker.claim(await fire()); // running
    await worker.fail((await worker.claim(await fire()))!); // retrying
    await worker.fail((await worker.claim(await fire()))!); // a retry that is queued again
    await house.live(SECOND);
    await house.dispatch();
    await fire(); // queued
    await house.live(SECOND);
    const manual = await house.schedules.trigger(created.id, {});
    const byHand = await house.runs.retry(succeeded!.id);
    const before = new Map((await house.runsOf(created.id)).map((run) => [run.id, run.status]));
    await reschedule(created.id, every(HOUR));
    const changed = (await house.runsOf(created.id)).filter((run) => before.get(run.id) !== run.status);
    expect(changed).toMatchObject([
      {
        scheduledForMs: ms('2026-03-01T00:05:01Z') - SECOND,
        status: 'cancelled',
        reason: 'rescheduled',
      },
    ]);
    const state = await house.stateOf(created.id);
    expect(state.activeRuns).toBe(5);
    expect((await house.runs.get(manual.id)).status).toBe('queued');
    expect((await house.runs.get(byHand.id)).status).toBe('queued');
  });

  it('withdraws a caught-up fire too', async () => {
    const created = await house.create();
    await house.live(0);
    house.down(5 * MINUTE);
    await house.dispatchAll();
    await reschedule(created.id, every(HOUR));
    const last = (await house.runsOf(created.id)).at(-1)!;
    expect(last).toMatchObject({ cause: 'catch_up', status: 'cancelled', reason: 'rescheduled' });
  });

  it('does not withdraw a run that a worker is claiming at the same moment', async () => {
    const created = await house.create();
    const worker = await house.worker();
    await house.live(MINUTE);
    await house.dispatch();
    const [run] = await house.runsOf();
    const { db } = house.another();
    const { done } = await db.transaction(async (tx) => {
      await startRuns(tx, worker.id, [{ runId: run!.id, attempt: 1 }], house.clock.now());
      const done = reschedule(created.id, every(HOUR));
      await house.blocked();
      return { done };
    });
    await done;
    expect(await house.runsOf()).toMatchObject([{ status: 'running', signal: null }]);
    expect((await house.stateOf(created.id)).activeRuns).toBe(1);
  });

  it('after it a withdrawn fire is not claimed', async () => {
    const created = await house.create();
    const worker = await house.worker();
    await house.live(MINUTE);
    await house.dispatch();
    await reschedule(created.id, every(HOUR));
    expect(await house.doorbells()).toHaveLength(1);
    expect(await worker.take()).toEqual([]);
  });

  it('to the times it has already withdraws nothing', async () => {
    const created = await house.create({ timing: cron('* * * * *') });
    await house.live(MINUTE);
    await house.dispatch();
    const changed = await reschedule(created.id, cron('* * * * *'));
    expect(changed.version).toBe(1);
    expect(await house.timetable()).toEqual(['2026-03-01T00:01:00.000Z queued']);
  });

  it('to times that have all passed is refused, and nothing is withdrawn', async () => {
    const created = await house.create();
    await house.live(MINUTE);
    await house.dispatch();
    await expect(reschedule(created.id, at(house.clock.now()))).rejects.toMatchObject({
      code: 'invalid',
      issues: [{ pointer: '/at' }],
    });
    expect(await house.timetable()).toEqual(['2026-03-01T00:01:00.000Z queued']);
  });

  it('of a paused schedule waits for its resume', async () => {
    const created = await house.create();
    await house.schedules.pause(created.id, null);
    expect(await reschedule(created.id, every(HOUR))).toMatchObject({ status: 'paused', nextRunAtMs: null });
    await house.live(HOUR);
    await house.dispatch();
    const resumed = await house.schedules.resume(created.id, { catchUp: 'none' });
    expect(resumed.nextRunAtMs).toBe(ms('2026-03-01T02:00:00Z'));
  });

  it('of a paused schedule lets a resume catch up what the new trigger named since, and nothing else', async () => {
    const created = await house.create({
      timing: every(MINUTE),
      overlap: 'allow',
      catchUpWindowMs: 24 * HOUR,
    });
    await house.schedules.pause(created.id, null);
    await house.live(2 * HOUR);
    await reschedule(created.id, every(HOUR));
    await house.live(2 * HOUR);
    await house.schedules.resume(created.id, { catchUp: 'all' });
    expect(await house.timetable()).toEqual([
      '2026-03-01T03:00:00.000Z queued',
      '2026-03-01T04:00:00.000Z queued',
    ]);
  });

  it('of a completed schedule makes it active again, unless it has used up its runs', async () => {
    const soon = at(house.clock.now() + SECOND);
    const free = await house.create({ timing: soon });
    const used = await house.create({ timing: soon, maxRuns: 1 });
    await house.live(SECOND);
    await house.dispatchAll();
    expect(await reschedule(free.id, every(HOUR))).toMatchObject({ status: 'active' });
    expect(await reschedule(used.id, every(HOUR))).toMatchObject({ status: 'completed', nextRunAtMs: null });
    await house.live(HOUR);
    await house.dispatchAll();
    expect(await house.runsOf(free.id)).toHaveLength(2);
    expect(await house.runsOf(used.id)).toHaveLength(1);
  });

  it('of a stopped schedule is refused, saying why', async () => {
    const created = await house.create();
    await house.schedules.stop(created.id, null);
    await expect(reschedule(created.id, every(HOUR))).rejects.toMatchObject({ code: 'conflict' });
  });

  it('of an unknown schedule is not found', async () => {
    await expect(reschedule('nobody', every(HOUR))).rejects.toMatchObject({ code: 'not_found' });
  });

  it('many times over gives each nominal time of each trigger in its turn one disposition', async () => {
    const created = await house.create({ timing: every(10 * SECOND), overlap: 'allow' });
    const expected: number[] = [];
    let period = 10 * SECOND;
    for (let n = 0; n < 6; n += 1) {
      const from = house.clock.now();
      await house.live(25 * SECOND);
      for (let time = from + 1; time <= house.clock.now(); time += 1) {
        if (time % period === 0) expected.push(time);
      }
      period = period === 10 * SECOND ? 7 * SECOND : 10 * SECOND;
      await reschedule(created.id, every(period));
    }
    const runs = await house.runsOf(created.id);
    expect(runs.map((run) => run.scheduledForMs)).toEqual(expected);
    expect(runs.every((run) => run.reason === 'rescheduled')).toBe(true);
  });
});
