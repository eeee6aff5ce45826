import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type House, setupHouse } from '../support/house.ts';
import { at, cron, every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

describe('put', () => {
  it('creates a schedule whose name is free', async () => {
    const spec = house.spec({ name: 'as-code' });
    const { created, schedule } = await house.schedules.put(spec);
    expect(created).toBe(true);
    expect(schedule).toMatchObject({ status: 'active', version: 1, spec });
    expect(house.changes).toBe(1);
  });

  it('replaces all of the one that has the name, and keeps its id, its history and its counts', async () => {
    const before = await house.create({ name: 'as-code', description: 'old', labels: { a: '1' } });
    const worker = await house.worker();
    await house.live(MINUTE);
    await house.dispatch();
    await worker.succeed((await worker.take())[0]!);
    const spec = house.spec({ name: 'as-code', timing: every(HOUR), maxRuns: 5 });
    const { created, schedule } = await house.schedules.put(spec);
    expect(created).toBe(false);
    expect(schedule).toMatchObject({
      id: before.id,
      spec,
      version: 2,
      createdAtMs: before.createdAtMs,
      updatedAtMs: house.clock.now(),
      counts: { fired: 1, succeeded: 1 },
      lastRun: { status: 'succeeded' },
    });
    expect(await house.runsOf(before.id)).toHaveLength(1);
  });

  it('twice with the same definition changes nothing the second time, whatever the trigger', async () => {
    const soon = house.clock.now() + HOUR;
    const timings = {
      every: every(HOUR, 1800 * SECOND),
      cron: cron(['0 2 * * *', '0 3 * * *'], { timezone: 'Europe/Berlin' }),
      at: at(soon, soon + 1),
    };
    for (const [name, timing] of Object.entries(timings)) {
      const spec = house.spec({ name, timing, labels: { b: '1', a: '2' } });
      const { schedule: first } = await house.schedules.put(spec);
      await house.live(SECOND);
      const { created, schedule: second } = await house.schedules.put({ ...house.spec(), ...spec });
      expect(created).toBe(false);
      expect(second).toEqual(first);
    }
  });

  it('again of an instant that has passed meanwhile is no error, and fires nothing again', async () => {
    const spec = house.spec({ name: 'once', timing: at(house.clock.now() + SECOND) });
    await house.schedules.put(spec);
    await house.live(SECOND);
    await house.dispatch();
    const { schedule } = await house.schedules.put(spec);
    expect(schedule).toMatchObject({ status: 'completed', nextRunAtMs: null, counts: { fired: 1 } });
    await house.live(HOUR);
    await house.dispatchAll();
    expect(await house.runsOf(schedule.id)).toHaveLength(1);
  });

  it('again while a fire of it waits leaves the fire alone', async () => {
    const spec = house.spec({ name: 'waiting', timing: at(house.clock.now() + SECOND) });
    await house.schedules.put(spec);
    await house.live(SECOND);
    await house.dispatch();
    await house.schedules.put({ ...spec, description: 'now with words' });
    expect(await house.timetable()).toEqual(['2026-03-01T00:00:01.000Z queued']);
  });

  it('of instants that have all passed is refused when they are new', async () => {
    const spec = house.spec({ name: 'late', timing: at(house.clock.now() + SECOND) });
    const { schedule } = await house.schedules.put(spec);
    await house.live(HOUR);
    await house.dispatch();
    await expect(
      house.schedules.put({ ...spec, timing: at(house.clock.now() - MINUTE) }),
    ).rejects.toMatchObject({ code: 'invalid', issues: [{ pointer: '/at' }] });
    expect((await house.schedules.get('late')).spec).toEqual(schedule.spec);
  });

  it('gives a completed schedule new times, and it is active again', async () => {
    const spec = house.spec({ name: 'again', timing: at(house.clock.now() + SECOND) });
    await house.schedules.put(spec);
    await house.live(SECOND);
    await house.dispatch();
    const next = house.clock.now() + HOUR;
    const { schedule } = await house.schedules.put({ ...spec, timing: at(next) });
    expect(schedule).toMatchObject({ status: 'active', nextRunAtMs: next });
  });

  it('leaves a paused schedule paused', async () => {
    const spec = house.spec({ name: 'resting' });
    await house.schedules.put(spec);
    await house.schedules.pause('resting', 'for the holidays');
    const { schedule } = await house.schedules.put({ ...spec, timing: every(HOUR) });
    expect(schedule).toMatchObject({ status: 'paused', note: 'for the holidays', nextRunAtMs: null });
  });

  it('does not wake a stopped schedule, and says so', async () => {
    const spec = house.spec({ name: 'over' });
    await house.schedules.put(spec);
    await house.schedules.stop('over', null);
    await expect(house.schedules.put({ ...spec, description: 'x' })).rejects.toMatchObject({
      code: 'conflict',
      message:
        'Schedule "over" is stopped, which is final. Create a new one; to use its name again, first DELETE /schedules/over.',
    });
  });

  it('refuses what create refuses, and leaves the present definition', async () => {
    const spec = house.spec({ name: 'kept' });
    const { schedule } = await house.schedules.put(spec);
    const broken = { ...spec, description: 'new', job: { ...spec.job, type: 'bakcup' } };
    await expect(house.schedules.put(broken)).rejects.toMatchObject({ code: 'invalid' });
    expect(await house.schedules.get('kept')).toEqual(schedule);
  });

  it('by many at once creates one schedule, and all of them succeed', async () => {
    const spec = house.spec({ name: 'race' });
    const answers = await Promise.all(
      [1, 2, 3, 4, 5].map((n) => house.schedules.put({ ...spec, description: `from node ${n}` })),
    );
    expect(answers.filter((answer) => answer.created)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.schedule.id)).size).toBe(1);
    expect((await house.schedules.get('race')).version).toBe(5);
  });

  it('racing with a delete either replaces before it or creates after it', async () => {
    for (let n = 0; n < 10; n += 1) {
      const spec = house.spec({ name: `contested-${n}` });
      await house.schedules.put(spec);
      await Promise.all([
        house.schedules.put({ ...spec, description: 'new' }),
        house.schedules.remove(`contested-${n}`),
      ]);
      const left = await house.schedules.get(`contested-${n}`).catch(() => null);
      if (left !== null) expect(left).toMatchObject({ version: 1, spec: { description: 'new' } });
    }
  });
});
