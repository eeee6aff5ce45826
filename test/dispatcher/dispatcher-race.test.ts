/** Many hands at once on one database. Each has connections of its own, as processes have. */
import { type SQL, sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type DispatchCounts, dispatchHerd, dispatchPass } from '../../src/dispatcher/dispatcher.ts';
import { createPulse } from '../../src/dispatcher/pulse.ts';
import { type House, setupHouse } from '../support/house.ts';
import { every, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

/** A dispatcher of its own, which makes passes until a pass finds nothing due. */
function createDispatcher() {
  const { db } = house.another();
  const pulse = createPulse({ db, clock: house.clock });
  return async (): Promise<DispatchCounts> => {
    const total = await dispatchPass({
      db,
      clock: house.clock,
      pulse,
      book: house.book,
      served: () => ['default'],
    });
    while (total.nextDueMs !== null && total.nextDueMs <= house.clock.now()) {
      const counts = await dispatchPass({
        db,
        clock: house.clock,
        pulse,
        book: house.book,
        served: () => ['default'],
      });
      total.started += counts.started;
      total.claimed += counts.claimed;
      total.skipped += counts.skipped;
      total.nextDueMs = counts.nextDueMs;
    }
    return total;
  };
}

async function oneRow(query: SQL) {
  return (await house.db.execute(query)).rows[0];
}

describe('two dispatchers', () => {
  it('over ten thousand due schedules make ten thousand runs and no duplicate', async () => {
    await house.copy((await house.create()).id, 9999);
    await house.live(MINUTE);
    const [one, two] = [createDispatcher(), createDispatcher()];
    const counts = await Promise.all([one(), two()]);
    expect(counts[0]!.started + counts[1]!.started).toBe(10_000);
    expect(counts[0]!.claimed + counts[1]!.claimed).toBe(10_000);
    // Both had a hand in it, or nothing was tried here.
    expect(Math.min(counts[0]!.claimed, counts[1]!.claimed)).toBeGreaterThan(500);
    expect(
      await oneRow(sql`
        select count(*)::int as runs, count(distinct schedule_id)::int as schedules,
          count(distinct scheduled_for)::int as times, bool_and(status = 'queued') as queued from runs`),
    ).toEqual({ runs: 10_000, schedules: 10_000, times: 1, queued: true });
    expect(
      await oneRow(sql`
        select count(*)::int as bells, count(distinct bell->>'runId')::int as runs
        from graphile_worker._private_jobs, json_array_elements(payload->'runs') as bell`),
    ).toEqual({ bells: 10_000, runs: 10_000 });
    expect(
      await oneRow(sql`
        select bool_and(active_runs = 1 and fired = 1 and next_run_at > ${new Date(house.clock.now()).toISOString()}
          and due_at = next_run_at) as moved from schedule_states`),
    ).toEqual({ moved: true });
  });

  it('over a backlog of many times of few schedules lose and double none', async () => {
    await house.copy((await house.create({ timing: every(SECOND), overlap: 'allow' })).id, 19);
    await house.live(200 * SECOND);
    const dispatchers = [createDispatcher(), createDispatcher(), createDispatcher()];
    await Promise.all(dispatchers.map((dispatch) => dispatch()));
    expect(
      await oneRow(sql`
        select count(*)::int as runs, count(distinct (schedule_id, scheduled_for))::int as fires from runs`),
    ).toEqual({ runs: 4000, fires: 4000 });
    expect(
      await oneRow(sql`select min(fired)::int as min, max(active_runs) as max from schedule_states`),
    ).toEqual({ min: 200, max: 200 });
  });
});

describe('a herd', () => {
  it('is dispatched by one process in lanes side by side, and each schedule once', async () => {
    await house.copy((await house.create()).id, 2345);
    await house.live(MINUTE);
    const { db } = house.another();
    const parts = { db, clock: house.clock, pulse: house.pulse, book: house.book, served: () => ['default'] };
    const counts = await dispatchHerd(parts);
    expect(counts).toMatchObject({ claimed: 2346, started: 2346, skipped: 0, faults: 0 });
    expect(
      await oneRow(
        sql`select count(*)::int as runs, count(distinct schedule_id)::int as schedules from runs`,
      ),
    ).toEqual({ runs: 2346, schedules: 2346 });
    expect(await dispatchHerd(parts)).toMatchObject({
      claimed: 0,
      nextDueMs: house.clock.now() + MINUTE,
    });
  });
});

describe('dispatchers, workers and commands at once', () => {
  it('leave every count equal to what the rows say, and no fire twice', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 12; n += 1) {
      const overlap = n % 2 === 0 ? 'allow' : 'skip';
      const pauseAfterFailures = n % 3 === 0 ? 2 : null;
      ids.push((await house.create({ timing: every(SECOND), overlap, pauseAfterFailures })).id);
    }
    const dispatchers = [createDispatcher(), createDispatcher()];
    const workers = [await house.worker(), await house.worker()];
    let rounds = 0;
    const tolerated: unknown[] = [];
    const tolerate = (refusal: unknown) => tolerated.push(refusal);

    async function work(worker: (typeof workers)[number], index: number) {
      const claimed = await worker.take(30);
      await Promise.all(
        claimed.map((run, n) =>
          (n + index + rounds) % 3 === 0 ? worker.fail(run, { retryable: n % 2 === 0 }) : worker.succeed(run),
        ),
      );
    }
    async function command(n: number) {
      const id = ids[n % ids.length]!;
      const commands = [
        () => house.schedules.pause(id, null),
        () => house.schedules.resume(id, { catchUp: 'all' }),
        () => house.schedules.trigger(id, {}),
        () =>
          house.schedules.reschedule(id, ({ spec }) => ({ ...spec, timing: every((1 + (n % 3)) * SECOND) })),
        () => house.schedules.update(id, ({ spec }) => ({ ...spec, description: `round ${n}` })),
        async () => {
          const { items } = await house.runs.list({ schedule: id }, { limit: 3, after: null });
          for (const run of items) await house.runs.cancel(run.id).catch(tolerate);
        },
      ];
      await commands[(n * 7) % commands.length]!();
    }

    for (rounds = 0; rounds < 15; rounds += 1) {
      await house.live(2 * SECOND);
      await Promise.all([
        ...dispatchers.map((dispatch) => dispatch()),
        ...workers.map(work),
        ...[0, 1, 2, 3].map((n) => command(rounds * 4 + n)),
      ]);
    }

    for (const refusal of tolerated) expect(refusal).toMatchObject({ code: 'conflict' });
    const { rows } = await house.db.execute(sql`
      select h.schedule_id, h.active_runs, h.fired::int, h.succeeded::int, h.failed::int, h.skipped::int,
        count(*) filter (where r.finished_at is null)::int as rows_active,
        count(*) filter (where r.cause in ('schedule', 'catch_up') and r.status not in ('skipped', 'missed'))::int
          as rows_fired,
        count(*) filter (where r.status = 'succeeded')::int as rows_succeeded,
        count(*) filter (where r.status in ('failed', 'timed_out'))::int as rows_failed,
        count(*) filter (where r.status = 'skipped')::int as rows_skipped
      from schedule_states h left join runs r on r.schedule_id = h.schedule_id group by h.schedule_id`);
    expect(rows).toHaveLength(12);
    for (const row of rows) {
      expect(row).toMatchObject({
        active_runs: row.rows_active,
        fired: row.rows_fired,
        succeeded: row.rows_succeeded,
        failed: row.rows_failed,
        skipped: row.rows_skipped,
      });
    }
    expect(
      await oneRow(sql`
        select count(*)::int - count(distinct (schedule_id, scheduled_for))::int as doubled
        from runs where cause in ('schedule', 'catch_up')`),
    ).toEqual({ doubled: 0 });
    // Every run that waits can be heard of.
    expect(
      await oneRow(sql`
        select count(*)::int as silent from runs r where r.status = 'queued' and not exists (
          select from graphile_worker._private_jobs j
          where j.payload->>'runId' = r.id::text and (j.payload->>'attempt')::int = r.attempt)`),
    ).toEqual({ silent: 0 });
  });
});
