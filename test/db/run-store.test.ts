import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { endRuns, endUnstartedRuns, type RunEnd } from '../../src/db/run-end-store.ts';
import {
  type RunRetry,
  readSignals,
  requeueDueRetries,
  requeueFromWorker,
  retryRuns,
  startRuns,
} from '../../src/db/run-store.ts';
import type { Run } from '../../src/runs/run.ts';
import type { OutcomeStatus } from '../../src/runs/run-state.ts';
import { type House, setupHouse, type TestWorker } from '../support/house.ts';
import { endOf as endAt } from '../support/run-ends.ts';
import { HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
let worker: TestWorker;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(async () => {
  await house.reset();
  worker = await house.worker();
});
afterAll(() => house.close());

const error = { type: 'Broken', message: 'as the test wanted' };

/** `count` fires of one new schedule, queued. */
async function fired(count = 1, partial: Parameters<House['create']>[0] = {}): Promise<Run[]> {
  const created = await house.create({ overlap: 'allow', ...partial });
  await house.live(count * MINUTE);
  await house.dispatchAll();
  return (await house.runsOf(created.id)).slice(0, count);
}

const endOf = (
  run: { id: string; scheduleId: string },
  attempt: number,
  part: Partial<RunEnd> = {},
): RunEnd => endAt({ ...run, attempt }, house.clock.now(), { output: { done: true }, ...part });

const retryOf = (run: { id: string }, attempt: number, part: Partial<RunRetry> = {}): RunRetry => ({
  runId: run.id,
  attempt,
  status: 'failed',
  error,
  finishedAtMs: house.clock.now(),
  nextAttemptAtMs: house.clock.now() + 1500,
  ...part,
});

const claim = (workerId: string, ...doorbells: [Run | { id: string }, number][]) =>
  startRuns(
    house.db,
    workerId,
    doorbells.map(([run, attempt]) => ({ runId: run.id, attempt })),
    house.clock.now(),
  );

describe('startRuns', () => {
  it('gives a queued run to the worker, with all that it needs', async () => {
    const [run] = await fired(1, { name: 'echo', job: { type: 'echo', input: { text: 'hello' } } });
    const claimed = await claim(worker.id, [run!, 1]);
    expect(claimed).toEqual([
      {
        id: run!.id,
        attempt: 1,
        scheduleId: run!.scheduleId,
        scheduleName: 'echo',
        jobType: 'echo',
        input: { text: 'hello' },
        scheduledForMs: run!.scheduledForMs,
        timeoutMs: 60_000,
        retry: run!.retry,
        failures: 0,
        lost: 0,
        signal: null,
      },
    ]);
    expect(await house.runs.get(run!.id)).toMatchObject({
      status: 'running',
      startedAtMs: house.clock.now(),
    });
  });

  it('gives one run to one of two workers', async () => {
    const [run] = await fired();
    const other = await house.worker();
    const answers = await Promise.all([claim(worker.id, [run!, 1]), claim(other.id, [run!, 1])]);
    expect(answers.map((claimed) => claimed.length).sort()).toEqual([0, 1]);
  });

  it('answers a worker again what it owns already, as its first answer may have been lost', async () => {
    const [run] = await fired();
    expect(await claim(worker.id, [run!, 1])).toHaveLength(1);
    expect(await claim(worker.id, [run!, 1])).toHaveLength(1);
    expect(await claim((await house.worker()).id, [run!, 1])).toEqual([]);
  });

  it('finds nothing under another attempt number, older or newer', async () => {
    const [run] = await fired();
    expect(await claim(worker.id, [run!, 0], [run!, 2])).toEqual([]);
  });

  it('finds nothing that has ended, waits for a retry, or is unknown', async () => {
    const runs = await fired(3);
    const [ended, waiting, cancelled] = runs;
    const [first, second] = await claim(worker.id, [ended!, 1], [waiting!, 1]);
    await worker.succeed(first!);
    await worker.fail(second!);
    await house.runs.cancel(cancelled!.id);
    const unknown = { id: '018f3c9e-7b00-7000-8000-000000000001' };
    const doorbells = [...runs, unknown].map((run): [{ id: string }, number] => [run, 1]);
    expect(await claim(worker.id, ...doorbells)).toEqual([]);
  });

  it('answers many at once with those that could be claimed', async () => {
    const runs = await fired(5);
    await house.runs.cancel(runs[2]!.id);
    const claimed = await claim(worker.id, ...runs.map((run): [Run, number] => [run, 1]));
    expect(claimed.map((run) => run.id).sort()).toEqual([0, 1, 3, 4].map((index) => runs[index]!.id).sort());
  });

  it('of nothing is nothing', async () => {
    expect(await claim(worker.id)).toEqual([]);
  });
});

describe('endRuns', () => {
  it('ends what runs, counts it, and tells which', async () => {
    const [one, two] = await fired(2);
    await claim(worker.id, [one!, 1], [two!, 1]);
    await house.live(SECOND);
    const ended = await endRuns(
      house.db,
      [endOf(one!, 1), endOf(two!, 1, { status: 'failed', error })],
      ['default'],
    );
    expect(ended).toEqual(new Set([one!.id, two!.id]));
    expect(await house.runs.get(one!.id)).toMatchObject({
      status: 'succeeded',
      output: { done: true },
      finishedAtMs: house.clock.now(),
    });
    expect(await house.runs.get(two!.id)).toMatchObject({ status: 'failed', error });
    expect(await house.stateOf(one!.scheduleId)).toMatchObject({
      activeRuns: 0,
      succeeded: 1,
      failed: 1,
    });
  });

  it('of an old attempt matches nothing, and changes no count', async () => {
    const [run] = await fired();
    await claim(worker.id, [run!, 1]);
    await retryRuns(house.db, [retryOf(run!, 1)]);
    await house.live(2 * SECOND);
    await house.dispatch();
    const second = await house.worker();
    await claim(second.id, [run!, 2]);
    const late = endOf(run!, 1);
    expect(await endRuns(house.db, [late], ['default'])).toEqual(new Set());
    expect(await endRuns(house.db, [{ ...late, status: 'failed', error }], ['default'])).toEqual(new Set());
    expect(await retryRuns(house.db, [retryOf(run!, 1)])).toEqual(new Set());
    expect(await house.runs.get(run!.id)).toMatchObject({ status: 'running', attempt: 2 });
    expect(await house.stateOf(run!.scheduleId)).toMatchObject({ activeRuns: 1, succeeded: 0, failed: 0 });
    expect(await endRuns(house.db, [endOf(run!, 2)], ['default'])).toEqual(new Set([run!.id]));
  });

  it('twice counts once', async () => {
    const [run] = await fired();
    await claim(worker.id, [run!, 1]);
    expect((await endRuns(house.db, [endOf(run!, 1)], ['default'])).size).toBe(1);
    expect((await endRuns(house.db, [endOf(run!, 1, { output: 'another' })], ['default'])).size).toBe(0);
    expect(await house.stateOf(run!.scheduleId)).toMatchObject({ activeRuns: 0, succeeded: 1 });
    expect(await house.runs.get(run!.id)).toMatchObject({ output: { done: true } });
  });

  it('of what only waits matches nothing: that is no worker’s to end', async () => {
    const [run] = await fired();
    expect(await endRuns(house.db, [endOf(run!, 1)], ['default'])).toEqual(new Set());
    expect(await house.runs.get(run!.id)).toMatchObject({ status: 'queued' });
  });

  it('of many schedules in one batch counts for each its own', async () => {
    const runs = [...(await fired(3)), ...(await fired(2)), ...(await fired(1))];
    const claimed = await claim(worker.id, ...runs.map((run): [Run, number] => [run, 1]));
    expect(claimed).toHaveLength(6);
    await endRuns(
      house.db,
      runs.map((run, n) => endOf(run, 1, n % 2 === 0 ? {} : { status: 'timed_out', error })),
      ['default'],
    );
    const states = [];
    for (const id of new Set(runs.map((run) => run.scheduleId))) states.push(await house.stateOf(id));
    expect(states.map((state) => [state.succeeded, state.failed])).toEqual([
      [2, 1],
      [1, 1],
      [0, 1],
    ]);
    expect(states[0]).toMatchObject({ lastRunId: expect.any(String) });
  });

  it('takes outputs and errors with characters that jsonb refuses', async () => {
    const [run] = await fired();
    await claim(worker.id, [run!, 1]);
    const output = { text: 'a\u0000b', 'key\u0000': '\ud800', fine: 'smile 😀', back: '\\u0000' };
    await endRuns(house.db, [endOf(run!, 1, { output })], ['default']);
    expect((await house.runs.get(run!.id)).output).toEqual({
      text: 'a\ufffdb',
      'key\ufffd': '\ufffd',
      fine: 'smile 😀',
      back: '\\u0000',
    });
  });

  it('in opposite orders from two connections at once do not block each other for ever', async () => {
    const schedules: string[] = [];
    for (let n = 0; n < 20; n += 1) schedules.push((await fired(2))[0]!.scheduleId);
    const runs = (await house.runsOf()).filter((run) => schedules.includes(run.scheduleId));
    await claim(worker.id, ...runs.map((run): [Run, number] => [run, 1]));
    const half = (odd: boolean) => runs.filter((_, n) => (n % 2 === 1) === odd).map((run) => endOf(run, 1));
    const other = house.another();
    const ended = await Promise.all([
      endRuns(house.db, half(false), ['default']),
      endRuns(other.db, half(true).toReversed(), ['default']),
    ]);
    expect(ended[0].size + ended[1].size).toBe(runs.length);
    for (const id of schedules) expect(await house.stateOf(id)).toMatchObject({ activeRuns: 0 });
  });
});

describe('endUnstartedRuns', () => {
  it('ends what waits, and nothing that runs', async () => {
    const [queued, retrying, running] = await fired(3);
    const [second] = await claim(worker.id, [retrying!, 1], [running!, 1]).then((claimed) =>
      claimed.filter((run) => run.id === retrying!.id),
    );
    await worker.fail(second!);
    const ends = [queued!, retrying!, running!].map((run) =>
      endOf(run, 1, { status: 'cancelled', reason: 'test', output: null }),
    );
    const ended = await house.db.transaction((tx) => endUnstartedRuns(tx, ends, ['default']));
    expect(ended).toEqual(new Set([queued!.id, retrying!.id]));
    // What was tried keeps the error of its last try, and counts as the last run; what never ran does neither.
    expect(await house.runs.get(retrying!.id)).toMatchObject({ error: { type: 'Broken' } });
    expect(await house.stateOf(queued!.scheduleId)).toMatchObject({
      activeRuns: 1,
      lastRunId: retrying!.id,
      lastStatus: 'cancelled',
    });
  });
});

describe('retryRuns and requeueDueRetries', () => {
  it('wait exactly as long as was said, and go on under the next attempt number', async () => {
    const [run] = await fired();
    await claim(worker.id, [run!, 1]);
    const nextAttemptAtMs = house.clock.now() + 1500;
    expect(await retryRuns(house.db, [retryOf(run!, 1, { nextAttemptAtMs })])).toEqual(new Set([run!.id]));
    expect(await house.runs.get(run!.id)).toMatchObject({ status: 'retrying', nextAttemptAtMs, error });
    expect(await requeueDueRetries(house.db, nextAttemptAtMs - 1, 10, ['default'])).toBe(0);
    expect(await requeueDueRetries(house.db, nextAttemptAtMs, 10, ['default'])).toBe(1);
    expect(await house.runs.get(run!.id)).toMatchObject({
      status: 'queued',
      attempt: 2,
      nextAttemptAtMs: null,
    });
    expect(await house.doorbells()).toContainEqual(expect.objectContaining({ runId: run!.id, attempt: 2 }));
    expect(await requeueDueRetries(house.db, nextAttemptAtMs + HOUR, 10, ['default'])).toBe(0);
  });

  it('count each failure, which the next attempt is told', async () => {
    const [run] = await fired();
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const [claimed] = await claim(worker.id, [run!, attempt]);
      expect(claimed!.failures).toBe(attempt - 1);
      await retryRuns(house.db, [retryOf(run!, attempt, { nextAttemptAtMs: house.clock.now() })]);
      await requeueDueRetries(house.db, house.clock.now(), 10, []);
    }
    expect(await house.stateOf(run!.scheduleId)).toMatchObject({ activeRuns: 1, failed: 0 });
  });

  it('take the longest due first, and no more than the limit', async () => {
    const runs = await fired(3);
    await claim(worker.id, ...runs.map((run): [Run, number] => [run, 1]));
    const nowMs = house.clock.now();
    await retryRuns(
      house.db,
      runs.map((run, n) => retryOf(run, 1, { nextAttemptAtMs: nowMs + [300, 100, 200][n]! })),
    );
    expect(await requeueDueRetries(house.db, nowMs + 1000, 2, [])).toBe(2);
    expect((await house.runsOf(runs[0]!.scheduleId)).map((run) => run.status)).toEqual([
      'retrying',
      'queued',
      'queued',
    ]);
  });

  it('of a run that was told to cancel or stop move nothing', async () => {
    const [one, two] = await fired(2);
    await claim(worker.id, [one!, 1], [two!, 1]);
    await house.runs.cancel(one!.id);
    expect(await retryRuns(house.db, [retryOf(one!, 1), retryOf(two!, 1)])).toEqual(new Set([two!.id]));
    expect(await readSignals(house.db, worker.id)).toEqual([{ id: one!.id, attempt: 1, signal: 'cancel' }]);
    expect((await house.runs.get(one!.id)).attempts).toHaveLength(1);
  });

  it('by two dispatchers at once requeue each run once', async () => {
    const runs = await fired(40);
    await claim(worker.id, ...runs.map((run): [Run, number] => [run, 1]));
    await retryRuns(
      house.db,
      runs.map((run) => retryOf(run, 1, { nextAttemptAtMs: house.clock.now() })),
    );
    const other = house.another();
    let moved = 0;
    for (let round = 0; round < 4; round += 1) {
      const counts = await Promise.all([
        requeueDueRetries(house.db, house.clock.now(), 15, []),
        requeueDueRetries(other.db, house.clock.now(), 15, []),
      ]);
      moved += counts[0]! + counts[1]!;
    }
    expect(moved).toBe(40);
    expect((await house.runsOf(runs[0]!.scheduleId)).every((run) => run.attempt === 2)).toBe(true);
    const rung = (await house.doorbells()).filter((doorbell) => doorbell.attempt === 2);
    expect(new Set(rung.map((doorbell) => doorbell.runId)).size).toBe(40);
    expect(rung).toHaveLength(40);
  });
});

