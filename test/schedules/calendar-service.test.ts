/** Calendars as a resource, and the schedules that go by them. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CalendarDefinition } from '../../src/schedules/calendar-service.ts';
import { createCalendarService } from '../../src/schedules/calendar-service.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, cron, DAY, delay, every, HOUR, less, MINUTE, ms } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const put = (name: string, dates: readonly string[], more: Partial<CalendarDefinition> = {}) =>
  house.calendars.put({ name, description: '', timezone: null, dates, ical: null, ...more });
const daily = cron('0 2 * * *');
const byCalendar = less(daily, ['calendar:holidays']);
const nextOf = async (ref: string) => (await house.schedules.get(ref)).nextRunAtMs;
const march = (day: number) => ms(`2026-03-${String(day).padStart(2, '0')}T02:00:00Z`);

describe('a calendar', () => {
  it('is made, then replaced, and its version counts the changes', async () => {
    const first = await put('holidays', ['2026-03-05', '2026-03-01..2026-03-02']);
    expect(first).toMatchObject({
      created: true,
      calendar: {
        name: 'holidays',
        version: 1,
        usedBy: 0,
        intervals: 2,
        events: 0,
        spec: { timezone: 'UTC' },
      },
    });
    expect(first.calendar.firstMs).toBe(ms('2026-03-01T00:00:00Z'));
    expect(first.calendar.lastMs).toBe(ms('2026-03-06T00:00:00Z'));
    const second = await put('holidays', ['2026-03-07'], { timezone: 'Asia/Shanghai' });
    expect(second).toMatchObject({
      created: false,
      calendar: { version: 2, spec: { timezone: 'Asia/Shanghai' } },
    });
    expect(second.calendar.id).toBe(first.calendar.id);
    expect(await house.calendars.get('holidays')).toEqual(second.calendar);
  });

  it('put again as it is changes nothing, until its horizon is a year old', async () => {
    const ical =
      'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n';
    const first = (await put('holidays', [], { ical })).calendar;
    await house.live(HOUR);
    expect((await put('holidays', [], { ical })).calendar).toEqual(first);
    await house.live(366 * DAY);
    const later = (await put('holidays', [], { ical })).calendar;
    expect(later.version).toBe(2);
    expect(later.intervals).toBe(first.intervals + 1);
  });

  it('that is wrong is refused with the entry that is', async () => {
    await expect(put('holidays', ['2026-03-01', '2026-02-30'])).rejects.toMatchObject({
      code: 'invalid',
      issues: [{ pointer: '/dates/1' }],
    });
    await expect(put('holidays', [], { ical: 'BEGIN:VCARD' })).rejects.toMatchObject({
      issues: [{ pointer: '/ical' }],
    });
    await expect(house.calendars.get('holidays')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('in use cannot be deleted, and one that is not used can', async () => {
    await put('holidays', ['2026-03-02']);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await house.create({ name, timing: byCalendar });
    expect((await house.calendars.get('holidays')).usedBy).toBe(6);
    await expect(house.calendars.remove('holidays')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/"a", "b", "c", "d", "e" and others/),
    });
    for (const name of ['a', 'b', 'c', 'd']) await house.schedules.remove(name);
    const unused = ({ spec }: { spec: ReturnType<House['spec']> }) => ({ ...spec, timing: daily });
    for (const name of ['e', 'f']) await house.schedules.update(name, unused);
    await house.calendars.remove('holidays');
    await expect(house.calendars.remove('holidays')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is listed newest first', async () => {
    for (const name of ['a', 'b', 'c']) {
      await put(name, []);
      await house.live(1);
    }
    const first = await house.calendars.list({ limit: 2, after: null });
    expect(first.items.map(({ name }) => name)).toEqual(['c', 'b']);
    const rest = await house.calendars.list({ limit: 2, after: first.next });
    expect([rest.items.map(({ name }) => name), rest.next]).toEqual([['a'], null]);
  });
});

describe('a schedule', () => {
  it('that names a calendar which there is not is refused, with the item', async () => {
    await put('holidays', []);
    const timing = less(daily, ['2026-03-01', 'calendar:holidays', 'calendar:hollidays'], {
      only: ['calendar:x'],
    });
    await expect(house.create({ timing })).rejects.toMatchObject({
      code: 'invalid',
      issues: [{ pointer: '/exclude/2' }, { pointer: '/only/0' }],
    });
    expect((await house.schedules.list({}, { limit: 10, after: null })).items).toEqual([]);
  });

  it('whose exclusions leave nothing is refused', async () => {
    await put('march', ['2026-03-01..2026-03-31']);
    const never = [
      less(at(march(5), march(6)), ['calendar:march']),
      less(daily, ['0 2 * * *']),
      less(daily, [], { only: ['2026-02-01'] }),
    ];
    for (const timing of never) {
      await expect(house.create({ timing })).rejects.toMatchObject({
        code: 'invalid',
        issues: [{ pointer: timing.exclusions!.only.length > 0 ? '/only' : '/exclude' }],
      });
    }
  });

  it('fires at no time that is left out, before and after each fire', async () => {
    await put('holidays', ['2026-03-02..2026-03-03']);
    const created = await house.create({ timing: byCalendar, overlap: 'allow' });
    expect(created.upcomingMs).toEqual([1, 4, 5, 6, 7].map(march));
    await house.live(5 * DAY);
    await house.dispatchAll();
    const times = (await house.runsOf(created.id)).map((run) => run.scheduledForMs);
    expect(times).toEqual([1, 4, 5].map(march));
  });

  it.each([
    ['next_allowed', [1, 4, 5]],
    ['previous_allowed', [1, 4, 5]],
  ] as const)('with %s moves to a day that is allowed', async (onExcluded, days) => {
    await put('holidays', ['2026-03-02..2026-03-03']);
    const { id } = await house.create({
      timing: less(cron('0 2 2,4,5 * *'), ['calendar:holidays'], { onExcluded }),
      overlap: 'allow',
    });
    await house.live(6 * DAY);
    await house.dispatchAll();
    const times = (await house.runsOf(id)).map((run) => run.scheduledForMs);
    // The 2nd goes to the 4th, where one is already, or to the 1st.
    expect(times).toEqual((onExcluded === 'next_allowed' ? days.slice(1) : days).map(march));
  });

  it('keeps its next time when something else of it changes, and gets another with other exclusions', async () => {
    await put('holidays', ['2026-03-01']);
    const { id } = await house.create({ timing: byCalendar });
    await house.schedules.update(id, ({ spec }) => ({ ...spec, description: 'x' }));
    expect(await nextOf(id)).toBe(march(2));
    await house.schedules.update(id, ({ spec }) => ({ ...spec, timing: less(daily, ['2026-03-02']) }));
    expect(await nextOf(id)).toBe(march(1));
    expect((await house.calendars.get('holidays')).usedBy).toBe(0);
  });

  it('whose days are on its own clock moves when its zone does', async () => {
    const timing = less(every(HOUR), ['2026-03-01'], { timezone: 'Asia/Shanghai' });
    const { id } = await house.create({ timing, timezone: 'Asia/Shanghai' });
    expect(await nextOf(id)).toBe(ms('2026-03-01T16:00:00Z'));
    await house.schedules.update(id, ({ spec }) => ({
      ...spec,
      timezone: 'UTC',
      timing: less(every(HOUR), ['2026-03-01']),
    }));
    expect(await nextOf(id)).toBe(ms('2026-03-02T00:00:00Z'));
  });

  it('that is caught up after downtime leaves out what is excluded', async () => {
    await put('holidays', ['2026-03-02..2026-03-03']);
    const { id } = await house.create({
      timing: byCalendar,
      catchUp: 'all',
      catchUpWindowMs: 30 * DAY,
      overlap: 'allow',
    });
    house.down(5 * DAY);
    await house.dispatchAll();
    expect((await house.runsOf(id)).map((run) => run.scheduledForMs)).toEqual([1, 4, 5].map(march));
  });

  it('that is resumed from a pause, too', async () => {
    await put('holidays', ['2026-03-02..2026-03-03']);
    const { id } = await house.create({ timing: byCalendar, catchUpWindowMs: 30 * DAY, overlap: 'allow' });
    await house.schedules.pause(id, null);
    await house.live(5 * DAY);
    await house.schedules.resume(id, { catchUp: 'all' });
    expect((await house.runsOf(id)).map((run) => run.scheduledForMs)).toEqual([1, 4, 5].map(march));
  });
});

describe('a change of a calendar', () => {
  it('moves the next times of all that use it, on both sides of one batch', async () => {
    await put('holidays', ['2026-03-02']);
    const { id } = await house.create({ timing: byCalendar });
    await house.copy(id, 250);
    await house.db.execute(sql`
      insert into schedule_calendars (calendar_id, schedule_id) select c.id, s.id from calendars c, schedules s
      on conflict do nothing`);
    await put('holidays', ['2026-03-01..2026-03-03']);
    const { rows } = await house.db.execute(
      sql`select (next_run_at at time zone 'UTC')::text as next, count(*)::int as n from schedule_states group by 1`,
    );
    expect(rows).toEqual([{ next: '2026-03-04 02:00:00', n: 251 }]);
  });

  it('is told to the dispatcher', async () => {
    let changes = 0;
    const calendars = createCalendarService({
      db: house.db,
      clock: house.clock,
      book: house.book,
      onChange: () => {
        changes += 1;
      },
    });
    const definition = { name: 'holidays', description: '', timezone: null, ical: null };
    await calendars.put({ ...definition, dates: ['2026-03-01'] });
    await house.create({ timing: byCalendar });
    await calendars.put({ ...definition, dates: [] });
    expect(changes).toBe(1);
  });

  it('leaves alone what is due, what waits out its jitter, what is paused and what is stopped', async () => {
    await put('holidays', []);
    const due = await house.create({ name: 'due', timing: byCalendar });
    const jittered = await house.create({ name: 'jittered', timing: byCalendar, jitterMs: 20 * HOUR });
    const paused = await house.create({ name: 'paused', timing: byCalendar });
    const stopped = await house.create({ name: 'stopped', timing: byCalendar });
    await house.schedules.pause(paused.id, null);
    await house.schedules.stop(stopped.id, null);
    await house.live(2 * HOUR);
    await put('holidays', ['2026-03-01']);
    expect((await house.stateOf(due.id)).nextRunAtMs).toBe(march(1));
    expect((await house.stateOf(jittered.id)).nextRunAtMs).toBe(march(1));
    expect((await house.stateOf(paused.id)).nextRunAtMs).toBeNull();
    expect((await house.stateOf(stopped.id)).nextRunAtMs).toBeNull();
    await house.live(20 * HOUR);
    await house.dispatchAll();
    expect(await house.timetable(due.id)).toEqual(['2026-03-01T02:00:00.000Z queued']);
    expect(await house.timetable(jittered.id)).toEqual(['2026-03-01T02:00:00.000Z queued']);
  });

  it('may end a schedule, and a change back brings it to life again', async () => {
    await put('holidays', []);
    const { id } = await house.create({ timing: less(at(march(5)), ['calendar:holidays']) });
    await put('holidays', ['2026-03-05']);
    expect(await house.schedules.get(id)).toMatchObject({ status: 'completed', nextRunAtMs: null });
    await put('holidays', ['2026-03-06']);
    expect(await house.schedules.get(id)).toMatchObject({ status: 'active', nextRunAtMs: march(5) });
  });

  it('that dies half way is finished by a later pass', async () => {
    await put('holidays', []);
    const { id } = await house.create({ timing: byCalendar });
    // As the first transaction of a put leaves it.
    await house.db.execute(sql`
      update calendars set version = 2, spec = jsonb_set(spec, '{entries}', '["2026-03-01"]') where name = 'holidays'`);
    expect(await nextOf(id)).toBe(march(1));
    expect(await house.calendars.applyPass()).toBe(1);
    expect(await nextOf(id)).toBe(march(2));
    expect(await house.calendars.applyPass()).toBe(0);
  });

  it('reaches a schedule that is being created meanwhile', async () => {
    await put('holidays', []);
    const other = house.another();
    let creating: Promise<unknown> = Promise.resolve();
    await other.db.transaction(async (tx) => {
      await tx.execute(sql`
        update calendars set version = 2, spec = jsonb_set(spec, '{entries}', '["2026-03-01"]') where name = 'holidays'`);
      creating = house.create({ timing: byCalendar, name: 'meanwhile' });
      await house.blocked();
    });
    await creating;
    expect(await nextOf('meanwhile')).toBe(march(2));
  });

  it('does not touch a delay, which looks when its time has come', async () => {
    await put('holidays', []);
    const { id } = await house.create({ timing: less(delay(MINUTE), ['calendar:holidays']) });
    await put('holidays', ['2026-03-01']);
    expect(await house.dispatchAll()).toMatchObject({ started: 0 });
    expect(await nextOf(id)).toBe(ms('2026-03-02T00:00:00Z'));
  });
});

describe('a calendar that is gone or broken all the same', () => {
  it('is a fault of the schedules that name it, and of no other', async () => {
    await put('holidays', []);
    const { id } = await house.create({ name: 'a', timing: byCalendar });
    const other = await house.create({ name: 'b', timing: daily });
    await house.db.execute(sql`update calendars set version = 2, spec = '{"entries": 5}'::jsonb`);
    await house.live(2 * HOUR);
    // The time that has come was named while all was well.
    expect(await house.dispatch()).toMatchObject({ faults: 1, started: 2 });
    expect((await house.schedules.get(id)).fault).toMatch(/no calendar "holidays"/);
    expect((await house.schedules.get(other.id)).fault).toBeNull();
    // Mended, it goes on; nothing is fired twice.
    await put('holidays', []);
    await house.live(MINUTE);
    await house.dispatchAll();
    expect(await house.timetable(id)).toEqual(['2026-03-01T02:00:00.000Z queued']);
    expect((await house.schedules.get(id)).fault).toBeNull();
  });
});
