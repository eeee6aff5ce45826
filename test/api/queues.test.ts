/** /queues: tasks go in one by one or many at once, are read, cancelled and tried again. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { claimTasks, pruneTasks, settleTasks } from '../../src/db/queue-task-store.ts';
import { type ClaimedTask, tasksPerRequestMax } from '../../src/queues/queue-task.ts';
import { enqueuedAnswer, queueAnswer, taskAnswer } from '../../src/routes/queue-wire.ts';
import { setupApi } from '../support/api-house.ts';
import { DAY, HOUR, MINUTE } from '../support/timings.ts';
import { expectProblem, expectRefused, id, instant } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());
beforeEach(() => api.reset());

const url = 'http://127.0.0.1:3000/healthz';
const path = '/queues/mail/tasks';
const nobody = '018f2f6e-7a00-7000-8000-000000000001';

type Body = { id: string; status: string; created: boolean };

async function enqueue(task: object = {}, queue = 'mail'): Promise<Body> {
  const response = await api.post(`/queues/${queue}/tasks`, { url, ...task });
  expect(response.status, response.text).toBeLessThan(300);
  return response.body;
}

/** A drain that claims, as a `queue` run does. */
async function startDrain(queue = 'mail') {
  await api.create(`drain-${queue}`, {
    job: { type: 'queue', input: { queueName: queue } },
    overlap: 'allow',
  });
  const { id: runId } = await api.trigger(`drain-${queue}`);
  const worker = await api.house.worker();
  await worker.claim({ id: runId, attempt: 1 });
  return { runId, attempt: 1, queue };
}

const result = (task: ClaimedTask, status: 'succeeded' | 'dead') => ({
  id: task.id,
  attempt: task.attempt,
  startedAtMs: api.house.clock.now(),
  finishedAtMs: api.house.clock.now(),
  status,
  output: status === 'succeeded' ? { statusCode: 200 } : null,
  error: status === 'dead' ? { type: 'HttpStatus', message: 'answered 500' } : null,
});

/** Claims all that is pending, and lets it end so. */
async function finish(status: 'succeeded' | 'dead', queue = 'mail'): Promise<void> {
  const drain = await startDrain(queue);
  const { tasks } = await claimTasks(api.house.db, drain, 100, api.house.clock.now());
  await settleTasks(
    api.house.db,
    drain,
    tasks.map((task) => result(task, status)),
  );
  await api.delete(`/schedules/drain-${queue}`);
}

