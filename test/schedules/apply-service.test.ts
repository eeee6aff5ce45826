import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findVersionAt } from '../../src/db/schedule-version-store.ts';
import { type House, setupHouse } from '../support/house.ts';
import { every, HOUR, MINUTE } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const specs = (names: readonly string[], period = MINUTE) =>
  names.map((name) => house.spec({ name, labels: { by: 'git' }, timing: every(period) }));
const apply = (names: readonly string[], period?: number) =>
  house.documents.apply({ specs: specs(names, period), prune: null, dryRun: false });
const names = Array.from({ length: 60 }, (_, n) => `s${n}`);
const backwards = [...names].reverse();

describe('documents that are applied at once', () => {
  it('with the same schedules in other orders wait for each other, and never for ever', async () => {
    await apply(names);
    for (let round = 1; round <= 3; round += 1) {
      const [a, b, c] = [round * HOUR, round * HOUR + MINUTE, round * HOUR + 2 * MINUTE];
      await Promise.all([apply(names, a), apply(backwards, b), apply(names.slice(20), c)]);
    }
    const { rows } = await house.db.execute(sql`select distinct version from schedules order by 1`);
    // Each was changed by each document that had it.
    expect(rows).toEqual([{ version: 7 }, { version: 10 }]);
  });

  it('that create the same names in other orders, too: one creates them all, the other finds them', async () => {
    const results = await Promise.all([apply(names), apply(backwards), apply(names)]);
    const actions = results.map((items) => [...new Set(items.map(({ action }) => action))]);
    expect(actions.sort()).toEqual([['created'], ['unchanged'], ['unchanged']]);
    const { rows } = await house.db.execute(sql`select count(*)::int as n from schedules`);
    expect(rows).toEqual([{ n: names.length }]);
  });

  it('do not get in the way of a group that is paused meanwhile', async () => {
    await apply(names);
    await Promise.all([
      apply(backwards, HOUR),
      house.groups.pause(['by:git'], { note: null }),
      apply(names, 2 * HOUR),
    ]);
    const { rows } = await house.db.execute(sql`select status, count(*)::int as n from schedules group by 1`);
    expect(rows).toEqual([{ status: 'paused', n: names.length }]);
  });
});

describe('a document', () => {
  it('sees a name that was taken while it waited', async () => {
    await apply(['a']);
    const { db } = house.another();
    const { done } = await db.transaction(async (tx) => {
      // Somebody has made "b", and has not committed yet.
      await tx.execute(sql`
        with made as (
          insert into schedules select copy.* from schedules s, jsonb_populate_record(null::schedules, to_jsonb(s)
            || jsonb_build_object('id', gen_random_uuid(), 'name', 'b')) copy where s.name = 'a' returning id
        )
        insert into schedule_states (schedule_id) select id from made`);
      const done = apply(['a', 'b'], HOUR);
      await house.blocked();
      return { done };
    });
    expect((await done).map(({ action }) => action)).toEqual(['updated', 'updated']);
  });

  it('is all or nothing when it is broken off', async () => {
    await apply(['a']);
    const { db } = house.another();
    const broken = await db.transaction(async (tx) => {
      await tx.execute(sql`select from schedule_states for update`);
      const done = apply(['a', 'b'], HOUR).catch((error: Error) => error);
      await house.blocked();
      // As when the process or its connection is killed.
      await tx.execute(sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`);
      return await done;
    });
    expect(broken).toBeInstanceOf(Error);
    expect(await house.schedules.get('a')).toMatchObject({ version: 1, spec: { timing: every(MINUTE) } });
    await expect(house.schedules.get('b')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('history', () => {
  it('answers which version was in force at an instant, and which pauses held', async () => {
    const { id } = await house.create({ labels: { by: 'git' } });
    const at = [house.clock.now()];
    const step = async (act: () => Promise<unknown>) => {
      await house.live(MINUTE);
      await act();
      at.push(house.clock.now());
    };
    await step(() => house.schedules.pause(id, 'own', { actor: 'ann' }));
    await step(() => house.groups.pause(['by:git'], { note: 'all' }, { actor: 'bob' }));
    await step(() => house.schedules.resume(id, { catchUp: 'none' }));
    const then = async (ms: number) => {
      const found = await findVersionAt(house.db, id, ms);
      return found && [found.version, found.status, found.pauses.map(({ actor, note }) => [actor, note])];
    };
    const own = ['ann', 'own'];
    expect(await then(at[0]! - 1)).toBeNull();
    expect(await then(at[0]!)).toEqual([1, 'active', []]);
    expect(await then(at[1]! - 1)).toEqual([1, 'active', []]);
    expect(await then(at[1]!)).toEqual([2, 'paused', [own]]);
    expect(await then(at[3]! - 1)).toEqual([3, 'paused', [own, ['bob', 'all']]]);
    expect(await then(at[3]! + HOUR)).toEqual([4, 'active', []]);
  });

  it('has a version for each that a schedule ever had, whoever changes it at once', async () => {
    const { id } = await house.create({ labels: { by: 'git' } });
    const worker = await house.worker();
    for (let round = 0; round < 5; round += 1) {
      await house.live(MINUTE);
      await house.dispatchAll();
      const [run] = await worker.take();
      await Promise.all([
        house.schedules.update(id, ({ spec }) => ({ ...spec, description: `${round}` })),
        house.groups.pause(['by:git'], { note: null }),
        house.schedules.pause(id, null),
        run && worker.succeed(run),
      ]);
      await house.schedules.resume(id, { catchUp: 'none' });
    }
    const { version } = await house.schedules.get(id);
    const { items } = await house.history.list(id, { limit: 100, after: null });
    expect(items.map((each) => each.version.version)).toEqual(
      Array.from({ length: version }, (_, n) => version - n),
    );
  });
});
