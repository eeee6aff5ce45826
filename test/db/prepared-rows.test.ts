/** Read by a list of columns that was made before, rows must be what drizzle makes of them. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { columnsOf, prepareRows } from '../../src/db/prepared-rows.ts';
import { scheduleStates, schedules } from '../../src/db/schema.ts';
import { type House, setupHouse } from '../support/house.ts';
import { cron, DAY } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const both = { state: scheduleStates, schedule: schedules };
const find = prepareRows(
  'test_find',
  both,
  sql`select ${columnsOf(scheduleStates, 'h')}, ${columnsOf(schedules, 's')}
    from schedules s join schedule_states h on h.schedule_id = s.id where s.name = ${sql.placeholder('name')}`,
);

async function asDrizzleReads(name: string) {
  return await house.db
    .select(both)
    .from(schedules)
    .innerJoin(scheduleStates, eq(scheduleStates.scheduleId, schedules.id))
    .where(eq(schedules.name, name));
}

it('reads every column as drizzle does: instants, numbers beyond 32 bits, JSON that is a text, and nothing', async () => {
  await house.create({ name: 'plain' });
  await house.create({
    name: 'full',
    labels: { team: 'data' },
    timing: cron(['0 2 * * *'], { startAtMs: Date.UTC(2026, 1, 1, 0, 0, 0, 123) }),
    catchUpWindowMs: 3653 * DAY,
    jitterMs: DAY,
  });
  await house.db.execute(sql`update schedules set job_input = '"just a text"' where name = 'full'`);
  for (const name of ['plain', 'full']) {
    const rows = await find(house.db, { name });
    expect(rows).toHaveLength(1);
    expect(rows).toEqual(await asDrizzleReads(name));
  }
  expect((await find(house.db, { name: 'full' }))[0]!.schedule.jobInput).toBe('just a text');
  expect(await find(house.db, { name: 'nobody' })).toEqual([]);
});

it('sees what its transaction has written', async () => {
  await house.create({ name: 'plain' });
  await house.db.transaction(async (tx) => {
    await tx.execute(sql`update schedules set description = 'changed' where name = 'plain'`);
    expect((await find(tx, { name: 'plain' }))[0]!.schedule.description).toBe('changed');
  });
});

it('goes on when a newer version of the service has added a column meanwhile', async () => {
  await house.create({ name: 'plain' });
  await find(house.db, { name: 'plain' });
  await house.db.execute(sql`alter table schedules add column later text not null default 'x'`);
  try {
    expect(await find(house.db, { name: 'plain' })).toEqual(await asDrizzleReads('plain'));
    await house.create({ name: 'another' });
    expect(await house.schedules.get('another')).toMatchObject({ spec: { name: 'another' } });
  } finally {
    await house.db.execute(sql`alter table schedules drop column later`);
  }
});
