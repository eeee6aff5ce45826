import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dueAt } from '../../src/schedules/due-times.ts';
import type { ScheduleSpec } from '../../src/schedules/schedule.ts';
import { nextAfter } from '../../src/schedules/trigger.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, cron, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const change = (ref: string, part: Partial<ScheduleSpec>) =>
  house.schedules.update(ref, ({ spec }) => ({ ...spec, ...part }));

describe('update', () => {
  it('hands the present schedule to the change and stores what that answers', async () => {
    const created = await house.create({ description: 'old' });
    const updated = await house.schedules.update(created.id, (current) => {
      expect(current).toMatchObject({ id: created.id, version: 1, spec: created.spec });
      return { ...current.spec, description: 'new' };
    });
    expect(updated).toMatchObject({ version: 2, spec: { ...created.spec, description: 'new' } });
    expect(house.changes).toBe(2);
  });

  it('counts the version up once for each, and tells when', async () => {
    const created = await house.create();
    for (let n = 1; n <= 3; n += 1) {
      await house.live(SECOND);
      const updated = await change(created.id, { description: `change ${n}` });
      expect(updated).toMatchObject({ version: 1 + n, updatedAtMs: house.clock.now() });
    }
  });

  it('that changes nothing is no change', async () => {
    const created = await house.create({ timing: at(house.clock.now() + HOUR), labels: { z: '1', a: '2' } });
    await house.live(SECOND);
    expect(await change(created.id, {})).toEqual(created);
  });

  it('that throws leaves everything as it was', async () => {
    const created = await house.create();
    await expect(
      house.schedules.update(created.id, () => {
        throw new Error('the patch does not fit');
      }),
    ).rejects.toThrow('the patch does not fit');
    expect(await house.schedules.get(created.id)).toEqual(created);
  });

  it('by many at once loses none', async () => {
    const created = await house.create();
    await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        house.schedules.update(created.id, ({ spec }) => ({
          ...spec,
          labels: { ...spec.labels, [`node-${n}`]: 'was here' },
        })),
      ),
    );
    const { spec, version } = await house.schedules.get(created.id);
    expect(Object.keys(spec.labels)).toHaveLength(8);
    expect(version).toBe(9);
  });

  it('of a name that another has is refused, and the schedule keeps its own', async () => {
    await house.create({ name: 'taken' });
    const created = await house.create({ name: 'mine' });
    await expect(change('mine', { name: 'taken' })).rejects.toMatchObject({
      code: 'conflict',
      issues: [{ pointer: '/name' }],
    });
    expect(await house.schedules.get('mine')).toEqual(created);
  });

  it('of the name moves the schedule to it: the old name is free, the runs keep the name they were made under', async () => {
    const created = await house.create({ name: 'old-name' });
    await house.live(MINUTE);
    await house.dispatch();
    await change('old-name', { name: 'new-name' });
    expect((await house.schedules.get('new-name')).id).toBe(created.id);
    await expect(house.schedules.get('old-name')).rejects.toMatchObject({ code: 'not_found' });
    expect((await house.runsOf(created.id))[0]!.scheduleName).toBe('old-name');
  });

  it('of the name moves the times of an H with it', async () => {
    const created = await house.create({ name: 'a', timing: cron('H H * * *') });
    const renamed = await change('a', { name: 'b' });
    const expected = nextAfter(cron('H H * * *'), 'b', house.clock.now());
    expect(renamed.nextRunAtMs).toBe(expected);
    expect(renamed.nextRunAtMs).not.toBe(created.nextRunAtMs);
  });

  it('of a stopped schedule is refused', async () => {
    const created = await house.create();
    await house.schedules.stop(created.id, null);
    await expect(change(created.id, { description: 'x' })).rejects.toMatchObject({ code: 'conflict' });
  });

  it('of an unknown schedule is not found', async () => {
    await expect(change('nobody', {})).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('update without a new timing', () => {
  it('keeps the next time, and leaves a waiting fire alone', async () => {
    const created = await house.create({ timing: every(HOUR) });
    await house.live(HOUR);
    await house.dispatch();
    const updated = await change(created.id, { description: 'new', job: { ...created.spec.job, input: {} } });
    expect(updated.nextRunAtMs).toBe(ms('2026-03-01T02:00:00Z'));
    expect(await house.timetable()).toEqual(['2026-03-01T01:00:00.000Z queued']);
  });

  it('makes later runs from the new revision; a waiting one keeps the one it was made from', async () => {
    const created = await house.create({
      overlap: 'allow',
      job: { type: 'echo', input: { text: 'one' }, taskQueue: 'echoes' },
    });
    await house.live(MINUTE);
    await house.dispatch();
    await change(created.id, {
      job: { ...created.spec.job, input: { text: 'two' }, taskQueue: 'other', timeoutMs: 5000 },
    });
    await house.live(MINUTE);
    await house.dispatch();
    expect(await house.runsOf(created.id)).toMatchObject([
      { scheduleVersion: 1, input: { text: 'one' }, taskQueue: 'echoes', timeoutMs: 60_000 },
      { scheduleVersion: 2, input: { text: 'two' }, taskQueue: 'other', timeoutMs: 5000 },
    ]);
  });

  it('settles what was due before it under the definition of then', async () => {
    const created = await house.create({ job: { type: 'echo', input: { text: 'one' } } });
    await house.live(MINUTE);
    await change(created.id, { job: { ...created.spec.job, input: { text: 'two' } } });
    expect(await house.runsOf(created.id)).toMatchObject([{ input: { text: 'one' }, scheduleVersion: 1 }]);
  });

  it('with a new jitter moves when it is due, and not the nominal time', async () => {
    const created = await house.create({ timing: every(HOUR) });
    const { nextRunAtMs } = await change(created.id, { jitterMs: 30 * MINUTE });
    expect(nextRunAtMs).toBe(created.nextRunAtMs);
    const state = await house.stateOf(created.id);
    const { id, spec } = await house.schedules.get(created.id);
    expect(state.dueAtMs).toBe(dueAt({ id, ...spec }, nextRunAtMs!));
    expect(state.dueAtMs).toBeGreaterThan(nextRunAtMs!);
  });

  it('that takes away a jitter which is being waited out makes the fire due at once', async () => {
    const created = await house.create({ timing: every(HOUR), jitterMs: 50 * MINUTE });
    await house.live(HOUR);
    await house.dispatch();
    expect(await house.timetable()).toEqual([]);
    await change(created.id, { jitterMs: null });
    await house.dispatch();
    expect(await house.timetable()).toEqual(['2026-03-01T01:00:00.000Z queued']);
  });

  it('that lowers maxRuns to what has run completes the schedule; raising it makes it active again', async () => {
    const created = await house.create({ overlap: 'allow' });
    await house.live(2 * MINUTE);
    await house.dispatchAll();
    expect(await change(created.id, { maxRuns: 2 })).toMatchObject({
      status: 'completed',
      nextRunAtMs: null,
    });
    const start = house.clock.now();
    expect(await change(created.id, { maxRuns: 3 })).toMatchObject({
      status: 'active',
      nextRunAtMs: start + MINUTE,
    });
  });
});

describe('update with a new timing', () => {
  it('is in force at once', async () => {
    const created = await house.create({ timing: every(HOUR) });
    const updated = await change(created.id, { timing: every(MINUTE) });
    expect(updated.nextRunAtMs).toBe(house.clock.now() + MINUTE);
    await house.live(MINUTE);
    await house.dispatch();
    expect(await house.timetable()).toEqual(['2026-03-01T00:01:00.000Z queued']);
  });

  it('that would never fire is refused, and the old one goes on', async () => {
    const created = await house.create({ timing: every(HOUR) });
    const past = every(HOUR, 0, { endAtMs: house.clock.now() });
    await expect(change(created.id, { timing: past })).rejects.toMatchObject({
      code: 'invalid',
      issues: [{ pointer: '/endAt' }],
    });
    expect(await house.schedules.get(created.id)).toEqual(created);
  });

  it('settles what was due before it, and what waited out its jitter is recorded as skipped', async () => {
    const created = await house.create({ timing: every(HOUR), jitterMs: 50 * MINUTE });
    await house.live(HOUR);
    await change(created.id, { timing: every(10 * MINUTE) });
    expect(await house.timetable()).toEqual(['2026-03-01T01:00:00.000Z skipped: rescheduled']);
    expect(await house.stateOf(created.id)).toMatchObject({ skipped: 1, activeRuns: 0 });
  });
});
