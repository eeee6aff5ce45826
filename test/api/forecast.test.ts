/** GET /forecast, and what a preview warns of. */
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { expectProblem } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());
beforeEach(() => api.reset());

const busy = ({ buckets }: { buckets: { start: string; fires: number }[] }) =>
  buckets.filter(({ fires }) => fires > 0).map(({ start, fires }) => `${start.slice(5, 16)} ${fires}`);
const preview = (body: object, language?: string) => {
  const request = api.post('/schedules/preview', body);
  return language === undefined ? request : request.set('accept-language', language);
};

test('time ends with the year 9999, also for what looks ahead of it', async () => {
  await api.create('a', { every: '1h' });
  const from = '9999-12-31T22:30:00Z';
  const { body } = await api.get(`/forecast?from=${from}`);
  expect(body.until).toBe('9999-12-31T23:59:59.999Z');
  expect(busy(body)).toEqual(['12-31T23:00 1']);
  const none = await api.get('/forecast?from=9999-12-31T23:59:59.999Z');
  expectProblem(none, { status: 400, pointers: ['?until'] });
  const berlin = await preview({ cron: '30 2 * * *', timezone: 'Europe/Berlin', from });
  expect(berlin.body.warningDetails.map((each: { code: string }) => each.code)).toEqual(['never_fires']);
  const hourly = await preview({ every: '4h', timezone: 'Europe/Berlin', from });
  expect(JSON.stringify(hourly.body)).not.toContain('+010000');
});

describe('a forecast', () => {
  test('counts the coming fires of all active schedules, per minute for a day from now', async () => {
    await api.create('a', { cron: '0 2 * * *' });
    await api.create('b', { cron: '0 2 * * *' });
    await api.create('c', { every: '12h', offset: '1h' });
    await api.create('d', { cron: '0 3 * * *' });
    await api.post('/schedules/d/pause');
    const { status, body } = await api.get('/forecast');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      from: '2026-03-01T00:00:00.000Z',
      until: '2026-03-02T00:00:00.000Z',
      bucket: 'minute',
      fires: 4,
      schedules: 3,
      truncated: false,
      estimatedFires: 0,
      schedulesLeftOut: 0,
      schedulesUnknown: 0,
      warnings: [],
    });
    expect(body.buckets).toHaveLength(1440);
    expect(busy(body)).toEqual(['03-01T01:00 1', '03-01T02:00 2', '03-01T13:00 1']);
  });

  test('per hour, for any range', async () => {
    await api.create('a', { cron: '*/20 9-10 * * *', exclude: ['2026-03-05'] });
    const { body } = await api.get(
      '/forecast?from=2026-03-04T00:00:00Z&until=2026-03-06T10:00:00Z&bucket=hour',
    );
    expect(busy(body)).toEqual(['03-04T09:00 3', '03-04T10:00 3', '03-06T09:00 3']);
    expect(body.buckets).toHaveLength(58);
    const week = await api.get('/forecast?until=2026-03-08T00:00:00Z');
    expect(week.body.bucket).toBe('hour');
  });

  test('goes by calendars, and tells apart what it cannot know', async () => {
    await api.put('/calendars/holidays', { dates: ['2026-03-02'] });
    await api.create('a', { cron: '0 2 * * *', exclude: ['calendar:holidays'] });
    await api.create('b', { cron: '0 2 * * *', exclude: ['calendar:holidays'], onExcluded: 'next_allowed' });
    await api.post('/schedules', { name: 'c', delay: '10m', job: noop });
    const { body } = await api.get('/forecast?until=2026-03-04T00:00:00Z');
    expect(busy(body)).toEqual(['03-01T02:00 2', '03-03T02:00 2']);
    expect(body).toMatchObject({ schedules: 2, schedulesUnknown: 1 });
  });

  test('estimates what would take too long, and says so', async () => {
    await api.create('a', { cron: '* * * * * *' });
    const { body } = await api.get('/forecast?until=2026-03-02T00:00:00Z');
    expect(body.truncated).toBe(true);
    expect(body.fires).toBe(86_400);
    expect(body.estimatedFires).toBeGreaterThan(70_000);
  });

  test('warns of a herd, in the language and on the clock that is asked for', async () => {
    const { id } = await api.create('a', { cron: '0 2 * * *' });
    await api.house.copy(id, 39);
    const english = await api.get('/forecast?timezone=Asia/Shanghai');
    expect(english.body.warnings).toEqual([
      'All 40 of your schedules fire at 10:00 on 2026-03-01 in Asia/Shanghai: consider H (a time by the name of each) or jitter.',
    ]);
    expect(english.body.warningDetails).toMatchObject([{ code: 'herd', at: '2026-03-01T02:00:00.000Z' }]);
    const chinese = await api.get('/forecast').set('accept-language', 'zh-CN,zh;q=0.9');
    expect(chinese.body.warnings[0]).toMatch(/40.*抖动/);
    expect(chinese.headers['content-language']).toBe('zh-CN');
  });

  test.each([
    ['an end before the start', 'from=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z', '?until'],
    ['an empty range', 'from=2026-03-02T00:00:00Z&until=2026-03-02T00:00:00Z', '?until'],
    ['a month of minutes', 'until=2026-04-01T00:00:00Z&bucket=minute', '?until'],
    ['ten years of hours', 'until=2036-04-01T00:00:00Z', '?until'],
    ['a time that is none', 'from=now', '?from'],
    ['a bucket that is none', 'bucket=day', '?bucket'],
    ['a zone that is none', 'timezone=Mars', '?timezone'],
    ['an unknown parameter', 'to=now', '?to'],
  ])('of %s is a 400', async (_what, query, pointer) => {
    expectProblem(await api.get(`/forecast?${query}`), { status: 400, pointers: [pointer] });
  });
});

