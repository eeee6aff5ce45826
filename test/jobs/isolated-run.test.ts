/** Runs in processes of their own: they work as others do, and take nothing with them. */
import { mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, it, onTestFinished, vi } from 'vitest';
import { createClock, machineMs } from '../../src/clock.ts';
import { requeueDueRetries } from '../../src/db/run-store.ts';
import type { JobSpec } from '../../src/schedules/schedule.ts';
import { waitFor } from '../support/wait-for.ts';
import { setupRig, type WorkerRig } from '../support/worker-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

const start = (rig: WorkerRig, does: string, job: Partial<JobSpec> = {}) =>
  rig.trigger(does, { type: 'isolated', ...job, input: { does } });
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const soon = 30_000;

it('a run has a process of its own, and its log, steps, progress and output are kept as any', async () => {
  const rig = await setupRig();
  await rig.worker();
  const [first, steps] = [await start(rig, 'pid'), await start(rig, 'steps')];
  const ended = await rig.ended(first.id, soon);
  const { pid } = ended.output as { pid: number };
  expect(ended).toMatchObject({ status: 'succeeded', output: { attempt: 1 } });
  expect(pid).not.toBe(process.pid);
  expect((await rig.logOf(first.id)).map((line) => line.message)).toEqual(['hello from afar']);
  await waitFor(() => !isAlive(pid));
  const stepped = await rig.ended(steps.id, soon);
  expect(stepped).toMatchObject({
    status: 'succeeded',
    output: { sum: 3 },
    steps: [
      { name: 'first', status: 'succeeded', attempts: 1 },
      { name: 'second', status: 'succeeded', output: { sum: 3 } },
    ],
    progress: { done: 1, total: 2, unit: 'steps' },
  });
  expect(stepped.output).toMatchObject({ pid: stepped.steps[0]!.output });
});

it('its clock is that of its worker, however long the process took to start', async () => {
  const rig = await setupRig();
  await rig.worker();
  const { output } = await rig.ended((await start(rig, 'pid')).id, soon);
  const { clockAheadMs } = output as { clockAheadMs: number };
  expect(Math.abs(clockAheadMs - (createClock().now() - machineMs()))).toBeLessThan(20);
});

it('what it has compiled is there for the next one', async () => {
  const directory = await mkdtemp(join(inject('runDirectory'), 'compiled-'));
  vi.stubEnv('NODE_COMPILE_CACHE', directory);
  onTestFinished(() => void vi.unstubAllEnvs());
  const rig = await setupRig();
  await rig.worker();
  await rig.ended((await start(rig, 'pid')).id, soon);
  expect((await readdir(directory, { recursive: true })).length).toBeGreaterThan(5);
});

it('a fault is a fault, with its type', async () => {
  const rig = await setupRig();
  await rig.worker();
  const { id } = await start(rig, 'fail');
  expect(await rig.ended(id, soon)).toMatchObject({
    status: 'failed',
    error: { type: 'Broken', message: 'on purpose' },
  });
});

it('an endless loop is killed at its timeout, and nobody else feels it', async () => {
  const rig = await setupRig();
  await rig.worker();
  const { id } = await start(rig, 'loop', {
    timeoutMs: 3000,
    retry: {
      maxAttempts: 1,
      initialIntervalMs: 1,
      maxIntervalMs: 1,
      backoffCoefficient: 1,
      nonRetryableErrorTypes: [],
    },
  });
  const pid = await waitFor(async () => (await rig.detail(id)).steps[0]?.output as number | undefined, {
    timeoutMs: soon,
  });
  expect(await rig.ended((await rig.trigger('nothing')).id)).toMatchObject({ status: 'succeeded' });
  expect(await rig.ended(id, soon)).toMatchObject({ status: 'timed_out', error: { type: 'Timeout' } });
  await waitFor(() => !isAlive(pid));
});

it('a cancel ends it within two seconds or so, also when it loops', async () => {
  const rig = await setupRig();
  await rig.worker();
  for (const does of ['hold', 'loop']) {
    const { id } = await start(rig, does);
    const pid = await waitFor(async () => (await rig.detail(id)).steps[0]?.output as number | undefined, {
      timeoutMs: soon,
    });
    await rig.runs.cancel(id);
    expect(await rig.ended(id)).toMatchObject({ status: 'cancelled', reason: 'cancelled_by_hand' });
    await waitFor(() => !isAlive(pid));
  }
});

it('a stop reaches it', async () => {
  const rig = await setupRig();
  await rig.worker();
  const run = await start(rig, 'stop');
  await rig.reaches(run.id, 'running');
  await rig.schedules.stop(run.scheduleId, null);
  expect(await rig.ended(run.id, soon)).toMatchObject({ status: 'succeeded', output: { status: 'stopped' } });
});

it('one that kills its process three times is poisoned, and says how', async () => {
  const rig = await setupRig();
  await rig.worker();
  const { id } = await start(rig, 'exit');
  for (const lost of [1, 2]) {
    const waiting = await waitFor(
      async () => {
        const run = await rig.detail(id);
        return run.attempts.length === lost && run.status === 'retrying' ? run : undefined;
      },
      { timeoutMs: soon },
    );
    expect(waiting.attempts.at(-1)).toMatchObject({
      status: 'lost',
      error: { type: 'ProcessLost', message: expect.stringContaining('code 7') },
    });
    await requeueDueRetries(rig.db, waiting.nextAttemptAtMs!, 10, ['default']);
  }
  expect(await rig.ended(id, soon)).toMatchObject({
    status: 'failed',
    reason: 'poisoned',
    attempt: 3,
    error: { type: 'Poisoned', message: expect.stringContaining('3 times') },
    // What was on record is not done again.
    steps: [{ name: 'begin', status: 'succeeded', attempts: 1 }],
  });
});

it('a lack of memory kills it and nothing else', async () => {
  const rig = await setupRig();
  await rig.worker();
  const { id } = await start(rig, 'hog');
  const run = await rig.reaches(id, 'retrying', 55_000);
  expect(run.attempts[0]).toMatchObject({ status: 'lost', error: { type: 'ProcessLost' } });
  expect(await rig.ended((await rig.trigger('nothing')).id)).toMatchObject({ status: 'succeeded' });
});

it('a drain tells it to end, and hands its run back', async () => {
  const rig = await setupRig();
  const { worker } = await rig.worker();
  const { id } = await start(rig, 'hold');
  const pid = await waitFor(async () => (await rig.detail(id)).steps[0]?.output as number | undefined, {
    timeoutMs: soon,
  });
  await worker.stop(0);
  expect(await rig.detail(id)).toMatchObject({
    status: 'queued',
    attempt: 2,
    attempts: [{ status: 'handed_back' }],
  });
  await waitFor(() => !isAlive(pid));
});
