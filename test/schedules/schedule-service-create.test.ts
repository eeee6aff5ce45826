import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isUuid } from '../../src/runs/run-id.ts';
import { type House, setupHouse } from '../support/house.ts';
import { at, cron, DAY, every, HOUR, MINUTE, ms } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

describe('create', () => {
  it('answers the whole definition as it was given', async () => {
    const spec = house.spec({
      name: 'daily-backup',
      description: 'Every night, "quoted" — with ünïcode',
      labels: { team: 'data', 'a b': '' },
      timing: cron(['0 2 * * *', '30 14 * * 1-5'], {
        timezone: 'Asia/Shanghai',
        dst: { gap: 'skip', repeat: 'last' },
        startAtMs: ms('2026-02-01T00:00:00.123Z'),
        endAtMs: ms('2027-01-01T00:00:00Z'),
      }),
      timezone: 'Asia/Shanghai',
      dst: { gap: 'skip', repeat: 'last' },
      maxRuns: 1_000_000_000,
      jitterMs: DAY,
      overlap: 'allow',
      catchUp: 'all',
      catchUpWindowMs: 3653 * DAY,
      pauseAfterFailures: 1_000_000,
      job: {
        type: 'echo',
        input: { text: 'hello', tags: { z: '1', a: '2' } },
        taskQueue: 'backup',
        timeoutMs: 7 * DAY,
        retry: {
          maxAttempts: 7,
          initialIntervalMs: 1,
          maxIntervalMs: 30 * DAY,
          backoffCoefficient: 1.5,
          nonRetryableErrorTypes: ['A', 'B'],
        },
      },
    });
    const created = await house.schedules.create(spec);
    expect(created.spec).toEqual(spec);
    expect((await house.schedules.get('daily-backup')).spec).toEqual(spec);
  });

  it('begins active, at version 1, with its next times and nothing counted', async () => {
    const created = await house.create({ timing: every(15 * MINUTE) });
    expect(isUuid(created.id)).toBe(true);
    const start = house.clock.now();
    expect(created).toMatchObject({
      status: 'active',
      note: null,
      version: 1,
      createdAtMs: start,
      updatedAtMs: start,
      pausedAtMs: null,
      nextRunAtMs: start + 15 * MINUTE,
      upcomingMs: [1, 2, 3, 4, 5].map((n) => start + n * 15 * MINUTE),
      counts: { fired: 0, succeeded: 0, failed: 0, skipped: 0, missed: 0 },
      activeRuns: 0,
      fault: null,
      lastRun: null,
      runningRuns: [],
    });
  });

  it('fires strictly after now: a time that is this very instant belongs to the past', async () => {
    const created = await house.create({ timing: every(HOUR) });
    expect(created.nextRunAtMs).toBe(house.clock.now() + HOUR);
  });

  it('tells the dispatcher that the next fire may be nearer', async () => {
    await house.create();
    expect(house.changes).toBe(1);
  });

  it('keeps the definition as a reader finds it by id or by name', async () => {
    const created = await house.create({ name: 'by-name' });
    expect(await house.schedules.get(created.id)).toEqual(created);
    expect(await house.schedules.get('by-name')).toEqual(created);
  });

  it('takes times up to the end of the year 9999, and none after it', async () => {
    const last = ms('9999-12-31T23:59:59.999Z');
    const created = await house.create({ timing: at(last) });
    expect(created.nextRunAtMs).toBe(last);
    const timing = every(HOUR, 0, { startAtMs: last - 1 });
    await expect(house.create({ timing })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('with a jitter stores when it is due beside the nominal time', async () => {
    const created = await house.create({ jitterMs: MINUTE });
    const { nextRunAtMs, dueAtMs } = await house.stateOf(created.id);
    expect(nextRunAtMs).toBe(created.nextRunAtMs);
    expect(dueAtMs).toBeGreaterThan(nextRunAtMs!);
    expect(dueAtMs).toBeLessThan(nextRunAtMs! + MINUTE);
  });
});

describe('create refuses', () => {
  const count = async () => (await house.schedules.list({}, { limit: 200, after: null })).items.length;

  it('a name that a stopped schedule has, and says that it must be deleted first', async () => {
    await house.create({ name: 'over' });
    await house.schedules.stop('over', null);
    await expect(house.create({ name: 'over' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('DELETE /schedules/over'),
    });
  });

  it('a name that is taken, and says what to do', async () => {
    await house.create({ name: 'taken' });
    await expect(house.create({ name: 'taken' })).rejects.toMatchObject({
      code: 'conflict',
      message:
        'The name "taken" is taken. Choose another, or replace that schedule with PUT /schedules/taken.',
      issues: [{ pointer: '/name' }],
    });
    expect(await count()).toBe(1);
  });

  it('all but one of those who create the same name at once', async () => {
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => house.create({ name: 'race' })));
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'conflict' });
    }
    expect(await count()).toBe(1);
  });

  it('a job type that does not exist, and names those that do', async () => {
    await expect(house.create({ job: { type: 'bakcup' } })).rejects.toMatchObject({
      code: 'invalid',
      issues: [
        { pointer: '/job/type', detail: 'There is no job type "bakcup"; there are: noop, echo, failing.' },
      ],
    });
    expect(await count()).toBe(0);
  });

  it('an input that does not fit its job, and names every field that is wrong', async () => {
    const input = { tags: { a: 1 }, 'odd/name~': true };
    await expect(house.create({ job: { type: 'echo', input } })).rejects.toMatchObject({
      code: 'invalid',
      issues: [
        { pointer: '/job/input/text' },
        { pointer: '/job/input/tags/a' },
        { pointer: '/job/input/odd~1name~0' },
      ],
    });
    expect(await count()).toBe(0);
  });

  it.each([
    ['at instants that have all passed', at(ms('2026-02-28T23:59:59Z'), ms('2026-03-01T00:00:00Z')), '/at'],
    ['an interval whose window is over', every(HOUR, 0, { endAtMs: ms('2026-02-28T00:00:00Z') }), '/endAt'],
    ['a window without a time in it', every(DAY, 0, { endAtMs: ms('2026-03-01T23:59:59Z') }), '/endAt'],
    ['a cron whose window is over', cron('0 2 * * *', { endAtMs: ms('2026-02-28T00:00:00Z') }), '/cron'],
  ])('%s, which would never fire', async (_, timing, pointer) => {
    await expect(house.create({ timing })).rejects.toMatchObject({ code: 'invalid', issues: [{ pointer }] });
    expect(await count()).toBe(0);
    expect(house.changes).toBe(0);
  });

  it('at instants of which some have passed it does not: the rest is to come', async () => {
    const created = await house.create({
      timing: at(ms('2026-02-01T00:00:00Z'), ms('2026-03-02T00:00:00Z')),
    });
    expect(created.upcomingMs).toEqual([ms('2026-03-02T00:00:00Z')]);
  });
});

