import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expirePass } from '../../src/schedules/expiry.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, DAY, MINUTE } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
afterAll(async () => await house?.close());
beforeEach(() => house.reset());

const pass = () => expirePass({ ...house, served: () => house.served });

/** Fires once after a minute, which completes it; its run is claimed. */
async function fired(deleteAfterMs: number | null) {
  const { id } = await house.create({ timing: at(house.clock.now() + MINUTE), deleteAfterMs });
  await house.live(MINUTE);
  await house.dispatchAll();
  const worker = await house.worker();
  const [run] = await worker.take();
  return { id, end: () => worker.succeed(run!), run: run! };
}

describe('a completed schedule', () => {
  it('is deleted when its time is over; its runs and its history stay', async () => {
    const { id, end, run } = await fired(7 * DAY);
    await end();
    await house.live(7 * DAY - MINUTE);
    expect(await pass()).toBe(0);
    await house.live(MINUTE);
    expect(await pass()).toBe(1);
    await expect(house.schedules.get(id)).rejects.toThrow(/no schedule/);
    expect((await house.runs.get(run.id)).status).toBe('succeeded');
    const { items } = await house.history.list(id, { limit: 1, after: null });
    expect(items[0]!.version).toMatchObject({ action: 'deleted', actor: 'carillon' });
    expect(await pass()).toBe(0);
  });

  it('stays while a run of it is active, however long', async () => {
    const { id, end } = await fired(0);
    await house.live(DAY);
    expect(await pass()).toBe(0);
    await end();
    expect(await pass()).toBe(1);
    await expect(house.schedules.get(id)).rejects.toThrow(/no schedule/);
  });

  it('stays without such a time, and where somebody has given it new times', async () => {
    const stays = await fired(null);
    const revived = await fired(0);
    await Promise.all([stays.end(), revived.end()]);
    const timing = at(house.clock.now() + DAY);
    await house.schedules.update(revived.id, ({ spec }) => ({ ...spec, timing }));
    await house.live(MINUTE);
    expect(await pass()).toBe(0);
    expect((await house.schedules.get(revived.id)).status).toBe('active');
  });
});
