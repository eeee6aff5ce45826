/** The `delay` trigger: so long after the end of the last run. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { endUnstartedRuns } from '../../src/db/run-end-store.ts';
import { nextAfter, nextTimes } from '../../src/schedules/trigger.ts';
import { type House, type PartialSpec, setupHouse, type TestWorker } from '../support/house.ts';
import { delay, every, HOUR, less, MINUTE, ms, SECOND } from '../support/timings.ts';

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

const tenMinutes = delay(10 * MINUTE);
const create = (partial: PartialSpec = {}) => house.create({ timing: tenMinutes, ...partial });
const nextOf = async (id: string) => (await house.schedules.get(id)).nextRunAtMs;

/** Dispatches what is due and takes it; there must be just one. */
async function start() {
  await house.dispatchAll();
  const runs = await worker.take();
  expect(runs).toHaveLength(1);
  return runs[0]!;
}

describe('as a pure function', () => {
  it('counts from the instant that is given, in whole milliseconds', () => {
    expect(nextAfter(tenMinutes, 'x', 1000.7)).toBe(1000 + 10 * MINUTE);
  });

  it('waits for its window, and ends with it', () => {
    const windowed = delay(MINUTE, { startAtMs: HOUR, endAtMs: 2 * HOUR });
    expect(nextAfter(windowed, 'x', 0)).toBe(HOUR);
    expect(nextAfter(windowed, 'x', 2 * HOUR - MINUTE)).toBe(2 * HOUR);
    expect(nextAfter(windowed, 'x', 2 * HOUR - MINUTE + 1)).toBeNull();
  });

  it('goes on at the end of what is excluded', () => {
    const timing = less(tenMinutes, ['1970-01-01']);
    expect(nextAfter(timing, 'x', 0)).toBe(24 * HOUR);
    expect(
      nextTimes(less(tenMinutes, [], { only: ['* 9-16 * * *'] }), 'x', 17 * HOUR - 5 * MINUTE, 1),
    ).toEqual([33 * HOUR]);
  });

  it('that nothing allows is never', () => {
    expect(nextAfter(less(tenMinutes, [], { only: ['1970-01-01'] }), 'x', 25 * HOUR)).toBeNull();
  });
});

describe('a new schedule', () => {
  it('fires at once', async () => {
    const created = await create();
    expect(created).toMatchObject({ nextRunAtMs: house.clock.now(), status: 'active' });
    expect(created.upcomingMs).toEqual([house.clock.now()]);
    await start();
  });

  it('or when its window begins', async () => {
    const startAtMs = house.clock.now() + HOUR;
    const created = await create({ timing: delay(MINUTE, { startAtMs }) });
    expect(created.nextRunAtMs).toBe(startAtMs);
  });
});

