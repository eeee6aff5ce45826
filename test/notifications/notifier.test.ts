/** What is told of runs and schedules, to whom, how often it is tried; with real receivers, the clock moved by hand. */
import { sql } from 'drizzle-orm';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { insertNotifications } from '../../src/db/notification-store.ts';
import { endRuns } from '../../src/db/run-end-store.ts';
import type { ClaimedRun } from '../../src/db/run-store.ts';
import { prunePass } from '../../src/dispatcher/pruner.ts';
import { backlogMax, leaseMs, notificationRetry } from '../../src/notifications/notifier.ts';
import { newId } from '../../src/runs/run-id.ts';
import { allKinds, setupNotifyRig } from '../support/notify-rig.ts';
import { type Receiver, startReceiver } from '../support/receiver.ts';
import { endOf } from '../support/run-ends.ts';
import { testRetry } from '../support/test-jobs.ts';
import { DAY, every, HOUR, MINUTE, SECOND } from '../support/timings.ts';
import { waitFor } from '../support/wait-for.ts';

const key = `whsec_${Buffer.from('a key of thirty-two bytes, or so').toString('base64')}`;
const to = (receiver: Receiver, on = allKinds, path = '/hook') => [
  { on, webhook: { url: receiver.url + path } },
];

async function setup() {
  const rig = await setupNotifyRig();
  return { ...rig, receiver: await startReceiver() };
}

