/** kill -9 of a worker process at each point of a run's way: the run goes on elsewhere, and nothing is done for nothing. */
import { expect, it, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { openSession } from '../support/sql-session.ts';
import { waitFor } from '../support/wait-for.ts';

// Several processes start in each, on a machine that may be busy; each wait in them has a limit of its own.
vi.setConfig({ testTimeout: 60_000 });

const isWaitingForLock = `
  select pid from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock' and application_name like 'carillon%'`;

it('killed in the middle of a run, with no help: the run goes on elsewhere within 45 s', {
  timeout: 90_000,
}, async () => {
  const { node, hold, witness, reaches, run, doorbells } = await setupScene();
  const [doomed, other] = await Promise.all([node({ roles: 'worker' }), node({ roles: 'api,dispatcher' })]);
  const held = await hold(other);
  await witness.hit(held, 1);
  const survivor = await node({ roles: 'worker' });
  const before = await doorbells();
  expect(before).toEqual([{ run_id: held, attempt: 1, locked_by: expect.stringMatching(/^pool-/) }]);
  const killedAt = performance.now();
  doomed.kill('SIGKILL');
  await doomed.exited;

  const again = await witness.hit(held, 2, 60_000);
  const rescuedAfterMs = performance.now() - killedAt;
  expect(rescuedAfterMs).toBeLessThan(45_000);
  // Not a moment before the lease had run out: a worker that is only slow keeps its runs.
  expect(rescuedAfterMs).toBeGreaterThan(20_000);
  again.release();
  const ended = await reaches(other, held, 'succeeded');
  expect(ended.attempts).toEqual([
    expect.objectContaining({
      number: 1,
      status: 'lost',
      error: expect.objectContaining({ type: 'WorkerLost' }),
      worker: expect.stringMatching(new RegExp(`:${doomed.pid}$`)),
    }),
    expect.objectContaining({
      number: 2,
      status: 'succeeded',
      worker: expect.stringMatching(new RegExp(`:${survivor.pid}$`)),
    }),
  ]);
  expect(witness.hitsOf(held)).toHaveLength(2);
  await waitFor(async () => (await doorbells()).length === 0);
  expect(await run(other, held)).toMatchObject({ status: 'succeeded', attempt: 2 });
});

it('killed with many runs in the middle: each goes on once, none is lost', async () => {
  const { node, create, trigger, witness, sql, silence, doorbells } = await setupScene();
  const [doomed, other] = await Promise.all([
    node({ roles: 'worker', workers: 'default:40' }),
    node({ roles: 'api' }),
  ]);
  const { name } = await create(other, { job: { type: 'task', input: { url: witness.holdUrl } } });
  // 40 run, the others wait in the queue, some of them fetched by the doomed process already.
  const ids = await Promise.all(Array.from({ length: 60 }, () => trigger(other, name)));
  await waitFor(() => witness.hits.length === 40);
  doomed.kill('SIGKILL');
  await doomed.exited;
  await silence(doomed.pid);
  await node({ roles: 'dispatcher,worker', workers: 'default:100' });
  await waitFor(() => witness.hits.length === 100, { what: '100 calls' });
  witness.releaseAll();
  await waitFor(async () => {
    const { n } = await sql.row<{ n: number }>(
      `select count(*)::int as n from runs where status = 'succeeded'`,
    );
    return n === 60;
  });
  const attempts = ids.map((id) =>
    witness
      .hitsOf(id)
      .map((hit) => hit.attempt)
      .join(),
  );
  expect(attempts.filter((each) => each === '1,2')).toHaveLength(40);
  expect(attempts.filter((each) => each === '1')).toHaveLength(20);
  expect(
    await sql.row(
      'select sum(active_runs)::int as active, sum(succeeded)::int as succeeded from schedule_states',
    ),
  ).toEqual({
    active: 0,
    succeeded: 60,
  });
  await waitFor(async () => (await doorbells()).length === 0);
});

it('killed before its claim is committed: the run is still at its first attempt, and is executed once', async () => {
  const { databaseUrl, node, hold, witness, sql, silence, reaches, doorbells } = await setupScene();
  const other = await node({ roles: 'api' });
  const held = await hold(other);
  const locker = await openSession(databaseUrl);
  await locker.rows('begin');
  await locker.rows('select from runs where id = $1 for update', [held]);
  const doomed = await node({ roles: 'worker' });
  const { pid } = await waitFor(async () => (await sql.rows<{ pid: number }>(isWaitingForLock))[0]);
  doomed.kill('SIGKILL');
  await doomed.exited;
  // Its session would not notice for as long as it waits, and commit then.
  await sql.rows('select pg_terminate_backend($1)', [pid]);
  await locker.rows('rollback');
  expect(await doorbells()).toEqual([
    { run_id: held, attempt: 1, locked_by: expect.stringMatching(/^pool-/) },
  ]);
  await silence(doomed.pid);
  await node({ roles: 'dispatcher,worker' });
  (await witness.hit(held, 1)).release();
  const ended = await reaches(other, held, 'succeeded');
  expect(ended.attempts.map((attempt) => attempt.status)).toEqual(['succeeded']);
  expect(witness.hitsOf(held)).toHaveLength(1);
});

it('killed after the end is committed and before its doorbell is gone: nothing runs again', async () => {
  const { databaseUrl, node, hold, witness, sql, silence, reaches, run, doorbells } = await setupScene();
  const [doomed, other] = await Promise.all([node({ roles: 'worker' }), node({ roles: 'api' })]);
  const held = await hold(other);
  const hit = await witness.hit(held, 1);
  const locker = await openSession(databaseUrl);
  await locker.rows('begin');
  await locker.rows('select from graphile_worker._private_jobs for update');
  hit.release();
  await reaches(other, held, 'succeeded');
  const { pid } = await waitFor(async () => (await sql.rows<{ pid: number }>(isWaitingForLock))[0]);
  doomed.kill('SIGKILL');
  await doomed.exited;
  await sql.rows('select pg_terminate_backend($1)', [pid]);
  await locker.rows('rollback');
  expect(await doorbells()).toHaveLength(1);
  await silence(doomed.pid);
  await node({ roles: 'dispatcher,worker' });
  await waitFor(async () => (await doorbells()).length === 0);
  expect(await run(other, held)).toMatchObject({ status: 'succeeded', attempt: 1 });
  expect(witness.hitsOf(held)).toHaveLength(1);
});

it('killed while its run is being cancelled: the run is cancelled, not repeated', async () => {
  const { node, hold, witness, sql, silence, reaches } = await setupScene();
  const [doomed, other] = await Promise.all([node({ roles: 'worker' }), node({ roles: 'api' })]);
  const held = await hold(other);
  await witness.hit(held, 1);
  doomed.kill('SIGKILL');
  await doomed.exited;
  await other.post(`/runs/${held}/cancel`);
  await silence(doomed.pid);
  await node({ roles: 'dispatcher' });
  const ended = await reaches(other, held, 'cancelled');
  expect(ended).toMatchObject({ reason: 'cancelled_by_hand', attempt: 1 });
  expect(await sql.row('select active_runs from schedule_states')).toEqual({ active_runs: 0 });
});