describe('after a run', () => {
  it('has no next time while it is queued or running, and is active all the same', async () => {
    const { id } = await create();
    await house.dispatchAll();
    expect(await house.schedules.get(id)).toMatchObject({
      nextRunAtMs: null,
      status: 'active',
      upcomingMs: [],
    });
    await worker.take();
    await house.live(HOUR);
    expect(await house.dispatch()).toMatchObject({ claimed: 0 });
  });

  it.each([
    'succeeded',
    'failed',
    'timed_out',
    'cancelled',
  ] as const)('that %s the next is so long after its end, however long it took', async (status) => {
    const { id } = await create();
    const run = await start();
    await house.live(3 * HOUR);
    const error = status === 'succeeded' ? undefined : { type: 'Boom', message: 'boom' };
    expect(await worker.end(run, status, error && { error, reason: 'why' })).toBe(true);
    expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
    await house.live(10 * MINUTE);
    const second = await start();
    expect(second.scheduledForMs).toBe(house.clock.now());
  });

  it('that is tried again the chain must end first', async () => {
    const { id } = await create({ job: { retry: { ...house.spec().job.retry, maxAttempts: 2 } } });
    expect(await worker.fail(await start())).toBe('retrying');
    expect(await nextOf(id)).toBeNull();
    await house.live(HOUR);
    expect(await worker.fail(await start())).toBe('failed');
    expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
  });

  it('that was cancelled before it started, too', async () => {
    const { id } = await create();
    await house.dispatchAll();
    const [run] = await house.runsOf(id);
    await house.runs.cancel(run!.id);
    expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
  });

  it('that ended in one statement with others of its schedule, the last end counts', async () => {
    const { id } = await create();
    await house.dispatchAll();
    await house.schedules.trigger(id, { overlap: 'allow' });
    const [first, second] = await house.runsOf(id);
    const end = (runId: string, finishedAtMs: number) => ({
      runId,
      attempt: 1,
      scheduleId: id,
      status: 'cancelled' as const,
      reason: 'x',
      output: null,
      error: null,
      finishedAtMs,
    });
    const now = house.clock.now();
    await house.db.transaction((tx) =>
      endUnstartedRuns(tx, [end(first!.id, now + 5), end(second!.id, now + 7)], ['default']),
    );
    expect(await nextOf(id)).toBe(now + 7 + 10 * MINUTE);
  });

  it('nothing overlaps, though the policy would allow it', async () => {
    const { id } = await create({ overlap: 'allow' });
    const run = await start();
    await house.live(MINUTE);
    await house.schedules.pause(id, null);
    await house.schedules.resume(id, { catchUp: 'all' });
    expect(await nextOf(id)).toBeNull();
    await house.live(HOUR);
    await worker.succeed(run);
    expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
  });

  it('jitter delays the start, not the nominal time', async () => {
    const { id } = await create({ jitterMs: 5 * MINUTE });
    await house.live(5 * MINUTE);
    await worker.succeed(await start());
    const next = house.clock.now() + 10 * MINUTE;
    await house.live(10 * MINUTE);
    await house.dispatch();
    const state = await house.stateOf(id);
    expect(state.nextRunAtMs ?? next).toBe(next);
    await house.live(5 * MINUTE);
    expect((await start()).scheduledForMs).toBe(next);
  });

  it('an excluded time is put off to the end of what is excluded', async () => {
    // The house's clock begins on 1 March 2026, a Sunday.
    const { id } = await create({ timing: less(tenMinutes, ['* 1-5 * * *']) });
    await house.live(50 * MINUTE);
    await worker.succeed(await start());
    expect(await nextOf(id)).toBe(ms('2026-03-01T06:00:00Z'));
    await house.live(30 * MINUTE);
    expect(await house.dispatchAll()).toMatchObject({ started: 0, skipped: 0, missed: 0 });
    expect(await nextOf(id)).toBe(ms('2026-03-01T06:00:00Z'));
    await house.live(5 * HOUR);
    expect((await start()).scheduledForMs).toBe(ms('2026-03-01T06:00:00Z'));
  });
});

describe('a run by hand', () => {
  it('does not move the next time', async () => {
    const { id } = await create();
    await worker.succeed(await start());
    const next = await nextOf(id);
    await house.live(MINUTE);
    await house.schedules.trigger(id, {});
    const [run] = await worker.take();
    await house.live(MINUTE);
    await worker.succeed(run!);
    expect(await nextOf(id)).toBe(next);
  });

  it('that is active when the time comes puts it off to after its end', async () => {
    const { id } = await create();
    await worker.succeed(await start());
    await house.live(9 * MINUTE);
    await house.schedules.trigger(id, {});
    const [run] = await worker.take();
    await house.live(MINUTE);
    expect(await house.dispatchAll()).toMatchObject({ started: 0, skipped: 0 });
    expect(await nextOf(id)).toBeNull();
    await house.live(MINUTE);
    await worker.succeed(run!);
    expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
  });
});

