/** GET /schedules/{id}/explain */
import { sql } from 'drizzle-orm';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { DAY, HOUR, MINUTE, ms, SECOND } from '../support/timings.ts';
import { expectProblem, expectRun, id } from './wire-shapes.ts';

const api = await setupApi();
const { house } = api;
beforeEach(async () => {
  await api.reset();
  await house.live(0);
});
afterAll(() => api.close());

/** Of a time of 2026-03-01. */
const on = (clock: string) => `2026-03-01T${clock}Z`;
const as = (name: string) => ({ 'x-carillon-actor': name });

async function why(ref: string, at?: string) {
  const query = at === undefined ? '' : `?at=${encodeURIComponent(at)}`;
  const response = await api.get(`/schedules/${ref}/explain${query}`);
  expect(response.status, response.text).toBe(200);
  return response.body;
}

/** Time passes up to then, and what is due is dispatched. */
async function goTo(at: string): Promise<void> {
  await house.live(ms(at) - house.clock.now());
  await house.dispatchAll();
}

async function downUntil(at: string): Promise<void> {
  house.down(ms(at) - house.clock.now());
  await house.dispatchAll();
}

test('every field, of a run that succeeded', async () => {
  const { id: scheduleId } = await api.create('ping');
  await goTo(on('00:01:00'));
  const worker = await house.worker();
  const [run] = await worker.take();
  await house.live(2 * SECOND);
  await worker.succeed(run!);
  const told = await why('ping', '2026-03-01T01:01:00+01:00');
  expect(told).toEqual({
    at: '2026-03-01T00:01:00.000Z',
    scheduleId,
    scheduleName: 'ping',
    timezone: 'UTC',
    verdict: 'ran',
    detail: `It ran at ${on('00:01:00')}, as run ${run!.id}, which succeeded at ${on('00:01:02')}.`,
    version: { version: 1, at: on('00:00:00.000'), actor: 'api', action: 'created' },
    run: expect.objectContaining({ id: run!.id, status: 'succeeded' }),
    byRun: null,
    otherRuns: [],
    outage: null,
    pauses: [],
    rule: null,
    movedTo: null,
    movedFrom: null,
    previous: null,
    next: on('00:02:00.000'),
  });
  expectRun(told.run);
});

describe('a run', () => {
  test('that failed is told with its error', async () => {
    await api.create('ping', { job: { type: 'noop', retry: { maxAttempts: 1 } } });
    await goTo(on('00:01:00'));
    const worker = await house.worker();
    await worker.fail((await worker.take())[0]!, { type: 'Broken' });
    const told = await why('ping', on('00:01:00'));
    expect(told).toMatchObject({ verdict: 'ran', run: { status: 'failed' } });
    expect(told.detail).toMatch(/which failed at .*: Broken, /);
  });

  test('waits in the queue, runs, and waits for its retry', async () => {
    await api.create('ping');
    await goTo(on('00:01:00'));
    expect(await why('ping', on('00:01:00'))).toMatchObject({
      verdict: 'waiting',
      detail: `It is in the task queue "default" since ${on('00:01:00')} (0s) and no worker has taken it yet.`,
    });
    const worker = await house.worker();
    const [run] = await worker.take();
    expect(await why('ping', on('00:01:00'))).toMatchObject({
      verdict: 'running',
      detail: `It runs since ${on('00:01:00')}, as run ${run!.id}.`,
    });
    await worker.fail(run!);
    const told = await why('ping', on('00:01:00'));
    expect(told).toMatchObject({ verdict: 'running', run: { status: 'retrying' } });
    expect(told.detail).toContain('goes on at');
  });

  test('that was cancelled before it began never ran', async () => {
    await api.create('ping');
    await goTo(on('00:01:00'));
    const { run } = await why('ping', on('00:01:00'));
    await api.post(`/runs/${run.id}/cancel`);
    expect(await why('ping', on('00:01:00'))).toMatchObject({
      verdict: 'cancelled',
      detail: `As run ${run.id} it was cancelled before it started ("cancelled_by_hand").`,
    });
  });

  test('by hand and of a backfill at the same instant stand beside the schedule’s own', async () => {
    await api.create('ping', { every: '1h', overlap: 'allow' });
    await goTo(on('01:00:00'));
    const byHand = await api.trigger('ping');
    await api.post('/schedules/ping/backfill', { start: on('01:00:00'), end: on('01:00:00') });
    const told = await why('ping', on('01:00:00'));
    expect(told.run).toMatchObject({ cause: 'schedule' });
    expect(told.otherRuns.map(({ cause }: { cause: string }) => cause).sort()).toEqual([
      'backfill',
      'manual',
    ]);
    expect(told.otherRuns).toContainEqual(expect.objectContaining({ id: byHand.id }));
    // And where the schedule has no time at all.
    await house.live(MINUTE);
    await api.trigger('ping');
    expect(await why('ping', on('01:01:00'))).toMatchObject({
      verdict: 'not_a_nominal_time',
      run: null,
      otherRuns: [{ cause: 'manual' }],
    });
  });
});

