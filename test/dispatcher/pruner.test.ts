import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { insertLogLines } from '../../src/db/run-log-store.ts';
import { pruneEveryMs, pruneHistory, prunePass, restMsAfter } from '../../src/dispatcher/pruner.ts';
import type { Retention } from '../../src/runs/retention.ts';
import { type House, setupHouse } from '../support/house.ts';
import { insertPastRuns, pastRun } from '../support/past-runs.ts';
import { DAY, every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const prune = (days: number) => prunePass({ db: house.db, clock: house.clock, ageMsMax: days * DAY });
const pruneRuns = (retention: Partial<Retention>) =>
  pruneHistory({
    db: house.db,
    clock: house.clock,
    retention: { ageMsMax: null, runsMax: null, ...retention },
  });
const twenty = (scheduleId: string, atMs: number) =>
  insertPastRuns(
    house.db,
    Array.from({ length: 20 }, (_, n) => pastRun(scheduleId, atMs + n * MINUTE)),
  );

describe('the pruner', () => {
  it('forgets outages that nothing asks about any more', async () => {
    await house.live(SECOND);
    house.down(HOUR);
    await house.live(SECOND);
    const outages = async () => (await house.db.execute(sql`select from outages`)).rowCount;
    expect(await outages()).toBe(1);
    await house.live(13 * DAY);
    await prune(90);
    expect(await outages()).toBe(1);
    await house.live(2 * DAY);
    await prune(90);
    expect(await outages()).toBe(0);
  });

  it('deletes ended runs past the retention, with their attempts and lines, and no others', async () => {
    const created = await house.create({ timing: every(HOUR), overlap: 'allow' });
    const worker = await house.worker();
    await house.live(3 * HOUR);
    await house.dispatchAll();
    const [first, second, third] = await worker.take();
    await worker.fail(first!);
    await house.live(SECOND);
    await house.dispatch();
    await worker.succeed((await worker.take())[0]!);
    await worker.succeed(second!);
    await insertLogLines(house.db, [
      { runId: first!.id, attempt: 1, seq: 1, atMs: house.clock.now(), level: 'info', message: 'hello' },
    ]);
    await house.schedules.pause(created.id, null);
    await house.live(2 * DAY);
    expect(await pruneRuns({ ageMsMax: DAY })).toMatchObject({ runs: 0 });
    await twenty(created.id, house.clock.now() - DAY);
    // The second is the last that ran, as the schedule shows it.
    expect(await pruneRuns({ ageMsMax: DAY })).toEqual({ runs: 1, next: 'over' });
    expect((await house.runsOf()).map((run) => run.id).slice(0, 2)).toEqual([second!.id, third!.id]);
    const { rows } = await house.db.execute(sql`
      select (select count(*)::int from run_attempts) as attempts, (select count(*)::int from run_logs) as lines`);
    expect(rows).toEqual([{ attempts: 0, lines: 0 }]);
    // Its counts tell of what is gone.
    expect(await house.schedules.get(created.id)).toMatchObject({
      counts: { fired: 3, succeeded: 2 },
      lastRun: { id: second!.id },
    });
  });

  it('keeps what is as old as the retention to the millisecond', async () => {
    const created = await house.create({ timing: every(HOUR) });
    await house.live(HOUR);
    await house.dispatch();
    const worker = await house.worker();
    await worker.succeed((await worker.take())[0]!);
    await house.schedules.remove(created.id);
    await house.live(DAY);
    expect(await pruneRuns({ ageMsMax: DAY })).toMatchObject({ runs: 0 });
    await house.live(1);
    expect(await pruneRuns({ ageMsMax: DAY })).toMatchObject({ runs: 1 });
  });

  it('keeps a run of an old nominal time that ended lately', async () => {
    const created = await house.create({ timing: every(HOUR), maxRuns: 1 });
    const worker = await house.worker();
    await house.live(HOUR);
    await house.dispatch();
    const [run] = await worker.take();
    await house.schedules.remove(created.id);
    await house.live(10 * DAY);
    expect(await pruneRuns({ ageMsMax: DAY })).toMatchObject({ runs: 0 });
    await worker.succeed(run!);
    await house.live(HOUR);
    expect(await pruneRuns({ ageMsMax: DAY })).toMatchObject({ runs: 0 });
    await house.live(DAY);
    expect(await pruneRuns({ ageMsMax: DAY })).toMatchObject({ runs: 1 });
  });

  it('deletes skipped, missed and cancelled fires of a deleted schedule too', async () => {
    const created = await house.create({ timing: every(MINUTE), catchUp: 'none' });
    await house.live(2 * MINUTE);
    await house.dispatch(); // one queued, one skipped
    house.down(5 * MINUTE);
    await house.dispatchAll(); // missed
    await house.schedules.remove(created.id);
    expect(new Set((await house.runsOf()).map((run) => run.status))).toEqual(
      new Set(['cancelled', 'skipped', 'missed']),
    );
    await house.live(DAY + MINUTE);
    await pruneRuns({ ageMsMax: DAY });
    expect(await house.runsOf()).toEqual([]);
  });

  it('keeps so many runs of each schedule, the newest, and of a deleted one all that are not too old', async () => {
    const kept = await house.create({ timing: every(DAY) });
    const gone = await house.create({ timing: every(DAY) });
    await twenty(gone.id, house.clock.now() - HOUR);
    await twenty(kept.id, house.clock.now() - HOUR);
    await twenty(kept.id, house.clock.now() - DAY);
    await house.schedules.remove(gone.id);
    expect(await pruneRuns({ runsMax: 30 })).toMatchObject({ runs: 10 });
    const left = await house.runsOf(kept.id);
    expect(left).toHaveLength(30);
    expect(left[0]!.scheduledForMs).toBe(house.clock.now() - DAY + 10 * MINUTE);
    expect(await house.runsOf(gone.id)).toHaveLength(20);
  });

  it('rests for long after it has only looked, shortly after it has deleted, and a minute after a round', () => {
    expect(restMsAfter({ runs: 0, next: 'on' }, 20)).toBe(4000);
    expect(restMsAfter({ runs: 1000, next: 'again' }, 20)).toBe(200);
    expect(restMsAfter({ runs: 1000, next: 'again' }, 1000)).toBe(2000);
    expect(restMsAfter({ runs: 5, next: 'over' }, 20)).toBe(pruneEveryMs);
    expect(restMsAfter({ runs: 0, next: 'on' }, 10_000)).toBe(pruneEveryMs);
    expect(restMsAfter(null, 20)).toBe(pruneEveryMs);
  });
});
