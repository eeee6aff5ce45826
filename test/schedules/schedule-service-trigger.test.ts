import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type House, setupHouse } from '../support/house.ts';
import { at, every, HOUR, MINUTE, SECOND } from '../support/timings.ts';

let house: House;
beforeAll(async () => {
  house = await setupHouse();
});
beforeEach(() => house.reset());
afterAll(() => house.close());

const echo = { type: 'echo', input: { text: 'hello', tags: { a: '1', b: '2' } } };

describe('trigger', () => {
  it('makes a run now, with the schedule’s own input, and rings for it', async () => {
    const created = await house.create({ name: 'echo', job: { ...echo, taskQueue: 'default' } });
    await house.live(SECOND + 0.7);
    const run = await house.schedules.trigger('echo', {});
    expect(run).toMatchObject({
      scheduleId: created.id,
      scheduleName: 'echo',
      scheduleVersion: 1,
      jobType: 'echo',
      cause: 'manual',
      status: 'queued',
      reason: null,
      attempt: 1,
      scheduledForMs: created.createdAtMs + SECOND,
      input: echo.input,
    });
    expect(await house.doorbells()).toMatchObject([{ runId: run.id, attempt: 1, taskQueue: 'default' }]);
    expect((await (await house.worker()).take()).map((each) => each.id)).toEqual([run.id]);
  });

  it('does not move the schedule, and does not count as one of its fires', async () => {
    const created = await house.create({ maxRuns: 1 });
    await house.live(30 * SECOND);
    await house.schedules.trigger(created.id, {});
    const after = await house.schedules.get(created.id);
    expect(after).toMatchObject({
      status: 'active',
      version: 1,
      nextRunAtMs: created.nextRunAtMs,
      counts: { fired: 0 },
      activeRuns: 1,
    });
  });

  it('twice at the same instant makes two runs', async () => {
    const created = await house.create({ overlap: 'allow' });
    const runs = await Promise.all([1, 2, 3].map(() => house.schedules.trigger(created.id, {})));
    expect(new Set(runs.map((run) => run.id)).size).toBe(3);
    expect(await house.stateOf(created.id)).toMatchObject({ activeRuns: 3 });
  });

  it('at the instant of a nominal time makes a run beside the scheduled one', async () => {
    const created = await house.create({ overlap: 'allow' });
    await house.live(MINUTE);
    await house.schedules.trigger(created.id, {});
    await house.dispatch();
    const runs = await house.runsOf(created.id);
    expect(runs.map((run) => run.cause).sort()).toEqual(['manual', 'schedule']);
    expect(new Set(runs.map((run) => run.scheduledForMs)).size).toBe(1);
  });

  it('settles what was due before it, so that the scheduled fire comes first', async () => {
    const created = await house.create({ overlap: 'skip' });
    await house.live(MINUTE);
    const run = await house.schedules.trigger(created.id, {});
    expect(run).toMatchObject({ status: 'skipped', reason: 'overlap' });
    expect((await house.runsOf(created.id)).find((each) => each.id !== run.id)).toMatchObject({
      cause: 'schedule',
      status: 'queued',
    });
  });

  it.each([['stopped'], ['deleted']])('of a schedule that is %s is refused', async (how) => {
    const created = await house.create();
    if (how === 'stopped') await house.schedules.stop(created.id, null);
    else await house.schedules.remove(created.id);
    await expect(house.schedules.trigger(created.id, {})).rejects.toMatchObject({
      code: how === 'stopped' ? 'conflict' : 'not_found',
    });
    expect(await house.runsOf()).toEqual([]);
  });

  it('of a paused or completed schedule runs it all the same', async () => {
    const paused = await house.create();
    await house.schedules.pause(paused.id, null);
    const completed = await house.create({ timing: at(house.clock.now() + SECOND), overlap: 'allow' });
    await house.live(SECOND);
    await house.dispatch();
    for (const { id } of [paused, completed]) {
      expect(await house.schedules.trigger(id, {})).toMatchObject({ status: 'queued' });
    }
    expect((await house.schedules.get(paused.id)).status).toBe('paused');
    expect((await house.schedules.get(completed.id)).status).toBe('completed');
  });
});