describe('overlap', () => {
  test('tells which run was in the way, while it runs and after', async () => {
    await api.create('ping');
    await goTo(on('00:01:00'));
    const worker = await house.worker();
    const [run] = await worker.take();
    await goTo(on('00:02:00'));
    const expected = {
      verdict: 'skipped',
      detail: `It was skipped: run ${run!.id}, begun at ${on('00:01:00')}, was still active (\`overlap\` "skip").`,
      run: { status: 'skipped', reason: 'overlap' },
      byRun: { id: run!.id },
    };
    expect(await why('ping', on('00:02:00'))).toMatchObject(expected);
    await house.live(SECOND);
    await worker.succeed(run!);
    await goTo(on('00:03:00'));
    expect(await why('ping', on('00:02:00'))).toMatchObject(expected);
    expect(await why('ping', on('00:03:00'))).toMatchObject({ verdict: 'waiting', byRun: null });
  });

  test('tells of a run by hand too, though it is of a later time', async () => {
    await api.create('ping');
    house.clock.advance(61 * SECOND);
    await house.live(0);
    // What is due is settled first, so that one is in the queue; and it is in the way of the next.
    const byHand = await api.trigger('ping', { overlap: 'allow' });
    const worker = await house.worker();
    for (const run of await worker.take()) if (run.id !== byHand.id) await worker.succeed(run);
    await goTo(on('00:02:00'));
    expect(await why('ping', on('00:02:00'))).toMatchObject({
      verdict: 'skipped',
      byRun: { id: byHand.id, cause: 'manual' },
    });
  });

  test('holds a fire, and says for which run', async () => {
    await api.create('ping', { overlap: 'queue_one' });
    await goTo(on('00:01:00'));
    const worker = await house.worker();
    const [run] = await worker.take();
    await goTo(on('00:03:00'));
    expect(await why('ping', on('00:02:00'))).toMatchObject({
      verdict: 'waiting',
      detail: `It waits until run ${run!.id}, begun at ${on('00:01:00')}, has ended, as \`overlap\` has it.`,
      byRun: { id: run!.id },
    });
    expect(await why('ping', on('00:03:00'))).toMatchObject({ verdict: 'skipped', byRun: { id: run!.id } });
  });

  test('replaces, and says by which run', async () => {
    await api.create('ping', { overlap: 'cancel_running' });
    await goTo(on('00:01:00'));
    await (await house.worker()).take();
    await goTo(on('00:02:00'));
    await goTo(on('00:03:00'));
    const told = await why('ping', on('00:02:00'));
    expect(told).toMatchObject({
      verdict: 'skipped',
      run: { status: 'cancelled', reason: 'superseded' },
      byRun: { scheduledFor: on('00:03:00.000') },
    });
    expect(told.detail).toBe(
      `It was skipped: run ${told.byRun.id} of ${on('00:03:00')} took its place (\`overlap\` "cancel_running").`,
    );
  });
});

