import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { endRuns } from '../../src/db/run-end-store.ts';
import { insertLogLines } from '../../src/db/run-log-store.ts';
import { requeueDueRetries, retryRuns, startRuns } from '../../src/db/run-store.ts';
import type { Run } from '../../src/runs/run.ts';
import type { RunFilter } from '../../src/runs/run-service.ts';
import { type House, setupHouse, type TestWorker } from '../support/house.ts';
import { endOf } from '../support/run-ends.ts';
import { every, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';

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

const nobody = '018f3c9e-7b00-7000-8000-000000000001';

/** One fire of a new schedule, queued. */
async function fired(partial: Parameters<House['create']>[0] = {}): Promise<Run> {
  const created = await house.create({ overlap: 'allow', ...partial });
  await house.live(MINUTE);
  await house.dispatchAll();
  return (await house.runsOf(created.id)).at(-1)!;
}

describe('get', () => {
  it('of a run that nobody has is not found, and says what may have become of it', async () => {
    await expect(house.runs.get(nobody)).rejects.toMatchObject({
      code: 'not_found',
      message: `There is no run ${nobody}. It may have been pruned; GET /runs lists what is kept.`,
    });
  });

  it('of a waiting run has no attempts', async () => {
    const run = await fired();
    expect(await house.runs.get(run.id)).toMatchObject({
      status: 'queued',
      attempt: 1,
      attempts: [],
      startedAtMs: null,
      finishedAtMs: null,
    });
  });

  it('of a running one has the attempt that runs, with its worker', async () => {
    const run = await fired();
    await house.live(SECOND);
    await worker.take();
    const startedAtMs = house.clock.now();
    expect(await house.runs.get(run.id)).toMatchObject({
      status: 'running',
      startedAtMs,
      attempts: [
        { number: 1, startedAtMs, finishedAtMs: null, status: 'running', error: null, worker: 'test:1' },
      ],
    });
  });

  it('tells every attempt of a run, when and why each ended, and the whole from the first start', async () => {
    const run = await fired();
    const [first] = await worker.take();
    const firstStartMs = house.clock.now();
    await house.live(2 * SECOND);
    await worker.fail(first!, { type: 'Refused' });
    expect(await house.runs.get(run.id)).toMatchObject({
      status: 'retrying',
      attempt: 1,
      nextAttemptAtMs: firstStartMs + 3 * SECOND,
      error: { type: 'Refused' },
      attempts: [{ number: 1, status: 'failed', finishedAtMs: firstStartMs + 2 * SECOND }],
    });
    await house.live(SECOND);
    await house.dispatch();
    expect((await house.runs.get(run.id)).attempts).toHaveLength(1);
    const [second] = await worker.take();
    await house.live(SECOND);
    await worker.fail(second!, { timedOut: true });
    await house.live(2 * SECOND);
    await house.dispatch();
    const [third] = await worker.take();
    await house.live(5 * SECOND);
    await worker.succeed(third!, { answer: 42 });
    const detail = await house.runs.get(run.id);
    expect(detail).toMatchObject({
      status: 'succeeded',
      attempt: 3,
      startedAtMs: firstStartMs,
      finishedAtMs: firstStartMs + 11 * SECOND,
      output: { answer: 42 },
      error: null,
      reason: null,
      nextAttemptAtMs: null,
    });
    expect(
      detail.attempts.map((attempt) => [
        attempt.number,
        attempt.status,
        (attempt.startedAtMs - firstStartMs) / SECOND,
        (attempt.finishedAtMs! - firstStartMs) / SECOND,
        attempt.error?.type ?? null,
      ]),
    ).toEqual([
      [1, 'failed', 0, 2, 'Refused'],
      [2, 'timed_out', 3, 4, 'Broken'],
      [3, 'succeeded', 6, 11, null],
    ]);
  });

  it('of a run that was cancelled while it waited for a retry keeps the attempt and its error', async () => {
    const run = await fired();
    const [claimed] = await worker.take();
    await worker.fail(claimed!, { type: 'Refused' });
    await house.runs.cancel(run.id);
    expect(await house.runs.get(run.id)).toMatchObject({
      status: 'cancelled',
      error: { type: 'Refused' },
      attempts: [{ number: 1, status: 'failed' }],
    });
  });
});

describe('list', () => {
  const ids = async (filter: RunFilter) =>
    (await house.runs.list(filter, { limit: 200, after: null })).items.map((run) => run.id);

  it('answers the newest nominal time first', async () => {
    await fired();
    const times = (await house.runs.list({}, { limit: 200, after: null })).items.map(
      (run) => run.scheduledForMs,
    );
    await fired();
    const more = (await house.runs.list({}, { limit: 200, after: null })).items.map(
      (run) => run.scheduledForMs,
    );
    expect(more.length).toBeGreaterThan(times.length);
    expect(more).toEqual(more.toSorted((a, b) => b - a));
  });

  it('filters by schedule, as id or name, by job type, by status and by nominal time', async () => {
    const one = await fired({ name: 'one' });
    const echo = await fired({ name: 'two', job: { type: 'echo', input: { text: '' } } });
    for (const run of await worker.take()) {
      if (run.id === one.id) await worker.succeed(run);
      else if (run.id === echo.id) await worker.fail(run, { retryable: false });
    }
    expect(await ids({ schedule: 'two' })).toEqual([echo.id]);
    expect(await ids({ schedule: echo.scheduleId })).toEqual([echo.id]);
    expect(await ids({ jobType: 'echo' })).toEqual([echo.id]);
    expect(await ids({ statuses: ['succeeded'] })).toEqual([one.id]);
    expect(await ids({ statuses: ['failed', 'succeeded'] })).toEqual([echo.id, one.id]);
    expect(await ids({ statuses: ['queued', 'running'] })).toHaveLength(1);
    expect(await ids({ statuses: [] })).toHaveLength(3);
    expect(await ids({ untilMs: one.scheduledForMs })).toEqual([one.id]);
    expect(await ids({ sinceMs: one.scheduledForMs + 1, untilMs: echo.scheduledForMs - 1 })).toEqual([]);
    expect(await ids({ sinceMs: echo.scheduledForMs, statuses: ['failed'], jobType: 'echo' })).toEqual([
      echo.id,
    ]);
  });

  it('finds every status by its name', async () => {
    const states = new Map<string, string>();
    const missing = await house.create({ catchUp: 'none' });
    await house.live(0);
    house.down(MINUTE);
    await house.dispatchAll();
    states.set('missed', (await house.runsOf(missing.id))[0]!.id);
    const allowing = (await fired()).scheduleId;
    const make = async (status: string, act: (run: Run) => Promise<unknown>) => {
      const run = await house.schedules.trigger(allowing, {});
      await act(run);
      states.set(status, run.id);
    };
    const claim = async (run: Run) => (await worker.claim(run))!;
    await make('queued', async () => {});
    await make('running', claim);
    await make('retrying', async (run) => worker.fail(await claim(run)));
    await make('succeeded', async (run) => worker.succeed(await claim(run)));
    await make('failed', async (run) => worker.fail(await claim(run), { retryable: false }));
    await make('timed_out', async (run) =>
      worker.fail(await claim(run), { retryable: false, timedOut: true }),
    );
    await make('cancelled', (run) => house.runs.cancel(run.id));
    const skipped = await house.schedules.trigger(allowing, { overlap: 'skip' });
    states.set('skipped', skipped.id);
    for (const [status, id] of states) {
      const found = (
        await house.runs.list({ statuses: [status as Run['status']] }, { limit: 200, after: null })
      ).items;
      expect([status, found.map((run) => run.id)]).toEqual([status, expect.arrayContaining([id])]);
      expect(new Set(found.map((run) => run.status))).toEqual(new Set([status]));
    }
  });

  it('comes in pages without gaps or repeats while newer runs come in', async () => {
    const created = await house.create({ timing: every(SECOND), overlap: 'allow' });
    await house.live(25 * SECOND);
    await house.dispatchAll();
    const old = (await house.runsOf()).map((run) => run.id);
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await house.runs.list({ schedule: created.id }, { limit: 4, after });
      seen.push(...page.items.map((run) => run.id));
      if (page.next === null) break;
      after = page.next;
      await house.live(SECOND);
      await house.dispatch();
      for (const run of await worker.take(3)) await worker.succeed(run);
    }
    expect(seen).toEqual(old.toReversed());
  });

  it('of a schedule that was deleted is found by its id, and by its name no more', async () => {
    const run = await fired({ name: 'gone' });
    await house.schedules.remove('gone');
    expect(await ids({ schedule: run.scheduleId })).toEqual([run.id]);
    await expect(house.runs.list({ schedule: 'gone' }, { limit: 5, after: null })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('logs', () => {
  it('come oldest first, over pages and attempts', async () => {
    const run = await fired();
    const line = (attempt: number, seq: number) => ({
      runId: run.id,
      attempt,
      seq,
      atMs: house.clock.now() + seq,
      level: 'info',
      message: `line ${attempt}.${seq}`,
    });
    await insertLogLines(house.db, [line(2, 1), line(1, 2), line(1, 1), line(1, 10)]);
    // Written again, as after a lost answer.
    await insertLogLines(house.db, [line(1, 1), line(2, 2)]);
    const first = await house.runs.logs(run.id, { limit: 3, after: null });
    const second = await house.runs.logs(run.id, { limit: 3, after: first.next });
    expect([...first.items, ...second.items].map((each) => each.message)).toEqual([
      'line 1.1',
      'line 1.2',
      'line 1.10',
      'line 2.1',
      'line 2.2',
    ]);
    expect(second.next).toBeNull();
  });

  it('of a run that nobody has are not found; lines of it are dropped', async () => {
    await insertLogLines(house.db, [
      { runId: nobody, attempt: 1, seq: 1, atMs: 0, level: 'info', message: 'lost' },
    ]);
    await expect(house.runs.logs(nobody, { limit: 5, after: null })).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('cancel', () => {
  it('of a queued run ends it at once, and no doorbell can bring it back', async () => {
    const run = await fired();
    expect(await house.runs.cancel(run.id)).toMatchObject({
      status: 'cancelled',
      reason: 'cancelled_by_hand',
      finishedAtMs: house.clock.now(),
      startedAtMs: null,
    });
    expect(await worker.take()).toEqual([]);
    expect(await house.stateOf(run.scheduleId)).toMatchObject({ activeRuns: 0, failed: 0, succeeded: 0 });
  });

  it('of a run that waits for its retry ends it at once', async () => {
    const run = await fired();
    await worker.fail((await worker.take())[0]!);
    expect(await house.runs.cancel(run.id)).toMatchObject({ status: 'cancelled', nextAttemptAtMs: null });
    await house.live(HOUR);
    expect(await house.dispatch()).toMatchObject({ retried: 0 });
  });

  it('of a running one tells it, and its end is the worker’s', async () => {
    const run = await fired();
    const [claimed] = await worker.take();
    expect(await house.runs.cancel(run.id)).toMatchObject({ status: 'running', signal: 'cancel' });
    expect(await worker.fail(claimed!)).toBe('cancelled');
    expect(await house.runs.get(run.id)).toMatchObject({ status: 'cancelled', signal: null });
    expect(await house.stateOf(run.scheduleId)).toMatchObject({ activeRuns: 0, failed: 0 });
  });

  it('of a running one that succeeds before it hears of it leaves it succeeded', async () => {
    const run = await fired();
    const [claimed] = await worker.take();
    await house.runs.cancel(run.id);
    expect(await worker.succeed(claimed!)).toBe(true);
    expect(await house.runs.get(run.id)).toMatchObject({ status: 'succeeded' });
  });

  it('twice is no error, before and after its end', async () => {
    const run = await fired();
    const [claimed] = await worker.take();
    await house.runs.cancel(run.id);
    expect(await house.runs.cancel(run.id)).toMatchObject({ status: 'running', signal: 'cancel' });
    await worker.end(claimed!, 'cancelled', { reason: 'cancelled_by_hand' });
    expect(await house.runs.cancel(run.id)).toMatchObject({ status: 'cancelled' });
  });

  it('outranks a stop: a stopped run that is cancelled ends at once', async () => {
    const run = await fired();
    await worker.take();
    await house.schedules.stop(run.scheduleId, null);
    expect((await house.runs.get(run.id)).signal).toBe('stop');
    expect(await house.runs.cancel(run.id)).toMatchObject({ signal: 'cancel' });
    await house.schedules.stop(run.scheduleId, 'again');
    expect((await house.runs.get(run.id)).signal).toBe('cancel');
  });

  it('of a run that has ended otherwise is refused, naming its end', async () => {
    const run = await fired();
    await worker.succeed((await worker.take())[0]!);
    await expect(house.runs.cancel(run.id)).rejects.toMatchObject({
      code: 'conflict',
      message: `Run ${run.id} has already ended as succeeded; only a run that has not ended can be cancelled.`,
    });
  });

  it('of one that nobody has is not found', async () => {
    await expect(house.runs.cancel(nobody)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('works for a run whose schedule is gone', async () => {
    const run = await fired();
    await worker.take();
    await house.schedules.remove(run.scheduleId);
    expect(await house.runs.cancel(run.id)).toMatchObject({ signal: 'cancel' });
  });
});

describe('cancel against a worker, in either order:', () => {
  const error = { type: 'Broken', message: 'as the test wanted' };
  /** `first` has not committed when the cancel begins; it commits when the cancel waits for it. */
  async function cancelAfter(
    run: Run,
    first: (tx: Parameters<typeof requeueDueRetries>[0]) => Promise<unknown>,
  ) {
    const { cancelled } = await house.another().db.transaction(async (tx) => {
      await first(tx);
      const cancelled = house.runs.cancel(run.id).catch((refusal: Error) => refusal);
      await house.blocked();
      return { cancelled };
    });
    return await cancelled;
  }

  it('claim, then cancel: the run is told', async () => {
    const run = await fired();
    const answer = await cancelAfter(run, (tx) =>
      startRuns(tx, worker.id, [{ runId: run.id, attempt: 1 }], house.clock.now()),
    );
    expect(answer).toMatchObject({ status: 'running', signal: 'cancel' });
  });

  it('cancel, then claim: the claim finds nothing', async () => {
    const run = await fired();
    await house.runs.cancel(run.id);
    expect(await worker.claim(run)).toBeNull();
  });

  it('end, then cancel: the run has ended, and the cancel is refused', async () => {
    const run = await fired();
    await worker.take();
    const answer = await cancelAfter(run, (tx) => endRuns(tx, [endOf(run, house.clock.now())], ['default']));
    expect(answer).toMatchObject({ code: 'conflict' });
    expect(await house.runs.get(run.id)).toMatchObject({ status: 'succeeded' });
  });

  it('failure, then cancel: the run does not wait for a retry any more', async () => {
    const run = await fired();
    await worker.take();
    const nowMs = house.clock.now();
    const answer = await cancelAfter(run, (tx) =>
      retryRuns(tx, [
        {
          runId: run.id,
          attempt: 1,
          status: 'failed',
          error,
          finishedAtMs: nowMs,
          nextAttemptAtMs: nowMs + SECOND,
        },
      ]),
    );
    expect(answer).toMatchObject({ status: 'cancelled' });
  });

  it('cancel, then failure: the failure ends the run', async () => {
    const run = await fired();
    const [claimed] = await worker.take();
    await house.runs.cancel(run.id);
    expect(await worker.fail(claimed!)).toBe('cancelled');
  });

  it('a retry that comes due, then cancel: the run is cancelled under its new attempt', async () => {
    const run = await fired();
    await worker.fail((await worker.take())[0]!);
    await house.live(SECOND);
    const answer = await cancelAfter(run, (tx) => requeueDueRetries(tx, house.clock.now(), 10, []));
    expect(answer).toMatchObject({ status: 'cancelled', attempt: 2 });
    expect(await worker.take()).toEqual([]);
    expect(await house.stateOf(run.scheduleId)).toMatchObject({ activeRuns: 0 });
  });
});

describe('retry by hand', () => {
  it('makes a new run of what the ended one was made from, for the same nominal time', async () => {
    const run = await fired({ job: { type: 'echo', input: { text: 'one' }, timeoutMs: 5000 } });
    await worker.fail((await worker.take())[0]!, { retryable: false });
    await house.schedules.update(run.scheduleId, ({ spec }) => ({
      ...spec,
      job: { ...spec.job, input: { text: 'two' } },
    }));
    await house.live(SECOND);
    const again = await house.runs.retry(run.id);
    expect(again).toMatchObject({
      cause: 'retry',
      status: 'queued',
      attempt: 1,
      scheduleId: run.scheduleId,
      scheduleVersion: 1,
      scheduledForMs: run.scheduledForMs,
      createdAtMs: house.clock.now(),
      input: { text: 'one' },
      timeoutMs: 5000,
      startedAtMs: null,
      error: null,
    });
    expect(again.id).not.toBe(run.id);
    expect(await house.doorbells()).toMatchObject([{ runId: again.id, attempt: 1 }]);
    expect(await house.stateOf(run.scheduleId)).toMatchObject({ activeRuns: 1, fired: 1, failed: 1 });
  });

  it('counts as active for the overlap, and its end is counted', async () => {
    const run = await fired({ overlap: 'skip', timing: every(HOUR, MINUTE) });
    await worker.succeed((await worker.take())[0]!);
    await house.runs.retry(run.id);
    await house.live(HOUR);
    await house.dispatch();
    expect((await house.runsOf(run.scheduleId)).at(-1)).toMatchObject({ status: 'skipped' });
    await worker.succeed((await worker.take())[0]!);
    expect(await house.stateOf(run.scheduleId)).toMatchObject({ activeRuns: 0, succeeded: 2 });
  });

  it.each([
    'queued',
    'running',
    'retrying',
  ] as const)('of a run that is still %s is refused', async (status) => {
    const run = await fired();
    if (status !== 'queued') {
      const [claimed] = await worker.take();
      if (status === 'retrying') await worker.fail(claimed!);
    }
    await expect(house.runs.retry(run.id)).rejects.toMatchObject({
      code: 'conflict',
      message: `Run ${run.id} is still ${status}; it can be retried by hand once it has ended. To end it: POST /runs/${run.id}/cancel.`,
    });
  });

  it('of a missed or skipped fire runs it after all', async () => {
    const created = await house.create({ catchUp: 'none' });
    await house.live(0);
    house.down(MINUTE);
    await house.dispatch();
    const [missed] = await house.runsOf(created.id);
    expect(missed!.status).toBe('missed');
    expect(await house.runs.retry(missed!.id)).toMatchObject({
      status: 'queued',
      reason: null,
      scheduledForMs: ms('2026-03-01T00:01:00Z'),
    });
    expect((await house.runs.get(missed!.id)).status).toBe('missed');
  });

  it('of a run whose schedule is gone runs it all the same', async () => {
    const run = await fired();
    await worker.succeed((await worker.take())[0]!);
    await house.schedules.remove(run.scheduleId);
    const again = await house.runs.retry(run.id);
    expect(await worker.succeed((await worker.take())[0]!)).toBe(true);
    expect(await house.runs.get(again.id)).toMatchObject({ status: 'succeeded' });
  });

  it('twice makes two runs', async () => {
    const run = await fired();
    await worker.succeed((await worker.take())[0]!);
    const [a, b] = await Promise.all([house.runs.retry(run.id), house.runs.retry(run.id)]);
    expect(a!.id).not.toBe(b!.id);
    expect(await house.stateOf(run.scheduleId)).toMatchObject({ activeRuns: 2 });
  });

  it('of one that is pruned at the same moment is not found, and counts for nothing', async () => {
    const run = await fired();
    await worker.succeed((await worker.take())[0]!);
    const { answer } = await house.another().db.transaction(async (tx) => {
      await tx.execute(sql`select from schedule_states where schedule_id = ${run.scheduleId} for update`);
      const answer = house.runs.retry(run.id).catch((refusal: Error) => refusal);
      await house.blocked();
      await house.db.execute(sql`delete from runs where id = ${run.id}`);
      return { answer };
    });
    expect(await answer).toMatchObject({ code: 'not_found' });
    expect(await house.stateOf(run.scheduleId)).toMatchObject({ activeRuns: 0 });
  });

  it('of one that nobody has is not found', async () => {
    await expect(house.runs.retry(nobody)).rejects.toMatchObject({ code: 'not_found' });
  });
});
