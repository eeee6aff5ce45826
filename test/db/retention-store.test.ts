/** What goes of history and what stays: random histories against an oracle of a few lines, and what a slice may cost. */
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { pruneSlice, sliceStatement } from '../../src/db/retention-store.ts';
import { keptRunsMin, type Retention } from '../../src/runs/retention.ts';
import type { RunCause, RunStatus } from '../../src/runs/run-state.ts';
import { type House, setupHouse } from '../support/house.ts';
import { insertPastRuns, type PastRun, pastRun, runIds } from '../support/past-runs.ts';
import { DAY, HOUR, MINUTE } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const generous = { schedulesMax: 500, runsMax: 1000 };

/** Rounds until one finds nothing. */
async function pruneAll(retention: Retention, limits = generous): Promise<number> {
  let all = 0;
  for (let inRound = 0, slices = 0; ; slices += 1) {
    if (slices > 5000) throw new Error('pruning never comes to an end');
    const { runs, next } = (await pruneSlice(house.db, retention, house.clock.now(), limits))!;
    expect(runs).toBeLessThanOrEqual(limits.runsMax);
    all += runs;
    inRound += runs;
    if (next !== 'over') continue;
    if (inRound === 0) return all;
    inRound = 0;
  }
}

const active: readonly RunStatus[] = ['queued', 'running', 'retrying'];

/** Written apart from the code that it judges. */
function keptOf(
  runs: readonly PastRun[],
  schedule: { isDeleted: boolean; lastRunId: string | null },
  { ageMsMax, runsMax }: Retention,
  nowMs: number,
): string[] {
  const newestFirst = runs.toSorted((a, b) => (a.id < b.id ? 1 : -1));
  const ended = newestFirst.filter((run) => run.finishedAtMs !== null);
  const isOld = (run: PastRun) =>
    ageMsMax !== null && Math.max(run.scheduledForMs, run.finishedAtMs!) < nowMs - ageMsMax;
  const stays = (run: PastRun) => {
    if (run.finishedAtMs === null) return true;
    if (schedule.isDeleted) return !isOld(run);
    const isLast = ended.indexOf(run) < 20 || run.id === schedule.lastRunId;
    const isLastFailure = ended.find(({ status }) => status === 'failed' || status === 'timed_out') === run;
    const isTooMany = runsMax !== null && newestFirst.indexOf(run) >= runsMax && run.cause !== 'backfill';
    return isLast || isLastFailure || !(isOld(run) || isTooMany);
  };
  return newestFirst.filter(stays).map((run) => run.id);
}

const aRun = fc.record({
  of: fc.nat(2),
  hoursAgo: fc.nat(240),
  lastedHours: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(100)),
  status: fc.oneof(
    { weight: 5, arbitrary: fc.constant<RunStatus>('succeeded') },
    fc.constantFrom<RunStatus>(
      'failed',
      'timed_out',
      'cancelled',
      'skipped',
      'missed',
      'queued',
      'running',
      'retrying',
    ),
  ),
  cause: fc.oneof(
    { weight: 4, arbitrary: fc.constant<RunCause>('schedule') },
    fc.constantFrom<RunCause>('manual', 'backfill'),
  ),
});