describe('requeueFromWorker', () => {
  const requeue = (part: Partial<Parameters<typeof requeueFromWorker>[1]> = {}) =>
    house.db.transaction((tx) =>
      requeueFromWorker(tx, {
        workerId: worker.id,
        except: [],
        cause: 'worker_lost',
        nowMs: house.clock.now(),
        served: ['default'],
        ...part,
      }),
    );

  it('puts what a worker left behind back into the queue under the next attempt number', async () => {
    const [run] = await fired();
    await worker.take();
    await house.live(SECOND);
    expect(await requeue()).toEqual({ requeued: 1, cancelled: 0 });
    expect(await house.runs.get(run!.id)).toMatchObject({
      status: 'queued',
      attempt: 2,
      reason: 'worker_lost',
      attempts: [
        { number: 1, status: 'lost', finishedAtMs: house.clock.now(), error: { type: 'WorkerLost' } },
      ],
    });
    expect(await house.doorbells()).toMatchObject([{ runId: run!.id, attempt: 2 }]);
    expect(await house.stateOf(run!.scheduleId)).toMatchObject({ activeRuns: 1 });
  });

  it('does not count a lost attempt as a failure of the run', async () => {
    const [run] = await fired();
    await worker.take();
    await requeue();
    const [again] = await worker.take();
    expect(again).toMatchObject({ id: run!.id, attempt: 2, failures: 0 });
  });

  it('leaves alone what the worker still executes, what others execute, and what has ended', async () => {
    const [kept, ended, others, lost] = await fired(4);
    const other = await house.worker();
    const claimed = await claim(worker.id, [kept!, 1], [ended!, 1], [lost!, 1]);
    await claim(other.id, [others!, 1]);
    await worker.succeed(claimed.find((run) => run.id === ended!.id)!);
    expect(await requeue({ except: [kept!.id] })).toEqual({ requeued: 1, cancelled: 0 });
    expect((await house.runsOf(kept!.scheduleId)).map((run) => [run.status, run.attempt])).toEqual([
      ['running', 1],
      ['succeeded', 1],
      ['running', 1],
      ['queued', 2],
    ]);
  });

  it('ends those that were told to cancel or stop', async () => {
    const [cancelled] = await fired();
    const [stopped] = await fired();
    await worker.take();
    await house.runs.cancel(cancelled!.id);
    await house.schedules.stop(stopped!.scheduleId, null);
    const { requeued, cancelled: ended } = await requeue();
    expect(ended).toBe(2);
    // The first schedule's second fire.
    expect(requeued).toBe(1);
    expect(await house.runs.get(cancelled!.id)).toMatchObject({
      status: 'cancelled',
      reason: 'cancelled_by_hand',
      error: { type: 'WorkerLost' },
    });
    expect(await house.runs.get(stopped!.id)).toMatchObject({ status: 'cancelled', reason: 'stopped' });
  });

  it('at a shutdown hands back, and says so', async () => {
    const [run] = await fired();
    await worker.take();
    await requeue({ cause: 'worker_shutdown' });
    expect(await house.runs.get(run!.id)).toMatchObject({
      status: 'queued',
      reason: 'worker_shutdown',
      attempts: [{ number: 1, status: 'handed_back', error: { type: 'WorkerShutdown' } }],
    });
  });

  it('of a worker without runs does nothing', async () => {
    expect(await requeue()).toEqual({ requeued: 0, cancelled: 0 });
  });

  it('fences the old worker off: its outcome comes too late', async () => {
    const [run] = await fired();
    const [claimed] = await worker.take();
    await requeue();
    expect(await worker.succeed(claimed!)).toBe(false);
    expect(await worker.fail(claimed!)).toBe('not_mine');
    expect(await worker.claim({ id: run!.id, attempt: 1 })).toBeNull();
    expect(await house.runs.get(run!.id)).toMatchObject({ status: 'queued', attempt: 2 });
  });
});

describe('a run that has ended', () => {
  it.each([
    'succeeded',
    'failed',
    'cancelled',
    'timed_out',
    'skipped',
    'missed',
  ])('as %s refuses every change', async (status) => {
    const [run] = await fired();
    if (status === 'skipped' || status === 'missed') {
      await house.db.execute(
        sql`update runs set status = ${status}, reason = 'test', finished_at = due_at where id = ${run!.id}`,
      );
    } else {
      const [claimed] = await worker.take();
      await worker.end(claimed!, status as OutcomeStatus, { error });
    }
    for (const change of [
      sql`status = 'queued', finished_at = null, worker_id = null`,
      sql`status = 'succeeded', started_at = created_at`,
      sql`output = '{}'`,
      sql`attempt = attempt + 1`,
      sql`signal = 'cancel'`,
      sql`reason = reason`,
    ]) {
      await expect(
        house.db.execute(sql`update runs set ${change} where id = ${run!.id}`).catch((failed: Error) => {
          throw failed.cause;
        }),
      ).rejects.toThrow(`run ${run!.id} has ended as ${status} and cannot be changed`);
    }
  });
});
