/** POST /schedules/preview */
import { afterAll, expect, test } from 'vitest';
import { setupApi } from '../support/api-house.ts';
import { expectProblem, expectRefused } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());

const preview = (body: object) => api.post('/schedules/preview', body);
const times = async (body: object): Promise<string[]> =>
  (await preview(body)).body.fires.map((fire: { scheduledFor: string }) => fire.scheduledFor);

test('a trigger is explained, with its next times, and nothing is stored', async () => {
  const before = await api.snapshot();
  const response = await preview({ cron: '0 2 * * *', timezone: 'Asia/Shanghai', count: 2 });
  expect(response.status).toBe(200);
  expect(response.body).toEqual({
    description: expect.stringContaining('Shanghai'),
    timezone: 'Asia/Shanghai',
    fires: [
      { scheduledFor: '2026-03-01T18:00:00.000Z', local: '2026-03-02T02:00:00+08:00' },
      { scheduledFor: '2026-03-02T18:00:00.000Z', local: '2026-03-03T02:00:00+08:00' },
    ],
    warnings: [],
    warningDetails: [],
  });
  expect(await api.snapshot()).toEqual(before);
});

test('fires are strictly after `from`, which is now by default', async () => {
  expect(await times({ every: '1h', count: 1 })).toEqual(['2026-03-01T01:00:00.000Z']);
  expect(await times({ every: '1h', from: '2027-01-01T00:00:00Z', count: 1 })).toEqual([
    '2027-01-01T01:00:00.000Z',
  ]);
  expect(await times({ every: '1h', from: '2026-12-31T23:59:59.999Z', count: 1 })).toEqual([
    '2027-01-01T00:00:00.000Z',
  ]);
  expect(await times({ every: '1h', from: null, count: 1 })).toEqual(['2026-03-01T01:00:00.000Z']);
});

test('there are ten unless told otherwise, up to 1000', async () => {
  expect(await times({ cron: '* * * * *' })).toHaveLength(10);
  expect(await times({ cron: '* * * * * *', count: 1000 })).toHaveLength(1000);
});

test('the past can be asked about, too', async () => {
  expect(await times({ at: '2020-01-01T00:00:00Z', from: '2019-01-01T00:00:00Z' })).toEqual([
    '2020-01-01T00:00:00.000Z',
  ]);
  expect(await times({ at: '2020-01-01T00:00:00Z' })).toEqual([]);
});

test('both clock changes are told', async () => {
  const zone = { timezone: 'Europe/Berlin', count: 3 };
  expect(await times({ ...zone, cron: '30 2 * * *', from: '2026-03-28T00:00:00Z' })).toEqual([
    '2026-03-28T01:30:00.000Z',
    '2026-03-29T01:00:00.000Z',
    '2026-03-30T00:30:00.000Z',
  ]);
  const dst = { gap: 'skip', repeat: 'both' };
  expect(await times({ ...zone, cron: '30 2 * * *', from: '2026-03-28T00:00:00Z', dst })).toEqual([
    '2026-03-28T01:30:00.000Z',
    '2026-03-30T00:30:00.000Z',
    '2026-03-31T00:30:00.000Z',
  ]);
  expect(await times({ ...zone, cron: '30 2 * * *', from: '2026-10-24T12:00:00Z', dst })).toEqual([
    '2026-10-25T00:30:00.000Z',
    '2026-10-25T01:30:00.000Z',
    '2026-10-26T01:30:00.000Z',
  ]);
});

test('"H" in an expression goes by the name of the schedule to be', async () => {
  const hashed = { cron: 'H H * * *', count: 1 };
  expect(await times({ ...hashed, name: 'a' })).toEqual(await times({ ...hashed, name: 'a' }));
  expect(await times({ ...hashed, name: 'a' })).not.toEqual(await times({ ...hashed, name: 'b' }));
});

test('what a preview tells is what the schedule then does', async () => {
  const trigger = { cron: ['H 3 * * 1-5', '0 12 L * *'], timezone: 'America/New_York' };
  const told = await times({ ...trigger, name: 'same', count: 5 });
  expect((await api.create('same', trigger)).upcoming).toEqual(told);
});

test.each<[string, object, string[]]>([
  ['no trigger', {}, ['']],
  ['two triggers', { cron: '@daily', every: '1h' }, ['/cron', '/every']],
  ['an empty cron', { cron: '' }, ['/cron']],
  ['30 February', { cron: '0 0 30 2 *' }, ['/cron']],
  ['an unknown zone', { cron: '@daily', timezone: 'X/Y' }, ['/timezone']],
  ['no count', { cron: '@daily', count: 0 }, ['/count']],
  ['too many', { cron: '@daily', count: 1001 }, ['/count']],
  ['a count in letters', { cron: '@daily', count: '5' }, ['/count']],
  ['a time that is none', { cron: '@daily', from: 'now' }, ['/from']],
  ['a name that could not be', { cron: '@daily', name: 'a/b' }, ['/name']],
  ['an unknown field', { cron: '@daily', overlap: 'skip' }, ['/overlap']],
])('%s is a 400 that points at it', async (_what, body, pointers) => {
  await expectRefused(api, () => preview(body), { status: 400, code: 'invalid', pointers });
});

test('GET asks for no schedule of that name: a 405 that says what the path takes', async () => {
  const response = await api.get('/schedules/preview');
  expectProblem(response, { status: 405 });
  expect(response.headers.allow).toBe('POST');
});