describe('downtime', () => {
  test('is told from when to when, with the policy and the run that stands for it', async () => {
    await api.create('ping', { every: '1h' });
    await goTo(on('01:00:00'));
    await house.worker().then(async (worker) => worker.succeed((await worker.take())[0]!));
    await downUntil(on('04:30:00'));
    const missed = await why('ping', on('02:00:00'));
    expect(missed).toMatchObject({
      verdict: 'missed',
      outage: { from: on('01:00:00.000'), until: on('04:30:00.000') },
      byRun: { scheduledFor: on('04:00:00.000'), cause: 'catch_up' },
    });
    expect(missed.detail).toBe(
      `Nobody dispatched from ${on('01:00:00')} until ${on('04:30:00')}, and by \`catchUp\` "latest" only the newest runs, which is run ${missed.byRun.id} of ${on('04:00:00')}.`,
    );
    const worker = await house.worker();
    await worker.succeed((await worker.take())[0]!);
    const made = await why('ping', on('04:00:00'));
    expect(made).toMatchObject({ verdict: 'ran', outage: { from: on('01:00:00.000') } });
    expect(made.detail).toContain('It was made up for, since nobody dispatched from');
  });

  test.each([
    ['none', '24h', 'and by `catchUp` "none" nothing is made up for.'],
    ['all', '90m', 'and it was older than the `catchUpWindow` of 1h30m.'],
  ])('with catchUp "%s" within %s says why', async (catchUp, catchUpWindow, words) => {
    await api.create('ping', { every: '1h', catchUp, catchUpWindow, timezone: 'Asia/Shanghai' });
    await downUntil(on('04:30:00'));
    const { verdict, detail } = await why('ping', on('01:00:00'));
    expect([verdict, detail]).toEqual([
      'missed',
      `Nobody dispatched from ${on('00:00:00')} (2026-03-01T08:00:00+08:00 in Asia/Shanghai) until ${on('04:30:00')} (2026-03-01T12:30:00+08:00 in Asia/Shanghai), ${words}`,
    ]);
  });

  test('of a long range any one time is found in its record', async () => {
    await api.create('ping', { every: '1s', catchUp: 'none' });
    await downUntil(on('01:00:00'));
    const told = await why('ping', on('00:17:23'));
    expect(told).toMatchObject({
      verdict: 'missed',
      run: { missed: { count: expect.any(Number) } },
      previous: on('00:17:22.000'),
      next: on('00:17:24.000'),
    });
    expect(told.run.missed.count).toBeGreaterThan(3000);
    expect(told.detail).toContain(
      `It is one of ${told.run.missed.count} times, from ${on('00:00:01')} to ${told.run.missed.until.replace('.000', '')}, which are on record as one.`,
    );
    expect(await why('ping', on('00:17:23.001'))).toMatchObject({ verdict: 'not_a_nominal_time', run: null });
  });

  test('that still lasts is told as such', async () => {
    await api.create('ping', { every: '1h' });
    house.down(61 * MINUTE);
    expect(await why('ping', on('01:00:00'))).toMatchObject({
      verdict: 'waiting',
      detail: `It is due and has not been dispatched yet. Nobody has dispatched since ${on('00:00:00')}; when somebody does, \`catchUp\` ("latest") decides.`,
      outage: { from: on('00:00:00.000'), until: on('01:01:00.000') },
      run: null,
    });
  });
});

