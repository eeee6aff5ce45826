import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createGroupService, membersToldMax } from '../../src/schedules/group-service.ts';
import { type House, setupHouse } from '../support/house.ts';
import { MINUTE } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const group = ['team:data'];
const pauseGroup = () => house.groups.pause(group, { note: null });
const resumeGroup = () => house.groups.resume(group, { catchUp: 'none' });

const countBy = async (column: string) => {
  const { rows } = await house.db.execute<{ value: string; n: number }>(
    sql`select ${sql.identifier(column)} as value, count(*)::int as n from schedules group by 1`,
  );
  return Object.fromEntries(rows.map(({ value, n }) => [value, n]));
};

describe('a group', () => {
  it('of more than are told one by one is paused and resumed, and the answer stays readable', async () => {
    const { id } = await house.create({ labels: { team: 'data' } });
    await house.copy(id, 599);
    const paused = await pauseGroup();
    expect(paused).toMatchObject({ matched: 600, changed: { count: 600 }, refused: { count: 0 } });
    expect(paused.changed.items).toHaveLength(membersToldMax);
    expect(await countBy('status')).toEqual({ paused: 600 });
    expect(await resumeGroup()).toMatchObject({ changed: { count: 600 } });
    expect(await countBy('version')).toEqual({ 3: 600 });
    const { rows } = await house.db.execute(sql`select count(*)::int as n from schedule_versions`);
    expect(rows).toEqual([{ n: 1_800 }]);
  }, 120_000);

  it('that was left half done is finished by asking again', async () => {
    const { id } = await house.create({ labels: { team: 'data' } });
    await house.copy(id, 349);
    // As a kill -9 leaves it: the batches before are committed, the one in hand and the others are not.
    let batches = 0;
    const dying = createGroupService({
      ...{ db: house.db, clock: house.clock, jobs: house.jobs.catalog, book: house.book },
      ...{ secrets: house.secrets, canMail: false, served: () => house.served },
      onChange: () => {
        batches += 1;
        if (batches === 2) throw new Error('killed');
      },
    });
    await expect(dying.pause(group, { note: null })).rejects.toThrow('killed');
    expect(await countBy('status')).toEqual({ paused: 200, active: 150 });
    expect(await pauseGroup()).toMatchObject({ changed: { count: 150 }, unchanged: { count: 200 } });
    expect(await countBy('version')).toEqual({ 2: 350 });
  });

  it('holds no more than a batch of rows at once, so that others go on firing', async () => {
    const { id } = await house.create({ labels: { team: 'data' } });
    await house.copy(id, 249);
    const { db } = house.another();
    const { rows } = await house.db.execute<{ id: string }>(
      sql`select id from schedules order by id desc limit 1`,
    );
    const { done } = await db.transaction(async (tx) => {
      await tx.execute(sql`select from schedule_states where schedule_id = ${rows[0]!.id} for update`);
      const done = pauseGroup();
      await house.blocked();
      expect(await countBy('status')).toEqual({ paused: 200, active: 50 });
      return { done };
    });
    expect(await done).toMatchObject({ changed: { count: 250 } });
  });

  it('leaves alone what loses its label before it is its turn', async () => {
    const { id } = await house.create({ labels: { team: 'data' } });
    const { db } = house.another();
    const { done } = await db.transaction(async (tx) => {
      await tx.execute(sql`select from schedule_states where schedule_id = ${id} for update`);
      const done = pauseGroup();
      await house.blocked();
      await tx.execute(sql`update schedules set labels = '{}', version = version + 1 where id = ${id}`);
      return { done };
    });
    expect(await done).toMatchObject({ matched: 0 });
    expect(await house.schedules.get(id)).toMatchObject({ status: 'active' });
  });

  it.each(['pause', 'fire'] as const)('a %s that comes first is the first to be done', async (first) => {
    const { id } = await house.create({ labels: { team: 'data' } });
    await house.live(MINUTE);
    if (first === 'fire') await house.dispatchAll();
    await pauseGroup();
    await house.dispatchAll();
    // Due before the pause either way: exactly one run.
    expect(await house.timetable(id)).toEqual(['2026-03-01T00:01:00.000Z queued']);
    await house.live(MINUTE);
    await house.dispatchAll();
    expect(await house.runsOf(id)).toHaveLength(1);
  });

  it('two groups that overlap may be paused and resumed at once', async () => {
    const { id } = await house.create({ labels: { team: 'data', env: 'prod' } });
    await house.copy(id, 299);
    const other = ['env:prod'];
    await Promise.all([pauseGroup(), house.groups.pause(other, { note: null })]);
    expect(await countBy('version')).toEqual({ 3: 300 });
    await Promise.all([resumeGroup(), house.groups.resume(other, { catchUp: 'none' })]);
    expect(await countBy('status')).toEqual({ active: 300 });
  });

  it('that is resumed counts the failures of each anew', async () => {
    const { id } = await house.create({ labels: { team: 'data' }, pauseAfterFailures: 2 });
    await house.db.execute(sql`update schedule_states set failures_in_a_row = 1`);
    await pauseGroup();
    await resumeGroup();
    expect((await house.stateOf(id)).failuresInARow).toBe(0);
  });
});
