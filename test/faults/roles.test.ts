/** One program, one process or many: each role does its part and nothing of the others'. */
import { expect, it, onTestFinished, vi } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { setupScene } from '../support/fault-scene.ts';
import { openSession } from '../support/sql-session.ts';
import { waitFor } from '../support/wait-for.ts';

// Several processes start in each, on a machine that may be busy; each wait in them has a limit of its own.
vi.setConfig({ testTimeout: 60_000 });

const status = async (url: string, init?: RequestInit) => (await fetch(url, init)).status;

it('an API, a dispatcher and a worker in three processes are one service', async () => {
  const { node, create, witness, reaches, run } = await setupScene();
  const [api, dispatcher, worker] = await Promise.all([
    node({ roles: 'api' }),
    node({ roles: 'dispatcher' }),
    node({ roles: 'worker' }),
  ]);
  const { name } = await create(api, {
    at: undefined,
    every: '1s',
    job: { type: 'task', input: { url: witness.url } },
  });
  const { runId } = await waitFor(() => witness.hits[0]);
  const fired = await reaches(api, runId, 'succeeded');
  expect(fired.attempts[0]?.worker).toMatch(new RegExp(`:${worker.pid}$`));
  await waitFor(() => witness.hits.length >= 3);

  // Without a dispatcher nothing fires, and without a worker nothing runs.
  worker.kill('SIGTERM');
  await worker.exited;
  const seen = witness.hits.length;
  const waiting = await api.post<{ id: string }>(`/schedules/${name}/trigger`);
  dispatcher.kill('SIGTERM');
  await dispatcher.exited;
  expect(await run(api, waiting.id)).toMatchObject({ status: 'queued', attempts: [] });
  expect(witness.hits).toHaveLength(seen);

  await node({ roles: 'worker' });
  await reaches(api, waiting.id, 'succeeded');
});

it('a process without the API serves its health and its metrics, and nothing else', async () => {
  const { node } = await setupScene();
  const [dispatcher, worker] = await Promise.all([node({ roles: 'dispatcher' }), node({ roles: 'worker' })]);
  for (const each of [dispatcher, worker]) {
    expect(await status(`${each.address}/healthz`)).toBe(200);
    expect(await status(`${each.address}/metrics`)).toBe(200);
    for (const path of ['/schedules', '/runs', '/job-types', '/docs', '/openapi.json', '/']) {
      expect(await status(`${each.address}${path}`), path).toBe(404);
    }
    expect(await status(`${each.address}/schedules`, { method: 'POST', body: '{}' })).toBe(404);
    expect(each.output()).toContain(`Health ${each.address}/readyz`);
    expect(each.output()).not.toContain('/docs');
    expect(each.output()).not.toContain('curl');
  }
  const checks = async (address: string) =>
    Object.keys(((await (await fetch(`${address}/readyz`)).json()) as { checks: object }).checks);
  expect(await checks(dispatcher.address)).toEqual(['database', 'dispatcher', 'lateness']);
  expect(await checks(worker.address)).toEqual(['database', 'worker', 'lateness']);
});

it('three nodes that start at the same moment on an empty database are one service', async () => {
  const { node, sql, create, witness } = await setupScene({ url: await emptyDatabase() });
  const nodes = await Promise.all([node(), node(), node()]);
  expect(await sql.row('select count(*)::int as n from workers where gone_at is null')).toEqual({ n: 3 });
  await create(nodes[0]!, { at: undefined, every: '1s' });
  await waitFor(() => witness.hits.length >= 2);
  const times = witness.hits.map((hit) => hit.scheduledFor);
  expect(new Set(times).size).toBe(times.length);
});

/** Not even migrated. */
async function emptyDatabase(): Promise<string> {
  const { url, drop } = await createTestDatabase();
  onTestFinished(drop);
  const session = await openSession(url);
  await session.rows('drop schema public, graphile_worker, carillon_migrations cascade');
  await session.rows('create schema public');
  await session.close();
  return url;
}
