/** ETag, If-Match and If-None-Match on every call that is about one schedule (RFC 9110 sections 8.8.3 and 13.1). */
import { sql } from 'drizzle-orm';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { expectProblem, expectRefused } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(async () => {
  await api.reset();
  await api.create('ping');
});
afterAll(() => api.close());

const definition = { every: '5m', job: { type: 'noop' } };

/** Each changes the schedule, if it is let. */
const changes = {
  put: () => api.put('/schedules/ping', definition),
  patch: () => api.patch('/schedules/ping', { description: 'x' }),
  delete: () => api.delete('/schedules/ping'),
  pause: () => api.post('/schedules/ping/pause'),
  resume: () => api.post('/schedules/ping/resume'),
  stop: () => api.post('/schedules/ping/stop'),
  reschedule: () => api.post('/schedules/ping/reschedule', { every: '5m' }),
  rollback: () => api.post('/schedules/ping/rollback', { version: 1 }),
  trigger: () => api.post('/schedules/ping/trigger'),
};
const each = Object.entries(changes);

test('every answer that is one schedule has its version as ETag', async () => {
  const created = await api.post('/schedules', { name: 'pong', ...definition });
  expect(created.headers.etag).toBe('"1"');
  expect((await api.get('/schedules/pong')).headers.etag).toBe('"1"');
  for (const act of [changes.patch, changes.pause, changes.resume, changes.reschedule, changes.rollback]) {
    const response = await act();
    expect(response.headers.etag).toBe(`"${response.body.version}"`);
  }
  expect((await changes.put()).headers.etag).toBe('"7"');
  expect((await api.put('/schedules/new', definition)).headers.etag).toBe('"1"');
  expect((await changes.stop()).headers.etag).toBe('"8"');
});

describe.each(each)('%s', (_name, act) => {
  test('with the present version, several of which it is one, or * it is done', async () => {
    for (const tag of ['"1"', '"7" , "1"', '*', 'W/"7","1"']) {
      await api.reset();
      await api.create('ping');
      expect((await act().set('if-match', tag)).status).toBeLessThan(300);
    }
  });

  test.each([
    '"2"',
    'W/"1"',
    '"1x"',
    '"", "0"',
    '"other"',
  ])('with %s it is a 412 that says the present version, and nothing is changed', async (tag) => {
    await expectRefused(api, () => act().set('if-match', tag), {
      status: 412,
      code: 'precondition_failed',
      words: 'is at version 1',
    });
  });

  test.each(['1', '"1', '', '"1" "2"', '**', 'w/"1"'])('%j is no tag: a 400', async (tag) => {
    await expectRefused(api, () => act().set('if-match', tag), { status: 400, pointers: ['If-Match'] });
  });

  test('If-None-Match rules versions out', async () => {
    for (const tag of ['"1"', 'W/"1"', '*']) {
      await expectRefused(api, () => act().set('if-none-match', tag), { status: 412 });
    }
    expect((await act().set('if-none-match', '"2"')).status).toBeLessThan(300);
  });
});

test('a command that would change nothing is refused all the same when the version is another', async () => {
  await changes.pause();
  expectProblem(await changes.pause().set('if-match', '"1"'), { status: 412, words: 'version 2' });
});

describe('PUT of a name that is nobody’s', () => {
  const put = () => api.put('/schedules/new', definition);

  test('with If-None-Match: * creates, and only creates', async () => {
    expect((await put().set('if-none-match', '*')).status).toBe(201);
    await expectRefused(api, () => put().set('if-none-match', '*'), {
      status: 412,
      words: 'is there already, at version 1',
    });
  });

  test('with If-Match does not create', async () => {
    for (const tag of ['*', '"1"']) {
      await expectRefused(api, () => put().set('if-match', tag), { status: 412, words: 'no schedule "new"' });
    }
  });
});

describe('GET', () => {
  test('with the present version is a 304 without a body; with another it is the schedule', async () => {
    for (const tag of ['"1"', 'W/"1"', '*', '"0", "1"']) {
      const response = await api.get('/schedules/ping').set('if-none-match', tag);
      expect([response.status, response.text, response.headers.etag]).toEqual([304, '', '"1"']);
    }
    const response = await api.get('/schedules/ping').set('if-none-match', '"2"');
    expect([response.status, response.body.version]).toEqual([200, 1]);
    expectProblem(await api.get('/schedules/ping').set('if-none-match', '1'), {
      status: 400,
      pointers: ['If-None-Match'],
    });
  });
});

describe('two who have read the same version', () => {
  /** Starts one after the other while the schedule is locked, so that they are let in in this order. */
  async function race<T>(...acts: (() => PromiseLike<T>)[]): Promise<T[]> {
    const { db } = api.house.another();
    const started = await db.transaction(async (tx) => {
      await tx.execute(sql`select from schedule_states for update`);
      const waiting: PromiseLike<T>[] = [];
      for (const [index, act] of acts.entries()) {
        // A request of supertest begins when it is asked for its answer.
        waiting.push(Promise.resolve(act()));
        await api.house.blocked(index + 1);
      }
      return { waiting };
    });
    return await Promise.all(started.waiting);
  }

  const rename = () => api.patch('/schedules/ping', { description: 'x' }).set('if-match', '"1"');
  const pause = () => api.post('/schedules/ping/pause').set('if-match', '"1"');
  const remove = () => api.delete('/schedules/ping').set('if-match', '"1"');

  test.each([
    ['the patch', [rename, pause], [200, 412]],
    ['the pause', [pause, rename], [200, 412]],
  ])('only the first of them is done: %s', async (_name, acts, statuses) => {
    expect((await race(...acts)).map(({ status }) => status)).toEqual(statuses);
    const { body } = await api.get('/schedules/ping/history');
    expect(body.items.map(({ version }: { version: number }) => version)).toEqual([2, 1]);
  });

  test('a deletion is one of them', async () => {
    expect((await race(rename, remove)).map(({ status }) => status)).toEqual([200, 412]);
    await api.reset();
    await api.create('ping');
    expect((await race(remove, rename)).map(({ status }) => status)).toEqual([204, 404]);
  });

  test('without If-Match both are done, each as a version', async () => {
    const plain = (description: string) => () => api.patch('/schedules/ping', { description });
    expect((await race(plain('a'), plain('b'))).map(({ body }) => body.version)).toEqual([2, 3]);
  });
});

test('of two that create only, at once, one does', async () => {
  const put = () => api.put('/schedules/new', definition).set('if-none-match', '*');
  const statuses = (await Promise.all([put(), put(), put()])).map(({ status }) => status);
  expect(statuses.sort()).toEqual([201, 412, 412]);
});
