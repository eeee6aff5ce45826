import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  countDoorbells,
  forceUnlock,
  orphanedPools,
  rehome,
  ringAgain,
  ringForgotten,
  taskIdentifier,
} from '../../src/db/queue.ts';
import { renewLease } from '../../src/db/worker-store.ts';
import { type House, setupHouse } from '../support/house.ts';
import { HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const later = () => new Date(house.clock.now() + HOUR);

async function fired(count: number, taskQueue = 'default') {
  const created = await house.create({ overlap: 'allow', job: { taskQueue } });
  await house.live(count * MINUTE);
  await house.dispatchAll();
  return (await house.runsOf(created.id)).slice(0, count);
}

describe('ringing', () => {
  it('is one doorbell for each run, with its id and its attempt and nothing else', async () => {
    const [run] = await fired(1);
    const { rows } = await house.db.execute(sql`
      select payload, queue_name, job_queue_id, key, max_attempts, attempts, run_at <= clock_timestamp() as now
      from (select j.*, null as queue_name from graphile_worker._private_jobs j) j`);
    expect(rows).toEqual([
      {
        payload: { runId: run!.id, attempt: 1 },
        queue_name: null,
        job_queue_id: null,
        key: null,
        max_attempts: 25,
        attempts: 0,
        now: true,
      },
    ]);
  });

  it('goes to the run’s task queue when a worker serves it, and to the default one when none does', async () => {
    house.served = ['default', 'backup'];
    await fired(1, 'backup');
    await fired(1, 'unheard-of');
    expect((await house.doorbells()).map((doorbell) => doorbell.taskQueue)).toContain('backup');
    const [run] = await house.runsOf();
    expect(run!.taskQueue).toBe('backup');
    const other = (await house.runsOf()).find((each) => each.taskQueue === 'unheard-of')!;
    expect((await house.doorbells()).find((doorbell) => doorbell.runId === other.id)).toMatchObject({
      taskQueue: 'default',
    });
  });

  it('lets live fires overtake what is caught up', async () => {
    const created = await house.create({ catchUp: 'all', overlap: 'allow' });
    await house.live(0);
    house.down(2 * MINUTE);
    await house.dispatchAll();
    await house.live(MINUTE);
    await house.dispatchAll();
    const times = new Map((await house.runsOf(created.id)).map((run) => [run.id, run.scheduledForMs]));
    const rung = (await house.doorbells()).map(
      (doorbell) => (times.get(doorbell.runId)! - created.createdAtMs) / MINUTE,
    );
    expect(rung).toEqual([3, 1, 2]);
  });

  it('names graphile’s tasks after the task queues', () => {
    expect(taskIdentifier('backup')).toBe('run/backup');
  });

  it('calls add_jobs once for a whole batch, since each call is a NOTIFY', async () => {
    const client = await house.another().pool.connect();
    try {
      const heard: string[] = [];
      client.on('notification', ({ channel }) => heard.push(channel));
      await client.query('listen "jobs:insert"');
      for (let n = 0; n < 20; n += 1) await house.create();
      await house.live(MINUTE);
      await house.dispatch();
      await client.query('select 1');
      expect(heard).toEqual(['jobs:insert']);
    } finally {
      client.release();
    }
  });
});

describe('ringing for many', () => {
  type Job = { task: string; priority: number; runs: { runId: string; attempt: number }[] };

  const jobs = async () =>
    (
      await house.db.execute<Job>(sql`
        select t.identifier as task, j.priority, coalesce(j.payload->'runs', json_build_array(j.payload)) as runs
        from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id order by j.id`)
    ).rows;

  it('gives each of a few a job of its own', async () => {
    await fired(63);
    expect((await jobs()).map((job) => job.runs.length)).toEqual(Array.from({ length: 63 }, () => 1));
  });

  it('puts several of a herd into a job, up to eight, each run once and the oldest first', async () => {
    const runs = await fired(67);
    expect((await jobs()).map((job) => job.runs.length)).toEqual([...Array.from({ length: 33 }, () => 2), 1]);
    const rung = (await jobs()).flatMap((job) => job.runs);
    expect(rung).toEqual(
      runs
        .map((run) => ({ runId: run.id, attempt: 1 }))
        .sort((one, other) => (one.runId < other.runId ? -1 : 1)),
    );
    await house.reset();
    await fired(400);
    expect((await jobs()).map((job) => job.runs.length)).toEqual(Array.from({ length: 50 }, () => 8));
  });

  it('counts the runs and not the jobs', async () => {
    await house.create({ overlap: 'allow' });
    await house.live(100 * MINUTE);
    expect((await house.dispatchAll()).started).toBe(100);
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    expect(await ringForgotten(house.db, later(), ['default'], 1000)).toBe(100);
  });

  it('never puts runs of two task queues, or live ones and those that are caught up, into one job', async () => {
    house.served = ['default', 'backup'];
    const names = new Map<string, string>();
    for (const taskQueue of ['default', 'backup', 'unheard-of']) {
      for (const { id } of await fired(100, taskQueue)) names.set(id, taskQueue);
    }
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    await house.db.execute(sql`update runs set cause = 'catch_up' where id::text like '%0'`);
    await ringForgotten(house.db, later(), house.served, 10_000);
    const { rows } = await house.db.execute<{ id: string; task_queue: string; cause: string }>(
      sql`select id, task_queue, cause from runs where status = 'queued'`,
    );
    const queued = new Map(rows.map((row) => [row.id, row]));
    const seen = new Set<string>();
    for (const job of await jobs()) {
      for (const { runId } of job.runs) {
        const run = queued.get(runId)!;
        seen.add(runId);
        expect(job).toMatchObject({
          task: run.task_queue === 'backup' ? 'run/backup' : 'run/default',
          priority: run.cause === 'catch_up' ? 10 : 0,
        });
      }
    }
    expect(seen).toEqual(new Set(queued.keys()));
    expect(names.size).toBe(300);
  });
});

describe('ringing once more for what a worker cannot take', () => {
  it('is a job for each, however many, and only for what is still queued under that attempt', async () => {
    const runs = await fired(100);
    const worker = await house.worker();
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    await worker.claim(runs[0]!);
    await house.runs.cancel(runs[1]!.id);
    await house.db.execute(sql`update runs set attempt = 2 where id = ${runs[2]!.id}`);
    await ringAgain(
      house.db,
      runs.map((run) => ({ runId: run.id, attempt: 1 })),
      ['default'],
    );
    const rung = await house.doorbells();
    expect(rung.map((doorbell) => doorbell.runId).sort()).toEqual(
      runs
        .slice(3)
        .map((run) => run.id)
        .sort(),
    );
    await ringAgain(house.db, [], ['default']);
    expect(await house.doorbells()).toHaveLength(97);
  });
});

describe('ringing again for the forgotten', () => {
  const ringLost = (before = later(), limit = 100) => ringForgotten(house.db, before, ['default'], limit);

  it('rings for a queued run whose doorbell is lost, once', async () => {
    const [run] = await fired(1);
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    expect(await ringLost()).toBe(1);
    expect(await house.doorbells()).toMatchObject([{ runId: run!.id, attempt: 1 }]);
    expect(await ringLost()).toBe(0);
  });

  it('leaves those that have one, also when it is being answered', async () => {
    await fired(2);
    await house.db.execute(
      sql`update graphile_worker._private_jobs set locked_by = 'pool', locked_at = run_at`,
    );
    expect(await ringLost()).toBe(0);
  });

  it('leaves those that have theirs within a bundle, and finds those that are missing there', async () => {
    const runs = await fired(100);
    expect(await ringLost()).toBe(0);
    await house.db.execute(sql`
      with gone as (
        delete from graphile_worker._private_jobs
        where id = (select min(id) from graphile_worker._private_jobs) returning payload
      )
      select graphile_worker.add_job('run/default', json_build_object('runs', json_build_array(payload->'runs'->0)))
      from gone`);
    expect(await ringLost()).toBe(2);
    expect(await ringLost()).toBe(0);
    expect(runs).toHaveLength(100);
  });

  it('does not take an old attempt’s doorbell for the present one’s', async () => {
    const [run] = await fired(1);
    await house.db.execute(sql`update runs set attempt = 2 where id = ${run!.id}`);
    expect(await ringLost()).toBe(1);
    expect((await house.doorbells()).map((doorbell) => doorbell.attempt)).toEqual([1, 2]);
  });

  it('leaves what is not queued, and what is queued for a short while only', async () => {
    const runs = await fired(3);
    const worker = await house.worker();
    await worker.take(1);
    await house.runs.cancel(runs[1]!.id);
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    const dueAt = new Date(runs[2]!.dueAtMs);
    expect(await ringLost(dueAt)).toBe(0);
    expect(await ringLost(later())).toBe(1);
  });

  it('is not put off by jobs of others, whatever they carry', async () => {
    await fired(1);
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    const odd = ['{"runId": 7, "attempt": "twice"}', '{"attempt": {}}', '[1]', '"text"'];
    const bundles = [
      '{"runs": 7}',
      '{"runs": null}',
      '{"runs": []}',
      '{"runs": [1, null, [], {"runId": {}}]}',
    ];
    for (const payload of [...odd, ...bundles]) {
      await house.db.execute(sql`select graphile_worker.add_job('somebody-elses', ${payload}::json)`);
    }
    expect(await ringLost()).toBe(1);
  });

  it('rings for no more than the limit at a time', async () => {
    await fired(5);
    await house.db.execute(sql`delete from graphile_worker._private_jobs`);
    expect(await ringLost(later(), 3)).toBe(3);
    expect(await ringLost(later(), 3)).toBe(2);
  });
});

describe('counting doorbells', () => {
  it('stops at the limit', async () => {
    await fired(5);
    expect(await countDoorbells(house.db, 100)).toBe(5);
    expect(await countDoorbells(house.db, 3)).toBe(3);
  });
});

describe('pools', () => {
  const lock = (pool: string, lockedAt: Date) =>
    house.db.execute(
      sql`update graphile_worker._private_jobs set locked_by = ${pool}, locked_at = ${lockedAt.toISOString()}`,
    );

  it('are orphaned when they hold doorbells and no living worker owns up to them', async () => {
    await fired(2);
    const lockedAt = new Date(house.clock.now());
    const after = new Date(house.clock.now() + SECOND);
    await lock('a-pool', lockedAt);
    expect(await orphanedPools(house.db, after)).toEqual(['a-pool']);
    expect(await orphanedPools(house.db, lockedAt)).toEqual([]);
    const worker = await house.worker();
    await renewLease(house.db, worker.id, ['another', 'a-pool'], house.clock.now());
    expect(await orphanedPools(house.db, after)).toEqual([]);
    await house.db.execute(sql`update workers set gone_at = heartbeat_at`);
    expect(await orphanedPools(house.db, after)).toEqual(['a-pool']);
  });

  it('that are unlocked give their doorbells back', async () => {
    await fired(1);
    await lock('a-pool', new Date(house.clock.now()));
    await forceUnlock(house.db, []);
    expect(await house.doorbells()).toMatchObject([{ lockedBy: 'a-pool' }]);
    await forceUnlock(house.db, ['another', 'a-pool']);
    expect(await house.doorbells()).toMatchObject([{ lockedBy: null }]);
  });
});

describe('rehoming', () => {
  it('moves the doorbells of queues that nobody serves to the default queue, and no others', async () => {
    house.served = ['default', 'backup', 'sync'];
    await fired(1, 'backup');
    await fired(1, 'sync');
    await fired(1, 'default');
    expect(await rehome(house.db, ['default', 'sync'])).toBeGreaterThan(0);
    const queues = new Set((await house.doorbells()).map((doorbell) => doorbell.taskQueue));
    expect(queues).toEqual(new Set(['default', 'sync']));
    expect(await rehome(house.db, ['default', 'sync'])).toBe(0);
  });

  it('leaves a doorbell that is being answered', async () => {
    house.served = ['default', 'backup'];
    await fired(1, 'default');
    await fired(1, 'backup');
    await house.db.execute(
      sql`update graphile_worker._private_jobs set locked_by = 'pool', locked_at = run_at`,
    );
    expect(await rehome(house.db, ['default'])).toBe(0);
  });

  it('leaves jobs of graphile that are none of ours', async () => {
    await fired(1);
    await house.db.execute(sql`select graphile_worker.add_job('somebody-elses')`);
    expect(await rehome(house.db, ['default'])).toBe(0);
  });
});