describe('get', () => {
  it('of an id or name that nobody has says where to look', async () => {
    const message = 'There is no schedule "nobody". GET /schedules lists them, POST /schedules creates one.';
    await expect(house.schedules.get('nobody')).rejects.toMatchObject({ code: 'not_found', message });
    await expect(house.schedules.get('018f3c9e-7b00-7000-8000-000000000001')).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('shows the runs that are active, newest first, and the one that ended last', async () => {
    const created = await house.create({ overlap: 'allow' });
    const worker = await house.worker();
    for (let n = 0; n < 3; n += 1) {
      await house.live(MINUTE);
      await house.dispatch();
    }
    const [first] = await worker.take();
    await worker.succeed(first!);
    const view = await house.schedules.get(created.id);
    expect(view.activeRuns).toBe(2);
    expect(view.lastRun).toMatchObject({ id: first!.id, status: 'succeeded' });
    const [, second, third] = await house.runsOf(created.id);
    expect(view.runningRuns.map((run) => run.id)).toEqual([third!.id, second!.id]);
  });

  it('shows at most 20 of the active runs', async () => {
    const created = await house.create({ overlap: 'allow' });
    await house.live(25 * MINUTE);
    await house.dispatchAll();
    const view = await house.schedules.get(created.id);
    expect(view.activeRuns).toBe(25);
    expect(view.runningRuns).toHaveLength(20);
    expect(view.runningRuns[0]!.scheduledForMs).toBe(house.clock.now());
  });
});

describe('upcoming', () => {
  it('begins with the next nominal time', async () => {
    const created = await house.create({ timing: every(HOUR) });
    const start = house.clock.now();
    const { timesMs } = await house.schedules.upcoming(created.id, 3);
    expect(timesMs).toEqual([start + HOUR, start + 2 * HOUR, start + 3 * HOUR]);
  });

  it('of one that is due and not dispatched yet begins with that', async () => {
    const created = await house.create({ timing: every(HOUR) });
    const start = house.clock.now();
    house.down(HOUR + MINUTE);
    const { timesMs } = await house.schedules.upcoming(created.id, 2);
    expect(timesMs).toEqual([start + HOUR, start + 2 * HOUR]);
  });

  it('of a paused one tells what would fire if it were resumed now, though its own list is empty', async () => {
    const created = await house.create({ timing: every(HOUR) });
    await house.schedules.pause(created.id, null);
    await house.live(90 * MINUTE);
    const { timesMs, schedule } = await house.schedules.upcoming(created.id, 1);
    expect(timesMs).toEqual([ms('2026-03-01T02:00:00Z')]);
    expect(schedule.status).toBe('paused');
    expect((await house.schedules.get(created.id)).upcomingMs).toEqual([]);
  });

  it.each(['stop', 'complete'])('after a %s is empty', async (how) => {
    const created = await house.create({ timing: at(house.clock.now() + 1000) });
    if (how === 'stop') await house.schedules.stop(created.id, null);
    await house.live(1000);
    await house.dispatch();
    expect((await house.schedules.upcoming(created.id, 3)).timesMs).toEqual([]);
  });

  it('of an unknown schedule is not found', async () => {
    await expect(house.schedules.upcoming('nobody', 3)).rejects.toMatchObject({ code: 'not_found' });
  });
});
