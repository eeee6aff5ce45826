/** Restarts after a downtime, as a person would see them. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createPulse } from '../../src/dispatcher/pulse.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, cron, every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(async () => {
  await house.reset();
  await house.live(0);
});
afterAll(() => house.close());

/** What the first minutes of a schedule look like when nobody dispatched from 00:00:00 to 00:04:30. */
async function afterDowntime(partial: Parameters<House['create']>[0]) {
  const created = await house.create({ overlap: 'allow', ...partial });
  house.down(4 * MINUTE + 30 * SECOND);
  await house.dispatchAll();
  return created;
}

describe('after a downtime', () => {
  it('none: what fell into it is missed', async () => {
    const created = await afterDowntime({ catchUp: 'none' });
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z missed: catch_up_none',
      '2026-03-01T00:02:00.000Z missed: catch_up_none',
      '2026-03-01T00:03:00.000Z missed: catch_up_none',
      '2026-03-01T00:04:00.000Z missed: catch_up_none',
    ]);
    expect(await house.stateOf(created.id)).toMatchObject({
      missed: 4,
      fired: 0,
      activeRuns: 0,
      nextRunAtMs: ms('2026-03-01T00:05:00Z'),
    });
    expect(await house.doorbells()).toEqual([]);
  });

  it('latest: the newest of it runs, the others are missed', async () => {
    const created = await afterDowntime({ catchUp: 'latest' });
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z missed: not_latest',
      '2026-03-01T00:02:00.000Z missed: not_latest',
      '2026-03-01T00:03:00.000Z missed: not_latest',
      '2026-03-01T00:04:00.000Z queued',
    ]);
    expect((await house.runsOf())[3]).toMatchObject({ cause: 'catch_up' });
    expect(await house.stateOf(created.id)).toMatchObject({ missed: 3, fired: 1, activeRuns: 1 });
  });

  it('all: each of it runs, oldest first, behind live fires', async () => {
    const created = await afterDowntime({ catchUp: 'all' });
    expect(await house.stateOf(created.id)).toMatchObject({ missed: 0, fired: 4 });
    const runs = new Map((await house.runsOf()).map((run) => [run.id, run.scheduledForMs]));
    const rung = (await house.doorbells()).map((doorbell) => runs.get(doorbell.runId));
    expect(rung).toEqual([...runs.values()].toSorted((a, b) => a - b));
    expect(new Set((await house.doorbells()).map((doorbell) => doorbell.priority))).toEqual(new Set([10]));
  });

  it('all: keeps to the window', async () => {
    await afterDowntime({ catchUp: 'all', catchUpWindowMs: 2 * MINUTE });
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z missed: outside_catch_up_window',
      '2026-03-01T00:02:00.000Z missed: outside_catch_up_window',
      '2026-03-01T00:03:00.000Z queued',
      '2026-03-01T00:04:00.000Z queued',
    ]);
  });

  it('what comes next is live again', async () => {
    await afterDowntime({ catchUp: 'none' });
    await house.live(30 * SECOND);
    await house.dispatch();
    expect((await house.runsOf()).at(-1)).toMatchObject({
      scheduledForMs: ms('2026-03-01T00:05:00Z'),
      status: 'queued',
      cause: 'schedule',
    });
  });

  it('an instant that passed in it still runs, and completes its schedule', async () => {
    const created = await afterDowntime({ timing: at(ms('2026-03-01T00:02:00Z')) });
    expect(await house.timetable()).toEqual(['2026-03-01T00:02:00.000Z queued']);
    expect((await house.schedules.get(created.id)).status).toBe('completed');
  });

  it('a schedule that would have ended in it is completed, with what it missed', async () => {
    const timing = cron('* * * * *', { endAtMs: ms('2026-03-01T00:02:00Z') });
    const created = await afterDowntime({ timing, catchUp: 'none' });
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:01:00.000Z missed: catch_up_none',
      '2026-03-01T00:02:00.000Z missed: catch_up_none',
    ]);
    expect((await house.schedules.get(created.id)).status).toBe('completed');
  });

  it('a schedule that was made while nobody dispatched had no time to miss before that', async () => {
    house.down(10 * MINUTE + 30 * SECOND);
    await house.create({ catchUp: 'all' });
    house.down(MINUTE);
    await house.dispatchAll();
    expect(await house.timetable()).toEqual(['2026-03-01T00:11:00.000Z queued']);
  });

  it('one dispatcher records it for all: another that wakes later judges the same', async () => {
    await house.create({ catchUp: 'none', timing: at(ms('2026-03-01T00:01:00Z')) });
    house.down(2 * MINUTE);
    const first = createPulse({ db: house.db, clock: house.clock });
    await first.beat();
    // It is killed before it dispatches; the next one starts ten seconds later.
    house.down(10 * SECOND);
    await house.dispatchAll();
    expect(await house.timetable()).toEqual(['2026-03-01T00:01:00.000Z missed: catch_up_none']);
  });

  it('a hundred thousand missed times leave hundreds of rows, and all are counted', async () => {
    const created = await house.create({
      timing: every(SECOND),
      catchUp: 'latest',
      catchUpWindowMs: 20 * HOUR,
    });
    house.down(100_000 * SECOND);
    const counts = await house.dispatchAll();
    expect(counts).toMatchObject({ started: 1, missed: 99_999 });
    expect(await house.stateOf(created.id)).toMatchObject({ missed: 99_999, fired: 1, activeRuns: 1 });
    const runs = await house.runsOf();
    expect(runs.length).toBeLessThan(6000);
    expect(runs.at(-1)).toMatchObject({ scheduledForMs: house.clock.now(), status: 'queued' });
    const told = runs.reduce((sum, run) => sum + (run.missed?.count ?? 1), 0);
    expect(told).toBe(100_000);
    // Every second lies in exactly one of them.
    let next = created.createdAtMs + SECOND;
    for (const run of runs) {
      expect(run.scheduledForMs).toBe(next);
      next = (run.missed?.untilMs ?? run.scheduledForMs) + SECOND;
      if (run.missed) expect(run.missed.untilMs - run.scheduledForMs).toBe((run.missed.count - 1) * SECOND);
    }
  });
});

describe('lateness is no outage:', () => {
  it('a silence of two seconds', async () => {
    await house.create({ timing: every(SECOND), catchUp: 'none', overlap: 'allow' });
    house.down(2 * SECOND);
    await house.dispatchAll();
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:00:01.000Z queued',
      '2026-03-01T00:00:02.000Z queued',
    ]);
  });

  it('and one of two seconds and a millisecond is', async () => {
    await house.create({ timing: every(SECOND), catchUp: 'none', overlap: 'allow' });
    house.down(2 * SECOND + 1);
    await house.dispatchAll();
    expect(await house.timetable()).toEqual([
      '2026-03-01T00:00:01.000Z missed: catch_up_none',
      '2026-03-01T00:00:02.000Z missed: catch_up_none',
    ]);
  });

  it('a dispatcher that is slow for an hour while another one’s pulse goes on', async () => {
    await house.create({ timing: every(20 * MINUTE), catchUp: 'none', overlap: 'allow' });
    await house.live(HOUR);
    await house.dispatchAll();
    expect((await house.runsOf()).map((run) => run.status)).toEqual(['queued', 'queued', 'queued']);
  });
});

describe('the very first start', () => {
  it('knows of no outage', async () => {
    await house.db.execute(sql`delete from dispatch_state`);
    await house.create({ catchUp: 'none' });
    house.down(MINUTE);
    await house.dispatchAll();
    expect(await house.timetable()).toEqual(['2026-03-01T00:01:00.000Z queued']);
  });
});