describe('POST /queues/{name}/tasks', () => {
  test('one task is answered with its id, and is there', async () => {
    const response = await api.post(path, { url, headers: { 'x-order': '7' }, priority: 5, maxAttempts: 9 });
    expect(response.status).toBe(201);
    enqueuedAnswer.strict().parse(response.body);
    expect(response.body).toEqual({ id, status: 'pending', dedupeKey: null, created: true });
    expect(response.headers.location).toBe(`${path}/${response.body.id}`);
    const found = await api.get(response.headers.location!);
    taskAnswer.strict().parse(found.body);
    expect(found.body).toEqual({
      id: response.body.id,
      queue: 'mail',
      status: 'pending',
      priority: 5,
      dueAt: instant,
      attempt: 0,
      failures: 0,
      maxAttempts: 9,
      dedupeKey: null,
      runId: null,
      createdAt: instant,
      startedAt: null,
      finishedAt: null,
      input: { url, headers: { 'x-order': '7' } },
      output: null,
      error: null,
    });
  });

  test('a thousand go together, in their order', async () => {
    const tasks = Array.from({ length: tasksPerRequestMax }, (_, n) => ({ url: `${url}?n=${n}` }));
    const response = await api.post(path, { tasks });
    expect([response.status, response.headers.location]).toEqual([201, path]);
    expect(response.body.tasks).toHaveLength(1_000);
    const claimed = await claimTasks(api.house.db, await startDrain(), 1_000, api.house.clock.now());
    expect(claimed.tasks.map(({ id }) => id)).toEqual(response.body.tasks.map(({ id }: Body) => id));
    expect(claimed.tasks.map(({ input }) => input)).toEqual(tasks);
  });

  test('a key that is there already answers the task that has it, whatever became of that', async () => {
    const first = await enqueue({ dedupeKey: 'order-7' });
    const again = await api.post(path, { url: `${url}?another`, dedupeKey: 'order-7' });
    expect([again.status, again.headers.location]).toEqual([200, undefined]);
    expect(again.body).toEqual({ ...first, created: false });
    await finish('succeeded');
    expect(await enqueue({ dedupeKey: 'order-7' })).toEqual({
      ...first,
      status: 'succeeded',
      created: false,
    });
    // Another queue has keys of its own.
    expect((await enqueue({ dedupeKey: 'order-7' }, 'sms')).created).toBe(true);
  });

  test('keys that come twice in a request make one task, the first', async () => {
    const key = (dedupeKey: string, n: number) => ({ url: `${url}?n=${n}`, dedupeKey });
    await enqueue(key('there', 0));
    const { body } = await api.post(path, {
      tasks: [key('b', 1), { url }, key('there', 2), key('b', 3), key('a', 4)],
    });
    expect(body.tasks.map((task: Body) => task.created)).toEqual([true, true, false, false, true]);
    expect(body.tasks[3].id).toBe(body.tasks[0].id);
    const stored = await api.get(`${path}/${body.tasks[0].id}`);
    expect(stored.body.input.url).toBe(`${url}?n=1`);
    expect((await api.get('/queues/mail')).body.counts.pending).toBe(4);
  });

  test('twenty at once with the same keys in any order make each task once', async () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => {
        const turned = [...keys.slice(n % 8), ...keys.slice(0, n % 8)];
        const order = n % 2 === 0 ? turned : turned.reverse();
        return api.post(path, { tasks: order.map((dedupeKey) => ({ url, dedupeKey })) });
      }),
    );
    const tasks = answers.flatMap(({ body }) => body.tasks as (Body & { dedupeKey: string })[]);
    expect(tasks).toHaveLength(160);
    for (const key of keys) {
      const ofKey = tasks.filter(({ dedupeKey }) => dedupeKey === key);
      expect(new Set(ofKey.map((task) => task.id)).size).toBe(1);
      expect(ofKey.filter((task) => task.created)).toHaveLength(1);
    }
    expect((await api.get('/queues/mail')).body.counts.pending).toBe(8);
  });

  test('with notBefore it waits', async () => {
    const later = await enqueue({ notBefore: '2026-03-01T02:00:00+01:00' });
    expect(later.status).toBe('waiting');
    expect((await api.get(`${path}/${later.id}`)).body.dueAt).toBe('2026-03-01T01:00:00.000Z');
    expect((await enqueue({ notBefore: '2020-01-01T00:00:00Z' })).status).toBe('pending');
  });

  test('references to secrets are stored as they are', async () => {
    await api.put('/secrets/mail-token', { value: 'correct-horse-battery' });
    // biome-ignore lint/suspicious/noTemplateCurlyInString: It is what callers write.
    const headers = { authorization: 'Bearer ${secret:mail-token}' };
    const task = await enqueue({ headers, body: { $secret: 'mail-token' } });
    const { body, text } = await api.get(`${path}/${task.id}`);
    expect(body.input).toEqual({ url, headers, body: { $secret: 'mail-token' } });
    expect(text).not.toContain('horse');
  });

  test.each<[string, unknown, string[], (string | RegExp)?]>([
    ['nothing in it', {}, ['/url'], '`url` is required'],
    ['an unknown field', { url, uri: 1 }, ['/uri'], '`uri` is not a known field'],
    ['an address of another protocol', { url: 'ftp://x' }, ['/url'], 'http://'],
    ['no tasks', { tasks: [] }, ['/tasks'], 'at least 1 item'],
    ['too many tasks', { tasks: Array(1001).fill({ url }) }, ['/tasks'], 'at most 1000 items'],
    ['tasks and a task', { tasks: [{ url }], url, priority: 1 }, ['/url', '/priority'], 'beside `tasks`'],
    ['a bad one among good ones', { tasks: [{ url }, { url: 5 }, { url }] }, ['/tasks/1/url'], '`url`'],
    ['tasks that are none', { tasks: ['x'] }, ['/tasks/0'], 'an object, not a string'],
    ['a priority that is no number', { url, priority: 'high' }, ['/priority']],
    ['a priority beyond all bounds', { url, priority: 1001 }, ['/priority'], 'at most 1000'],
    ['no tries', { url, maxAttempts: 0 }, ['/maxAttempts']],
    ['an empty key', { url, dedupeKey: '' }, ['/dedupeKey']],
    ['a key of 257 characters', { url, dedupeKey: 'x'.repeat(257) }, ['/dedupeKey']],
    ['a local time', { url, notBefore: '2027-01-01T00:00:00' }, ['/notBefore'], 'RFC 3339'],
    ['a password in its address', { url: 'http://a:b@127.0.0.1/' }, ['/url', '/url'], 'password'],
    [
      'a password somewhere else',
      { tasks: [{ url }, { url, body: 'postgres://a:secret@db/x' }] },
      ['/tasks/1/body'],
      'PUT /secrets',
    ],
    [
      'a secret that there is not',
      { tasks: [{ url, headers: { authorization: { $secret: 'nope' } } }] },
      ['/tasks/0/headers/authorization'],
      'There is no secret "nope"',
    ],
  ])('%s is refused, and leaves nothing', async (_what, body, pointers, words) => {
    await expectRefused(api, () => api.post(path, body), {
      status: 400,
      code: 'invalid',
      pointers,
      ...(words && { words }),
    });
  });

  test('a name that can be none is refused', async () => {
    await expectRefused(api, () => api.post('/queues/a%20b/tasks', { url }), {
      status: 400,
      pointers: ['/name'],
    });
  });
});

