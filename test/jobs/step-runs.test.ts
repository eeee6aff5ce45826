/** Steps of real runs: in the database, through the worker and the dispatcher, as readers see them. */
import { expect, it } from 'vitest';
import { createClock } from '../../src/clock.ts';
import { requeueDueRetries } from '../../src/db/run-store.ts';
import { saveProgress, saveStep } from '../../src/db/step-store.ts';
import { JobError } from '../../src/jobs/job.ts';
import { presentRunDetail } from '../../src/routes/run-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { setupRig } from '../support/worker-rig.ts';

it('a step that waits frees its slot, and the run goes on when the wait is over', async () => {
  const rig = await setupRig();
  const clock = createClock();
  let tries = 0;
  rig.script('flaky', ({ step }) =>
    step('call', { retry: { maxAttempts: 3, initialInterval: '1h' } }, () => {
      tries += 1;
      if (tries === 1) throw new JobError('Busy', 'come back later');
      return { answer: 42 };
    }),
  );
  await rig.worker({ workers: { default: 1 } });
  const { id } = await rig.trigger('flaky', {
    retry: {
      maxAttempts: 1,
      initialIntervalMs: 1,
      maxIntervalMs: 1,
      backoffCoefficient: 1,
      nonRetryableErrorTypes: [],
    },
  });
  const waiting = await rig.reaches(id, 'retrying');
  expect(waiting).toMatchObject({
    reason: expect.stringContaining('"call"'),
    error: null,
    attempts: [{ number: 1, status: 'waiting', error: null }],
    steps: [{ name: 'call', status: 'retrying', attempts: 1, error: { type: 'Busy' } }],
  });
  expect(waiting.nextAttemptAtMs! - clock.now()).toBeGreaterThan(3_590_000);
  // The only slot is free.
  expect(await rig.ended((await rig.trigger('nothing')).id)).toMatchObject({ status: 'succeeded' });
  // An hour later: the clocks of a step and of its run are told that it is over.
  await rig.sql.rows(`update run_steps set resume_at = resume_at - interval '1 hour'`);
  await requeueDueRetries(rig.db, clock.now() + 3_600_000, 10, ['default']);
  const ended = await rig.ended(id);
  expect(ended).toMatchObject({
    status: 'succeeded',
    attempt: 2,
    reason: null,
    output: { answer: 42 },
    steps: [{ name: 'call', status: 'succeeded', attempts: 2, output: { answer: 42 }, error: null }],
  });
});

it('waits count as no failure of the run, however many', async () => {
  const rig = await setupRig();
  const clock = createClock();
  rig.script('sleepy', async ({ sleep, attempt }) => {
    await sleep('10m');
    if (attempt < 3) throw new Error('only now it failed');
    return { attempt };
  });
  await rig.worker();
  const { id } = await rig.trigger('sleepy', {
    retry: {
      maxAttempts: 2,
      initialIntervalMs: 1,
      maxIntervalMs: 1,
      backoffCoefficient: 1,
      nonRetryableErrorTypes: [],
    },
  });
  await rig.reaches(id, 'retrying');
  await rig.sql.rows(`update run_steps set resume_at = resume_at - interval '10 minutes'`);
  await requeueDueRetries(rig.db, clock.now() + 600_000, 10, ['default']);
  await waitFor(async () => (await rig.detail(id)).attempts[1]?.status === 'failed');
  await requeueDueRetries(rig.db, clock.now() + 600_000, 10, ['default']);
  expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', output: { attempt: 3 } });
});

it('a run that waits for a step can be cancelled, and ends with its schedule’s stop', async () => {
  const rig = await setupRig();
  rig.script('sleepy', ({ sleep }) => sleep('1h'));
  await rig.worker();
  const cancelled = await rig.trigger('sleepy');
  const stopped = await rig.trigger('sleepy');
  await rig.reaches(cancelled.id, 'retrying');
  await rig.reaches(stopped.id, 'retrying');
  await rig.runs.cancel(cancelled.id);
  await rig.schedules.stop(stopped.scheduleId, null);
  expect(await rig.detail(cancelled.id)).toMatchObject({ status: 'cancelled', reason: 'cancelled_by_hand' });
  expect(await rig.detail(stopped.id)).toMatchObject({ status: 'cancelled', reason: 'stopped' });
});

it('the steps of a run that has ended are shown as over, with its end', async () => {
  const rig = await setupRig();
  rig.script('sleepy', ({ sleep }) => sleep('1h'));
  rig.script('broken', ({ step }) =>
    step('call', () => {
      throw new JobError('Broken', 'no', { retryable: false });
    }),
  );
  await rig.worker();
  const sleepy = await rig.trigger('sleepy');
  await rig.reaches(sleepy.id, 'retrying');
  const shown = async (id: string) => presentRunDetail(await rig.detail(id));
  expect((await shown(sleepy.id)).steps).toMatchObject([{ status: 'sleeping', finishedAt: null }]);
  await rig.runs.cancel(sleepy.id);
  const broken = await rig.trigger('broken');
  await rig.ended(broken.id);
  for (const [id, status] of [
    [sleepy.id, 'cancelled'],
    [broken.id, 'failed'],
  ] as const) {
    const { finishedAt, steps } = await shown(id);
    expect(finishedAt).not.toBeNull();
    expect(steps).toMatchObject([{ status, finishedAt }]);
  }
});