describe('exclusions', () => {
  test('are told by their rule, and where the time moved', async () => {
    await api.create('report', {
      cron: '0 18 * * *',
      exclude: ['2026-03-02', '* * * * 0'],
      onExcluded: 'next_allowed',
    });
    const told = await why('report', on('18:00:00'));
    expect(told).toMatchObject({
      verdict: 'excluded',
      rule: { list: 'exclude', item: '* * * * 0' },
      movedTo: '2026-03-03T18:00:00.000Z',
      detail:
        'The trigger names this time, but `exclude` of version 1 leaves it out: "* * * * 0". `onExcluded` ("next_allowed") moved it to 2026-03-03T18:00:00Z.',
    });
    expect(await why('report', '2026-03-02T18:00:00Z')).toMatchObject({
      verdict: 'excluded',
      rule: { list: 'exclude', item: '2026-03-02' },
    });
  });

  test('a time that moved says where from', async () => {
    await api.create('report', {
      cron: '0 18 L * *',
      exclude: ['* * * * 0,6'],
      onExcluded: 'previous_allowed',
    });
    // 2026-05-31 is a Sunday.
    const told = await why('report', '2026-05-29T18:00:00Z');
    expect(told).toMatchObject({ verdict: 'will_run', movedFrom: '2026-05-31T18:00:00.000Z' });
    expect(told.detail).toContain('It stands for 2026-05-31T18:00:00Z, which is excluded and moved here.');
  });

  test('`only` has no item to tell, and calendars are told by name', async () => {
    await api.put('/calendars/holidays', { dates: ['2026-03-05'] });
    await api.create('report', { cron: '0 18 * * *', exclude: ['calendar:holidays'], only: ['* * * * 1-5'] });
    expect(await why('report', on('18:00:00'))).toMatchObject({
      verdict: 'excluded',
      rule: { list: 'only', item: null },
      movedTo: null,
      detail: 'The trigger names this time, but no item of `only` of version 1 has it.',
    });
    expect((await why('report', '2026-03-05T18:00:00Z')).detail).toBe(
      'The trigger names this time, but `exclude` of version 1 leaves it out: "calendar:holidays" (as the calendar is now).',
    );
  });
});

describe('pauses', () => {
  test('are told: since when, by whom, why; also those of groups', async () => {
    await api.create('ping', { labels: { team: 'data' } });
    await goTo(on('00:01:00'));
    await api.post('/schedules/pause?label=team:data', { note: 'moving' }).set(as('ann'));
    await api.post('/schedules/ping/pause').set(as('bob'));
    await goTo(on('00:02:30'));
    await api.post('/schedules/ping/resume');
    await goTo(on('00:04:00'));
    const told = await why('ping', on('00:02:00'));
    expect(told).toMatchObject({
      verdict: 'paused',
      version: { version: 3, action: 'paused', actor: 'bob' },
      pauses: [
        { labels: ['team:data'], since: on('00:01:00.000'), actor: 'ann', note: 'moving' },
        { labels: null, actor: 'bob', note: null },
      ],
      detail: `Its group team:data was paused at ${on('00:01:00')} by ann ("moving"); the schedule was paused at ${on('00:01:00')} by bob.`,
    });
    expect(await why('ping', on('00:01:00'))).toMatchObject({ verdict: 'waiting', version: { version: 1 } });
    expect(await why('ping', on('00:03:00'))).toMatchObject({ version: { version: 4 }, pauses: [] });
    expect((await why('ping', on('00:02:10'))).detail).toContain('was paused at');
  });

  test('of the circuit breaker keep off what was due and not dispatched', async () => {
    await api.create('ping', {
      every: '1s',
      overlap: 'allow',
      pauseAfterFailures: 1,
      job: { type: 'noop', retry: { maxAttempts: 1 } },
    });
    await goTo(on('00:00:01'));
    const worker = await house.worker();
    const [run] = await worker.take();
    await house.live(1500);
    await worker.fail(run!);
    const told = await why('ping', on('00:00:02'));
    expect(told).toMatchObject({
      verdict: 'paused',
      run: null,
      pauses: [{ actor: 'carillon', note: 'paused after 1 failures in a row' }],
    });
    expect(told.detail).toMatch(
      /^It had not been dispatched when the pause began\. The schedule was paused at/,
    );
  });

  test('that came while it waited out its jitter', async () => {
    await api.create('slow', { every: '1h', jitter: '30m' });
    await house.live(HOUR);
    expect(await why('slow', on('01:00:00'))).toMatchObject({ verdict: 'waiting', run: null });
    await api.post('/schedules/slow/pause', { note: 'hold on' }).set(as('ann'));
    const told = await why('slow', on('01:00:00'));
    expect(told).toMatchObject({
      verdict: 'paused',
      run: { status: 'skipped', reason: 'paused' },
      pauses: [{ actor: 'ann', note: 'hold on' }],
    });
    expect(told.detail).toContain('while it waited out its jitter');
  });
});

