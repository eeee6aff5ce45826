/** What graphile-worker does to its pools, and that no run pays for it (DESIGN §7). */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { createClock } from '../../src/clock.ts';
import { ringForgotten } from '../../src/db/queue.ts';
import { requeueDueRetries, requeueFromWorker } from '../../src/db/run-store.ts';
import { dispatchPass } from '../../src/dispatcher/dispatcher.ts';
import { createPulse } from '../../src/dispatcher/pulse.ts';
import { createRescuer } from '../../src/dispatcher/rescuer.ts';
import { createCalendarBook } from '../../src/schedules/calendar-book.ts';
import { openSession } from '../support/sql-session.ts';
import { DAY, SECOND } from '../support/timings.ts';
import { waitFor } from '../support/wait-for.ts';
import { createGate, setupRig, type WorkerRig } from '../support/worker-rig.ts';

// Each wait has a limit of its own.
vi.setConfig({ testTimeout: 60_000 });

// Graphile has a logger, and writes to the console all the same when a pool of its loses its connection.
beforeEach(() => {
  vi.spyOn(console, 'trace').mockImplementation(() => undefined);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
});

type DoorbellRow = { locked_by: string | null; run_id: string };

const doorbells = (rig: WorkerRig) =>
  rig.sql.rows<DoorbellRow>(
    `select locked_by, payload->>'runId' as run_id from graphile_worker._private_jobs order by id`,
  );

const poolIds = async (rig: WorkerRig, workerId: string) =>
  (await rig.sql.row<{ pool_ids: string[] }>('select pool_ids from workers where id = $1', [workerId]))
    .pool_ids;

