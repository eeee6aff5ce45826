/** kill -9 of the worker in the middle of a drain: no task is lost, and only those that were begun are begun again. */
import { expect, it, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { waitFor } from '../support/wait-for.ts';

vi.setConfig({ testTimeout: 60_000 });

type Counts = { counts: Record<string, number> };

it('the run goes on elsewhere, and takes its tasks up again', async () => {
  const { node, witness, sql, silence, reaches, trigger } = await setupScene();
  const [doomed, other] = await Promise.all([node({ roles: 'worker' }), node({ roles: 'api,dispatcher' })]);
  const tasks = Array.from({ length: 60 }, (_, n) => ({ url: `${witness.holdUrl}?n=${n}` }));
  await other.post('/queues/held/tasks', { tasks });
  await other.post('/schedules', {
    name: 'drain',
    at: '2999-01-01T00:00:00Z',
    job: { type: 'queue', input: { queueName: 'held', batchSize: 10 } },
  });
  const run = await trigger(other, 'drain');
  await waitFor(() => witness.hits.length === 10, { what: '10 calls' });
  // Five have been answered and are recorded, so that five others are begun.
  for (const hit of witness.hits.slice(0, 5)) hit.release();
  await waitFor(() => witness.hits.length === 15, { what: '15 calls' });
  await waitFor(async () => (await other.get<Counts>('/queues/held')).counts.succeeded === 5);
  doomed.kill('SIGKILL');
  await doomed.exited;
  const { counts } = await other.get<Counts>('/queues/held');
  // Ten that ran, and what was claimed ahead.
  expect(counts.running).toBeGreaterThan(10);
  await silence(doomed.pid);
  await node({ roles: 'dispatcher,worker' });
  const answering = setInterval(() => witness.releaseAll(), 20);
  try {
    const ended = await reaches(other, run, 'succeeded', 30_000);
    expect(ended).toMatchObject({ attempt: 2, output: { processedTasks: 60, failedTasks: 0, deadTasks: 0 } });
  } finally {
    clearInterval(answering);
  }
  const calls = tasks.map((_, n) => witness.hits.filter((hit) => hit.path === `/hold?n=${n}`).length);
  expect(calls.filter((count) => count === 2)).toHaveLength(10);
  expect(calls.filter((count) => count === 1)).toHaveLength(50);
  expect((await other.get<Counts>('/queues/held')).counts).toEqual({
    pending: 0,
    waiting: 0,
    running: 0,
    succeeded: 60,
    dead: 0,
    cancelled: 0,
  });
  expect(await sql.row('select count(*)::int as n from queue_tasks where failures > 0')).toEqual({ n: 0 });
});

it('SIGTERM: what runs longer than the grace is handed back at once, and no try is counted', async () => {
  const { node, witness, reaches, trigger } = await setupScene();
  const [leaving, other] = await Promise.all([
    node({ roles: 'worker', graceSeconds: 0 }),
    node({ roles: 'api,dispatcher' }),
  ]);
  await other.post('/queues/held/tasks', {
    tasks: Array.from({ length: 20 }, (_, n) => ({ url: `${witness.holdUrl}?n=${n}`, maxAttempts: 1 })),
  });
  await other.post('/schedules', {
    name: 'drain',
    at: '2999-01-01T00:00:00Z',
    job: { type: 'queue', input: { queueName: 'held', batchSize: 4 } },
  });
  const run = await trigger(other, 'drain');
  await waitFor(() => witness.hits.length === 4, { what: '4 calls' });
  leaving.kill('SIGTERM');
  await leaving.exited;
  const { counts } = await other.get<Counts>('/queues/held');
  expect(counts).toMatchObject({ pending: 20, running: 0 });
  await node({ roles: 'worker' });
  const answering = setInterval(() => witness.releaseAll(), 20);
  try {
    expect(await reaches(other, run, 'succeeded')).toMatchObject({ output: { processedTasks: 20 } });
  } finally {
    clearInterval(answering);
  }
});
