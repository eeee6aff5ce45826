/**
 * What a herd costs Postgres for each run. The statement that ends runs is planned without knowing how many end: the
 * planner then thinks of a few rows and likes to join each with each, which with a herd costs more than all else. And what
 * is written to the heap alone costs half of what moves index entries too.
 */
import pg from 'pg';
import { afterAll, beforeEach, expect, it, vi } from 'vitest';
import { arrayLiteral } from '../../src/db/array-literal.ts';
import type { Tx } from '../../src/db/client.ts';
import { sql } from '../../src/db/drizzle.ts';
import { endRuns, endRunsFrom, type RunEnd } from '../../src/db/run-end-store.ts';
import { startRuns } from '../../src/db/run-store.ts';
import { type PartialSpec, setupHouse } from '../support/house.ts';
import { endOf } from '../support/run-ends.ts';
import { delay, every, MINUTE } from '../support/timings.ts';

const house = await setupHouse();
beforeEach(() => house.reset());
afterAll(() => house.close());

const schedules = 200;
/** Rows that one step of the plan may look at for each run that ends. */
const rowsPerEndMax = 4;

it('grows with the runs that end, where nobody is told', async () => {
  const ends = await running({});
  const step = await dearestStep('end_runs', (tx) => endRuns(tx, ends, house.served));
  expect(step.rows, step.name).toBeLessThanOrEqual(rowsPerEndMax * schedules);
});

it('grows with the runs that end, where all tell somebody', async () => {
  const ends = await running({
    notify: [{ on: ['success', 'failure', 'recovered'], webhook: { url: 'http://127.0.0.1:9/' } }],
  });
  const step = await dearestStep('end_runs', (tx) => endRuns(tx, ends, house.served));
  expect(step.rows, step.name).toBeLessThanOrEqual(rowsPerEndMax * schedules);
});

it('grows with the runs that end, where all say when the next one is', async () => {
  const ends = await running({ timing: delay(MINUTE) });
  const step = await dearestStep('end_runs', (tx) => endRuns(tx, ends, house.served));
  expect(step.rows, step.name).toBeLessThanOrEqual(rowsPerEndMax * schedules);
});

it('grows with the runs that end, where all release another one', async () => {
  const ends = await running({ overlap: 'queue_one' });
  house.clock.advance(MINUTE);
  await house.live(0);
  await house.dispatchAll();
  const { rows } = await house.pool.query('select sum(held_runs)::int as held from schedule_states');
  expect(rows[0].held).toBe(schedules);
  const step = await dearestStep('end_runs_and_release', (tx) =>
    endRunsFrom(tx, ends, ['running'], house.served),
  );
  expect(step.rows, step.name).toBeLessThanOrEqual(rowsPerEndMax * schedules);
});

it('of runs that go well moves no index entry of their schedules, the first time either', async () => {
  const ends = await running({});
  // A few, in pages of which none is fuller than its fillfactor: so there is room for what becomes of them.
  const few = ends.slice(0, 10);
  await house.pool.query('vacuum full schedule_states');
  const updates = await updatesOf('schedule_states', (tx) => endRuns(tx, few, house.served));
  expect(updates).toEqual({ all: few.length, hot: few.length });
});

it('of runs that start moves no index entry, also where all runs of a page start', async () => {
  await queued({});
  const { rows } = await house.pool.query<{ runId: string }>('select id as "runId" from runs');
  const doorbells = rows.map(({ runId }) => ({ runId, attempt: 1 }));
  const worker = await house.worker();
  const updates = await updatesOf('runs', async (tx) => {
    expect(await startRuns(tx, worker.id, doorbells, house.clock.now())).toHaveLength(schedules);
  });
  expect(updates).toEqual({ all: schedules, hot: schedules });
});

it('of fires is a look-up for each, also by a plan that is as old as the empty history', async () => {
  const [text] = await statementOf('record_fires', () => queued({}));
  await house.reset();
  await house.pool.query('vacuum analyze runs');
  const conditions = (await planOf(text)).flatMap(({ 'Index Name': index, 'Index Cond': condition }) =>
    index?.startsWith('runs_') ? [`${index}: ${condition}`] : [],
  );
  // Both begin with the index' first column.
  expect([
    'runs_pkey: (id = f.id)',
    'runs_schedule_idx: ((schedule_id = f.schedule_id) AND (id = f.id))',
  ]).toEqual(expect.arrayContaining(conditions));
  expect(conditions).toHaveLength(1);
});

