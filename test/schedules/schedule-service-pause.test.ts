import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type House, setupHouse } from '../support/house.ts';
import { at, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

describe('pause', () => {
  it('takes away the next time, keeps the note, and counts the version up', async () => {
    const created = await house.create();
    await house.live(SECOND);
    const paused = await house.schedules.pause(created.id, 'for the holidays');
    expect(paused).toMatchObject({
      status: 'paused',
      note: 'for the holidays',
      pausedAtMs: house.clock.now(),
      version: 2,
      nextRunAtMs: null,
      upcomingMs: [],
    });
    expect(await house.stateOf(created.id)).toMatchObject({ nextRunAtMs: null, dueAtMs: null });
  });

  it('again is no error: the note may change, and without one nothing does', async () => {
    const created = await house.create();
    const first = await house.schedules.pause(created.id, 'why');
    await house.live(MINUTE);
    expect(await house.schedules.pause(created.id, null)).toEqual(first);
    expect(await house.schedules.pause(created.id, 'why')).toEqual(first);
    const third = await house.schedules.pause(created.id, 'therefore');
    expect(third).toMatchObject({ note: 'therefore', version: 3, pausedAtMs: first.pausedAtMs });
  });

  it('lets nothing fire, however long it lasts', async () => {
    const created = await house.create();
    await house.schedules.pause(created.id, null);
    await house.live(100 * MINUTE);
    house.down(100 * MINUTE);
    await house.dispatchAll();
    expect(await house.runsOf(created.id)).toEqual([]);
  });

  it('gives a time that was due before it, and not dispatched yet, its run', async () => {
    const created = await house.create({ overlap: 'allow' });
    await house.live(2 * MINUTE + SECOND);
    await house.schedules.pause(created.id, null);
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z queued',
      '2026-03-01T00:02:00.000Z queued',
    ]);
    expect(await house.doorbells()).toHaveLength(2);
  });

  it('at the very instant of a nominal time comes after it', async () => {
    const created = await house.create();
    await house.live(MINUTE);
    await house.schedules.pause(created.id, null);
    expect(await house.timetable()).toEqual(['2026-03-01T00:01:00.000Z queued']);
  });

  it('judges what came due while nobody dispatched by the catch-up policy', async () => {
    const created = await house.create({ catchUp: 'none' });
    await house.live(0);
    house.down(2 * MINUTE + 30 * SECOND);
    await house.schedules.pause(created.id, null);
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z missed: catch_up_none',
      '2026-03-01T00:02:00.000Z missed: catch_up_none',
    ]);
  });

  it('records a nominal time before it that waits out its jitter as skipped', async () => {
    const created = await house.create({ timing: every(HOUR), jitterMs: 50 * MINUTE });
    await house.live(HOUR);
    await house.dispatch();
    await house.schedules.pause(created.id, null);
    await house.live(HOUR);
    await house.dispatchAll();
    expect(await house.timetable()).toEqual(['2026-03-01T01:00:00.000Z skipped: paused']);
    expect((await house.schedules.get(created.id)).counts).toMatchObject({ skipped: 1, fired: 0 });
  });

  it('leaves runs alone that are queued, running or wait for a retry', async () => {
    const created = await house.create({ overlap: 'allow' });
    const worker = await house.worker();
    await house.live(3 * MINUTE);
    await house.dispatchAll();
    const [running, failing] = await worker.take(2);
    await worker.fail(failing!);
    await house.schedules.pause(created.id, null);
    expect((await house.runsOf(created.id)).map((run) => run.status)).toEqual([
      'running',
      'retrying',
      'queued',
    ]);
    await house.live(SECOND);
    expect(await house.dispatch()).toMatchObject({ retried: 1 });
    expect(await worker.take()).toHaveLength(2);
    expect(await worker.succeed(running!)).toBe(true);
  });

  it('of a stopped schedule is refused, saying why', async () => {
    const created = await house.create({ name: 'over' });
    await house.schedules.stop(created.id, null);
    await expect(house.schedules.pause(created.id, null)).rejects.toMatchObject({
      code: 'conflict',
      message:
        'Schedule "over" is stopped, which is final. Create a new one; to use its name again, first DELETE /schedules/over.',
    });
  });

  it('of a completed schedule is refused, saying why', async () => {
    const created = await house.create({ name: 'done', timing: at(house.clock.now() + SECOND) });
    await house.live(SECOND);
    await house.dispatch();
    await expect(house.schedules.pause(created.id, null)).rejects.toMatchObject({
      code: 'conflict',
      message:
        'Schedule "done" is completed: it has no time left to fire, so it cannot be paused. Reschedule it first.',
    });
  });

  it('of a schedule whose last time is due first fires that, and then finds it completed', async () => {
    const created = await house.create({ timing: at(house.clock.now() + SECOND) });
    await house.live(SECOND);
    await expect(house.schedules.pause(created.id, null)).rejects.toMatchObject({ code: 'conflict' });
    // The refusal took its settling back; the dispatcher does it again.
    await house.dispatch();
    expect(await house.timetable()).toEqual(['2026-03-01T00:00:01.000Z queued']);
    expect((await house.schedules.get(created.id)).status).toBe('completed');
  });

  it('of an unknown schedule is not found', async () => {
    await expect(house.schedules.pause('nobody', null)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('resume', () => {
  /** Paused from 00:10:30 on. */
  async function paused(partial: Parameters<House['create']>[0] = {}) {
    const created = await house.create({ timing: every(10 * MINUTE), overlap: 'allow', ...partial });
    await house.live(10 * MINUTE);
    await house.dispatchAll();
    await house.live(30 * SECOND);
    await house.schedules.pause(created.id, 'a rest');
    return created;
  }
  const first = '2026-03-01T00:10:00.000Z queued';

  it('goes on with the first nominal time after it; those inside the pause are neither run nor missed', async () => {
    const created = await paused();
    await house.live(45 * MINUTE);
    const resumed = await house.schedules.resume(created.id, { catchUp: 'none' });
    expect(resumed).toMatchObject({
      status: 'active',
      note: null,
      pausedAtMs: null,
      nextRunAtMs: ms('2026-03-01T01:00:00Z'),
      version: 3,
      counts: { fired: 1, skipped: 0, missed: 0 },
    });
    await house.live(5 * MINUTE);
    await house.dispatchAll();
    expect(await house.timetable()).toEqual([first, '2026-03-01T01:00:00.000Z queued']);
  });

  it('at the very instant of a nominal time comes after it', async () => {
    const created = await paused();
    house.clock.set(ms('2026-03-01T01:00:00Z'));
    const resumed = await house.schedules.resume(created.id, { catchUp: 'none' });
    expect(resumed.nextRunAtMs).toBe(ms('2026-03-01T01:10:00Z'));
  });

  it('latest: runs the newest one that the pause held back, at once', async () => {
    const created = await paused();
    await house.live(45 * MINUTE);
    const resumed = await house.schedules.resume(created.id, { catchUp: 'latest' });
    expect(resumed.counts).toMatchObject({ fired: 2, missed: 0 });
    expect(await house.timetable()).toEqual([first, '2026-03-01T00:50:00.000Z queued']);
    expect((await house.runsOf(created.id))[1]).toMatchObject({ cause: 'catch_up' });
    expect(await house.doorbells()).toHaveLength(2);
  });

  it('all: runs each that the pause held back', async () => {
    const created = await paused();
    await house.live(35 * MINUTE);
    await house.schedules.resume(created.id, { catchUp: 'all' });
    expect(await house.timetable()).toEqual([
      first,
      '2026-03-01T00:20:00.000Z queued',
      '2026-03-01T00:30:00.000Z queued',
      '2026-03-01T00:40:00.000Z queued',
    ]);
  });

  it('latest and all: keep to the catch-up window, and leave no trace of what is older', async () => {
    for (const catchUp of ['latest', 'all'] as const) {
      await house.reset();
      const created = await paused({ catchUpWindowMs: 16 * MINUTE });
      await house.live(35 * MINUTE);
      await house.schedules.resume(created.id, { catchUp });
      const caught = ['2026-03-01T00:30:00.000Z queued', '2026-03-01T00:40:00.000Z queued'];
      expect(await house.timetable()).toEqual([first, ...caught.slice(catchUp === 'all' ? 0 : 1)]);
      expect((await house.schedules.get(created.id)).counts.missed).toBe(0);
    }
  });

  it('all: under the overlap policy', async () => {
    const created = await paused({ overlap: 'skip' });
    await house.live(20 * MINUTE);
    await house.schedules.resume(created.id, { catchUp: 'all' });
    expect(await house.timetable()).toEqual([
      first,
      '2026-03-01T00:20:00.000Z skipped: overlap',
      '2026-03-01T00:30:00.000Z skipped: overlap',
    ]);
  });

  it('latest: of a pause that held back thousands runs the newest', async () => {
    const created = await house.create({ timing: every(SECOND) });
    await house.schedules.pause(created.id, null);
    await house.live(5 * HOUR);
    await house.schedules.resume(created.id, { catchUp: 'latest' });
    expect(await house.timetable()).toEqual(['2026-03-01T05:00:00.000Z queued']);
  });

  it('latest: of a pause of years is no work', async () => {
    const created = await house.create({
      timing: every(SECOND),
      catchUpWindowMs: 3653 * 24 * HOUR,
      jitterMs: 900,
    });
    await house.schedules.pause(created.id, null);
    await house.live(5 * 365 * 24 * HOUR);
    const startedAt = performance.now();
    await house.schedules.resume(created.id, { catchUp: 'latest' });
    // Stepping through the seconds of five years takes minutes.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    const [run, ...others] = await house.runsOf(created.id);
    expect(others).toEqual([]);
    expect(house.clock.now() - run!.scheduledForMs).toBeLessThanOrEqual(1 * SECOND);
  });

  it('all: of a pause that held back thousands runs them all', async () => {
    const created = await house.create({ timing: every(SECOND), overlap: 'allow' });
    await house.schedules.pause(created.id, null);
    await house.live(2500 * SECOND);
    await house.schedules.resume(created.id, { catchUp: 'all' });
    expect(await house.runsOf(created.id)).toHaveLength(2500);
    expect((await house.schedules.get(created.id)).counts.fired).toBe(2500);
  });

  it('all: of more than ten thousand is refused, and nothing has happened', async () => {
    const created = await house.create({ name: 'long', timing: every(SECOND), overlap: 'allow' });
    const before = await house.schedules.pause(created.id, null);
    await house.live(10_001 * SECOND);
    await expect(house.schedules.resume(created.id, { catchUp: 'all' })).rejects.toMatchObject({
      code: 'conflict',
      message:
        'The pause of schedule "long" held back more than 10000 fires, too many to run at once. Resume it with catchUp "latest" or "none", or shorten its catchUpWindow first.',
    });
    expect(await house.schedules.get(created.id)).toEqual(before);
    expect(await house.runsOf(created.id)).toEqual([]);
  });

  it('ends at maxRuns, and completes the schedule when they are used up', async () => {
    const created = await paused({ maxRuns: 3 });
    await house.live(HOUR);
    const resumed = await house.schedules.resume(created.id, { catchUp: 'all' });
    expect(resumed).toMatchObject({ status: 'completed', nextRunAtMs: null, counts: { fired: 3 } });
    expect(await house.timetable()).toEqual([
      first,
      '2026-03-01T00:20:00.000Z queued',
      '2026-03-01T00:30:00.000Z queued',
    ]);
  });

  it('of a schedule all of whose times lay in the pause completes it, with or without its last run', async () => {
    for (const catchUp of ['none', 'latest'] as const) {
      await house.reset();
      const start = house.clock.now();
      const created = await house.create({ timing: at(start + MINUTE, start + 2 * MINUTE) });
      await house.schedules.pause(created.id, null);
      await house.live(HOUR);
      const resumed = await house.schedules.resume(created.id, { catchUp });
      expect(resumed).toMatchObject({ status: 'completed', nextRunAtMs: null });
      expect(await house.timetable()).toEqual(catchUp === 'none' ? [] : ['2026-03-01T00:02:00.000Z queued']);
    }
  });

  it('does not hold a downtime inside the pause against the schedule', async () => {
    const created = await paused({ catchUp: 'none' });
    house.down(HOUR);
    await house.live(0);
    await house.schedules.resume(created.id, { catchUp: 'all' });
    await house.dispatchAll();
    expect((await house.schedules.get(created.id)).counts).toMatchObject({ fired: 7, missed: 0 });
  });

  it('of an active schedule changes nothing', async () => {
    const created = await house.create();
    await house.live(30 * SECOND);
    expect(await house.schedules.resume(created.id, { catchUp: 'all' })).toEqual(created);
  });

  it('twice catches up once', async () => {
    const created = await paused();
    await house.live(35 * MINUTE);
    const resumed = await house.schedules.resume(created.id, { catchUp: 'all' });
    expect(await house.schedules.resume(created.id, { catchUp: 'all' })).toEqual(resumed);
    expect(await house.runsOf(created.id)).toHaveLength(4);
  });

  it('of a stopped or a completed schedule is refused', async () => {
    const stopped = await house.create();
    await house.schedules.stop(stopped.id, null);
    const completed = await house.create({ timing: at(house.clock.now() + SECOND) });
    await house.live(SECOND);
    await house.dispatch();
    for (const { id } of [stopped, completed]) {
      await expect(house.schedules.resume(id, { catchUp: 'none' })).rejects.toMatchObject({
        code: 'conflict',
      });
    }
  });

  it('tells the dispatcher that the next fire may be nearer', async () => {
    const created = await paused();
    house.changes = 0;
    await house.schedules.resume(created.id, { catchUp: 'none' });
    expect(house.changes).toBe(1);
  });
});

describe('pause and resume', () => {
  it('many times over leave the counts and the grid as they are', async () => {
    const created = await house.create({ timing: every(MINUTE), overlap: 'allow' });
    for (let n = 0; n < 5; n += 1) {
      await house.live(90 * SECOND);
      await house.dispatchAll();
      await house.schedules.pause(created.id, null);
      await house.live(90 * SECOND);
      await house.schedules.resume(created.id, { catchUp: 'none' });
    }
    const times = (await house.runsOf(created.id)).map((run) => (run.scheduledForMs / MINUTE) % 60);
    expect(times).toEqual([1, 4, 7, 10, 13]);
  });

  it('at once, by many, leave one state and no error', async () => {
    const created = await house.create();
    await Promise.all(
      Array.from({ length: 12 }, (_, n) =>
        n % 2 === 0
          ? house.schedules.pause(created.id, null)
          : house.schedules.resume(created.id, { catchUp: 'none' }),
      ),
    );
    const { status, nextRunAtMs } = await house.schedules.get(created.id);
    expect(nextRunAtMs === null).toBe(status === 'paused');
  });
});
