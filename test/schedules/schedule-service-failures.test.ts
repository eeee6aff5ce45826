import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { endRuns, type RunEnd } from '../../src/db/run-end-store.ts';
import type { OutcomeStatus } from '../../src/runs/run-state.ts';
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

/** The next fire of the only schedule ends as said. */
async function fire(outcome: 'succeed' | 'fail' | 'time out' | 'cancel') {
  await house.live(MINUTE);
  await house.dispatchAll();
  const [run] = await worker.take();
  if (outcome === 'succeed') await worker.succeed(run!);
  else if (outcome === 'cancel') await worker.end(run!, 'cancelled', { reason: 'cancelled_by_hand' });
  else await worker.fail(run!, { retryable: false, timedOut: outcome === 'time out' });
}

describe('pauseAfterFailures', () => {
  it('pauses after so many failures in a row, and says why', async () => {
    const created = await house.create({ pauseAfterFailures: 3 });
    for (let n = 0; n < 2; n += 1) await fire('fail');
    expect(await house.schedules.get(created.id)).toMatchObject({ status: 'active', version: 1 });
    await fire('fail');
    expect(await house.schedules.get(created.id)).toMatchObject({
      status: 'paused',
      note: 'paused after 3 failures in a row',
      pausedAtMs: house.clock.now(),
      updatedAtMs: house.clock.now(),
      version: 2,
      nextRunAtMs: null,
      upcomingMs: [],
    });
    await house.live(HOUR);
    await house.dispatchAll();
    expect(await house.runsOf(created.id)).toHaveLength(3);
  });

  it('counts timed-out runs as failures', async () => {
    const created = await house.create({ pauseAfterFailures: 2 });
    await fire('fail');
    await fire('time out');
    expect((await house.schedules.get(created.id)).status).toBe('paused');
  });

  it('begins anew at a success', async () => {
    const created = await house.create({ pauseAfterFailures: 2 });
    for (const outcome of ['fail', 'succeed', 'fail', 'succeed', 'fail'] as const) await fire(outcome);
    expect((await house.schedules.get(created.id)).status).toBe('active');
    await fire('fail');
    expect((await house.schedules.get(created.id)).status).toBe('paused');
  });

  it('does not count cancelled runs, neither as failures nor as successes', async () => {
    const created = await house.create({ pauseAfterFailures: 2 });
    for (const outcome of ['fail', 'cancel', 'cancel'] as const) await fire(outcome);
    expect((await house.schedules.get(created.id)).status).toBe('active');
    await fire('fail');
    expect((await house.schedules.get(created.id)).status).toBe('paused');
  });

  it('counts a run once, after its whole retry chain', async () => {
    const created = await house.create({ pauseAfterFailures: 2, timing: every(10 * MINUTE) });
    await house.live(10 * MINUTE);
    await house.dispatch();
    for (const _attempt of [1, 2, 3, 4]) {
      const [run] = await worker.take();
      expect(await worker.fail(run!)).toBe('retrying');
      await house.live(8 * SECOND);
      await house.dispatch();
    }
    expect((await house.stateOf(created.id)).failuresInARow).toBe(0);
    const [last] = await worker.take();
    expect(await worker.fail(last!)).toBe('failed');
    expect((await house.stateOf(created.id)).failuresInARow).toBe(1);
    expect((await house.schedules.get(created.id)).status).toBe('active');
  });

  it('gives a fresh count at a resume', async () => {
    const created = await house.create({ pauseAfterFailures: 2 });
    await fire('fail');
    await fire('fail');
    const resumed = await house.schedules.resume(created.id, { catchUp: 'none' });
    expect(resumed).toMatchObject({ status: 'active', note: null });
    await fire('fail');
    expect((await house.schedules.get(created.id)).status).toBe('active');
    await fire('fail');
    expect((await house.schedules.get(created.id)).status).toBe('paused');
  });

  it('of null never pauses', async () => {
    const created = await house.create();
    for (let n = 0; n < 4; n += 1) await fire('fail');
    expect(await house.schedules.get(created.id)).toMatchObject({ status: 'active', version: 1 });
    expect((await house.stateOf(created.id)).failuresInARow).toBe(4);
  });

  it('that is lowered below the count pauses with the next failure', async () => {
    const created = await house.create();
    await fire('fail');
    await fire('fail');
    await house.schedules.update(created.id, ({ spec }) => ({ ...spec, pauseAfterFailures: 1 }));
    expect((await house.schedules.get(created.id)).status).toBe('active');
    await fire('fail');
    expect(await house.schedules.get(created.id)).toMatchObject({
      status: 'paused',
      note: 'paused after 3 failures in a row',
    });
  });

  it('does not touch a schedule that was stopped or paused meanwhile', async () => {
    for (const command of ['stop', 'pause'] as const) {
      const created = await house.create({ pauseAfterFailures: 1, overlap: 'allow' });
      const run = await house.schedules.trigger(created.id, {});
      const claimed = await worker.claim(run);
      const before = await house.schedules[command](created.id, 'by hand');
      await worker.fail(claimed!, { retryable: false });
      expect(await house.schedules.get(created.id)).toMatchObject({
        status: before.status,
        note: 'by hand',
        version: 2,
      });
    }
  });

  it('loses no nominal time that was due when it tripped and not dispatched yet', async () => {
    const created = await house.create({ pauseAfterFailures: 1 });
    await house.live(MINUTE);
    await house.dispatch();
    const [run] = await worker.take();
    // The failure is recorded a moment after the next nominal time, and before any dispatcher has seen that.
    await house.live(MINUTE + 5);
    await worker.fail(run!, { retryable: false });
    const paused = await house.schedules.get(created.id);
    expect(paused.status).toBe('paused');
    // It lies in the pause, like all that follow: not run, not missed, and there for who catches up.
    expect(paused.pausedAtMs).toBeLessThan(ms('2026-03-01T00:02:00Z'));
    await house.schedules.resume(created.id, { catchUp: 'all' });
    expect(await house.timetable(created.id)).toEqual([
      '2026-03-01T00:01:00.000Z failed',
      '2026-03-01T00:02:00.000Z queued',
    ]);
  });

  it('judges the ends of one batch in the order in which they happened', async () => {
    const cases: { ends: [OutcomeStatus, number][]; inARow: number; status: string }[] = [
      {
        ends: [
          ['failed', 1],
          ['failed', 2],
          ['failed', 3],
        ],
        inARow: 3,
        status: 'paused',
      },
      {
        ends: [
          ['failed', 1],
          ['succeeded', 2],
          ['failed', 3],
        ],
        inARow: 1,
        status: 'active',
      },
      {
        ends: [
          ['failed', 3],
          ['succeeded', 2],
          ['failed', 1],
        ],
        inARow: 1,
        status: 'active',
      },
      {
        ends: [
          ['failed', 1],
          ['failed', 2],
          ['succeeded', 3],
        ],
        inARow: 0,
        status: 'active',
      },
      {
        ends: [
          ['succeeded', 1],
          ['timed_out', 2],
          ['failed', 3],
        ],
        inARow: 2,
        status: 'paused',
      },
      {
        ends: [
          ['failed', 1],
          ['cancelled', 2],
          ['failed', 3],
        ],
        inARow: 2,
        status: 'paused',
      },
    ];
    for (const { ends, inARow, status } of cases) {
      const created = await house.create({ pauseAfterFailures: 2, overlap: 'allow' });
      const batch: RunEnd[] = [];
      for (const [outcome, second] of ends) {
        const claimed = await worker.claim(await house.schedules.trigger(created.id, {}));
        const error = outcome === 'succeeded' ? null : { type: 'Broken', message: 'as the test wanted' };
        batch.push(endOf(claimed!, house.clock.now() + second * SECOND, { status: outcome, error }));
      }
      expect((await endRuns(house.db, batch, ['default'])).size).toBe(3);
      expect(await house.stateOf(created.id)).toMatchObject({ failuresInARow: inARow, activeRuns: 0 });
      const last = ends.toSorted((a, b) => b[1] - a[1])[0]![0];
      const view = await house.schedules.get(created.id);
      expect(view).toMatchObject({ status, lastRun: { status: last } });
    }
  });
});
