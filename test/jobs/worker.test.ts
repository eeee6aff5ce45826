/** The worker over a real database and real graphile pools: each run is executed, recorded, and never twice at once. */
import { sql } from 'drizzle-orm';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { createClock } from '../../src/clock.ts';
import { type ClaimedRun, requeueDueRetries } from '../../src/db/run-store.ts';
import { createRescuer } from '../../src/dispatcher/rescuer.ts';
import { JobError } from '../../src/jobs/job.ts';
import { testRetry } from '../support/test-jobs.ts';
import { waitFor } from '../support/wait-for.ts';
import { createGate, setupRig, type WorkerRig } from '../support/worker-rig.ts';

// Each wait has a limit of its own.
vi.setConfig({ testTimeout: 60_000 });

/** What happens around the statement by which a worker claims; for faults on the way to the database and back. */
let aroundClaims: (claim: () => Promise<ClaimedRun[]>) => Promise<ClaimedRun[]>;
beforeEach(() => {
  aroundClaims = (claim) => claim();
});
vi.mock(import('../../src/db/run-store.ts'), async (importOriginal) => {
  const original = await importOriginal();
  return { ...original, startRuns: (...claim) => aroundClaims(() => original.startRuns(...claim)) };
});

const ring = (rig: WorkerRig, payload: unknown, times = 1) =>
  rig.sql.rows(
    `select graphile_worker.add_job('run/default', $1::json, max_attempts := 25) from generate_series(1, $2)`,
    [JSON.stringify(payload), times],
  );

const doorbells = async (rig: WorkerRig) =>
  (await rig.sql.row<{ n: number }>('select count(*)::int as n from graphile_worker._private_jobs')).n;

/** What the rescuer of some node does when it finds the worker silent. */
async function declareLost(rig: WorkerRig, workerId: string): Promise<void> {
  const clock = createClock();
  await rig.sql.rows(`update workers set heartbeat_at = heartbeat_at - interval '1 hour' where id = $1`, [
    workerId,
  ]);
  const logger = { warn: () => undefined } as never;
  const rescuer = createRescuer({ db: rig.db, clock, logger, served: () => ['default'] });
  const counts = await rescuer.pass();
  expect(counts.lostWorkers).toBe(1);
}

