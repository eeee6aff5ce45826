/** Postgres goes away under load and comes back: no process exits, no nominal time is lost or doubled, all goes on by itself. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type OwnPostgres, startOwnPostgres } from '../support/database.ts';
import { type FaultScene, setupScene } from '../support/fault-scene.ts';
import type { NodeProcess } from '../support/node-process.ts';
import { openSession } from '../support/sql-session.ts';
import { waitFor } from '../support/wait-for.ts';

// Several processes start in each, on a machine that may be busy; each wait in them has a limit of its own.
vi.setConfig({ testTimeout: 90_000 });

let postgres: OwnPostgres;
beforeAll(async () => {
  postgres = await startOwnPostgres();
}, 60_000);
afterAll(() => postgres.stop());

const schedulesCount = 20;

/** Twenty schedules that fire each second. */
async function load(scene: FaultScene, node: NodeProcess): Promise<void> {
  for (let n = 0; n < schedulesCount; n += 1) {
    await scene.create(node, { at: undefined, every: '1s', catchUp: 'all' });
  }
}

/** Waits until fires of after this moment have been executed. */
async function goesOn({ witness }: FaultScene, how: string): Promise<void> {
  const before = witness.hits.length;
  await waitFor(() => witness.hits.length >= before + 2 * schedulesCount, {
    timeoutMs: 30_000,
    what: `it to go on by itself when restarted ${how}`,
  });
}

/** Pauses everything, waits until nothing is active, and looks at what became of each nominal time. */
async function audit(scene: FaultScene, node: NodeProcess) {
  const sql = await openSession(scene.databaseUrl);
  const { items } = await node.get<{ items: { name: string }[] }>('/schedules?limit=200');
  for (const { name } of items) await node.post(`/schedules/${name}/pause`);
  await waitFor(async () => (await sql.rows('select from runs where finished_at is null')).length === 0, {
    timeoutMs: 30_000,
    what: 'all runs to end',
  });
  await waitFor(async () => (await sql.rows('select from graphile_worker._private_jobs')).length === 0, {
    timeoutMs: 30_000,
    what: 'no doorbell to be left',
  });
  // Each schedule's seconds, from its first to its last, and how many rows tell of each.
  const gaps = await sql.rows(`
    select s.schedule_name, second, count(r.id)::int as rows from (
      select schedule_id, schedule_name, generate_series(min(scheduled_for), max(scheduled_for), '1 s') as second
      from runs group by 1, 2
    ) s left join runs r on r.schedule_id = s.schedule_id and r.scheduled_for = s.second
    group by 1, 2 having count(r.id) <> 1`);
  const statuses = await sql.rows<{ status: string; n: number }>(
    'select status, count(*)::int as n from runs group by status',
  );
  const counts = await sql.row<{ fired: number; succeeded: number; active: number }>(
    'select sum(fired)::int as fired, sum(succeeded)::int as succeeded, sum(active_runs)::int as active from schedule_states',
  );
  const { runs } = await sql.row<{ runs: number }>('select count(*)::int as runs from runs');
  return { gaps, statuses: Object.fromEntries(statuses.map(({ status, n }) => [status, n])), counts, runs };
}

async function setup() {
  const reset = await openSession(postgres.url);
  await reset.rows(`
    truncate schedules, schedule_states, runs, run_attempts, run_logs, workers, dispatch_state, outages,
      graphile_worker._private_jobs cascade`);
  await reset.close();
  return await setupScene({ url: postgres.url });
}

const waysToRestart: [string, () => Promise<void>][] = [
  ['in order', () => postgres.restart('fast')],
  ['at once, as after a crash', () => postgres.restart('immediate')],
  [
    'some seconds after it was killed',
    async () => {
      await postgres.kill9();
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await postgres.restart('fast');
    },
  ],
];

it('restarted three times: each nominal time has one disposition, each run is executed once, and all goes on by itself', async () => {
  const scene = await setup();
  const nodes = await Promise.all([
    scene.node({ roles: 'api,dispatcher' }),
    scene.node({ roles: 'dispatcher,worker', workers: 'default:50' }),
  ]);
  const [api] = nodes as [NodeProcess, NodeProcess];
  await load(scene, api);
  await goesOn(scene, 'at first');
  for (const [how, restart] of waysToRestart) {
    await restart();
    await goesOn(scene, how);
    expect(nodes.map((each) => each.running)).toEqual([true, true]);
    for (const { address } of nodes) {
      await waitFor(async () => (await fetch(`${address}/readyz`)).ok, {
        what: `${address} to be ready again`,
      });
    }
  }
  const { gaps, statuses, counts, runs } = await audit(scene, api);
  expect(gaps).toEqual([]);
  expect(statuses).toEqual({ succeeded: runs });
  expect(counts).toEqual({ fired: runs, succeeded: runs, active: 0 });
  // Once each: a run whose claim or outcome met the outage was neither forgotten nor repeated.
  expect(scene.witness.hits).toHaveLength(runs);
  expect(new Set(scene.witness.hits.map((hit) => hit.runId)).size).toBe(runs);
  for (const each of nodes) expect(each.output()).not.toContain('uncaught');
});

it('while it is away, a run in flight is finished, its outcome kept and written when it is back', async () => {
  const scene = await setup();
  const node = await scene.node();
  const held = await scene.hold(node);
  const hit = await scene.witness.hit(held, 1);
  await postgres.kill9();
  hit.release();
  await waitFor(() => node.output().includes('could not record 1 outcomes'));
  const answer = await fetch(`${node.address}/readyz`);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code: 'not_ready', checks: { database: { ok: false } } });
  expect((await fetch(`${node.address}/healthz`)).status).toBe(200);
  expect((await fetch(`${node.address}/schedules`)).status).toBe(503);
  await postgres.restart('fast');
  const ended = await scene.reaches(node, held, 'succeeded', 30_000);
  expect(ended.attempts).toHaveLength(1);
  expect(scene.witness.hitsOf(held)).toHaveLength(1);
});

it('while it is away, SIGTERM ends the process all the same', async () => {
  const scene = await setup();
  const node = await scene.node({ graceSeconds: 1 });
  await postgres.kill9();
  try {
    node.kill('SIGTERM');
    const { signal } = await node.exited;
    expect(signal).toBeNull();
    expect(node.output()).toContain('"msg":"stopped"');
  } finally {
    await postgres.restart('fast');
  }
});