it('whatever ended when, what is kept is what the rules say, and again when time has passed and more has ended', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(aRun, { minLength: 30, maxLength: 150 }),
      fc.array(aRun, { maxLength: 60 }),
      fc.array(fc.record({ isDeleted: fc.boolean(), last: fc.nat(40) }), { minLength: 3, maxLength: 3 }),
      fc.record({
        ageMsMax: fc.option(fc.nat(200).map((hours) => hours * HOUR)),
        runsMax: fc.option(fc.integer({ min: 20, max: 60 })),
      }),
      fc.record({ schedulesMax: fc.integer({ min: 1, max: 4 }), runsMax: fc.integer({ min: 1, max: 40 }) }),
      async (first, second, fates, retention, limits) => {
        await house.reset();
        const schedules = await Promise.all(
          fates.map(async (fate) => ({
            ...fate,
            id: (await house.create()).id,
            lastRunId: null as string | null,
          })),
        );
        for (const { id, isDeleted } of schedules) if (isDeleted) await house.schedules.remove(id);
        let runs: PastRun[] = [];
        for (const [phase, given] of [first, second].entries()) {
          const nowMs = house.clock.now();
          const more = given.map(({ of, hoursAgo, lastedHours, status, cause }) => {
            const atMs = nowMs - (phase === 0 ? hoursAgo : hoursAgo % 24) * HOUR;
            const finishedAtMs = active.includes(status) ? null : Math.min(nowMs, atMs + lastedHours * HOUR);
            return pastRun(schedules[of]!.id, atMs, { status, cause, finishedAtMs });
          });
          await insertPastRuns(house.db, more);
          runs.push(...more);
          for (const schedule of schedules) {
            const started = runs.filter(
              (run) => run.scheduleId === schedule.id && run.status === 'succeeded',
            );
            schedule.lastRunId = started[schedule.last]?.id ?? null;
            await house.db.execute(
              sql`update schedule_states set last_run_id = ${schedule.lastRunId} where schedule_id = ${schedule.id}`,
            );
          }
          await pruneAll(retention, limits);
          const kept = schedules.flatMap((schedule) =>
            keptOf(
              runs.filter((run) => run.scheduleId === schedule.id),
              schedule,
              retention,
              nowMs,
            ),
          );
          const there = await runIds(house.db);
          expect([...there].sort()).toEqual(kept.sort());
          runs = runs.filter((run) => there.has(run.id));
          house.clock.advance(50 * HOUR);
        }
      },
    ),
    { numRuns: 40 * Number(process.env.CARILLON_MODEL_EFFORT ?? 1), seed: 20_260_301 },
  );
});

it('no statement of a slice scans a table, and what stays for good costs index entries only', async () => {
  const { id } = await house.create();
  await house.copy(id, 300);
  const { rows: schedules } = await house.db.execute<{ id: string }>(sql`select id from schedules`);
  const nowMs = house.clock.now();
  const seldom = schedules.flatMap(({ id: scheduleId }) =>
    Array.from({ length: keptRunsMin }, (_, n) => pastRun(scheduleId, nowMs - (200 + n) * DAY)),
  );
  await insertPastRuns(house.db, seldom);
  await house.db.execute(sql`vacuum analyze runs`);
  const retention = { ageMsMax: 90 * DAY, runsMax: 10_000 };
  const { rows } = await house.db.execute<{ 'QUERY PLAN': string }>(
    sql`explain (analyze, buffers, costs off, timing off) ${sliceStatement(retention, null, nowMs, generous)}`,
  );
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).not.toContain('Seq Scan');
  // The runs themselves are not looked at: they are all old, and none may go.
  expect(
    plan.match(/Index Scan.* on runs r_?\d*.*$/gm)?.filter((line) => !line.includes('never executed')),
  ).toEqual([]);
  expect(plan).toMatch(/Index Only Scan Backward using runs_schedule_idx on runs .*rows=20(\.00)? loops=301/);
});

it('a slice goes on where the last one ended, a full batch at the same schedule, and the end begins anew', async () => {
  const ids = (await Promise.all([house.create(), house.create(), house.create()]))
    .map(({ id }) => id)
    .sort();
  const nowMs = house.clock.now();
  const old = ids.map((id) =>
    Array.from({ length: 25 }, (_, n) => pastRun(id, nowMs - 10 * DAY + n * MINUTE)),
  );
  await insertPastRuns(house.db, old.flat());
  const retention = { ageMsMax: DAY, runsMax: null };
  const slice = () => pruneSlice(house.db, retention, nowMs, { schedulesMax: 2, runsMax: 4 });
  const goneOf = async () => {
    const there = await runIds(house.db);
    return old.map((runs) => runs.findIndex((run) => there.has(run.id)));
  };
  expect(await slice()).toEqual({ runs: 4, next: 'again' });
  expect(await goneOf()).toEqual([4, 0, 0]);
  expect(await slice()).toEqual({ runs: 4, next: 'again' });
  expect(await goneOf()).toEqual([5, 3, 0]);
  expect(await slice()).toEqual({ runs: 4, next: 'again' });
  expect(await slice()).toEqual({ runs: 3, next: 'over' });
  expect(await goneOf()).toEqual([5, 5, 5]);
  expect(await slice()).toEqual({ runs: 0, next: 'on' });
  expect(await slice()).toEqual({ runs: 0, next: 'over' });
});

