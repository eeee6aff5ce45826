import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ScheduleView } from '../../src/schedules/schedule.ts';
import type { ScheduleFilter } from '../../src/schedules/schedule-service.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const names = (views: readonly ScheduleView[]) => views.map((view) => view.spec.name);
const found = async (filter: ScheduleFilter) =>
  names((await house.schedules.list(filter, { limit: 200, after: null })).items).sort();

/** All pages, one after the other; `between` may change the world meanwhile. */
async function pages(limit: number, filter: ScheduleFilter = {}, between = async () => {}) {
  const list: ScheduleView[][] = [];
  for (let after: string | null = null; ; ) {
    const page = await house.schedules.list(filter, { limit, after });
    list.push(page.items);
    if (page.next === null) return list;
    after = page.next;
    await between();
  }
}

describe('list', () => {
  it('of nothing is empty', async () => {
    expect(await house.schedules.list({}, { limit: 50, after: null })).toEqual({ items: [], next: null });
  });

  it('answers the newest first, each as get answers it', async () => {
    for (const name of ['first', 'second', 'third']) {
      await house.create({ name });
      house.clock.advance(1);
    }
    const { items, next } = await house.schedules.list({}, { limit: 50, after: null });
    expect(names(items)).toEqual(['third', 'second', 'first']);
    expect(next).toBeNull();
    for (const item of items) expect(await house.schedules.get(item.id)).toEqual(item);
  });

  it('comes in pages, of which the last says that it is', async () => {
    for (let n = 0; n < 7; n += 1) await house.create();
    const list = await pages(3);
    expect(list.map((page) => page.length)).toEqual([3, 3, 1]);
    expect(new Set(names(list.flat())).size).toBe(7);
  });

  it('a page that ends exactly with the list has no next one', async () => {
    for (let n = 0; n < 4; n += 1) await house.create();
    expect((await pages(2)).map((page) => page.length)).toEqual([2, 2]);
  });

  it('leaves no gap and repeats nothing while schedules are created and deleted', async () => {
    const old: string[] = [];
    for (let n = 0; n < 20; n += 1) {
      // Several of one millisecond: their order is their ids' alone.
      if (n % 4 === 0) house.clock.advance(1);
      old.push((await house.create()).id);
    }
    let deleted = 0;
    const list = await pages(3, {}, async () => {
      house.clock.advance(1);
      await house.create();
      if (deleted < 3) await house.schedules.remove(old[deleted]!); // the oldest, not seen yet
      deleted += 1;
    });
    const seen = list.flat().map((view) => view.id);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => old.includes(id))).toHaveLength(17);
    expect([...seen].sort().reverse()).toEqual(seen);
  });
});

describe('list filters', () => {
  it('by status', async () => {
    await house.create({ name: 'active' });
    await house.create({ name: 'paused' });
    await house.create({ name: 'stopped' });
    await house.create({ name: 'completed', timing: at(house.clock.now() + SECOND) });
    await house.schedules.pause('paused', null);
    await house.schedules.stop('stopped', null);
    await house.live(SECOND);
    await house.dispatch();
    for (const status of ['active', 'paused', 'stopped', 'completed'] as const) {
      expect(await found({ status })).toEqual([status]);
    }
  });

  it('by job type', async () => {
    await house.create({ name: 'a' });
    await house.create({ name: 'b', job: { type: 'echo', input: { text: '' } } });
    expect(await found({ jobType: 'echo' })).toEqual(['b']);
    expect(await found({ jobType: 'bakcup' })).toEqual([]);
  });

  it('by label, whatever its characters', async () => {
    await house.create({ name: 'a', labels: { team: 'data', 'odd "key"': "it's" } });
    await house.create({ name: 'b', labels: { team: 'web' } });
    await house.create({ name: 'c' });
    expect(await found({ label: { key: 'team', value: 'data' } })).toEqual(['a']);
    expect(await found({ label: { key: 'odd "key"', value: "it's" } })).toEqual(['a']);
    expect(await found({ label: { key: 'team', value: '' } })).toEqual([]);
    expect(await found({ label: { key: 'data', value: 'team' } })).toEqual([]);
  });

  it('by words in the name or the description, in either case, and takes no character for a pattern', async () => {
    await house.create({ name: 'Daily-Backup' });
    await house.create({ name: 'sync', description: 'copies the BACKUP away' });
    await house.create({ name: 'half_way', description: '100%' });
    expect(await found({ q: 'backup' })).toEqual(['Daily-Backup', 'sync']);
    expect(await found({ q: 'DAILY' })).toEqual(['Daily-Backup']);
    expect(await found({ q: '%' })).toEqual(['half_way']);
    expect(await found({ q: '_' })).toEqual(['half_way']);
    expect(await found({ q: '\\' })).toEqual([]);
  });

  it('by how the last run ended', async () => {
    const worker = await house.worker();
    const good = await house.create({ name: 'good' });
    const bad = await house.create({ name: 'bad' });
    await house.create({ name: 'new', timing: every(HOUR) });
    await house.live(MINUTE);
    await house.dispatch();
    for (const run of await worker.take()) {
      if (run.scheduleId === good.id) await worker.succeed(run);
      else await worker.fail(run, { retryable: false });
    }
    expect(await found({ lastStatus: 'succeeded' })).toEqual(['good']);
    expect(await found({ lastStatus: 'failed' })).toEqual(['bad']);
    const view = await house.schedules.get(bad.id);
    expect(view.lastRun).toMatchObject({ status: 'failed' });
  });

  it('by all of them at once, over pages', async () => {
    for (let n = 0; n < 12; n += 1) {
      await house.create({
        name: `job-${n}`,
        labels: { parity: n % 2 === 0 ? 'even' : 'odd' },
        description: n < 10 ? 'small' : 'large',
      });
    }
    await house.schedules.pause('job-2', null);
    const filter: ScheduleFilter = {
      status: 'active',
      jobType: 'noop',
      label: { key: 'parity', value: 'even' },
      q: 'small',
    };
    const list = await pages(2, filter);
    expect(names(list.flat()).sort()).toEqual(['job-0', 'job-4', 'job-6', 'job-8']);
    expect(list.map((page) => page.length)).toEqual([2, 2]);
  });
});
