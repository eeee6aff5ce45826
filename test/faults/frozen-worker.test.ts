/** A worker that is frozen (SIGSTOP, a paused container) past its lease and wakes: a zombie, whose writes count for nothing. */
import { expect, it, vi } from 'vitest';
import { setupScene } from '../support/fault-scene.ts';
import { waitFor } from '../support/wait-for.ts';

// Several processes start in each, on a machine that may be busy; each wait in them has a limit of its own.
vi.setConfig({ testTimeout: 60_000 });

it('loses its run to another worker, and what it says of it after waking changes nothing', async () => {
  const { node, hold, witness, sql, silence, reaches, run, trigger, doorbells } = await setupScene();
  const [frozen, other] = await Promise.all([node({ roles: 'worker' }), node({ roles: 'api' })]);
  const held = await hold(other);
  const first = await witness.hit(held, 1);
  frozen.kill('SIGSTOP');
  await silence(frozen.pid);
  const awake = await node({ roles: 'dispatcher,worker' });
  const second = await witness.hit(held, 2);

  // The answer for which the zombie waits is there when it wakes: for it, the run has failed.
  first.release(400);
  frozen.kill('SIGCONT');
  await waitFor(() => frozen.output().includes('it was declared lost by another node'));
  await waitFor(async () => (await fetch(`${frozen.address}/readyz`)).ok);
  expect(await run(other, held)).toMatchObject({ status: 'running', attempt: 2, error: null });

  second.release();
  const ended = await reaches(other, held, 'succeeded');
  expect(ended.attempts.map((each) => [each.status, each.worker?.split(':').at(-1)])).toEqual([
    ['lost', String(frozen.pid)],
    ['succeeded', String(awake.pid)],
  ]);
  expect(await sql.rows('select succeeded::int, failed::int, active_runs from schedule_states')).toEqual([
    { succeeded: 1, failed: 0, active_runs: 0 },
  ]);
  expect(witness.hitsOf(held)).toHaveLength(2);

  // It lives on as a worker like any other, under a new id.
  awake.kill('SIGTERM');
  await awake.exited;
  const { scheduleName } = (await run(other, held)) as unknown as { scheduleName: string };
  const next = await trigger(other, scheduleName);
  (await witness.hit(next, 1)).release();
  expect((await reaches(other, next, 'succeeded')).attempts[0]?.worker).toMatch(
    new RegExp(`:${frozen.pid}$`),
  );
  const ids = await sql.rows<{ gone: boolean }>(
    'select gone_at is not null as gone from workers where pid = $1 order by started_at',
    [frozen.pid],
  );
  expect(ids).toEqual([{ gone: true }, { gone: false }]);
  await waitFor(async () => (await doorbells()).length === 0);
});

it('is the only node: it takes its run back from itself, and makes the next attempt', async () => {
  const { node, hold, witness, silence, reaches } = await setupScene();
  const only = await node();
  const held = await hold(only);
  await witness.hit(held, 1);
  only.kill('SIGSTOP');
  await silence(only.pid);
  only.kill('SIGCONT');
  (await witness.hit(held, 2)).release();
  const ended = await reaches(only, held, 'succeeded');
  expect(ended.attempts.map((each) => each.status)).toEqual(['lost', 'succeeded']);
});

it('for less than its lease, it keeps its run', async () => {
  const { node, hold, witness, reaches } = await setupScene();
  const only = await node();
  const held = await hold(only);
  const hit = await witness.hit(held, 1);
  only.kill('SIGSTOP');
  hit.release();
  only.kill('SIGCONT');
  expect((await reaches(only, held, 'succeeded')).attempts).toHaveLength(1);
});
