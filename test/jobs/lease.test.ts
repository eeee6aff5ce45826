/** The lease by the clock: when it is held, when it is lost, and what is told of it. The database is played by hand. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Db } from '../../src/db/client.ts';
import { insertWorker, renewLease } from '../../src/db/worker-store.ts';
import { createLease, heldWithoutRenewalMs, renewEveryMs } from '../../src/jobs/lease.ts';
import { createHandClock } from '../support/hand-clock.ts';
import { createLogRecorder } from '../support/log-recorder.ts';

vi.mock('../../src/db/worker-store.ts', () => ({ insertWorker: vi.fn(), renewLease: vi.fn() }));

const insert = vi.mocked(insertWorker);
const renewal = vi.mocked(renewLease);
const never = () => new Promise<never>(() => {});

async function setup() {
  const clock = createHandClock(1_700_000_000_000);
  const { logger, lines } = createLogRecorder();
  const told: string[] = [];
  const onRenewed = vi.fn(async () => undefined);
  const lease = createLease({
    db: {} as Db,
    clock,
    logger,
    taskQueues: ['default', 'backup'],
    poolIds: () => ['pool-1'],
    onLost: (why) => told.push(why),
    onRenewed,
  });
  await lease.start();
  return {
    lease,
    clock,
    told,
    lines,
    onRenewed,
    /** Time passes and this process is awake: its timers fire each second. */
    async live(ms: number) {
      for (let passed = 0; passed < ms; passed += 1000) {
        clock.advance(Math.min(1000, ms - passed));
        await vi.advanceTimersByTimeAsync(Math.min(1000, ms - passed));
      }
    },
    /** Time passes while this process is frozen: no timer fires. */
    freeze: (ms: number) => clock.advance(ms),
    /** The first timers after a freeze. */
    thaw: () => vi.advanceTimersByTimeAsync(1000),
  };
}

beforeEach(() => {
  vi.useFakeTimers();
  insert.mockReset().mockResolvedValue();
  renewal.mockReset().mockResolvedValue(true);
});
afterEach(() => void vi.useRealTimers());

it('is held from the start, under an id that the database has', async () => {
  const { lease } = await setup();
  expect(lease.held).toBe(true);
  expect(insert).toHaveBeenCalledExactlyOnceWith(
    expect.anything(),
    expect.objectContaining({ id: lease.workerId, pid: process.pid, taskQueues: ['default', 'backup'] }),
  );
});

it('is renewed every 5 s, with the pools of the process, and each renewal is told', async () => {
  const { lease, live, onRenewed, clock, told } = await setup();
  await live(60_000);
  expect(renewal).toHaveBeenCalledTimes(60_000 / renewEveryMs);
  expect(renewal).toHaveBeenLastCalledWith(expect.anything(), lease.workerId, ['pool-1'], clock.now());
  expect(onRenewed).toHaveBeenCalledTimes(60_000 / renewEveryMs);
  expect(lease.held).toBe(true);
  expect(told).toEqual([]);
});

it('is not renewed any more once it is stopped', async () => {
  const { lease, live } = await setup();
  lease.stop();
  await live(60_000);
  expect(renewal).not.toHaveBeenCalled();
});

