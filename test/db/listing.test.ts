/** Lists whose filters no index tells apart: pages that end early, and together tell all. */
import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { listRuns, type RunListFilter } from '../../src/db/run-history-store.ts';
import { listSchedules, type ScheduleListFilter } from '../../src/db/schedule-store.ts';
import type { Page, PageRequest } from '../../src/runs/page.ts';
import { type RunStatus, runStatuses } from '../../src/runs/run-state.ts';
import { type House, setupHouse } from '../support/house.ts';
import { insertPastRuns, type PastRun, pastRun } from '../support/past-runs.ts';
import { MINUTE } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

async function walk<T extends { id: string }>(list: (page: PageRequest) => Promise<Page<T>>, limit: number) {
  const pages: string[][] = [];
  for (let after: string | null = null; ; ) {
    const { items, next }: Page<T> = await list({ limit, after });
    expect(items.length).toBeLessThanOrEqual(limit);
    pages.push(items.map(({ id }) => id));
    if (next === null) return pages;
    if (after !== null) expect(next < after).toBe(true);
    after = next;
  }
}

it('however few runs a page looks at, the pages of any filter tell what fits, once and in order', async () => {
  const scheduleIds = (await Promise.all([house.create(), house.create()])).map(({ id }) => id);
  const startMs = house.clock.now();
  const runs: PastRun[] = Array.from({ length: 60 }, (_, n) => {
    const status = runStatuses[(n * n) % runStatuses.length]!;
    const isActive = ['queued', 'running', 'retrying'].includes(status);
    const atMs = startMs + n * MINUTE;
    return pastRun(scheduleIds[n % 2]!, atMs, { status, finishedAtMs: isActive ? null : atMs });
  });
  await insertPastRuns(house.db, runs);
  await house.db.execute(sql`update runs set job_type = 'echo' where finished_at is null`);
  const isActive = (run: PastRun) => run.finishedAtMs === null;
  await fc.assert(
    fc.asyncProperty(
      fc.record<RunListFilter>(
        {
          statuses: fc.subarray<RunStatus>([...runStatuses]),
          jobType: fc.constantFrom('noop', 'echo', 'none'),
          scheduleId: fc.constantFrom(...scheduleIds),
          sinceMs: fc.nat(60).map((n) => startMs + n * MINUTE),
          untilMs: fc.nat(60).map((n) => startMs + n * MINUTE),
        },
        { requiredKeys: [] },
      ),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 80 }),
      async (filter, limit, lookedMax) => {
        const fitting = runs.filter(
          (run) =>
            (!filter.statuses?.length || filter.statuses.includes(run.status)) &&
            (filter.jobType === undefined || filter.jobType === (isActive(run) ? 'echo' : 'noop')) &&
            (filter.scheduleId ?? run.scheduleId) === run.scheduleId &&
            run.scheduledForMs >= (filter.sinceMs ?? 0) &&
            run.scheduledForMs <= (filter.untilMs ?? Number.POSITIVE_INFINITY),
        );
        const pages = await walk((page) => listRuns(house.db, filter, page, lookedMax), limit);
        expect(pages.flat()).toEqual(fitting.map((run) => run.id).reverse());
      },
    ),
    { numRuns: 150, seed: 20_260_301 },
  );
});

it('however few schedules a page looks at, the pages of any filter tell what fits, once and in order', async () => {
  const made: { id: string; name: string; lastStatus: string | null }[] = [];
  for (let n = 0; n < 24; n += 1) {
    const { id } = await house.create({
      name: `job-${n % 3}-${n}`,
      labels: n % 4 === 0 ? { team: 'data' } : {},
    });
    const lastStatus = [null, 'failed', 'succeeded', 'timed_out', 'succeeded'][n % 5]!;
    await house.db.execute(
      sql`update schedule_states set last_status = ${lastStatus} where schedule_id = ${id}`,
    );
    made.push({ id, name: `job-${n % 3}-${n}`, lastStatus });
  }
  made.sort((a, b) => (a.id < b.id ? 1 : -1));
  await fc.assert(
    fc.asyncProperty(
      fc.record<ScheduleListFilter>(
        {
          q: fc.constantFrom('JOB-1', '2-5', 'nobody'),
          lastStatus: fc.constantFrom<RunStatus>('failed', 'timed_out', 'succeeded', 'missed'),
        },
        { requiredKeys: [] },
      ),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 30 }),
      async (filter, limit, lookedMax) => {
        const fitting = made.filter(
          ({ name, lastStatus }) =>
            name.includes(filter.q?.toLowerCase() ?? '') && (filter.lastStatus ?? lastStatus) === lastStatus,
        );
        const pages = await walk((page) => listSchedules(house.db, filter, page, lookedMax), limit);
        expect(pages.flat()).toEqual(fitting.map(({ id }) => id));
      },
    ),
    { numRuns: 60, seed: 20_260_301 },
  );
});

it('a schedule whose last run failed is found behind any number of others', async () => {
  const { id } = await house.create();
  for (let n = 0; n < 10; n += 1) await house.create();
  const list = (lastStatus: RunStatus) =>
    listSchedules(house.db, { lastStatus }, { limit: 5, after: null }, 3);
  for (const status of ['failed', 'timed_out'] as const) {
    await house.db.execute(sql`update schedule_states set last_status = ${status} where schedule_id = ${id}`);
    expect(await list(status)).toMatchObject({ items: [{ id }], next: null });
  }
  expect(await list('failed')).toEqual({ items: [], next: null });
});

it('a page that finds nothing among what it looked at is empty and goes on there', async () => {
  const { id } = await house.create();
  const atMs = house.clock.now();
  const runs = Array.from({ length: 10 }, (_, n) =>
    pastRun(id, atMs + n, n === 0 ? { status: 'cancelled' } : {}),
  );
  await insertPastRuns(house.db, runs);
  const list = (after: string | null) =>
    listRuns(house.db, { statuses: ['succeeded', 'cancelled'], jobType: 'none' }, { limit: 5, after }, 4);
  expect(await list(null)).toEqual({ items: [], next: runs[6]!.id });
  expect(await list(runs[6]!.id)).toEqual({ items: [], next: runs[2]!.id });
  expect(await list(runs[2]!.id)).toEqual({ items: [], next: null });
});