describe('a run', () => {
  it('is executed and recorded with its output and who made it', async () => {
    const rig = await setupRig();
    rig.script('add', async (context, input) => ({ sum: Number(input.a) + 1, attempt: context.attempt }));
    const { worker } = await rig.worker();
    const { id } = await rig.trigger('add', {}, { a: 1 });
    const run = await rig.ended(id);
    expect(run).toMatchObject({
      status: 'succeeded',
      output: { sum: 2, attempt: 1 },
      error: null,
      reason: null,
    });
    expect(run.attempts).toEqual([
      expect.objectContaining({
        number: 1,
        status: 'succeeded',
        worker: expect.stringMatching(new RegExp(`:${process.pid}$`)),
      }),
    ]);
    await waitFor(async () => (await doorbells(rig)) === 0);
    await waitFor(() => worker.live === 0);
    expect(rig.calls.get('add')).toBe(1);
  });

  it('among hundreds is executed once, and so are the others', async () => {
    const rig = await setupRig();
    const seen: string[] = [];
    rig.script('note', async ({ runId }) => void seen.push(runId));
    await rig.worker({ workers: { default: 50 } });
    const { scheduleId } = await rig.trigger('note');
    await Promise.all(Array.from({ length: 99 }, () => rig.schedules.trigger(scheduleId, {})));
    await waitFor(async () => {
      const { succeeded } = (await rig.schedules.get(scheduleId)).counts;
      return succeeded === 100 || expect.fail(`${succeeded}`);
    });
    expect(seen).toHaveLength(100);
    expect(new Set(seen).size).toBe(100);
    expect((await rig.schedules.get(scheduleId)).activeRuns).toBe(0);
  });

  it('that fails waits for its retry in a row of ours, exactly as long as its policy says, without a doorbell', async () => {
    const rig = await setupRig();
    rig.script('fail twice', async ({ attempt }) => {
      if (attempt < 3) throw new JobError('Flaky', `attempt ${attempt}`);
      return { after: attempt };
    });
    await rig.worker();
    const retry = { ...testRetry, initialIntervalMs: 60_000, maxIntervalMs: 600_000, backoffCoefficient: 3 };
    const { id } = await rig.trigger('fail twice', { retry });
    for (const [attempt, waitMs] of [
      [1, 60_000],
      [2, 180_000],
    ] as const) {
      const run = await rig.reaches(id, 'retrying');
      expect(run.error).toEqual({ type: 'Flaky', message: `attempt ${attempt}` });
      expect(run.attempts.map((each) => [each.number, each.status])).toEqual(
        Array.from({ length: attempt }, (_, index) => [index + 1, 'failed']),
      );
      expect(run.nextAttemptAtMs! - run.attempts.at(-1)!.finishedAtMs!).toBe(waitMs);
      await waitFor(async () => (await doorbells(rig)) === 0);
      expect(await requeueDueRetries(rig.db, run.nextAttemptAtMs! - 1, 10, ['default'])).toBe(0);
      expect(await requeueDueRetries(rig.db, run.nextAttemptAtMs!, 10, ['default'])).toBe(1);
    }
    const run = await rig.ended(id);
    expect(run).toMatchObject({ status: 'succeeded', attempt: 3, output: { after: 3 }, error: null });
    expect(run.attempts.map((each) => each.status)).toEqual(['failed', 'failed', 'succeeded']);
  });

  it('that takes too long is timed out, and its deaf job no longer holds the slot', async () => {
    const rig = await setupRig();
    rig.script('deaf', () => new Promise(() => {}));
    await rig.worker({ workers: { default: 1 } });
    const deaf = await rig.trigger('deaf', { timeoutMs: 100, retry: { ...testRetry, maxAttempts: 1 } });
    const next = await rig.trigger('nothing');
    expect(await rig.ended(deaf.id)).toMatchObject({
      status: 'timed_out',
      error: { type: 'Timeout', message: 'The attempt took longer than its timeout of 100 ms.' },
    });
    expect(await rig.ended(next.id)).toMatchObject({ status: 'succeeded' });
  });

  it('with output, error and log that no database stores as they are is recorded all the same', async () => {
    const rig = await setupRig();
    const odd = 'null \u0000, half \ud800, text "\\u0000"';
    rig.script('odd output', async (context) => {
      context.log(odd);
      return { [odd]: [odd] };
    });
    rig.script('odd error', async () => {
      throw new JobError(odd, odd, { retryable: false });
    });
    await rig.worker();
    const output = await rig.trigger('odd output');
    const error = await rig.trigger('odd error');
    const mended = 'null \ufffd, half \ufffd, text "\\u0000"';
    expect(await rig.ended(output.id)).toMatchObject({
      status: 'succeeded',
      output: { [mended]: [mended] },
    });
    const told = 'null \\0, half \ufffd, text "\\u0000"';
    expect(await rig.ended(error.id)).toMatchObject({
      status: 'failed',
      error: { type: told, message: told },
    });
    expect((await rig.logOf(output.id)).map((line) => line.message)).toEqual([told]);
  });
});

describe('concurrency', () => {
  it('is never more than the task queue allows, and a full queue stops no other', async () => {
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
    await rig.worker({ workers: { default: 3, other: 1 } });
    const { scheduleId } = await rig.trigger('count');
    await Promise.all(Array.from({ length: 9 }, () => rig.schedules.trigger(scheduleId, {})));
    await waitFor(() => inside === 3);
    // The rig rings for what is not "default" in the default queue, so this one is moved by hand.
    const other = await rig.trigger('nothing', { taskQueue: 'other' });
    await rig.sql.rows(
      `update graphile_worker._private_jobs set task_id = (
         select id from graphile_worker._private_tasks where identifier = 'run/other')
       where payload->>'runId' = $1`,
      [other.id],
    );
    await rig.sql.rows(`select pg_notify('jobs:insert', '{"r":"moved","count":1}')`);
    expect(await rig.ended(other.id)).toMatchObject({ status: 'succeeded' });
    gate.open();
    await waitFor(async () => (await rig.schedules.get(scheduleId)).counts.succeeded === 10);
    expect(most).toBe(3);
  });
});

