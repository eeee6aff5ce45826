import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { outageHoleMs, readOutages, recordAlive } from '../../src/db/outage-store.ts';
import { createPulse } from '../../src/dispatcher/pulse.ts';
import { type House, setupHouse } from '../support/house.ts';
import { DAY, HOUR, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const pulse = () => createPulse({ db: house.db, clock: house.clock });
const aliveUntil = async () => {
  const { rows } = await house.db.execute<{ ms: number }>(
    sql`select (extract(epoch from alive_until) * 1000)::float8 as ms from dispatch_state`,
  );
  return rows.map((row) => row.ms);
};

describe('the pulse', () => {
  it('tells how far dispatching was alive, and at first knows no outage', async () => {
    const first = pulse();
    expect(first.outages()).toEqual([]);
    await first.beat();
    expect(first.outages()).toEqual([]);
    expect(await aliveUntil()).toEqual([house.clock.now()]);
    house.down(SECOND);
    await first.beat();
    expect(await aliveUntil()).toEqual([house.clock.now()]);
  });

  it('records a silence of more than two seconds, from the last word to the first', async () => {
    const first = pulse();
    await first.beat();
    const fromMs = house.clock.now();
    house.down(10 * SECOND);
    await first.beat();
    expect(first.outages()).toEqual([{ fromMs, untilMs: fromMs + 10 * SECOND }]);
  });

  it('of one dispatcher speaks for all', async () => {
    const [one, two] = [pulse(), pulse()];
    await one.beat();
    for (let n = 0; n < 10; n += 1) {
      house.down(SECOND);
      await two.beat();
    }
    await one.beat();
    expect(one.outages()).toEqual([]);
  });

  it('is heard by the others: an outage that one recorded is known to the next', async () => {
    const [one, two] = [pulse(), pulse()];
    await one.beat();
    house.down(HOUR);
    await one.beat();
    house.down(SECOND);
    await two.beat();
    expect(two.outages()).toEqual(one.outages());
  });

  it('of two at once after a silence is one outage', async () => {
    await pulse().beat();
    house.down(HOUR);
    await Promise.all(Array.from({ length: 5 }, () => pulse().beat()));
    const last = pulse();
    await last.beat();
    expect(last.outages()).toHaveLength(1);
  });

  it('does not go back when a clock that is behind speaks', async () => {
    const first = pulse();
    await first.beat();
    const nowMs = house.clock.now();
    house.clock.set(nowMs - 5 * SECOND);
    await first.beat();
    expect(await aliveUntil()).toEqual([nowMs]);
    expect(first.outages()).toEqual([]);
  });

  it('remembers outages for a week', async () => {
    const first = pulse();
    await first.beat();
    house.down(HOUR);
    await first.beat();
    const known = first.outages();
    await house.live(7 * DAY - 1);
    await first.beat();
    expect(first.outages()).toEqual(known);
    await house.live(2);
    await first.beat();
    expect(first.outages()).toEqual([]);
  });

  it('remembers an outage of a year, since it ends now', async () => {
    const first = pulse();
    await first.beat();
    house.down(365 * DAY);
    await first.beat();
    expect(first.outages()).toHaveLength(1);
  });
});

describe('two that wake at once', () => {
  it('both know the outage, whoever records it', async () => {
    const [first, second] = [pulse(), createPulse({ db: house.another().db, clock: house.clock })];
    await first.beat();
    await second.beat();
    const fromMs = house.clock.now();
    house.down(10 * SECOND);
    const outage = { fromMs, untilMs: house.clock.now() };
    // Somebody holds the row, so that both have their snapshots before either has written.
    let beats: Promise<unknown> = Promise.resolve();
    await house.another().db.transaction(async (tx) => {
      await tx.execute(sql`select from dispatch_state for update`);
      beats = Promise.all([first.beat(), second.beat(), first.ensureFresh()]);
      await house.blocked(3);
    });
    await beats;
    expect(first.outages()).toEqual([outage]);
    expect(second.outages()).toEqual([outage]);
  });
});

describe('a fresh pulse', () => {
  it('is not taken again, and a stale one is', async () => {
    const first = pulse();
    await first.ensureFresh();
    const start = house.clock.now();
    house.down(1500);
    await first.ensureFresh();
    expect(await aliveUntil()).toEqual([start]);
    house.down(1);
    await first.ensureFresh();
    expect(await aliveUntil()).toEqual([start + 1501]);
  });

  it('counts by the clock that never jumps: a wall clock that is set forward is no silence of ours', async () => {
    const first = pulse();
    await first.ensureFresh();
    const start = house.clock.now();
    house.clock.set(start - SECOND);
    await first.ensureFresh();
    expect(await aliveUntil()).toEqual([start]);
  });
});

describe('who does not dispatch', () => {
  it('reads the outages, with the one that still lasts', async () => {
    const nowMs = house.clock.now();
    await recordAlive(house.db, nowMs, outageHoleMs);
    await recordAlive(house.db, nowMs + HOUR, outageHoleMs);
    expect(await readOutages(house.db, nowMs + HOUR + 2 * SECOND, outageHoleMs)).toEqual([
      { fromMs: nowMs, untilMs: nowMs + HOUR },
    ]);
    expect(await readOutages(house.db, nowMs + 2 * HOUR, outageHoleMs)).toEqual([
      { fromMs: nowMs, untilMs: nowMs + HOUR },
      { fromMs: nowMs + HOUR, untilMs: nowMs + 2 * HOUR },
    ]);
  });

  it('reads none where nobody has ever dispatched', async () => {
    expect(await readOutages(house.db, house.clock.now(), outageHoleMs)).toEqual([]);
  });
});