describe('the end', () => {
  test('stopped: since when, by whom, why', async () => {
    await api.create('ping');
    await goTo(on('00:01:30'));
    await api.post('/schedules/ping/stop', { note: 'over' }).set(as('ann'));
    expect(await why('ping', on('00:02:00'))).toMatchObject({
      verdict: 'stopped',
      detail: `It had been stopped for good since ${on('00:01:30')} (version 2, by ann) ("over").`,
      previous: on('00:01:00.000'),
      next: null,
    });
    expect(await why('ping', on('00:01:00'))).toMatchObject({
      verdict: 'stopped',
      detail: `It was taken away before a worker took it, since the schedule was stopped at ${on('00:01:30')} by ann (version 2).`,
    });
  });

  test('completed, and what maxRuns will leave out', async () => {
    await api.create('twice', { every: '1m', maxRuns: 2, overlap: 'allow' });
    expect(await why('twice', on('00:02:00'))).toMatchObject({ verdict: 'will_run' });
    expect(await why('twice', on('00:03:00'))).toMatchObject({
      verdict: 'completed',
      detail:
        'By then it will have had all its runs (`maxRuns` 2), unless some of the times before are skipped or missed.',
    });
    // A late pass finds three due times, of which two become runs.
    await goTo(on('00:03:30'));
    expect(await why('twice', on('00:03:00'))).toMatchObject({
      verdict: 'completed',
      detail: `It had had all its runs before this time, and was completed at ${on('00:03:30')} (version 2).`,
    });
    expect(await why('twice', on('00:04:00'))).toMatchObject({
      verdict: 'completed',
      detail: `It was completed since ${on('00:03:30')} (version 2, by carillon): no time was left to fire.`,
    });
  });

  test('deleted: by its id, with its runs and its history', async () => {
    const { id: scheduleId } = await api.create('ping');
    await goTo(on('00:01:30'));
    await api.delete('/schedules/ping').set(as('ann'));
    expect(await why(scheduleId, on('00:02:00'))).toMatchObject({
      verdict: 'deleted',
      scheduleName: 'ping',
      detail: `It has been deleted since ${on('00:01:30')} (version 2, by ann).`,
    });
    expect(await why(scheduleId.toUpperCase(), on('00:01:00'))).toMatchObject({
      verdict: 'deleted',
      detail: `It was taken away before a worker took it, since the schedule was deleted at ${on('00:01:30')} by ann (version 2).`,
    });
    expectProblem(await api.get('/schedules/ping/explain'), { status: 404, code: 'not_found' });
  });

  test('withdrawn by a reschedule: by whom', async () => {
    await api.create('ping');
    await goTo(on('00:01:20'));
    await api.patch('/schedules/ping', { labels: { a: 'b' } });
    await goTo(on('00:01:30'));
    await api.post('/schedules/ping/reschedule', { every: '7m' }).set(as('ann'));
    expect(await why('ping', on('00:01:00'))).toMatchObject({
      verdict: 'withdrawn',
      version: { version: 1 },
      detail: `It was withdrawn before a worker took it, since the times of the schedule were changed at ${on('00:01:30')} by ann (version 3).`,
    });
    // Each instant is judged by what was in force then.
    expect(await why('ping', on('00:02:00'))).toMatchObject({
      verdict: 'not_a_nominal_time',
      version: { version: 3, action: 'rescheduled', actor: 'ann' },
      next: on('00:06:00.000'),
    });
  });
});

