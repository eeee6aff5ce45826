/** SIGTERM: what is running gets its grace, what is left goes on elsewhere at once, and the process is gone. */
import { expect, it, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { waitFor } from '../support/wait-for.ts';

// Several processes start in each, on a machine that may be busy; each wait in them has a limit of its own.
vi.setConfig({ testTimeout: 60_000 });

it('takes nothing new, lets runs end within the grace, hands the others back at once, and exits with 0', async () => {
  const { node, create, trigger, hold, witness, run, reaches, doorbells } = await setupScene();
  const [leaving, other] = await Promise.all([
    node({ roles: 'worker', graceSeconds: 3 }),
    node({ roles: 'api' }),
  ]);
  const ends = await hold(other);
  const stays = await hold(other);
  const inTime = await witness.hit(ends, 1);
  const cutOff = await witness.hit(stays, 1);
  const { name } = await create(other, { job: { type: 'task', input: { url: witness.holdUrl } } });
  leaving.kill('SIGTERM');
  await waitFor(() => leaving.output().includes('SIGTERM: stopping'));
  inTime.release();
  const late = await trigger(other, name);
  await reaches(other, ends, 'succeeded');
  expect(leaving.running).toBe(true);
  expect(await leaving.exited).toEqual({ code: 0, signal: null });

  expect(cutOff.abandoned).toBe(true);
  expect(await run(other, ends)).toMatchObject({ status: 'succeeded', attempt: 1 });
  const handedBack = await run(other, stays);
  expect(handedBack).toMatchObject({ status: 'queued', attempt: 2, reason: 'worker_shutdown' });
  expect(handedBack.attempts).toEqual([
    expect.objectContaining({
      number: 1,
      status: 'handed_back',
      error: expect.objectContaining({ type: 'WorkerShutdown' }),
    }),
  ]);
  expect(await run(other, late)).toMatchObject({ status: 'queued', attempt: 1, attempts: [] });
  expect((await doorbells()).map((doorbell) => doorbell.locked_by)).toEqual([null, null]);
  expect(leaving.output()).toContain('1 runs that did not end within the grace were handed back');

  await node({ roles: 'worker' });
  (await witness.hit(stays, 2)).release();
  (await witness.hit(late, 1)).release();
  await reaches(other, stays, 'succeeded');
  await reaches(other, late, 'succeeded');
  expect(witness.hits).toHaveLength(4);
});

it('a node with all roles stops within its grace too, and leaves no connection and no lock behind', async () => {
  const { node, hold, witness, sql, doorbells } = await setupScene();
  const only = await node({ graceSeconds: 1 });
  const held = await hold(only);
  await witness.hit(held, 1);
  const toldAt = performance.now();
  only.kill('SIGINT');
  expect(await only.exited).toEqual({ code: 0, signal: null });
  expect(performance.now() - toldAt).toBeLessThan(10_000);
  expect(await doorbells()).toEqual([{ run_id: held, attempt: 2, locked_by: null }]);
  await waitFor(async () => {
    const { n } = await sql.row<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity
       where datname = current_database() and application_name like 'carillon%'`,
    );
    return n === 0;
  });
  expect(await sql.rows('select from workers where gone_at is null')).toEqual([]);
});

it('stops at once when nothing runs', async () => {
  const { node } = await setupScene();
  const idle = await node();
  const toldAt = performance.now();
  idle.kill('SIGTERM');
  expect(await idle.exited).toEqual({ code: 0, signal: null });
  expect(performance.now() - toldAt).toBeLessThan(5000);
});

it('a second signal is not waited for: the process leaves at once, and its runs go on after their lease', async () => {
  const { node, hold, witness, silence, reaches } = await setupScene();
  const [hasty, other] = await Promise.all([
    node({ roles: 'worker', graceSeconds: 600 }),
    node({ roles: 'api' }),
  ]);
  const held = await hold(other);
  await witness.hit(held, 1);
  hasty.kill('SIGINT');
  // npm passes on the Ctrl-C that the terminal has sent already: that is not a second one.
  hasty.kill('SIGINT');
  await waitFor(() => hasty.output().includes('SIGINT: stopping'));
  expect(hasty.output()).not.toContain('again');
  await waitFor(() => {
    hasty.kill('SIGINT');
    return !hasty.running;
  });
  expect(await hasty.exited).toEqual({ code: 1, signal: null });
  expect(hasty.output()).toContain('SIGINT again; leaving at once');
  await silence(hasty.pid);
  await node({ roles: 'dispatcher,worker' });
  (await witness.hit(held, 2)).release();
  await reaches(other, held, 'succeeded');
});