describe('GET /queues', () => {
  test('queues come newest first, in pages, with their counts', async () => {
    for (const queue of ['a', 'b', 'c']) {
      await enqueue({}, queue);
      await api.house.live(1);
    }
    const page = await api.get('/queues?limit=2');
    expect(page.body.items.map((queue: { name: string }) => queue.name)).toEqual(['c', 'b']);
    for (const item of page.body.items) queueAnswer.strict().parse(item);
    const rest = await api.get(`/queues?limit=2&cursor=${page.body.nextCursor}`);
    expect([rest.body.items.length, rest.body.nextCursor]).toEqual([1, null]);
    expectProblem(await api.get(`/queues/a/tasks?cursor=${page.body.nextCursor}`), {
      status: 400,
      pointers: ['?cursor'],
    });
  });

  test('counts follow every move, and the oldest age is that of what could have begun', async () => {
    await enqueue({ notBefore: '2026-03-02T00:00:00Z' });
    await api.house.live(MINUTE);
    const doomed = await enqueue();
    await finish('dead');
    await enqueue();
    await enqueue();
    await finish('succeeded');
    const cancelled = await enqueue();
    await api.post(`${path}/${cancelled.id}/cancel`);
    await enqueue();
    await api.house.live(90_000);
    const drain = await startDrain();
    await enqueue();
    const { body } = await api.get('/queues/mail');
    queueAnswer.strict().parse(body);
    expect(body).toEqual({
      name: 'mail',
      createdAt: '2026-03-01T00:00:00.000Z',
      counts: { pending: 2, waiting: 1, running: 0, succeeded: 2, dead: 1, cancelled: 1 },
      oldestPendingSeconds: 90,
    });
    await claimTasks(api.house.db, drain, 1, api.house.clock.now());
    await api.post(`${path}/${doomed.id}/retry`);
    expect((await api.get('/queues/mail')).body.counts).toEqual({
      pending: 2,
      waiting: 1,
      running: 1,
      succeeded: 2,
      dead: 0,
      cancelled: 1,
    });
  });

  test('what is past the retention goes, and stays counted; its key is free', async () => {
    await enqueue({ dedupeKey: 'k' });
    await finish('succeeded');
    await enqueue({ dedupeKey: 'l' });
    await finish('dead');
    const live = await enqueue({ dedupeKey: 'm' });
    await api.house.live(DAY);
    const { clock, db } = api.house;
    expect(await pruneTasks(db, clock.now() - DAY, 10)).toEqual({ tasks: 0, more: false });
    expect(await pruneTasks(db, clock.now() - HOUR, 1)).toEqual({ tasks: 1, more: true });
    expect(await pruneTasks(db, clock.now() - HOUR, 10)).toEqual({ tasks: 1, more: false });
    const { body } = await api.get('/queues/mail');
    expect(body.counts).toMatchObject({ succeeded: 1, dead: 0, pending: 1 });
    expect((await api.get(path)).body.items.map((task: Body) => task.id)).toEqual([live.id]);
    expect((await enqueue({ dedupeKey: 'k' })).created).toBe(true);
  });

  test('an unknown one is a 404', async () => {
    for (const ref of ['nope', 'a%20b']) {
      for (const rest of ['', '/tasks', `/tasks/${nobody}`]) {
        expectProblem(await api.get(`/queues/${ref}${rest}`), { status: 404, code: 'not_found' });
      }
      expectProblem(await api.post(`/queues/${ref}/retry`), { status: 404, code: 'not_found' });
    }
  });
});