describe('a preview', () => {
  test('warns of clock changes, with the date and what happens instead', async () => {
    const { body } = await preview({
      cron: '30 2 * * *',
      timezone: 'Europe/Berlin',
      from: '2027-01-01T00:00:00Z',
    });
    expect(body.warnings).toEqual([
      'Will not run at 02:30 on 2027-03-28, which does not exist in Europe/Berlin; runs at 03:00 instead.',
      '02:30 comes twice on 2027-10-31 in Europe/Berlin; runs at the first of the two only.',
    ]);
    expect(body.warningDetails.map(({ code, at }: { code: string; at: string }) => [code, at])).toEqual([
      ['dst_gap_moved', '2027-03-28T01:00:00.000Z'],
      ['dst_repeat_first', '2027-10-31T00:30:00.000Z'],
    ]);
  });

  test('speaks English and Chinese, as Accept-Language asks', async () => {
    const body = { cron: '0 2 * * 1', timezone: 'Asia/Shanghai' };
    const english = await preview(body);
    expect(english.body.description).toBe('At 02:00, only on Monday, in Asia/Shanghai.');
    expect(english.headers['content-language']).toBe('en');
    expect(english.headers.vary).toContain('accept-language');
    const chinese = await preview(body, 'zh-TW, en;q=0.5');
    expect(chinese.body.description).toMatch(/02:00.*星期一.*Asia\/Shanghai/);
    expect(chinese.headers['content-language']).toBe('zh-CN');
    expect((await preview(body, 'fr')).body.description).toBe(english.body.description);
    expect((await preview(body, ';;;')).status).toBe(200);
  });

  test.each<[object, string]>([
    [{ cron: '* * * * * *' }, 'every_second'],
    [{ every: '1s' }, 'every_second'],
    [{ cron: '0 0 13 * 5' }, 'days_ored'],
    [{ cron: '0 0 31 * *' }, 'only_31_day_months'],
    [{ cron: '0 0 29 2 *' }, 'leap_day_only'],
    [{ every: '7m' }, 'every_drifts'],
    [{ cron: '* * * * *', jitter: '5m' }, 'jitter_cut'],
    [{ delay: '10m' }, 'delay_from_end'],
    [{ cron: '0 2 * * *', only: ['* 2 1 1 *'], from: '2026-01-02T00:00:00Z' }, ''],
    [{ cron: '0 2 * * *', only: ['2030-01-01'] }, 'excluded_all_year'],
    [{ at: '2020-01-01T00:00:00Z' }, 'never_fires'],
  ])('of %j warns of %s', async (body, code) => {
    const codes = (await preview(body)).body.warningDetails.map((each: { code: string }) => each.code);
    if (code === '') expect(codes).toEqual([]);
    else expect(codes).toContain(code);
  });

  test('of a delay tells no times, since they hang on its runs', async () => {
    const { body } = await preview({ delay: '1h30m' });
    expect(body.fires).toEqual([]);
    expect(body.description).toBe('1h30m after the end of the last run.');
  });

  test('warns of the minute in which many others fire', async () => {
    const { id } = await api.create('a', { cron: '0 2 * * *' });
    await api.house.copy(id, 39);
    const herd = (await preview({ cron: '0 2 * * *' })).body.warnings;
    expect(herd).toEqual([
      expect.stringMatching(/^All 40 of your schedules fire at 02:00 on 2026-03-01 in UTC/),
    ]);
    expect((await preview({ cron: '1 2 * * *' })).body.warnings).toEqual([]);
  });
});