describe('doorbells', () => {
  it('that ring many times before, while and after a run is executed, execute it once', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    const { id } = await rig.trigger('wait');
    await ring(rig, { runId: id, attempt: 1 }, 20);
    await rig.worker();
    await waitFor(() => gate.waiting === 1);
    await ring(rig, { runId: id, attempt: 1 }, 20);
    await waitFor(async () => (await doorbells(rig)) === 1);
    gate.open();
    await rig.ended(id);
    await ring(rig, { runId: id, attempt: 1 }, 20);
    await waitFor(async () => (await doorbells(rig)) === 0);
    expect(rig.calls.get('wait')).toBe(1);
    expect(await rig.detail(id)).toMatchObject({ attempt: 1, status: 'succeeded' });
  });

  it('of an old attempt that ring together with the present one execute nothing', async () => {
    const rig = await setupRig();
    const attempts: number[] = [];
    rig.script('note', async ({ attempt }) => {
      attempts.push(attempt);
      if (attempt === 1) throw new Error('once more');
    });
    const first = await rig.worker();
    const { id } = await rig.trigger('note');
    const { nextAttemptAtMs } = await rig.reaches(id, 'retrying');
    await first.worker.stop(0);
    await requeueDueRetries(rig.db, nextAttemptAtMs!, 10, ['default']);
    for (const attempt of [1, 2, 3]) await ring(rig, { runId: id, attempt }, 5);
    // So many that it fetches all of them at once.
    await rig.worker({ workers: { default: 50 } });
    await rig.ended(id);
    await waitFor(async () => (await doorbells(rig)) === 0);
    expect(attempts).toEqual([1, 2]);
  });

  it('of a run that is gone are removed', async () => {
    const rig = await setupRig();
    await rig.worker();
    await ring(rig, { runId: '019b76da-a800-7000-8000-000000000001', attempt: 1 });
    await waitFor(async () => (await doorbells(rig)) === 0);
  });

  it('that make no sense are removed, and harm no run that is claimed together with them', async () => {
    const rig = await setupRig();
    const nonsense = [
      {},
      [],
      'text',
      7,
      null,
      { runId: 'x', attempt: 1 },
      { runId: 1, attempt: 1 },
      { runId: '019b76da-a800-7000-8000-000000000001' },
      { runId: '019b76da-a800-7000-8000-000000000001', attempt: '1' },
      { runId: '019b76da-a800-7000-8000-000000000001', attempt: 1.5 },
      { runId: '019b76da-a800-7000-8000-000000000001', attempt: 1e10 },
    ];
    for (const payload of nonsense) await ring(rig, payload);
    const { id } = await rig.trigger('nothing');
    await rig.worker();
    expect(await rig.ended(id)).toMatchObject({ status: 'succeeded' });
    await waitFor(async () => (await doorbells(rig)) === 0);
  });
});

describe('a run that is cancelled', () => {
  it('while it runs, by another node, ends within 2 s', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    await rig.worker();
    const { id } = await rig.trigger('wait');
    await waitFor(() => gate.waiting === 1);
    const asked = await rig.runs.cancel(id);
    expect(asked.status).toBe('running');
    const askedAt = performance.now();
    const run = await rig.ended(id);
    expect(performance.now() - askedAt).toBeLessThan(2000);
    expect(run).toMatchObject({ status: 'cancelled', reason: 'cancelled_by_hand', output: null });
    expect(run.attempts.map((each) => each.status)).toEqual(['cancelled']);
  });

  it('while it runs and its job is deaf, ends all the same', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('deaf', () => gate.pass());
    await rig.worker();
    const { id } = await rig.trigger('deaf');
    await waitFor(() => gate.waiting === 1);
    await rig.runs.cancel(id);
    expect(await rig.ended(id)).toMatchObject({ status: 'cancelled' });
    // Its late answer changes nothing.
    gate.open();
    await waitFor(async () => (await doorbells(rig)) === 0);
    expect(await rig.detail(id)).toMatchObject({ status: 'cancelled', output: null });
  });

  it('while it waits in the queue never starts', async () => {
    const rig = await setupRig();
    const { id } = await rig.trigger('nothing');
    await rig.runs.cancel(id);
    await rig.worker();
    await waitFor(async () => (await doorbells(rig)) === 0);
    expect(rig.calls.get('nothing')).toBeUndefined();
    expect(await rig.detail(id)).toMatchObject({ status: 'cancelled', startedAtMs: null });
  });

  it('while it fails is not retried', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('fail', async () => {
      await gate.pass();
      throw new Error('too late to matter');
    });
    await rig.worker();
    const { id } = await rig.trigger('fail');
    await waitFor(() => gate.waiting === 1);
    // As a cancel that the worker has not looked for yet.
    await rig.sql.rows(`update runs set signal = 'cancel' where id = $1`, [id]);
    gate.open();
    expect(await rig.ended(id)).toMatchObject({ status: 'cancelled', reason: 'cancelled_by_hand' });
  });
});

