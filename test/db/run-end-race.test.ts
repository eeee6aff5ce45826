/** A run ends while those that are held behind it are cancelled, which its end has to wait for. */
import { afterAll, beforeEach, expect, it } from 'vitest';
import { endUnstartedRuns, lockStates } from '../../src/db/run-end-store.ts';
import { setupHouse } from '../support/house.ts';

const house = await setupHouse();
beforeEach(() => house.reset());
afterAll(() => house.close());

it.each([
  1, 2, 3,
])('it ends well, and the counts are right, when %i are cancelled in between', async (held) => {
  const { id } = await house.create({ overlap: 'queue_all' });
  const worker = await house.worker();
  await house.schedules.trigger(id, {});
  const [running] = await worker.take();
  for (let count = 0; count < held; count += 1) await house.schedules.trigger(id, {});
  const rows = (await house.runsOf(id)).filter((run) => run.id !== running!.id);
  const other = house.another();
  const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
  const { promise: go, resolve: release } = Promise.withResolvers<void>();
  const cancelling = other.db.transaction(async (tx) => {
    await lockStates(tx, [id]);
    isLocked();
    await go;
    await endUnstartedRuns(
      tx,
      rows.map((run) => ({
        runId: run.id,
        attempt: run.attempt,
        scheduleId: id,
        status: 'cancelled' as const,
        reason: 'cancelled_by_hand',
        output: null,
        error: null,
        finishedAtMs: house.clock.now(),
      })),
      ['default'],
    );
  });
  await locked;
  const ending = worker.succeed(running!);
  await house.blocked();
  release();
  await cancelling;
  expect(await ending).toBe(true);
  expect(await house.stateOf(id)).toMatchObject({ activeRuns: 0, heldRuns: 0, succeeded: 1 });
});