it('two nodes are never at it at once, and one that is killed leaves the walk and the runs as they were', async () => {
  const { id } = await house.create();
  const nowMs = house.clock.now();
  await insertPastRuns(
    house.db,
    Array.from({ length: 30 }, (_, n) => pastRun(id, nowMs - 10 * DAY + n)),
  );
  const retention = { ageMsMax: DAY, runsMax: null };
  const other = house.another('pruning').db;
  await other
    .transaction(async (tx) => {
      await tx.execute(sql`select from retention_state for update`);
      await tx.execute(sql`delete from runs`);
      expect(await pruneSlice(house.db, retention, nowMs, generous)).toBeNull();
      await house.db.execute(
        sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pruning' and datname = current_database()`,
      );
      await tx.execute(sql`select`);
    })
    .catch(() => undefined);
  expect((await runIds(house.db)).size).toBe(30);
  expect(await pruneSlice(house.db, retention, nowMs, generous)).toEqual({ runs: 10, next: 'over' });
});

it('a run that somebody holds is passed over, and does not hold up the walk', async () => {
  const { id } = await house.create();
  const nowMs = house.clock.now();
  const runs = Array.from({ length: 24 }, (_, n) => pastRun(id, nowMs - 10 * DAY + n));
  await insertPastRuns(house.db, runs);
  const retention = { ageMsMax: DAY, runsMax: null };
  const limits = { schedulesMax: 10, runsMax: 2 };
  const slice = () => pruneSlice(house.db, retention, nowMs, limits);
  await house.another().db.transaction(async (tx) => {
    await tx.execute(sql`select from runs where id in (${runs[0]!.id}, ${runs[1]!.id}) for update`);
    expect(await slice()).toEqual({ runs: 0, next: 'over' });
  });
  expect(await slice()).toEqual({ runs: 2, next: 'again' });
});

it.each([
  'failed',
  'timed_out',
] as const)('the last run that %s stays however many ended well after it', async (status) => {
  const { id } = await house.create();
  const atMs = house.clock.now() - 10 * DAY;
  const runs = Array.from({ length: 40 }, (_, n) =>
    pastRun(id, atMs + n, n === 3 || n === 7 ? { status } : n === 9 ? { status: 'cancelled' } : {}),
  );
  await insertPastRuns(house.db, runs);
  expect(await pruneAll({ ageMsMax: DAY, runsMax: null })).toBe(19);
  const there = await runIds(house.db);
  expect(runs.findIndex((run) => there.has(run.id))).toBe(7);
});

it('the catalogue of backups outlives the runs that made them', async () => {
  const { id } = await house.create();
  await house.schedules.remove(id);
  const run = pastRun(id, house.clock.now() - 10 * DAY);
  await insertPastRuns(house.db, [run]);
  await house.db.execute(sql`
    insert into backups (id, schedule_id, schedule_name, run_id, kind, source_kind, source, location, object, status, created_at)
    values ('backup-20260219000000', ${id}, 'nightly', ${run.id}, 'full', 'directory', 'file:///a', 'file:///b', 'c', 'writing',
      '2026-02-19T00:00:00Z')`);
  expect(await pruneAll({ ageMsMax: DAY, runsMax: null })).toBe(1);
  expect((await house.db.execute(sql`select run_id from backups`)).rows).toEqual([{ run_id: run.id }]);
});