it('a job is told when its schedule is stopped, and ends when it sees fit', async () => {
  const rig = await setupRig();
  rig.script('look', async (context) => {
    await waitFor(() => context.stopRequested);
    return { signalled: context.signal.aborted };
  });
  await rig.worker();
  const { id, scheduleId } = await rig.trigger('look');
  await rig.reaches(id, 'running');
  await rig.schedules.stop(scheduleId, null);
  expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', output: { signalled: false } });
});

describe('an outcome', () => {
  it('that the database refuses ends its run as failed, and no other of its batch', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', async (_context, input) => {
      await gate.pass();
      return { poison: input.poison };
    });
    await rig.sql.rows(`
      create function refuse() returns trigger language plpgsql as $$ begin
        if new.output->>'poison' = 'true' then
          raise exception 'I will not have it' using errcode = 'check_violation';
        end if;
        return new;
      end $$;
      create trigger refuse before update on runs for each row execute function refuse()`);
    await rig.worker({ workers: { default: 20 } });
    const bad = await rig.trigger('wait', {}, { poison: true });
    const good = await rig.trigger('wait', {}, { poison: false });
    const others = await Promise.all(
      Array.from({ length: 8 }, () => rig.schedules.trigger(good.scheduleId, {})),
    );
    await waitFor(() => gate.waiting === 10);
    gate.open();
    for (const { id } of [good, ...others]) {
      expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    }
    expect(await rig.ended(bad.id)).toMatchObject({
      status: 'failed',
      attempt: 1,
      output: null,
      error: {
        type: 'OutcomeRefused',
        message: 'The run came to an end that the database does not take: I will not have it',
      },
    });
    expect(rig.calls.get('wait')).toBe(10);
  });

  it('is not lost, and its run not repeated, however often the connections break', async () => {
    const rig = await setupRig();
    rig.script('slow', async () => new Promise((resolve) => setTimeout(resolve, 5, {})));
    await rig.worker({ workers: { default: 5 } });
    const { scheduleId } = await rig.trigger('slow');
    await Promise.all(Array.from({ length: 119 }, () => rig.schedules.trigger(scheduleId, {})));
    const cut = () =>
      rig.sql.rows(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'rig worker'`,
      );
    await waitFor(async () => {
      await cut();
      const { succeeded } = (await rig.schedules.get(scheduleId)).counts;
      return succeeded > 90;
    });
    await waitFor(async () => (await rig.schedules.get(scheduleId)).counts.succeeded === 120);
    expect(rig.calls.get('slow')).toBe(120);
  });

  it('of an attempt that the run has left behind counts for nothing', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', async ({ attempt }) => {
      if (attempt === 1) await gate.pass();
      return { by: attempt };
    });
    const { worker } = await rig.worker();
    const { id, scheduleId } = await rig.trigger('wait');
    await waitFor(() => gate.waiting === 1);
    await rig.sql.rows(`update runs set attempt = 2, worker_id = gen_random_uuid() where id = $1`, [id]);
    gate.open();
    await waitFor(() => worker.live === 0);
    expect(await rig.detail(id)).toMatchObject({ status: 'running', attempt: 2, output: null });
    expect((await rig.schedules.get(scheduleId)).counts.succeeded).toBe(0);
  });
});

describe('a claim', () => {
  it('whose answer is lost is made again, and the run is executed once', async () => {
    const rig = await setupRig();
    let lost = 0;
    aroundClaims = async (claim) => {
      const answer = await claim();
      lost += 1;
      if (lost <= 3) throw new Error('Connection terminated unexpectedly');
      return answer;
    };
    await rig.worker();
    const { id } = await rig.trigger('nothing');
    expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect(lost).toBe(4);
    expect(rig.calls.get('nothing')).toBe(1);
  });

  it('that fails while the database is away is made when it is back, without a detour over graphile', async () => {
    const rig = await setupRig();
    let away = true;
    aroundClaims = async (claim) => {
      if (away) throw new Error('connect ECONNREFUSED');
      return await claim();
    };
    await rig.worker();
    const { id } = await rig.trigger('nothing');
    await waitFor(() => rig.lines.some((line) => line.msg.includes('could not claim 1 runs')));
    away = false;
    expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
  });

  it.each([
    ['before', false],
    ['after', true],
  ])('that was committed under a worker that is gone goes on under the next attempt, answered %s it is another', async (_when, waits) => {
    const rig = await setupRig();
    let claims = 0;
    aroundClaims = async (claim) => {
      const answer = await claim();
      claims += 1;
      if (claims > 1) return answer;
      // As when the process froze with the claim on its way: it wakes, and is not this worker any more.
      const before = worker.id;
      oversleep(25_000);
      await rig.sql.rows(`update workers set gone_at = now()`);
      if (waits) {
        await waitFor(() => worker.id !== before && worker.healthy);
        // So that the next look for strays is not 5 s away.
        oversleep(5000);
      }
      return answer;
    };
    const { worker, oversleep } = await rig.worker();
    const { id } = await rig.trigger('nothing');
    const run = await rig.ended(id);
    expect(run).toMatchObject({ status: 'succeeded', attempt: 2 });
    expect(run.attempts.map((each) => each.status)).toEqual(['lost', 'succeeded']);
  });
});

describe('a worker whose lease is lost', () => {
  it('and comes back by itself aborts its runs, and they go on, also those that took their time to end', async () => {
    const rig = await setupRig();
    const gate = createGate();
    const ended: string[] = [];
    rig.script('quick', async ({ attempt, signal }) => {
      if (attempt === 1) await gate.pass(signal);
    });
    rig.script('slow', async ({ attempt, signal }) => {
      if (attempt > 1) return;
      await gate.pass(signal).catch(() => undefined);
      // The lease is back long before this.
      await waitFor(() => ended.length > 0);
      throw new Error('wound up');
    });
    rig.script('deaf', async ({ attempt }) => {
      if (attempt === 1) await gate.pass();
    });
    const { worker, oversleep } = await rig.worker();
    const ids = [];
    for (const does of ['quick', 'slow', 'deaf']) ids.push((await rig.trigger(does)).id);
    await waitFor(() => gate.waiting === 3);
    oversleep(21_000);
    expect(worker.healthy).toBe(false);
    await waitFor(() => worker.healthy);
    ended.push('the freeze');
    await waitFor(() => worker.live === 0);
    // With the next renewal.
    oversleep(5000);
    for (const id of ids) {
      const run = await rig.ended(id);
      expect(run).toMatchObject({ status: 'succeeded', attempt: 2 });
      expect(run.attempts.map((each) => [each.status, each.error?.type])).toEqual([
        ['lost', 'WorkerLost'],
        ['succeeded', undefined],
      ]);
    }
  });

  it('takes no runs until it is back', async () => {
    const rig = await setupRig();
    const { worker, oversleep } = await rig.worker();
    // Neither renewed nor registered anew.
    await rig.sql.rows('alter table workers add constraint refuse check (false) not valid');
    oversleep(21_000);
    const { id } = await rig.trigger('nothing');
    await waitFor(() => rig.lines.some((line) => line.msg.includes('could not renew the lease')));
    expect(worker.healthy).toBe(false);
    expect(await rig.detail(id)).toMatchObject({ status: 'queued' });
    await rig.sql.rows('alter table workers drop constraint refuse');
    expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
  });

  it('to another node while its job still runs executes the next attempt itself only after that has left', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('deaf', async ({ attempt }) => {
      if (attempt === 1) await gate.pass();
      return { by: attempt };
    });
    const { worker, oversleep } = await rig.worker();
    const before = worker.id;
    const { id } = await rig.trigger('deaf');
    await waitFor(() => gate.waiting === 1);
    await declareLost(rig, before);
    const run = await rig.ended(id);
    expect(run).toMatchObject({ status: 'succeeded', attempt: 2, output: { by: 2 } });
    expect(run.attempts.map((each) => each.status)).toEqual(['lost', 'succeeded']);
    // The zombie's late answer.
    gate.open();
    await waitFor(() => worker.live === 0);
    expect(await rig.detail(id)).toMatchObject({ output: { by: 2 } });
    oversleep(5000);
    await waitFor(() => worker.id !== before);
    expect(worker.healthy).toBe(true);
  });
});

describe('a worker that is stopped', () => {
  it('lets a run finish that takes longer than graphile would wait, within its own grace', async () => {
    const rig = await setupRig();
    const gate = createGate();
    const aborted: unknown[] = [];
    rig.script('long', async ({ signal }) => {
      signal.addEventListener('abort', () => aborted.push(signal.reason));
      await gate.pass(signal);
      return { whole: true };
    });
    const { worker } = await rig.worker();
    const { id } = await rig.trigger('long');
    await waitFor(() => gate.waiting === 1);
    const stopped = worker.stop(15_000);
    // Graphile aborts all tasks of a pool 5 s after it was told to stop.
    setTimeout(gate.open, 5500);
    await stopped;
    expect(aborted).toEqual([]);
    expect(await rig.detail(id)).toMatchObject({ status: 'succeeded', attempt: 1, output: { whole: true } });
  });

  it('hands back what did not end within the grace, and another worker goes on with it at once', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', async ({ attempt, signal }) => {
      if (attempt === 1) await gate.pass(signal);
    });
    rig.script('deaf', async ({ attempt }) => {
      if (attempt === 1) await gate.pass();
    });
    const { worker } = await rig.worker();
    const ids = [(await rig.trigger('wait')).id, (await rig.trigger('deaf')).id];
    await waitFor(() => gate.waiting === 2);
    await worker.stop(50);
    for (const id of ids) {
      expect(await rig.detail(id)).toMatchObject({ status: 'queued', attempt: 2, reason: 'worker_shutdown' });
    }
    const { rows } = await rig.db.execute(sql`select locked_by from graphile_worker._private_jobs`);
    expect(rows).toEqual([{ locked_by: null }, { locked_by: null }]);
    await rig.worker();
    for (const id of ids) {
      const run = await rig.ended(id);
      expect(run).toMatchObject({ status: 'succeeded', attempt: 2 });
      expect(run.attempts.map((each) => [each.status, each.error?.type])).toEqual([
        ['handed_back', 'WorkerShutdown'],
        ['succeeded', undefined],
      ]);
    }
  });

  it('takes no new runs, and leaves those that wait as they are', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', () => gate.pass());
    const { worker } = await rig.worker({ workers: { default: 25 } });
    const held = await rig.trigger('wait');
    await waitFor(() => gate.waiting === 1);
    const stopped = worker.stop(15_000);
    const late = await rig.trigger('nothing');
    gate.open();
    await stopped;
    expect(await rig.detail(held.id)).toMatchObject({ status: 'succeeded' });
    expect(await rig.detail(late.id)).toMatchObject({ status: 'queued', attempt: 1, reason: null });
    expect(rig.calls.get('nothing')).toBeUndefined();
  });

  it('ends what was cancelled instead of handing it back', async () => {
    const rig = await setupRig();
    const gate = createGate();
    rig.script('wait', ({ signal }) => gate.pass(signal));
    const { worker } = await rig.worker();
    const { id } = await rig.trigger('wait');
    await waitFor(() => gate.waiting === 1);
    await rig.sql.rows(`update runs set signal = 'cancel' where id = $1`, [id]);
    await worker.stop(0);
    expect(await rig.detail(id)).toMatchObject({ status: 'cancelled', reason: 'cancelled_by_hand' });
  });

  it('says in its row that it is gone, and may be stopped twice', async () => {
    const rig = await setupRig();
    const { worker } = await rig.worker();
    await Promise.all([worker.stop(0), worker.stop(1000)]);
    await worker.stop(0);
    const row = await rig.sql.row<{ gone: boolean; pool_ids: string[] }>(
      'select gone_at is not null as gone, pool_ids from workers',
    );
    expect(row).toEqual({ gone: true, pool_ids: [] });
  });
});

it('a minute after the last doubt a worker still looks for runs that nobody executes', async () => {
  const rig = await setupRig();
  const { worker, oversleep } = await rig.worker();
  const { id } = await rig.trigger('nothing');
  await rig.ended(id);
  // As if a claim had been committed long after its connection was given up.
  const [copy] = await rig.sql.rows<{ id: string }>(
    `with counted as (update schedule_states set active_runs = active_runs + 1)
     insert into runs select (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'status', 'running',
       'worker_id', $2::uuid, 'finished_at', null, 'output', null))).* from runs r where id = $1 returning id`,
    [id, worker.id],
  );
  const heartbeat = () => rig.sql.row<{ heartbeat_at: Date }>('select heartbeat_at from workers');
  for (let passedMs = 0; passedMs < 60_000; passedMs += 15_000) {
    const { heartbeat_at: before } = await heartbeat();
    oversleep(15_000);
    await waitFor(async () => (await heartbeat()).heartbeat_at > before);
  }
  expect(rig.lines.filter((line) => line.msg.includes('is lost'))).toEqual([]);
  expect(await rig.ended(copy!.id)).toMatchObject({ status: 'succeeded', attempt: 2 });
});