describe('told is', () => {
  it('the end of a run, signed so that the library of Standard Webhooks takes it', async () => {
    const { house, receiver, create, run, deliver } = await setup();
    await house.secrets.put('key', { value: key, description: '' });
    const schedule = await create([
      { on: ['failure'], webhook: { url: `${receiver.url}/hook`, secret: { $secret: 'key' } } },
    ]);
    await run(schedule, 'fail');
    await deliver();
    const [call] = receiver.heard;
    expect(new Webhook(key).verify(call!.body, call!.headers)).toEqual({
      type: 'run.failed',
      timestamp: expect.stringMatching(/Z$/),
      data: {
        schedule: { id: schedule.id, name: schedule.spec.name },
        run: expect.objectContaining({
          jobType: 'noop',
          status: 'failed',
          attempt: 1,
          error: { type: 'Broken', message: 'as the test wanted' },
        }),
        scheduledFor: expect.stringMatching(/Z$/),
        note: null,
      },
    });
    expect(() => new Webhook(key).verify(call!.body.replace('failed', 'fooled'), call!.headers)).toThrow();
    expect(call!.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'carillon/0',
    });
    expect(call!.headers['webhook-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('a failure only when no attempt follows, and a time-out as one', async () => {
    const { house, worker, receiver, create, run, deliver } = await setup();
    const schedule = await create(to(receiver), { job: { retry: { ...testRetry, maxAttempts: 2 } } });
    const { id } = await house.schedules.trigger(schedule.id, {});
    expect(await worker.fail((await worker.claim({ id, attempt: 1 }))!)).toBe('retrying');
    await deliver();
    expect(receiver.types()).toEqual([]);
    house.clock.advance(5 * SECOND);
    await house.dispatchAll();
    expect(await worker.fail((await worker.claim({ id, attempt: 2 }))!, { timedOut: true })).toBe(
      'timed_out',
    );
    await deliver();
    expect(receiver.heard.map(({ message }) => [message.type, message.data.run])).toEqual([
      ['run.failed', expect.objectContaining({ id, status: 'timed_out', attempt: 2 })],
    ]);
    expect(JSON.stringify(receiver.heard)).not.toContain('input');
    await run(schedule, 'succeed');
    await deliver();
    expect(JSON.stringify(receiver.heard)).not.toContain('canary output');
  });

  it('a recovery only of a success after a failure, whatever was cancelled or done in between', async () => {
    const { house, receiver, create, run, deliver } = await setup();
    const schedule = await create(to(receiver, ['recovered']));
    const told = async () => {
      await deliver();
      return receiver.types().length;
    };
    await run(schedule, 'succeed');
    expect(await told()).toBe(0);
    await run(schedule, 'fail');
    await run(schedule, 'time out');
    expect(await told()).toBe(0);
    const { id } = await house.schedules.trigger(schedule.id, { overlap: 'allow' });
    await house.runs.cancel(id);
    await run(schedule, 'succeed');
    expect(await told()).toBe(1);
    await run(schedule, 'succeed');
    expect(await told()).toBe(1);
    // A resume forgives failures; the schedule still worked again only now.
    await run(schedule, 'fail');
    await house.schedules.pause(schedule.id, null);
    await house.schedules.resume(schedule.id, { catchUp: 'none' });
    await run(schedule, 'succeed');
    expect(await told()).toBe(2);
    expect(new Set(receiver.types())).toEqual(new Set(['run.recovered']));
  });

  it('a recovery also when failure and success end in one batch', async () => {
    const { house, worker, receiver, create, deliver } = await setup();
    const schedule = await create(to(receiver, ['recovered', 'failure', 'success']));
    const claims: ClaimedRun[] = [];
    for (let n = 0; n < 3; n += 1) {
      const { id } = await house.schedules.trigger(schedule.id, { overlap: 'allow' });
      claims.push((await worker.claim({ id, attempt: 1 }))!);
    }
    const nowMs = house.clock.now();
    await endRuns(
      house.db,
      claims.map((claim, n) =>
        endOf(claim, nowMs + n, n === 1 ? { status: 'failed', error: { type: 'Broken', message: '' } } : {}),
      ),
      ['default'],
    );
    await deliver();
    const byRun = (n: number) =>
      receiver.heard
        .filter(({ message }) => (message.data.run as { id: string }).id === claims[n]!.id)
        .map(({ message }) => message.type)
        .sort();
    expect([byRun(0), byRun(1), byRun(2)]).toEqual([
      ['run.succeeded'],
      ['run.failed'],
      ['run.recovered', 'run.succeeded'],
    ]);
  });

  it('each time that catch-up records as missed, a range of them as one', async () => {
    const { house, receiver, create, deliver } = await setup();
    const schedule = await create(to(receiver), { timing: every(MINUTE), catchUp: 'none' });
    house.down(2 * MINUTE + SECOND);
    await house.dispatchAll();
    await deliver();
    expect(receiver.types()).toEqual(['run.missed', 'run.missed']);
    expect(receiver.heard[0]!.message.data).toMatchObject({
      run: { status: 'missed', reason: 'catch_up_none', missed: null },
    });
    house.down(300 * MINUTE);
    await house.dispatchAll();
    await deliver();
    const ranges = receiver.heard.map(
      ({ message }) => (message.data.run as { missed: object | null }).missed,
    );
    const { missed } = await house.stateOf(schedule.id);
    const counted = ranges.reduce(
      (sum, range) => sum + ((range as { count?: number } | null)?.count ?? 1),
      0,
    );
    expect(counted).toBe(missed);
    expect(ranges.filter((range) => range !== null).length).toBeGreaterThan(0);
  });

  it('a pause, by hand with its note and by failures in a row', async () => {
    const { house, receiver, create, run, deliver } = await setup();
    const schedule = await create(to(receiver, ['paused']), { pauseAfterFailures: 2 });
    await house.schedules.pause(schedule.id, 'new pipes');
    await house.schedules.pause(schedule.id, 'new pipes still');
    await house.schedules.resume(schedule.id, { catchUp: 'none' });
    await run(schedule, 'fail');
    await run(schedule, 'fail');
    await deliver();
    expect(receiver.heard.map(({ message }) => [message.type, message.data.note, message.data.run])).toEqual([
      ['schedule.paused', 'new pipes', null],
      ['schedule.paused', 'paused after 2 failures in a row', null],
    ]);
  });

  it('only what was asked for, to each who asked, and nothing of what comes before the asking', async () => {
    const { house, receiver, create, run, deliver, of } = await setup();
    const schedule = await create([]);
    await run(schedule, 'fail');
    const notify = [...to(receiver, ['failure', 'success'], '/a'), ...to(receiver, ['success'], '/b')];
    await house.schedules.update(schedule.id, (current) => ({ ...current.spec, notify }));
    await run(schedule, 'fail');
    await run(schedule, 'succeed');
    await house.schedules.update(schedule.id, ({ spec: { notify: _, ...spec } }) => spec);
    await run(schedule, 'fail');
    await deliver();
    expect(receiver.heard.map(({ path, message }) => `${path} ${message.type}`).sort()).toEqual([
      '/a run.failed',
      '/a run.succeeded',
      '/b run.succeeded',
    ]);
    expect((await of(schedule)).map(({ status, attempts }) => [status, attempts])).toEqual(
      Array(3).fill(['delivered', 1]),
    );
    const { rows } = await house.db.execute(sql`select from notify_events`);
    expect(rows).toHaveLength(2);
  });

  it('what happened, though the schedule is deleted before it is sent', async () => {
    const { house, receiver, create, run, deliver } = await setup();
    const schedule = await create(to(receiver));
    await run(schedule, 'fail');
    await house.schedules.remove(schedule.id);
    await deliver();
    expect(receiver.types()).toEqual(['run.failed']);
  });
});

describe('a receiver that does not take it', () => {
  it('is tried again by the policy, with the same id and a new signature', async () => {
    const { house, receiver, create, run, deliver, of, outcomes } = await setup();
    await house.secrets.put('key', { value: key, description: '' });
    const schedule = await create([
      { on: ['failure'], webhook: { url: receiver.url, secret: { $secret: 'key' } } },
    ]);
    receiver.reply((_call, n) => (n < 2 ? { status: 500, body: 'not well' } : 204));
    await run(schedule, 'fail');
    await deliver();
    expect(await of(schedule)).toMatchObject([
      {
        status: 'pending',
        attempts: 1,
        lastError: 'It answered 500: not well',
        nextAttemptAtMs: house.clock.now() + 5 * SECOND,
      },
    ]);
    house.clock.advance(5 * SECOND - 1);
    await deliver();
    expect(receiver.heard).toHaveLength(1);
    house.clock.advance(1);
    await deliver();
    house.clock.advance(15 * SECOND);
    await deliver();
    expect(await of(schedule)).toMatchObject([{ status: 'delivered', attempts: 3, nextAttemptAtMs: null }]);
    expect(outcomes).toEqual(['webhook retried', 'webhook retried', 'webhook delivered']);
    const { heard } = receiver;
    expect(new Set(heard.map(({ id }) => id)).size).toBe(1);
    expect(new Set(heard.map(({ body }) => body)).size).toBe(1);
    for (const { body, headers, id } of heard) {
      const at = new Date(Number(headers['webhook-timestamp']) * 1000);
      expect(headers['webhook-signature']).toBe(new Webhook(key).sign(id, at, body));
    }
    expect(new Set(heard.map(({ headers }) => headers['webhook-timestamp'])).size).toBe(3);
  });

  it('is waited for as long as it asks', async () => {
    const { house, receiver, create, run, deliver, of } = await setup();
    receiver.reply(() => ({ status: 429, headers: { 'retry-after': '120' } }));
    const schedule = await create(to(receiver));
    await run(schedule, 'fail');
    await deliver();
    expect((await of(schedule))[0]!.nextAttemptAtMs).toBe(house.clock.now() + 120 * SECOND);
  });

  it('is given up after ten tries over some hours', async () => {
    const { house, receiver, create, run, deliver, of, outcomes } = await setup();
    receiver.reply(() => 503);
    const schedule = await create(to(receiver));
    const startMs = house.clock.now();
    await run(schedule, 'fail');
    await deliver();
    for (let tries = 1; tries < notificationRetry.maxAttempts; tries += 1) {
      house.clock.set((await of(schedule))[0]!.nextAttemptAtMs!);
      await deliver();
    }
    expect(await of(schedule)).toMatchObject([
      { status: 'dead', attempts: 10, lastError: 'It answered 503.' },
    ]);
    expect(receiver.heard).toHaveLength(10);
    expect(outcomes.at(-1)).toBe('webhook dead');
    expect((house.clock.now() - startMs) / HOUR).toBeGreaterThan(3);
    house.clock.advance(DAY);
    await deliver();
    expect(receiver.heard).toHaveLength(10);
  });

  it('is given up at once when it says that it is gone, and not followed where it points', async () => {
    const { receiver, create, run, deliver, of } = await setup();
    receiver.reply(({ path }) =>
      path === '/gone' ? 410 : { status: 302, headers: { location: '/elsewhere' } },
    );
    const [gone, moved] = [
      await create(to(receiver, allKinds, '/gone')),
      await create(to(receiver, allKinds, '/moved')),
    ];
    for (const schedule of [gone!, moved!]) await run(schedule, 'fail');
    await deliver();
    expect(await of(gone!)).toMatchObject([{ status: 'dead', attempts: 1 }]);
    expect(await of(moved!)).toMatchObject([{ status: 'pending', lastError: 'It answered 302.' }]);
    expect(receiver.heard.map(({ path }) => path).sort()).toEqual(['/gone', '/moved']);
  });

  it('and is slow, holds up no other', async () => {
    const { receiver, create, run, notifier, of } = await setup();
    const slow = await startReceiver();
    slow.reply(() => 'hold');
    const stuck = await create(to(slow));
    for (let n = 0; n < 60; n += 1) await run(stuck, 'fail');
    const other = await create(to(receiver));
    await run(other, 'fail');
    await waitFor(async () => {
      await notifier.pass();
      return receiver.heard.length === 1;
    });
    await waitFor(async () => (await of(other))[0]!.status === 'delivered');
    expect(slow.heard.length).toBeLessThanOrEqual(4);
    expect((await of(stuck)).every(({ status }) => status === 'pending')).toBe(true);
  });

  it('does not get more than a bounded backlog', async () => {
    const { house, create, of } = await setup();
    const schedule = await create([]);
    const nowMs = house.clock.now();
    const one = () => ({
      id: newId(nowMs),
      scheduleId: schedule.id,
      scheduleName: 'x',
      runId: null,
      kind: 'failure' as const,
      channel: 'webhook' as const,
      receiver: 'http://127.0.0.1:1',
      target: { webhook: { url: 'http://127.0.0.1:1' } },
      payload: {},
    });
    const many = (n: number) =>
      house.db.transaction((tx) => insertNotifications(tx, Array.from({ length: n }, one), nowMs, 3));
    await many(2);
    await many(2);
    await many(1);
    expect((await of(schedule)).map(({ status }) => status).sort()).toEqual([
      'dead',
      'dead',
      'pending',
      'pending',
      'pending',
    ]);
    expect((await of(schedule)).find(({ status }) => status === 'dead')!.lastError).toContain(
      '3 notifications',
    );
    expect(backlogMax).toBe(1_000);
  });
});

describe('a secret', () => {
  it('that is missing is told as the error, and used once it is there', async () => {
    const { house, receiver, create, run, deliver, of } = await setup();
    // biome-ignore lint/suspicious/noTemplateCurlyInString: It is a reference to a secret.
    const reference = '${secret:token}';
    await house.secrets.put('token', { value: 'canary-token-value', description: '' });
    const schedule = await create([
      {
        on: ['failure'],
        webhook: {
          url: `${receiver.url}/${reference}`,
          headers: { authorization: `Bearer ${reference}` },
        },
      },
    ]);
    await expect(house.secrets.remove('token')).rejects.toMatchObject({ code: 'conflict' });
    await house.db.execute(sql`delete from schedule_secrets`);
    await house.secrets.remove('token');
    await run(schedule, 'fail');
    await deliver();
    expect(await of(schedule)).toMatchObject([
      { status: 'pending', lastError: expect.stringContaining('There is no secret "token"') },
    ]);
    await house.secrets.put('token', { value: 'canary-token-value', description: '' });
    receiver.reply(({ path, headers }) => ({ status: 500, body: `${path} ${headers.authorization}` }));
    house.clock.advance(MINUTE);
    await deliver();
    expect(receiver.heard[0]).toMatchObject({
      path: '/canary-token-value',
      headers: { authorization: 'Bearer canary-token-value' },
    });
    const [kept] = await of(schedule);
    expect(kept!.lastError).toContain('[secret:token]');
    expect(JSON.stringify(kept)).not.toContain('canary-token-value');
  });

  it('to sign with that is no key is told, and nothing is sent unsigned', async () => {
    const { house, receiver, create, run, deliver, of } = await setup();
    await house.secrets.put('key', { value: 'not base64!', description: '' });
    const schedule = await create([
      { on: ['failure'], webhook: { url: receiver.url, secret: { $secret: 'key' } } },
    ]);
    await run(schedule, 'fail');
    await deliver();
    expect(receiver.heard).toEqual([]);
    expect((await of(schedule))[0]!.lastError).toContain('must be base64');
  });
});

describe('two notifiers', () => {
  it('send each message once', async () => {
    const { receiver, create, run, notifier, another, of } = await setup();
    const schedule = await create(to(receiver));
    for (let n = 0; n < 30; n += 1) await run(schedule, 'fail');
    const both = [notifier, another()];
    await waitFor(async () => {
      await Promise.all(both.map((each) => each.pass()));
      return (await of(schedule)).filter(({ status }) => status === 'delivered').length === 30;
    });
    await Promise.all(both.map((each) => each.settled()));
    expect(receiver.heard).toHaveLength(30);
    expect(new Set(receiver.heard.map(({ id }) => id)).size).toBe(30);
  });

  it('take over from one that was lost, when its lease is over, under the same id', async () => {
    const { house, receiver, create, run, notifier, another } = await setup();
    const schedule = await create(to(receiver));
    receiver.reply((_call, n) => (n === 0 ? 'hold' : 204));
    await run(schedule, 'fail');
    await waitFor(async () => {
      await notifier.pass();
      return receiver.heard.length === 1;
    });
    const second = another();
    house.clock.advance(leaseMs - 1);
    await second.pass();
    await second.settled();
    expect(receiver.heard).toHaveLength(1);
    house.clock.advance(1);
    await second.pass();
    await second.settled();
    expect(receiver.heard.map(({ id }) => id)).toEqual([receiver.heard[0]!.id, receiver.heard[0]!.id]);
  });
});

it('an event that cannot be read is told to who runs the service, and stops no other', async () => {
  const faults: unknown[] = [];
  const { house, receiver, create, run, another } = await setup();
  const [bad, good] = [await create(to(receiver)), await create(to(receiver))];
  await run(bad, 'fail');
  await run(good, 'fail');
  await house.db.execute(sql`update notify_events set notify = '[{}]' where schedule_id = ${bad.id}`);
  const notifier = another({ onFault: (error) => faults.push(error) });
  await notifier.pass();
  await notifier.settled();
  await notifier.pass();
  expect(faults).toHaveLength(1);
  expect(receiver.heard.map(({ message }) => message.data.schedule)).toMatchObject([{ id: good.id }]);
});

it('what is being sent at a stop is broken off, and due at once for another process', async () => {
  const { house, receiver, create, run, notifier, another, of } = await setup();
  const schedule = await create(to(receiver));
  receiver.reply((_call, n) => (n === 0 ? 'hold' : 204));
  await run(schedule, 'fail');
  await waitFor(async () => {
    await notifier.pass();
    return receiver.heard.length === 1;
  });
  await notifier.close(0);
  expect(await of(schedule)).toMatchObject([{ status: 'pending', nextAttemptAtMs: house.clock.now() }]);
  const second = another();
  await second.pass();
  await second.settled();
  expect(await of(schedule)).toMatchObject([{ status: 'delivered', attempts: 2 }]);
});

it('what has ended is deleted after the retention, with its events', async () => {
  const { house, receiver, create, run, deliver, of } = await setup();
  const schedule = await create(to(receiver));
  await run(schedule, 'fail');
  await deliver();
  const prune = () => prunePass({ db: house.db, clock: house.clock, ageMsMax: 2 * 86_400_000 });
  house.clock.advance(2 * DAY - MINUTE);
  await prune();
  expect(await of(schedule)).toHaveLength(1);
  house.clock.advance(2 * MINUTE);
  await prune();
  expect(await of(schedule)).toEqual([]);
  expect((await house.db.execute(sql`select from notify_events`)).rows).toEqual([]);
});