describe('commands', () => {
  it('a pause during a run holds after its end, and a resume counts from itself', async () => {
    const { id } = await create();
    const run = await start();
    await house.schedules.pause(id, null);
    await worker.succeed(run);
    expect(await house.schedules.get(id)).toMatchObject({ status: 'paused', nextRunAtMs: null });
    await house.live(HOUR);
    const resumed = await house.schedules.resume(id, { catchUp: 'all' });
    expect(resumed).toMatchObject({ status: 'active', nextRunAtMs: house.clock.now() + 10 * MINUTE });
    expect(await house.runsOf(id)).toHaveLength(1);
  });

  it('a reschedule to it counts from now, or from the end of the run that is active', async () => {
    const idle = await house.create({ name: 'idle', timing: every(HOUR) });
    const spec = house.spec();
    const change = () => ({ timing: tenMinutes, timezone: spec.timezone, dst: spec.dst });
    expect(await house.schedules.reschedule(idle.id, change)).toMatchObject({
      nextRunAtMs: house.clock.now() + 10 * MINUTE,
    });
    const busy = await house.create({ name: 'busy', timing: every(MINUTE) });
    await house.live(MINUTE);
    const run = await start();
    expect(await house.schedules.reschedule(busy.id, change)).toMatchObject({
      nextRunAtMs: null,
      status: 'active',
    });
    await house.live(MINUTE);
    await worker.succeed(run);
    expect(await nextOf(busy.id)).toBe(house.clock.now() + 10 * MINUTE);
  });

  it('a change of something else leaves it as it is', async () => {
    const { id } = await create();
    const run = await start();
    const retold = (description: string) =>
      house.schedules.update(id, ({ spec }) => ({ ...spec, description }));
    expect(await retold('a')).toMatchObject({ status: 'active', nextRunAtMs: null });
    await worker.succeed(run);
    const next = await nextOf(id);
    await house.live(MINUTE);
    expect(await retold('b')).toMatchObject({ status: 'active', nextRunAtMs: next });
  });

  it('a stop is final, also for the run that ends after it', async () => {
    const { id } = await create();
    const run = await start();
    await house.schedules.stop(id, null);
    await worker.succeed(run);
    expect(await house.schedules.get(id)).toMatchObject({ status: 'stopped', nextRunAtMs: null });
  });
});

describe('the end', () => {
  it('comes after maxRuns runs', async () => {
    const { id } = await create({ maxRuns: 2 });
    await worker.succeed(await start());
    await house.live(10 * MINUTE);
    const last = await start();
    expect((await house.schedules.get(id)).status).toBe('completed');
    await worker.succeed(last);
    expect(await house.schedules.get(id)).toMatchObject({ status: 'completed', nextRunAtMs: null });
  });

  it('comes with the run whose successor would lie behind endAt', async () => {
    const endAtMs = house.clock.now() + 30 * MINUTE;
    const { id } = await create({ timing: delay(10 * MINUTE, { endAtMs }) });
    await house.live(5 * MINUTE);
    await worker.succeed(await start());
    expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
    await house.live(15 * MINUTE);
    const run = await start();
    await house.live(1);
    await worker.succeed(run);
    expect(await house.schedules.get(id)).toMatchObject({
      status: 'completed',
      nextRunAtMs: null,
      version: 2,
    });
  });

  it('is a pause where the circuit breaker trips', async () => {
    const { id } = await create({ pauseAfterFailures: 1 });
    const error = { type: 'Boom', message: 'boom' };
    await worker.end(await start(), 'failed', { error });
    expect(await house.schedules.get(id)).toMatchObject({ status: 'paused', nextRunAtMs: null });
  });
});

describe('after downtime', () => {
  it('the run that was due starts late, once', async () => {
    const { id } = await create();
    await worker.succeed(await start());
    house.down(5 * HOUR);
    await house.dispatchAll();
    expect(await house.timetable(id)).toEqual([
      '2026-03-01T00:00:00.000Z succeeded',
      '2026-03-01T00:10:00.000Z queued',
    ]);
  });

  it('or is missed, as catchUp says, and the next counts from then', async () => {
    const { id } = await create({ catchUp: 'none' });
    await worker.succeed(await start());
    house.down(5 * HOUR);
    await house.dispatchAll();
    expect(await house.timetable(id)).toEqual([
      '2026-03-01T00:00:00.000Z succeeded',
      '2026-03-01T00:10:00.000Z missed: catch_up_none',
    ]);
    expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
  });
});

it('a herd of other schedules that end beside it is none of its business', async () => {
  const other = await house.create({ name: 'other', timing: every(SECOND) });
  const { id } = await create();
  await house.live(SECOND);
  await house.dispatchAll();
  for (const run of await worker.take()) await worker.succeed(run);
  expect(await nextOf(other.id)).toBe(house.clock.now() + SECOND);
  expect(await nextOf(id)).toBe(house.clock.now() + 10 * MINUTE);
});
