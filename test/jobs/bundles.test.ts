/** Graphile jobs that ring for many runs, over a real database, real pools and real workers: none lost, none twice. */
import { describe, expect, it, vi } from 'vitest';
import { createClock } from '../../src/clock.ts';
import { ringForgotten } from '../../src/db/queue.ts';
import { createRescuer } from '../../src/dispatcher/rescuer.ts';
import { DAY } from '../support/timings.ts';
import { waitFor } from '../support/wait-for.ts';
import { createGate, setupRig, type WorkerRig } from '../support/worker-rig.ts';

// Each wait has a limit of its own.
vi.setConfig({ testTimeout: 60_000 });

/** Queued runs of one schedule that a few jobs ring for; the ids of the runs. */
async function herd(rig: WorkerRig, does: string, count: number): Promise<string[]> {
  const first = await rig.trigger(does);
  const others = Array.from({ length: count - 1 }, () => rig.schedules.trigger(first.scheduleId, {}));
  const ids = [first, ...(await Promise.all(others))].map((run) => run.id);
  await rig.sql.rows('delete from graphile_worker._private_jobs');
  expect(await ringForgotten(rig.db, new Date(createClock().now() + DAY), ['default'], count)).toBe(count);
  expect(await jobCount(rig)).toBeLessThanOrEqual(count / 2);
  return ids;
}

const jobCount = async (rig: WorkerRig) =>
  (await rig.sql.row<{ n: number }>('select count(*)::int as n from graphile_worker._private_jobs')).n;

/** How many runs are in each state. */
const states = async (rig: WorkerRig) =>
  Object.fromEntries(
    (
      await rig.sql.rows<{ status: string; n: number }>(
        'select status, count(*)::int as n from runs group by status',
      )
    ).map((row) => [row.status, row.n]),
  );

const reach = (rig: WorkerRig, expected: Record<string, number>) =>
  waitFor(async () => {
    expect(await states(rig)).toEqual(expected);
    return true;
  });

/** Runs being executed, by worker. */
const shares = async (rig: WorkerRig) =>
  (
    await rig.sql.rows<{ n: number }>(
      `select count(*)::int as n from runs where status = 'running' group by worker_id`,
    )
  ).map((row) => row.n);

const nobody = '019b76da-a800-7000-8000-00000000000a';

describe('a herd of runs in bundles', () => {
  it('is executed once each, by however many workers', async () => {
    const rig = await setupRig();
    const seen: string[] = [];
    rig.script('note', async ({ runId }) => void seen.push(runId));
    const ids = await herd(rig, 'note', 300);
    await Promise.all([rig.worker({ workers: { default: 50 } }), rig.worker({ workers: { default: 5 } })]);
    await reach(rig, { succeeded: 300 });
    await waitFor(async () => (await jobCount(rig)) === 0);
    expect(seen.toSorted()).toEqual(ids.toSorted());
  });

  it('is never more than the concurrency allows at once', async () => {
    const rig = await setupRig();
    let inside = 0;
    let most = 0;
    rig.script('count', async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    });
    await herd(rig, 'count', 128);
    await rig.worker({ workers: { default: 3 } });
    await reach(rig, { succeeded: 128 });
    expect(most).toBe(3);
  });

  it('of which some are taken, over or gone meanwhile, is executed as far as it is left', async () => {
    const rig = await setupRig();
    const ids = await herd(rig, 'nothing', 64);
    const [taken, cancelled, gone, moved] = ids;
    await rig.sql.rows(
      `update runs set status = 'running', started_at = now(), attempt_started_at = now(), worker_id = $2
       where id = $1`,
      [taken, nobody],
    );
    await rig.runs.cancel(cancelled!);
    await rig.sql.rows('delete from runs where id = $1', [gone]);
    await rig.sql.rows('update runs set attempt = 2 where id = $1', [moved]);
    await rig.worker();
    await waitFor(async () => (await jobCount(rig)) === 0);
    await reach(rig, { succeeded: 60, running: 1, cancelled: 1, queued: 1 });
    expect(rig.calls.get('nothing')).toBe(60);
  });
});

describe('a worker that has fetched more than it has slots for', () => {
  it('lets another worker have what it cannot start', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    await herd(rig, 'wait', 64);
    // It takes all jobs there are: two runs in each, and it executes one of each.
    await rig.worker({ workers: { default: 32 } });
    await waitFor(() => gate.waiting === 32);
    await rig.worker({ workers: { default: 32 } });
    await waitFor(() => gate.waiting === 64);
    expect(await shares(rig)).toEqual([32, 32]);
    gate.open();
    await reach(rig, { succeeded: 64 });
    await waitFor(async () => (await jobCount(rig)) === 0);
    expect(rig.calls.get('wait')).toBe(64);
  });

  it('starts it itself when nobody else has, as its slots become free', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    await herd(rig, 'wait', 64);
    await rig.worker({ workers: { default: 10 } });
    // What waits is rung for again, as a job for each.
    await waitFor(async () => (await jobCount(rig)) === 42);
    expect(gate.waiting).toBe(10);
    gate.open();
    await reach(rig, { succeeded: 64 });
    await waitFor(async () => (await jobCount(rig)) === 0);
    expect(rig.calls.get('wait')).toBe(64);
  });

  it('hands back all of it when it stops', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    const ids = await herd(rig, 'wait', 64);
    const { worker } = await rig.worker({ workers: { default: 10 } });
    await waitFor(() => gate.waiting === 10);
    await worker.stop(0);
    expect(await states(rig)).toEqual({ queued: 64 });
    const { n } = await rig.sql.row<{ n: number }>(
      `select count(distinct bell->>'runId')::int as n from graphile_worker._private_jobs j,
         json_array_elements(coalesce(j.payload->'runs', json_build_array(j.payload))) as bell
       join runs r on r.id::text = bell->>'runId' and r.attempt::text = bell->>'attempt'
       where j.locked_by is null`,
    );
    expect(n).toBe(ids.length);
    gate.open();
    await rig.worker();
    await reach(rig, { succeeded: 64 });
  });

  it('loses none of it when it is declared lost', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    await herd(rig, 'wait', 64);
    const { oversleep } = await rig.worker({ workers: { default: 10 } });
    await waitFor(() => gate.waiting === 10);
    // Silent for so long, and what it had fetched is nobody's: as after kill -9.
    await rig.sql.rows(`update workers set heartbeat_at = heartbeat_at - interval '1 hour'`);
    const logger = { warn: () => undefined } as never;
    const rescuer = createRescuer({ db: rig.db, clock: createClock(), logger, served: () => ['default'] });
    expect(await rescuer.pass()).toMatchObject({ lostWorkers: 1, requeued: 10 });
    gate.open();
    await rig.worker({ workers: { default: 10 } });
    oversleep(5000);
    await reach(rig, { succeeded: 64 });
    await waitFor(async () => (await jobCount(rig)) === 0);
  });
});