/** Ends sessions of the rig's graphile pool; the answer is how many. */
const cut = async (rig: WorkerRig, which: string) =>
  (
    await rig.sql.rows(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'rig graphile' and ${which}`,
    )
  ).length;

describe('a pool that meets a database error while it completes its jobs', () => {
  it('shuts itself down, a new one takes its place, and nothing is lost: neither what ran nor what waited', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    // As "rung": one whose doorbell the old pool has and will not be able to give back.
    const stuck = await rig.trigger('nothing');
    await rig.sql.rows(`update graphile_worker._private_jobs set locked_by = 'somebody', locked_at = now()`);
    const { worker, oversleep } = await rig.worker({ workers: { default: 5 } });
    const [firstPool] = await poolIds(rig, worker.id);
    const long = await rig.trigger('wait');
    const short = await rig.trigger('nothing');
    await waitFor(() => gate.waiting === 1);
    await rig.ended(short.id);

    // The delete of the doorbell waits for this lock, and is cut off there.
    const locker = await openSession(rig.url);
    const blocked = await rig.trigger('wait', {}, { which: 'blocked' });
    await waitFor(() => gate.waiting === 2);
    await locker.rows('begin');
    await locker.rows(`select from graphile_worker._private_jobs where payload->>'runId' = $1 for update`, [
      blocked.id,
    ]);
    await rig.runs.cancel(blocked.id);
    await waitFor(async () => (await cut(rig, `wait_event_type = 'Lock'`)) === 1);
    await locker.rows('rollback');
    await waitFor(() => rig.lines.some((line) => line.msg.startsWith('graphile pool of default ended')));
    await rig.sql.rows(
      `update graphile_worker._private_jobs set locked_by = $1 where locked_by = 'somebody'`,
      [firstPool],
    );

    // New work is done by the new pool while the old one still waits for its long run.
    const next = await rig.trigger('nothing');
    expect(await rig.ended(next.id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect(await rig.detail(long.id)).toMatchObject({ status: 'running', attempt: 1 });

    oversleep(5000);
    expect(await rig.ended(stuck.id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect(await poolIds(rig, worker.id)).toHaveLength(2);

    gate.open();
    expect(await rig.ended(long.id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect(await rig.ended(blocked.id)).toMatchObject({ status: 'cancelled' });
    expect(rig.calls.get('wait')).toBe(2);
    // When the old pool has ended, nothing of it is left, and its name is forgotten.
    await waitFor(async () => (await doorbells(rig)).length === 0);
    await waitFor(async () => {
      oversleep(5000);
      const ids = await poolIds(rig, worker.id);
      return ids.length === 1 && ids[0] !== firstPool;
    });
  });

  it('keeps within the concurrency together with the one that takes its place', async () => {
    const rig = await setupRig();
    let inside = 0;
    let most = 0;
    const gate = createGate();
    rig.script('count', async () => {
      inside += 1;
      most = Math.max(most, inside);
      await gate.pass();
      inside -= 1;
    });
    await rig.worker({ workers: { default: 2 } });
    const { scheduleId } = await rig.trigger('count');
    await rig.schedules.trigger(scheduleId, {});
    await waitFor(() => inside === 2);
    expect(await cut(rig, 'true')).toBeGreaterThan(0);
    await waitFor(() => rig.lines.some((line) => line.msg.startsWith('graphile pool of default ended')));
    for (let more = 0; more < 4; more += 1) await rig.schedules.trigger(scheduleId, {});
    // The new pool has taken two of them, and they wait for a slot.
    await waitFor(async () => (await doorbells(rig)).filter((row) => row.locked_by !== null).length === 4);
    gate.open();
    await waitFor(async () => (await rig.schedules.get(scheduleId)).counts.succeeded === 6);
    expect(most).toBe(2);
    expect(rig.calls.get('count')).toBe(6);
  });
});

it('a pool that loses the connection on which it hears of doorbells is replaced, though it had nothing to do', async () => {
  const rig = await setupRig();
  const { worker, oversleep } = await rig.worker();
  const before = await poolIds(rig, worker.id);
  await waitFor(async () => (await cut(rig, `query ~ 'LISTEN'`)) === 1);
  await waitFor(() => rig.lines.some((line) => line.msg.includes('lost its LISTEN connection')));
  await waitFor(async () => {
    oversleep(5000);
    const after = await poolIds(rig, worker.id);
    return after.length === 1 && after[0] !== before[0];
  });
  const { id } = await rig.trigger('nothing');
  expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
});

it.each([
  ['with', 25],
  ['without', 10],
])('a pool %s a local queue whose first question fails is replaced until one is answered', async (_, concurrency) => {
  const rig = await setupRig();
  // As in a read-only database: graphile writes the name of its task before it fetches, and asks only once.
  await rig.sql.rows(`create function refuse() returns trigger language plpgsql as
    $$ begin raise 'cannot execute INSERT in a read-only transaction' using errcode = '25006'; end $$`);
  await rig.sql.rows(
    'create trigger refuse before insert on graphile_worker._private_tasks for each statement execute function refuse()',
  );
  const { worker, oversleep } = await rig.worker({ workers: { default: concurrency } });
  const told = () => rig.lines.filter((line) => line.msg.includes('it could not begin'));
  await waitFor(() => told().length > 1);
  expect(told()[0]!.msg).toContain('read-only');
  await rig.sql.rows('drop trigger refuse on graphile_worker._private_tasks');
  const { id } = await rig.trigger('nothing');
  expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
  // Those that were given up are forgotten.
  await waitFor(async () => {
    oversleep(5000);
    return (await poolIds(rig, worker.id)).length === 1;
  });
});

it('pools are started again as often as they end', async () => {
  const rig = await setupRig();
  await rig.worker();
  for (let round = 1; round <= 4; round += 1) {
    await waitFor(async () => (await cut(rig, 'true')) > 0);
    const { id } = await rig.trigger('nothing');
    expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
  }
});

describe('the doorbells of a worker that was killed', () => {
  it('are unlocked as soon as it is declared lost, not after four hours', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    const { worker, oversleep } = await rig.worker({ workers: { default: 1 } });
    const [pool] = await poolIds(rig, worker.id);
    const running = await rig.trigger('wait');
    await waitFor(() => gate.waiting === 1);
    const fetched = await rig.trigger('nothing');
    await rig.sql.rows(`update graphile_worker._private_jobs set locked_by = $1, locked_at = now()`, [pool]);
    await rig.sql.rows(`update workers set heartbeat_at = heartbeat_at - interval '20 seconds'`);

    const logger = { warn: () => undefined } as never;
    const rescuer = createRescuer({ db: rig.db, clock: createClock(), logger, served: () => ['default'] });
    expect(await rescuer.pass()).toMatchObject({ lostWorkers: 0 });
    expect((await doorbells(rig)).map((row) => row.locked_by)).toEqual([pool, pool]);

    await rig.sql.rows(`update workers set heartbeat_at = heartbeat_at - interval '1 minute'`);
    expect(await rescuer.pass()).toMatchObject({ lostWorkers: 1, requeued: 1 });
    oversleep(5000);
    // The old doorbells ring again, and the running run has a new one.
    expect(await doorbells(rig)).toHaveLength(3);
    expect(await rig.ended(fetched.id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    gate.open();
    expect(await rig.ended(running.id)).toMatchObject({ status: 'succeeded', attempt: 2 });
  });

  it('are unlocked too when it was killed before it could tell the name of its pool', async () => {
    const rig = await setupRig();
    const { id } = await rig.trigger('nothing');
    await rig.sql.rows(
      `update graphile_worker._private_jobs set locked_by = 'pool-nobody-knows', locked_at = now() - interval '44 seconds'`,
    );
    const logger = { warn: () => undefined } as never;
    const rescuer = createRescuer({ db: rig.db, clock: createClock(), logger, served: () => ['default'] });
    expect(await rescuer.pass()).toMatchObject({ unlockedPools: 0 });
    await rig.sql.rows(
      `update graphile_worker._private_jobs set locked_at = locked_at - interval '2 seconds'`,
    );
    expect(await rescuer.pass()).toMatchObject({ unlockedPools: 1 });
    await rig.worker();
    expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
  });
});

it('whatever rings, graphile gets no key, no queue name and nothing of the future, and may try 25 times', async () => {
  const rig = await setupRig();
  const clock = createClock();
  const served = () => ['default'];
  const pulse = createPulse({ db: rig.db, clock });
  const dispatch = () => dispatchPass({ db: rig.db, clock, pulse, book: createCalendarBook(), served });
  const { spec } = await rig.schedules.get((await rig.trigger('nothing')).scheduleId);

  // Fires of the dispatcher: a live one, and those of a time when nobody dispatched.
  const timing = {
    trigger: { kind: 'every', everyMs: SECOND, offsetMs: 0 },
    startAtMs: null,
    endAtMs: null,
  } as const;
  await rig.schedules.create({ ...spec, name: 'live', timing });
  const caught = await rig.schedules.create({
    ...spec,
    name: 'caught up',
    timing,
    catchUp: 'all',
    catchUpWindowMs: DAY,
  });
  await rig.sql.rows(
    `update schedule_states set next_run_at = date_trunc('second', now() - interval '10 s'),
       due_at = date_trunc('second', now() - interval '10 s') where schedule_id = $1`,
    [caught.id],
  );
  await rig.sql.rows(
    `insert into outages values (now() - interval '11 s', now()); insert into dispatch_state values (1, now())`,
  );
  await waitFor(async () => {
    await dispatch();
    return (await rig.schedules.get('live')).counts.fired > 0;
  });
  // A retry by its policy, by hand, and after the loss and the shutdown of a worker.
  const workerId = '019b76da-a800-7000-8000-00000000000a';
  const statuses = [
    `status = 'retrying', started_at = now(), attempt_started_at = now(), next_attempt_at = now()`,
    `status = 'succeeded', started_at = now(), attempt_started_at = now(), finished_at = now()`,
    `status = 'running', started_at = now(), attempt_started_at = now(), worker_id = '${workerId}'`,
    `status = 'running', started_at = now(), attempt_started_at = now(), worker_id = '${workerId}'`,
  ];
  const ids: string[] = [];
  for (const status of statuses) {
    const { id } = await rig.trigger('nothing');
    await rig.sql.rows(`update runs set ${status} where id = $1`, [id]);
    ids.push(id);
  }
  await requeueDueRetries(rig.db, clock.now() + DAY, 10, served());
  await rig.runs.retry(ids[1]!);
  for (const [cause, except] of [
    ['worker_lost', ids[3]!],
    ['worker_shutdown', ids[2]!],
  ] as const) {
    const options = { workerId, except: [except], cause, nowMs: clock.now(), served: served() };
    await rig.db.transaction((tx) => requeueFromWorker(tx, options));
  }
  // A forgotten one.
  const forgotten = await rig.trigger('nothing');
  await rig.sql.rows(`delete from graphile_worker._private_jobs where payload->>'runId' = $1`, [
    forgotten.id,
  ]);
  expect(await ringForgotten(rig.db, new Date(clock.now() + DAY), served(), 10)).toBe(1);

  const rows = await rig.sql.rows<{ cause: string; attempt: number; status: string; odd: boolean }>(
    `select r.cause, r.attempt, r.status, (j.key is not null or j.job_queue_id is not null or j.run_at > now()
        or j.max_attempts <> 25 or j.attempts <> 0 or j.flags is not null) as odd
     from graphile_worker._private_jobs j left join runs r on r.id::text = j.payload->>'runId'`,
  );
  expect(rows.filter((row) => row.odd)).toEqual([]);
  const kinds = new Set(rows.map((row) => `${row.cause} ${row.attempt}`));
  expect([...kinds].sort()).toEqual(['catch_up 1', 'manual 1', 'manual 2', 'retry 1', 'schedule 1']);
  expect(await rig.sql.rows('select from graphile_worker._private_job_queues')).toEqual([]);
});