describe('GET /queues/{name}/tasks', () => {
  test('tasks come newest first, in pages, by status too', async () => {
    const dead = await enqueue();
    await finish('dead');
    await api.house.live(1);
    const done = await enqueue();
    await finish('succeeded');
    await api.house.live(1);
    const later = await enqueue({ notBefore: '2030-01-01T00:00:00Z' });
    await api.house.live(1);
    const next = await enqueue();
    await enqueue({}, 'sms');
    const idsOf = async (query: string) =>
      (await api.get(`${path}?${query}`)).body.items.map((task: Body) => task.id);
    expect(await idsOf('')).toEqual([next.id, later.id, done.id, dead.id]);
    expect(await idsOf('status=dead,succeeded')).toEqual([done.id, dead.id]);
    expect(await idsOf('status=pending&status=waiting&status=pending')).toEqual([next.id, later.id]);
    expect(await idsOf('status=running')).toEqual([]);
    const page = await api.get(`${path}?limit=3`);
    for (const item of page.body.items) taskAnswer.strict().parse(item);
    expect(page.headers.link).toMatch(/rel="next"/);
    expect(await idsOf(`limit=3&cursor=${page.body.nextCursor}`)).toEqual([dead.id]);
    expectProblem(await api.get(`${path}?status=lost`), { status: 400, pointers: ['?status'] });
  });
});

describe('POST …/cancel', () => {
  test('a task that waits or runs is cancelled, and no drain gets further with it', async () => {
    const waiting = await enqueue({ notBefore: '2030-01-01T00:00:00Z' });
    const running = await enqueue();
    const drain = await startDrain();
    const { tasks } = await claimTasks(api.house.db, drain, 10, api.house.clock.now());
    expect(tasks.map((task) => task.id)).toEqual([running.id]);
    for (const task of [waiting, running]) {
      const response = await api.post(`${path}/${task.id}/cancel`);
      expect([response.status, response.body.status]).toEqual([200, 'cancelled']);
      expect(response.body.finishedAt).toEqual(instant);
      // Again: no change.
      expect((await api.post(`${path}/${task.id}/cancel`)).body).toEqual(response.body);
    }
    expect([...(await settleTasks(api.house.db, drain, [result(tasks[0]!, 'succeeded')]))]).toEqual([]);
    expect((await api.get('/queues/mail')).body.counts).toMatchObject({ succeeded: 0, cancelled: 2 });
    expect((await claimTasks(api.house.db, drain, 10, api.house.clock.now())).tasks).toEqual([]);
  });

  test('one that has ended is a 409, an unknown one a 404, no id a 400', async () => {
    const { id: done } = await enqueue();
    await finish('succeeded');
    const { id: elsewhere } = await enqueue({}, 'sms');
    await expectRefused(api, () => api.post(`${path}/${done}/cancel`), {
      status: 409,
      code: 'conflict',
      words: 'has ended as "succeeded"',
    });
    await expectRefused(api, () => api.post(`${path}/${nobody}/cancel`), { status: 404 });
    await expectRefused(api, () => api.post(`${path}/${elsewhere}/cancel`), { status: 404 });
    await expectRefused(api, () => api.post(`${path}/x/cancel`), { status: 400, pointers: ['{id}'] });
  });
});

describe('retry', () => {
  test('a dead task is as new; what has not ended stays, what ended well is refused', async () => {
    const dead = await enqueue({ maxAttempts: 1 });
    await finish('dead');
    const before = (await api.get(`${path}/${dead.id}`)).body;
    expect(before).toMatchObject({ status: 'dead', failures: 1, error: { type: 'HttpStatus' } });
    const response = await api.post(`${path}/${dead.id}/retry`);
    expect([response.status, response.body]).toMatchObject([
      200,
      { status: 'pending', failures: 0, finishedAt: null },
    ]);
    expect((await api.post(`${path}/${dead.id}/retry`)).body).toEqual(response.body);
    await finish('succeeded');
    await expectRefused(api, () => api.post(`${path}/${dead.id}/retry`), { status: 409, words: 'succeeded' });
  });

  test('all dead ones of a queue, and of no other', async () => {
    for (const queue of ['mail', 'sms']) {
      await enqueue({}, queue);
      await enqueue({}, queue);
      await finish('dead', queue);
    }
    await enqueue();
    const response = await api.post('/queues/mail/retry');
    expect([response.status, response.body]).toEqual([200, { retried: 2 }]);
    expect((await api.post('/queues/mail/retry')).body).toEqual({ retried: 0 });
    expect((await api.get('/queues/mail')).body.counts).toMatchObject({ pending: 3, dead: 0 });
    expect((await api.get('/queues/sms')).body.counts).toMatchObject({ pending: 0, dead: 2 });
  });
});

test('a drain counts what it did with the tasks themselves', async () => {
  await enqueue();
  await finish('succeeded');
  const { rows } = await api.house.db.execute(
    sql`select processed::int, failed::int, dead::int from queue_drains`,
  );
  expect(rows).toEqual([{ processed: 1, failed: 0, dead: 0 }]);
});
