/** What a run's log says of attempts that did not succeed, and what the service's own log does. */
import { expect, it } from 'vitest';
import { JobError } from '../../src/jobs/job.ts';
import { setupRig } from '../support/worker-rig.ts';

const once = {
  maxAttempts: 1,
  initialIntervalMs: 1,
  maxIntervalMs: 1,
  backoffCoefficient: 1,
  nonRetryableErrorTypes: [],
};

it('a failure is told with what happens next', async () => {
  const rig = await setupRig();
  rig.script('broken', () => {
    throw new JobError('Broken', 'it is broken.');
  });
  await rig.worker();
  const tried = await rig.trigger('broken');
  await rig.reaches(tried.id, 'retrying');
  const over = await rig.trigger('broken', { retry: once });
  await rig.ended(over.id);
  const linesOf = async (id: string) =>
    (await rig.logOf(id)).map(({ level, message }) => `${level}: ${message}`);
  expect(await linesOf(tried.id)).toEqual([
    'warn: attempt 1 failed: Broken: it is broken. It is tried again in 1s.',
  ]);
  expect(await linesOf(over.id)).toEqual(['error: attempt 1 failed: Broken: it is broken.']);
  const told = rig.lines.filter((line) => JSON.stringify(line).includes(over.id));
  expect(JSON.stringify(told)).toContain('it is broken');
});

it('a success needs no line', async () => {
  const rig = await setupRig();
  await rig.worker();
  const { id } = await rig.trigger('nothing');
  await rig.ended(id);
  expect(await rig.logOf(id)).toEqual([]);
});