describe('no time of it', () => {
  test('tells the nearest two', async () => {
    await api.create('daily', { cron: '0 2 * * *', timezone: 'Europe/Berlin' });
    await house.live(5 * DAY);
    expect(await why('daily', '2026-03-04T01:00:00.001Z')).toMatchObject({
      verdict: 'not_a_nominal_time',
      previous: '2026-03-04T01:00:00.000Z',
      next: '2026-03-05T01:00:00.000Z',
      detail:
        'This is no nominal time of version 1. The nearest are 2026-03-04T01:00:00Z (2026-03-04T02:00:00+01:00 in Europe/Berlin) before and 2026-03-05T01:00:00Z (2026-03-05T02:00:00+01:00 in Europe/Berlin) after it.',
    });
  });

  test('before its creation, and outside its window', async () => {
    await api.create('ping', { startAt: on('01:00:00'), endAt: on('02:00:00') });
    expect(await why('ping', '2026-02-28T23:59:00Z')).toMatchObject({
      verdict: 'before_creation',
      detail: `The schedule was created at ${on('00:00:00')} by api; only times after that are its own.`,
      version: null,
      previous: null,
      next: on('01:00:00.000'),
    });
    for (const at of [on('00:30:00'), on('02:01:00')]) {
      expect(await why('ping', at)).toMatchObject({
        verdict: 'outside_window',
        detail: `By version 1 it fires only from ${on('01:00:00')} until ${on('02:00:00')} (\`startAt\`, \`endAt\`).`,
      });
    }
    expect(await why('ping', on('02:00:00'))).toMatchObject({ verdict: 'will_run' });
  });

  test('of a delay the nearest are those of its runs', async () => {
    await api.create('crawl', { delay: '10m' });
    await house.dispatchAll();
    const worker = await house.worker();
    await house.live(MINUTE);
    await worker.succeed((await worker.take())[0]!);
    expect(await why('crawl', on('00:00:00'))).toMatchObject({ verdict: 'ran', version: { version: 1 } });
    expect(await why('crawl', on('00:05:00'))).toMatchObject({
      verdict: 'not_a_nominal_time',
      previous: on('00:00:00.000'),
      next: on('00:11:00.000'),
    });
    expect(await why('crawl', on('00:11:00'))).toMatchObject({ verdict: 'will_run' });
  });
});

test('will run, with its jitter', async () => {
  await api.create('slow', { every: '1h', jitter: '30m' });
  const { verdict, detail, previous } = await why('slow', on('05:00:00'));
  expect([verdict, previous]).toEqual(['will_run', on('04:00:00.000')]);
  expect(detail).toMatch(
    /^It will run at 2026-03-01T05:00:00Z, if nothing changes .* version 1 is in force\. It will start at 2026-03-01T05:\d\d:\d\d\.\d{3}Z, after its jitter\.$/,
  );
});

test('without a time it is about the last one until now', async () => {
  await api.create('ping');
  expect(await why('ping')).toMatchObject({ at: on('00:00:00.000'), verdict: 'before_creation' });
  await goTo(on('00:01:30'));
  expect(await why('ping')).toMatchObject({ at: on('00:01:00.000'), verdict: 'waiting', run: { id } });
});

test('what was pruned is unknown, and says so', async () => {
  await api.create('ping');
  await goTo(on('00:03:00'));
  await house.db.execute(sql`delete from runs where scheduled_for = ${on('00:02:00')}`);
  const told = await why('ping', on('00:02:00'));
  expect([told.verdict, told.run]).toEqual(['unknown', null]);
  expect(told.detail).toContain('CARILLON_RETENTION_DAYS');
  await api.patch('/schedules/ping', { labels: { a: 'b' } });
  await house.db.execute(sql`delete from schedule_versions where version = 1`);
  expect(await why('ping', on('00:01:30'))).toMatchObject({ verdict: 'unknown', version: null });
  // Of what is on record itself the version is taken, though it was made from one that is gone.
  expect(await why('ping', on('00:01:00'))).toMatchObject({ verdict: 'waiting', version: null });
});

test.each([
  ['yesterday'],
  ['2026-03-01'],
  ['2026-03-01 02:00:00 08:00'],
])('refuses %s as a time', async (at) => {
  await api.create('ping');
  const response = await api.get(`/schedules/ping/explain?at=${encodeURIComponent(at)}`);
  expectProblem(response, { status: 400, pointers: ['?at'] });
});

test('there is no such schedule', async () => {
  for (const ref of ['nobody', '018f2f6e-7a00-7000-8000-000000000001']) {
    expectProblem(await api.get(`/schedules/${ref}/explain`), { status: 404, code: 'not_found' });
  }
});