describe('when the database does not answer', () => {
  it('it is held for 20 s, not a second longer, and lost once', async () => {
    const { lease, live, told } = await setup();
    renewal.mockRejectedValue(new Error('no connection'));
    await live(heldWithoutRenewalMs - 1000);
    expect(lease.held).toBe(true);
    expect(told).toEqual([]);
    await live(1000);
    expect(lease.held).toBe(false);
    await live(30_000);
    expect(told).toEqual(['it could not be renewed for 20 s']);
  });

  it('a renewal is tried each second, and the failure is told', async () => {
    const { live, lines } = await setup();
    renewal.mockRejectedValue(new Error('no connection'));
    await live(10_000);
    expect(renewal.mock.calls.length).toBeGreaterThanOrEqual(5);
    expect(lines.map((line) => line.msg)).toContainEqual(expect.stringContaining('no connection'));
  });

  it('a renewal that never answers is given up after 5 s, and the next one may succeed', async () => {
    const { lease, live, told } = await setup();
    renewal.mockImplementationOnce(never);
    await live(renewEveryMs);
    await live(6000);
    await live(5000);
    expect(renewal.mock.calls.length).toBeGreaterThanOrEqual(2);
    await live(10_000);
    expect(lease.held).toBe(true);
    expect(told).toEqual([]);
  });

  it('it counts from when the renewal was sent, as the answer may have taken its time', async () => {
    const { lease, clock } = await setup();
    let answer = (_renewed: boolean) => {};
    renewal.mockImplementationOnce(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    clock.advance(5000);
    const renewed = lease.renew();
    clock.advance(4000);
    answer(true);
    await renewed;
    clock.advance(heldWithoutRenewalMs - 4001);
    expect(lease.held).toBe(true);
    clock.advance(1);
    expect(lease.held).toBe(false);
  });

  it('it is taken again, under the same id, when the database answers before anybody declared it lost', async () => {
    const { lease, live, told, onRenewed } = await setup();
    const id = lease.workerId;
    renewal.mockRejectedValue(new Error('no connection'));
    await live(25_000);
    expect(lease.held).toBe(false);
    renewal.mockResolvedValue(true);
    await live(2000);
    expect(lease.held).toBe(true);
    expect(lease.workerId).toBe(id);
    expect(onRenewed).toHaveBeenCalled();
    // And the next loss is told again.
    renewal.mockRejectedValue(new Error('no connection'));
    await live(25_000);
    expect(told).toHaveLength(2);
  });
});

describe('when the process was frozen', () => {
  it('for less than 20 s, it is still held and renewed at once', async () => {
    const { lease, freeze, thaw, told } = await setup();
    freeze(19_000);
    expect(lease.held).toBe(true);
    await thaw();
    expect(told).toEqual([]);
    expect(renewal).toHaveBeenCalledTimes(1);
  });

  it('for 20 s, it is lost at the instant of waking, before any timer and any answer', async () => {
    const { lease, freeze } = await setup();
    freeze(heldWithoutRenewalMs);
    expect(lease.held).toBe(false);
  });

  it('its runs are aborted with the first timer, before the lease is asked for again', async () => {
    const { freeze, thaw, told } = await setup();
    renewal.mockImplementation(async () => {
      expect(told).toHaveLength(1);
      return true;
    });
    freeze(25_000);
    await thaw();
    expect(renewal).toHaveBeenCalledTimes(1);
    expect(told).toEqual(['it could not be renewed for 20 s']);
  });
});

describe('when another node has declared it lost', () => {
  it('it is told, and goes on under a new id', async () => {
    const { lease, live, told } = await setup();
    const id = lease.workerId;
    renewal.mockImplementation(async (_db, asked) => asked !== id);
    await live(renewEveryMs);
    expect(told).toEqual(['it was declared lost by another node']);
    expect(lease.workerId).not.toBe(id);
    expect(lease.held).toBe(true);
    await live(20_000);
    expect(told).toHaveLength(1);
    expect(insert).toHaveBeenCalledTimes(2);
  });

  it('and it cannot register anew, it holds nothing until it can', async () => {
    const { lease, live, told } = await setup();
    const id = lease.workerId;
    renewal.mockImplementation(async (_db, asked) => asked !== id);
    insert.mockRejectedValue(new Error('no connection'));
    await live(10_000);
    expect(lease.held).toBe(false);
    expect(lease.workerId).toBe(id);
    insert.mockResolvedValue();
    await live(3000);
    expect(lease.held).toBe(true);
    expect(lease.workerId).not.toBe(id);
    expect(told).toHaveLength(1);
  });
});

it('stays held when tidying up after a renewal fails, and that is told', async () => {
  const { lease, live, onRenewed, lines, told } = await setup();
  onRenewed.mockRejectedValue(new Error('deadlock detected'));
  await live(30_000);
  expect(lease.held).toBe(true);
  expect(told).toEqual([]);
  expect(onRenewed).toHaveBeenCalledTimes(6);
  expect(lines.map((line) => line.msg)).toContainEqual(
    'could not tidy up after a renewal of the lease: deadlock detected; tried again with the next',
  );
});

it('renews once when it is asked twice at the same time', async () => {
  const { lease } = await setup();
  await Promise.all([lease.renew(), lease.renew(), lease.renew()]);
  expect(renewal).toHaveBeenCalledTimes(1);
});