it('a stop during a step lets it end, and nothing after it', async () => {
  const rig = await setupRig();
  let isInside = false;
  let later = false;
  rig.script('long', async (context) => {
    const { step } = context;
    await step('one', async () => {
      isInside = true;
      await waitFor(() => context.stopRequested);
    });
    await step('two', () => {
      later = true;
    });
  });
  await rig.worker();
  const run = await rig.trigger('long');
  await waitFor(() => isInside);
  await rig.schedules.stop(run.scheduleId, null);
  expect(await rig.ended(run.id)).toMatchObject({
    status: 'cancelled',
    reason: 'stopped',
    steps: [{ name: 'one', status: 'succeeded' }],
  });
  expect(later).toBe(false);
});

it('progress is told while the run goes on', async () => {
  const rig = await setupRig();
  let leave = () => {};
  const held = new Promise<void>((resolve) => {
    leave = resolve;
  });
  rig.script('slow', async ({ progress }) => {
    progress(3, 10, 'files');
    await held;
    progress(10, 10, 'files');
  });
  await rig.worker();
  const { id } = await rig.trigger('slow');
  const seen = await waitFor(async () => (await rig.detail(id)).progress);
  expect(seen).toMatchObject({ done: 3, total: 10, unit: 'files', atMs: expect.any(Number) });
  leave();
  expect((await rig.ended(id)).progress).toMatchObject({ done: 10, total: 10 });
});

it('neither a step nor progress is written for an attempt that is over', async () => {
  const rig = await setupRig();
  rig.script('held', () => new Promise(() => {}));
  await rig.worker();
  const { id } = await rig.trigger('held');
  await rig.reaches(id, 'running');
  const step = {
    name: 'a',
    status: 'succeeded' as const,
    attempts: 1,
    failures: 0,
    startedAtMs: 0,
    finishedAtMs: 1,
    resumeAtMs: null,
    output: null,
    error: null,
  };
  const progress = { done: 1, total: null, unit: '', atMs: 0 };
  expect(await saveStep(rig.db, { id, attempt: 2 }, step)).toBe(false);
  expect(await saveProgress(rig.db, { id, attempt: 2 }, progress)).toBe(false);
  expect(await rig.detail(id)).toMatchObject({ steps: [], progress: null });
  expect(await saveStep(rig.db, { id, attempt: 1 }, step)).toBe(true);
  expect(await saveProgress(rig.db, { id, attempt: 1 }, progress)).toBe(true);
  expect(await rig.detail(id)).toMatchObject({ steps: [{ name: 'a' }], progress: { done: 1, total: null } });
});

it('a checkpoint that cannot be written is written later: the step is not done again, and no attempt is lost', async () => {
  const rig = await setupRig();
  let tries = 0;
  rig.script('patient', async ({ step }) => {
    const answer = await step('call', async () => {
      tries += 1;
      // As if the database were away: no statement about steps gets through.
      await rig.sql.rows('alter table run_steps rename to run_steps_away');
      return 42;
    });
    return { answer };
  });
  await rig.worker();
  const { id } = await rig.trigger('patient');
  await waitFor(() => rig.lines.some((line) => line.msg.includes('could not write the step "call"')));
  await rig.sql.rows('alter table run_steps_away rename to run_steps');
  expect(await rig.ended(id)).toMatchObject({
    status: 'succeeded',
    attempt: 1,
    output: { answer: 42 },
    steps: [{ name: 'call', status: 'succeeded', attempts: 1 }],
  });
  expect(tries).toBe(1);
});

it('a checkpoint that cannot be written holds nobody up whose run was cancelled', async () => {
  const rig = await setupRig();
  rig.script('patient', async ({ step }) => {
    await step('call', () => rig.sql.rows('alter table run_steps rename to run_steps_away'));
    return {};
  });
  await rig.worker();
  const { id } = await rig.trigger('patient');
  await waitFor(() => rig.lines.some((line) => line.msg.includes('could not write the step "call"')));
  await rig.sql.rows(`update runs set signal = 'cancel', signal_reason = 'cancelled_by_hand'`);
  const status = async () => (await rig.sql.row<{ status: string }>('select status from runs')).status;
  await waitFor(async () => (await status()) === 'cancelled');
  await rig.sql.rows('alter table run_steps_away rename to run_steps');
  expect(await rig.ended(id)).toMatchObject({ status: 'cancelled', attempt: 1 });
});

it('a process that wakes from a long sleep begins no step, since others may have done it meanwhile', async () => {
  const rig = await setupRig();
  const calls: number[] = [];
  rig.script('sleeper', async ({ step, attempt }) => {
    // As if it froze while the step is written down as begun: the answer is the first that it hears when it wakes.
    if (attempt === 1) oversleep(21_000);
    await step('call', () => void calls.push(attempt));
    return {};
  });
  const { worker, oversleep } = await rig.worker();
  const { id } = await rig.trigger('sleeper');
  await waitFor(() => worker.live === 0 && worker.healthy);
  // With the next renewal it goes on.
  oversleep(5000);
  expect(await rig.ended(id)).toMatchObject({ status: 'succeeded', attempt: 2 });
  expect(calls).toEqual([2]);
});