describe('trigger with an input', () => {
  it('merges it into the schedule’s own (RFC 7396): what it omits stays, null takes away', async () => {
    const created = await house.create({ job: echo });
    const run = await house.schedules.trigger(created.id, { input: { tags: { a: null, c: '3' } } });
    expect(run.input).toEqual({ text: 'hello', tags: { b: '2', c: '3' } });
    expect((await house.schedules.get(created.id)).spec.job.input).toEqual(echo.input);
  });

  it('that is empty changes nothing', async () => {
    const created = await house.create({ job: echo });
    expect((await house.schedules.trigger(created.id, { input: {} })).input).toEqual(echo.input);
  });

  it('that does not fit the job type is refused, naming each field, and leaves no run', async () => {
    const created = await house.create({ job: echo });
    await expect(
      house.schedules.trigger(created.id, { input: { text: null, tags: { a: 7 }, colour: 'red' } }),
    ).rejects.toMatchObject({
      code: 'invalid',
      issues: [{ pointer: '/input/text' }, { pointer: '/input/tags/a' }, { pointer: '/input/colour' }],
    });
    expect(await house.runsOf()).toEqual([]);
    expect(await house.doorbells()).toEqual([]);
  });

  it('that is no object stands for the whole input, and is judged as that', async () => {
    const created = await house.create({ job: echo });
    for (const input of [null, 'text', 7, []]) {
      await expect(house.schedules.trigger(created.id, { input })).rejects.toMatchObject({
        code: 'invalid',
        issues: [{ pointer: '/input' }],
      });
    }
  });

  it('keeps characters that Postgres cannot as the sign for that', async () => {
    const created = await house.create({ job: echo });
    const run = await house.schedules.trigger(created.id, { input: { text: 'a\u0000b\ud800c' } });
    expect(run.input).toEqual({ ...echo.input, text: 'a\ufffdb\ufffdc' });
  });
});

describe('trigger under an overlap policy', () => {
  it('skip: while a run is active it is recorded as skipped', async () => {
    const created = await house.create({ overlap: 'skip' });
    expect(await house.schedules.trigger(created.id, {})).toMatchObject({ status: 'queued' });
    const second = await house.schedules.trigger(created.id, {});
    expect(second).toMatchObject({ status: 'skipped', reason: 'overlap', cause: 'manual' });
    expect(second.finishedAtMs).not.toBeNull();
    expect(await house.stateOf(created.id)).toMatchObject({ activeRuns: 1, skipped: 1 });
    expect(await house.doorbells()).toHaveLength(1);
  });

  it('allow: starts beside the active ones, when the schedule or the caller says so', async () => {
    const allowing = await house.create({ overlap: 'allow' });
    const skipping = await house.create({ overlap: 'skip' });
    for (let n = 0; n < 2; n += 1) {
      expect(await house.schedules.trigger(allowing.id, {})).toMatchObject({ status: 'queued' });
      expect(await house.schedules.trigger(skipping.id, { overlap: 'allow' })).toMatchObject({
        status: 'queued',
      });
    }
    expect(await house.schedules.trigger(allowing.id, { overlap: 'skip' })).toMatchObject({
      status: 'skipped',
    });
  });

  it('skip: a manual run is active for the scheduled fires too, until its retries have ended', async () => {
    const created = await house.create({ overlap: 'skip', timing: every(HOUR) });
    const worker = await house.worker();
    await house.live(HOUR - SECOND);
    const manual = await house.schedules.trigger(created.id, {});
    await worker.fail((await worker.take())[0]!);
    expect((await house.runs.get(manual.id)).status).toBe('retrying');
    await house.live(SECOND);
    await house.dispatch();
    const [scheduled] = (await house.runsOf(created.id)).filter((run) => run.cause === 'schedule');
    expect(scheduled).toMatchObject({ status: 'skipped', reason: 'overlap' });
  });

  it('by many at once starts one', async () => {
    const created = await house.create({ overlap: 'skip' });
    const runs = await Promise.all(Array.from({ length: 6 }, () => house.schedules.trigger(created.id, {})));
    expect(runs.filter((run) => run.status === 'queued')).toHaveLength(1);
    expect(await house.stateOf(created.id)).toMatchObject({ activeRuns: 1, skipped: 5 });
  });
});
