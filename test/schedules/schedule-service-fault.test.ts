import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DST_DEFAULT } from '../../src/schedules/cron-times.ts';
import { type House, setupHouse } from '../support/house.ts';
import { every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const broken: [string, string][] = [
  ['an expression that is none', '{"kind": "cron", "expressions": ["every full moon"]}'],
  ['no expressions', '{"kind": "cron"}'],
  ['a kind that is unknown', '{"kind": "moon"}'],
  ['an object of nothing', '{}'],
  ['null', 'null'],
  ['a text', '"hourly"'],
  ['an interval of nothing', '{"kind": "every", "everyMs": 0, "offsetMs": 0}'],
  ['an interval backwards', '{"kind": "every", "everyMs": -1000, "offsetMs": 0}'],
  ['an interval that is a text', '{"kind": "every", "everyMs": "1h", "offsetMs": 0}'],
  ['instants that are none', '{"kind": "at", "atMs": "tomorrow"}'],
];

/** A schedule as a program that knew more, or a careless hand, left it. */
async function breakTrigger(id: string, trigger: string) {
  await house.db.execute(sql`update schedules set trigger = ${trigger}::jsonb where id = ${id}`);
}

describe.each(broken)('a stored trigger that is %s', (_, trigger) => {
  it.each([
    [null],
    [30 * SECOND],
  ])('stops no other schedule, and is told where one looks (jitter %s)', async (jitterMs) => {
    const bad = await house.create({ name: 'bad', jitterMs });
    const good = await house.create({ name: 'good' });
    await breakTrigger(bad.id, trigger);
    await house.live(MINUTE + 30 * SECOND);
    const counts = await house.dispatchAll();
    expect(counts).toMatchObject({ claimed: 2, started: 1, faults: 1 });
    expect(await house.runsOf(good.id)).toHaveLength(1);
    const seen = await house.schedules.get('bad');
    expect(seen.fault).toMatch(
      /^The next time could not be computed \(.+\); it is tried again every minute\. Reschedule it to mend it\.$/,
    );
    expect(seen).toMatchObject({ status: 'active', nextRunAtMs: bad.nextRunAtMs });
    const { items } = await house.schedules.list({}, { limit: 10, after: null });
    expect(items).toHaveLength(2);
  });
});

describe('a schedule with a fault', () => {
  async function faulty(jitterMs: number | null = null) {
    const created = await house.create({ jitterMs });
    await breakTrigger(created.id, '{"kind": "moon"}');
    await house.live(MINUTE + 30 * SECOND);
    await house.dispatch();
    return created;
  }

  it('is looked at again every minute, and not more often', async () => {
    const created = await faulty();
    await house.live(59 * SECOND);
    expect(await house.dispatch()).toMatchObject({ claimed: 0 });
    await house.live(SECOND);
    expect(await house.dispatch()).toMatchObject({ claimed: 1, faults: 1 });
    expect((await house.stateOf(created.id)).dueAtMs).toBe(house.clock.now() + MINUTE);
  });

  it('goes on where it stood when its trigger can be computed again', async () => {
    const created = await faulty();
    await breakTrigger(created.id, '{"kind": "every", "everyMs": 60000, "offsetMs": 0}');
    await house.live(MINUTE);
    await house.dispatchAll();
    expect(await house.timetable(created.id)).toEqual([
      '2026-03-01T00:01:00.000Z queued',
      '2026-03-01T00:02:00.000Z skipped: overlap',
    ]);
    expect((await house.schedules.get(created.id)).fault).toBeNull();
  });

  it.each([[null], [30 * SECOND]])('is mended by a reschedule (jitter %s)', async (jitterMs) => {
    const created = await faulty(jitterMs);
    const mended = await house.schedules.reschedule(created.id, () => ({
      timing: every(HOUR),
      timezone: 'UTC',
      dst: DST_DEFAULT,
    }));
    expect(mended).toMatchObject({ fault: null, nextRunAtMs: created.createdAtMs + HOUR });
    expect(await house.timetable(created.id)).toEqual(['2026-03-01T00:01:00.000Z skipped: rescheduled']);
  });

  it.each([[null], [30 * SECOND]])('may be paused, stopped and deleted (jitter %s)', async (jitterMs) => {
    const created = await faulty(jitterMs);
    expect(await house.schedules.pause(created.id, null)).toMatchObject({ status: 'paused', fault: null });
    const other = await faulty(jitterMs);
    expect(await house.schedules.stop(other.id, null)).toMatchObject({ status: 'stopped', fault: null });
    await house.schedules.remove((await faulty(jitterMs)).id);
  });

  it.each([
    [null],
    [30 * SECOND],
  ])('may be run by hand and be described anew (jitter %s)', async (jitterMs) => {
    const created = await faulty(jitterMs);
    expect(await house.schedules.trigger(created.id, {})).toMatchObject({ status: 'queued' });
    const updated = await house.schedules.update(created.id, ({ spec }) => ({ ...spec, description: 'odd' }));
    expect(updated.spec.description).toBe('odd');
    await house.dispatch();
    expect((await house.schedules.get(created.id)).fault).not.toBeNull();
  });

  it('that came while it was paused refuses its resume, and says what to do', async () => {
    const created = await house.create({ name: 'odd' });
    await house.schedules.pause(created.id, null);
    await breakTrigger(created.id, '{"kind": "cron", "expressions": ["every full moon"]}');
    await house.live(MINUTE);
    for (const catchUp of ['none', 'latest', 'all'] as const) {
      await expect(house.schedules.resume(created.id, { catchUp })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringMatching(
          /^The next time of schedule "odd" cannot be computed \(.+\), so it cannot be resumed\. Reschedule it first\.$/,
        ),
      });
    }
    const mended = { timing: every(HOUR), timezone: 'UTC', dst: DST_DEFAULT };
    await house.schedules.reschedule(created.id, () => mended);
    expect(await house.schedules.resume(created.id, { catchUp: 'none' })).toMatchObject({ status: 'active' });
  });

  it('that no dispatcher has seen yet hinders no command either', async () => {
    const created = await house.create({ jitterMs: 30 * SECOND });
    await breakTrigger(created.id, '{"kind": "moon"}');
    await house.live(MINUTE + 30 * SECOND);
    expect(await house.schedules.pause(created.id, null)).toMatchObject({ status: 'paused' });
  });
});
