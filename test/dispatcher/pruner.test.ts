import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pruneRuns } from '../../src/db/run-history-store.ts';
import { insertLogLines } from '../../src/db/run-log-store.ts';
import { prunePass } from '../../src/dispatcher/pruner.ts';
import { type House, setupHouse } from '../support/house.ts';
import { DAY, every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const prune = (retentionDays: number) => prunePass({ db: house.db, clock: house.clock, retentionDays });

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
    await house.live(DAY + 1);
    expect(await prune(1)).toEqual({ runs: 2, tasks: 0, more: false });
    expect((await house.runsOf()).map((run) => run.id)).toEqual([third!.id]);
    const { rows } = await house.db.execute(sql`
      select (select count(*)::int from run_attempts) as attempts, (select count(*)::int from run_logs) as lines`);
    expect(rows).toEqual([{ attempts: 0, lines: 0 }]);
    // Its counts tell of what is gone; what ran last is not there to be shown.
    expect(await house.schedules.get(created.id)).toMatchObject({
      counts: { fired: 3, succeeded: 2 },
      lastRun: null,
    });
  });

  it('keeps what is as old as the retention to the millisecond', async () => {
    await house.create({ timing: every(HOUR) });
    await house.live(HOUR);
    await house.dispatch();
    const worker = await house.worker();
    await worker.succeed((await worker.take())[0]!);
    await house.live(DAY);
    expect(await prune(1)).toEqual({ runs: 0, tasks: 0, more: false });
    await house.live(1);
    expect(await prune(1)).toEqual({ runs: 1, tasks: 0, more: false });
  });

  it('keeps a run of an old nominal time that ended lately', async () => {
    await house.create({ timing: every(HOUR), maxRuns: 1 });
    const worker = await house.worker();
    await house.live(HOUR);
    await house.dispatch();
    const [run] = await worker.take();
    await house.live(10 * DAY);
    expect(await prune(1)).toMatchObject({ runs: 0 });
    await worker.succeed(run!);
    await house.live(HOUR);
    expect(await prune(1)).toMatchObject({ runs: 0 });
    await house.live(DAY);
    expect(await prune(1)).toMatchObject({ runs: 1 });
  });

  it('deletes skipped, missed and cancelled fires too', async () => {
    const created = await house.create({ timing: every(MINUTE), catchUp: 'none' });
    await house.live(2 * MINUTE);
    await house.dispatch(); // one queued, one skipped
    house.down(5 * MINUTE);
    await house.dispatchAll(); // missed
    await house.schedules.stop(created.id, null);
    expect(new Set((await house.runsOf()).map((run) => run.status))).toEqual(
      new Set(['cancelled', 'skipped', 'missed']),
    );
    await house.live(DAY + MINUTE);
    await prune(1);
    expect(await house.runsOf()).toEqual([]);
  });

  it('deletes the oldest first, a batch at a time, and tells when there may be more', async () => {
    await house.create({ timing: every(SECOND), catchUp: 'none', overlap: 'skip', maxRuns: 1 });
    await house.live(0);
    house.down(50 * SECOND);
    await house.dispatchAll();
    const before = house.clock.now() + 1;
    const ids = (await house.runsOf()).map((run) => run.id);
    expect(ids).toHaveLength(50);
    expect(await pruneRuns(house.db, before, 30)).toEqual({ runs: 30, more: true });
    expect((await house.runsOf()).map((run) => run.id)).toEqual(ids.slice(30));
    expect(await pruneRuns(house.db, before, 30)).toEqual({ runs: 20, more: false });
  });

  it('on two nodes at once deletes each run once', async () => {
    await house.create({ timing: every(SECOND), catchUp: 'none' });
    await house.live(0);
    house.down(60 * SECOND);
    await house.dispatchAll();
    const before = house.clock.now() + 1;
    const pruned = await Promise.all([
      pruneRuns(house.db, before, 40),
      pruneRuns(house.another().db, before, 40),
    ]);
    const rest = await pruneRuns(house.db, before, 100);
    expect(pruned[0]!.runs + pruned[1]!.runs + rest.runs).toBe(60);
  });
});