/** What `work` updates in a table: rows in all, and those that it writes to the heap alone. */
async function updatesOf(
  table: string,
  work: (tx: Tx) => Promise<unknown>,
): Promise<{ all: number; hot: number }> {
  return await house.db.transaction(async (tx) => {
    const before = await updatesNotInStatistics(tx, table);
    await work(tx);
    const after = await updatesNotInStatistics(tx, table);
    return { all: after.all - before.all, hot: after.hot - before.hot };
  });
}

/** Those of this session that are not in the statistics yet. */
async function updatesNotInStatistics(tx: Tx, table: string): Promise<{ all: number; hot: number }> {
  const { rows } = await tx.execute<{ all: number; hot: number }>(sql`
    select pg_stat_get_xact_tuples_updated(t)::int as all, pg_stat_get_xact_tuples_hot_updated(t)::int as hot
    from (select ${table}::regclass::oid as t) x`);
  return rows[0]!;
}

/** So many schedules like this, each with a run that is queued. */
async function queued(spec: PartialSpec): Promise<void> {
  const { id } = await house.create({ timing: every(MINUTE), ...spec });
  await house.copy(id, schedules - 1);
  house.clock.advance(MINUTE);
  await house.live(0);
  await house.dispatchAll();
}

/** So many schedules like this, each with a run that is running. */
async function running(spec: PartialSpec): Promise<RunEnd[]> {
  await queued(spec);
  const worker = await house.worker();
  const runs = await worker.take(schedules);
  expect(runs).toHaveLength(schedules);
  // As a herd finds it: the planner knows the schedules well and not yet the runs.
  await house.pool.query('analyze schedules, schedule_states');
  return runs.map((run) => endOf(run, house.clock.now()));
}

type PlanNode = {
  'Node Type': string;
  'Index Name'?: string;
  'Index Cond'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: PlanNode[];
};

/**
 * The step of a prepared statement's general plan that looks at the most rows. `work` runs it once, to be seen with its
 * values, and is undone.
 */
async function dearestStep(name: string, work: (tx: Tx) => Promise<unknown>) {
  const [text, params] = await statementOf(name, async () => {
    const undone = house.db.transaction(async (tx) => {
      await work(tx);
      tx.rollback();
    });
    await expect(undone).rejects.toThrow();
  });
  const values = params.map((value) =>
    pg.escapeLiteral(Array.isArray(value) ? arrayLiteral(value) : String(value)),
  );
  const steps = (await planOf(text, { values, how: 'analyze, timing off' })).map((node) => {
    const each =
      node['Actual Rows'] +
      (node['Rows Removed by Filter'] ?? 0) +
      (node['Rows Removed by Join Filter'] ?? 0);
    return { name: node['Node Type'], rows: each * node['Actual Loops'] };
  });
  return steps.toSorted((a, b) => b.rows - a.rows)[0]!;
}

/** A prepared statement and its values, as `work` first asks it. */
async function statementOf(name: string, work: () => Promise<unknown>): Promise<[string, unknown[]]> {
  const query = vi.spyOn(pg.Client.prototype, 'query');
  await work();
  const [{ text }, params] = query.mock.calls
    .map((call) => call as unknown as [{ name?: string; text: string }, unknown[]])
    .find(([config]) => config.name === name)!;
  query.mockRestore();
  return [text, params];
}

/** The nodes of a statement's general plan. Without `how` it is not executed, and needs no values. */
async function planOf(
  text: string,
  { values, how = 'analyze off' }: { values?: readonly string[]; how?: string } = {},
): Promise<PlanNode[]> {
  const client = await house.pool.connect();
  try {
    await client.query('begin; set local plan_cache_mode = force_generic_plan');
    await client.query(`prepare planned as ${text}`);
    const known = await client.query(
      `select cardinality(parameter_types) as n from pg_prepared_statements where name = 'planned'`,
    );
    const given = values ?? Array.from({ length: known.rows[0].n }, () => 'null');
    const call = given.length === 0 ? 'planned' : `planned(${given.join(', ')})`;
    const { rows } = await client.query(`explain (${how}, format json) execute ${call}`);
    const nodes: PlanNode[] = [];
    const look = (node: PlanNode) => {
      nodes.push(node);
      for (const plan of node.Plans ?? []) look(plan);
    };
    look(rows[0]['QUERY PLAN'][0].Plan);
    return nodes;
  } finally {
    // Closed, and so undone.
    client.release(true);
  }
}
