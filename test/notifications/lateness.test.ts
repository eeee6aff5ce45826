/** The dead man's switch, with the dispatcher dead, well, and back again. */
import { sql } from 'drizzle-orm';
import { describe, expect, it } from 'vitest';
import { createLateness } from '../../src/notifications/lateness.ts';
import { setupNotifyRig } from '../support/notify-rig.ts';
import { startReceiver } from '../support/receiver.ts';
import { every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

async function setup() {
  const rig = await setupNotifyRig();
  const receiver = await startReceiver();
  const { house } = rig;
  // On the minute, so that nominal times are.
  house.clock.set(Math.ceil(house.clock.now() / HOUR) * HOUR);
  await house.live(0);
  const notify = [{ on: ['missed' as const], webhook: { url: receiver.url } }];
  const watch = () => createLateness({ db: house.db, clock: house.clock });
  const create = (partial: object = {}) =>
    house.create({ timing: every(HOUR), lateAfterMs: 5 * MINUTE, notify, ...partial });
  const told = async () => {
    await rig.deliver();
    return receiver.heard.map(({ message }) => message.data);
  };
  return { ...rig, receiver, watch, lateness: watch(), create, told };
}

describe('a time that nobody dispatches', () => {
  it('is missed from lateAfter on, once, whoever looks, and late until it has started', async () => {
    const { house, worker, lateness, watch, create, told } = await setup();
    const schedule = await create({ catchUp: 'latest' });
    const nominalMs = schedule.nextRunAtMs!;
    house.clock.set(nominalMs + 5 * MINUTE - 1);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    house.clock.advance(1);
    expect(await lateness.pass()).toEqual({ late: 1, told: 1 });
    expect(lateness.late).toMatchObject([{ scheduleName: schedule.spec.name, scheduledForMs: nominalMs }]);
    expect(await lateness.pass()).toEqual({ late: 1, told: 0 });
    expect(await watch().pass()).toEqual({ late: 1, told: 0 });
    const scheduledFor = new Date(nominalMs).toISOString();
    expect(await told()).toMatchObject([{ scheduledFor, run: null, schedule: { id: schedule.id } }]);
    // A dispatcher comes back, and the run starts.
    await house.dispatchAll();
    expect(await watch().pass()).toEqual({ late: 1, told: 0 });
    const [run] = await worker.take();
    expect(run!.scheduledForMs).toBe(nominalMs);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    await worker.succeed(run!);
    expect(await told()).toHaveLength(1);
  });

  it('is told though the dispatcher is back before anyone looked', async () => {
    const { house, create, told } = await setup();
    const schedule = await create({ catchUp: 'latest' });
    house.down(schedule.nextRunAtMs! - house.clock.now() + 10 * MINUTE);
    await house.dispatchAll();
    expect(await told()).toMatchObject([{ run: { status: 'queued', cause: 'catch_up' } }]);
  });

  it('is not told again by the catch-up that records it as missed', async () => {
    const { house, lateness, create, told } = await setup();
    const schedule = await create({ catchUp: 'none' });
    house.down(schedule.nextRunAtMs! - house.clock.now() + 10 * MINUTE);
    expect(await lateness.pass()).toEqual({ late: 1, told: 1 });
    await house.dispatchAll();
    expect(await house.timetable(schedule.id)).toEqual([expect.stringContaining('missed: catch_up_none')]);
    expect(await told()).toHaveLength(1);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
  });
});

describe('a run that waits', () => {
  it('is missed from lateAfter on, once, and not when it starts in time', async () => {
    const { house, worker, lateness, create, told } = await setup();
    const schedule = await create({ overlap: 'allow' });
    house.clock.set(schedule.nextRunAtMs!);
    await house.dispatchAll();
    house.clock.advance(5 * MINUTE - 1);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    house.clock.advance(1);
    expect(await lateness.pass()).toEqual({ late: 1, told: 1 });
    expect(await told()).toMatchObject([{ run: { status: 'queued' } }]);
    const [run] = await worker.take();
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    await worker.succeed(run!);
    // The next one starts at once, and takes longer than lateAfter.
    await house.live(schedule.nextRunAtMs! + HOUR - house.clock.now());
    await house.dispatchAll();
    await worker.take();
    house.clock.advance(20 * MINUTE);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    expect(await told()).toHaveLength(1);
  });

  it('by hand, or for a time inside a pause, is never late', async () => {
    const { house, lateness, create, told } = await setup();
    const schedule = await create({ catchUp: 'all', overlap: 'allow' });
    await house.schedules.trigger(schedule.id, {});
    await house.schedules.pause(schedule.id, null);
    await house.live(2 * HOUR + 10 * MINUTE);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    await house.schedules.resume(schedule.id, { catchUp: 'all' });
    expect((await house.runsOf(schedule.id)).map(({ cause, status }) => `${cause} ${status}`)).toEqual(
      expect.arrayContaining(['manual queued', 'catch_up queued']),
    );
    house.clock.advance(10 * MINUTE);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    expect(await told()).toEqual([]);
  });
});

describe('without lateAfter', () => {
  it('nothing is late, and with it alone something is, though nobody is told', async () => {
    const { house, lateness, create, told } = await setup();
    const plain = await create({ lateAfterMs: undefined });
    const alone = await create({ notify: undefined, lateAfterMs: MINUTE });
    house.clock.set(Math.max(plain.nextRunAtMs!, alone.nextRunAtMs!) + 30 * MINUTE);
    expect(await lateness.pass()).toEqual({ late: 1, told: 0 });
    await house.schedules.update(alone.id, ({ spec: { lateAfterMs: _, ...spec } }) => spec);
    expect(await lateness.pass()).toEqual({ late: 0, told: 0 });
    expect(await told()).toEqual([]);
  });
});

it('goes by its indexes among many schedules', async () => {
  const { house, create } = await setup();
  const schedule = await create();
  await house.copy(schedule.id, 2_000);
  await house.db.execute(sql`analyze schedule_states`);
  const plan = await house.db.execute<{ 'QUERY PLAN': string }>(sql`
    explain select schedule_id from schedule_states where late_after_ms is not null and next_run_at is not null
      and (next_run_at at time zone 'UTC') + late_after_ms * interval '1 millisecond' <= '2026-01-01'::timestamp
    order by (next_run_at at time zone 'UTC') + late_after_ms * interval '1 millisecond' limit 10`);
  expect(plan.rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('schedule_states_late_idx');
});

it('lateAfter is counted in the schedule’s own time, whatever its length', async () => {
  const { house, lateness, create } = await setup();
  const [short, long] = [await create({ lateAfterMs: SECOND }), await create({ lateAfterMs: 2 * HOUR })];
  house.clock.set(short.nextRunAtMs! + SECOND);
  await lateness.pass();
  expect(lateness.late.map(({ scheduleId }) => scheduleId)).toEqual([short.id]);
  house.clock.set(long.nextRunAtMs! + 2 * HOUR);
  await lateness.pass();
  expect(lateness.late).toHaveLength(2);
});
