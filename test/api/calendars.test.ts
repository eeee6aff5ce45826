/** /calendars, and what schedules say of them. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { calendarAnswer, calendarSummary } from '../../src/routes/calendar-wire.ts';
import { noop, setupApi } from '../support/api-house.ts';
import { expectProblem, expectRefused, instant } from './wire-shapes.ts';

const api = await setupApi();
afterAll(() => api.close());
beforeEach(() => api.reset());

const holidays = { timezone: 'Asia/Shanghai', dates: ['2026-10-01..2026-10-07', '2027-01-01'] };
const ical = [
  'BEGIN:VCALENDAR',
  'VERSION:2.0',
  'X-WR-TIMEZONE:Europe/Berlin',
  'BEGIN:VEVENT',
  'UID:unity',
  'DTSTART;VALUE=DATE:20201003',
  'RRULE:FREQ=YEARLY',
  'SUMMARY:Tag der Deutschen Einheit',
  'END:VEVENT',
  'END:VCALENDAR',
  '',
].join('\r\n');
const sendIcal = (path: string, text = ical) =>
  api.agent.put(path).set('content-type', 'text/calendar').send(text);

test('a calendar is made of days, answered as it is, and found again', async () => {
  const response = await api.put('/calendars/cn-holidays', holidays);
  expect(response.status).toBe(201);
  expect(response.headers.location).toBe('/calendars/cn-holidays');
  expect(response.body).toEqual({
    name: 'cn-holidays',
    description: '',
    ...holidays,
    ical: null,
    version: 1,
    events: 0,
    intervals: 2,
    firstAt: '2026-09-30T16:00:00.000Z',
    lastAt: '2027-01-01T16:00:00.000Z',
    usedBy: 0,
    createdAt: instant,
    updatedAt: instant,
  });
  calendarAnswer.strict().parse(response.body);
  expect((await api.get('/calendars/cn-holidays')).body).toEqual(response.body);
  const again = await api.put('/calendars/cn-holidays', { ...holidays, description: 'Golden week' });
  expect([again.status, again.body.version]).toEqual([200, 2]);
});

test('text/calendar is taken as it is, with the zone that it names or that the query does', async () => {
  const response = await sendIcal('/calendars/de');
  expect(response.status).toBe(201);
  expect(response.body).toMatchObject({ timezone: 'Europe/Berlin', events: 1, dates: [], ical });
  expect(response.body.firstAt).toBe('2020-10-02T22:00:00.000Z');
  const elsewhere = await sendIcal('/calendars/de?timezone=UTC');
  expect(elsewhere.body).toMatchObject({ timezone: 'UTC', version: 2, firstAt: '2020-10-03T00:00:00.000Z' });
});

test('curl --data-binary @file needs no content type', async () => {
  for (const type of ['application/x-www-form-urlencoded', undefined]) {
    const response = await fetch(`${api.address}/calendars/de`, {
      method: 'PUT',
      headers: type === undefined ? {} : { 'content-type': type },
      body: Buffer.from(ical),
    });
    expect(await response.json()).toMatchObject({ timezone: 'Europe/Berlin', events: 1 });
  }
});

test('the list is in pages, without the contents', async () => {
  for (const name of ['a', 'b', 'c']) {
    await api.put(`/calendars/${name}`, { dates: [] });
    await api.house.live(1);
  }
  const page = (await api.get('/calendars?limit=2')).body;
  expect(page.items.map((item: { name: string }) => item.name)).toEqual(['c', 'b']);
  for (const item of page.items) calendarSummary.strict().parse(item);
  const rest = (await api.get(`/calendars?limit=2&cursor=${page.nextCursor}`)).body;
  expect([rest.items.map((item: { name: string }) => item.name), rest.nextCursor]).toEqual([['a'], null]);
});

describe('a schedule', () => {
  const daily = { cron: '0 2 * * *', timezone: 'Asia/Shanghai', job: noop };

  test('leaves out what its calendar has, and follows when that changes', async () => {
    await api.put('/calendars/cn-holidays', { ...holidays, dates: ['2026-03-02'] });
    const created = await api.post('/schedules', { name: 'a', ...daily, exclude: ['calendar:cn-holidays'] });
    expect(created.body).toMatchObject({
      exclude: ['calendar:cn-holidays'],
      only: [],
      onExcluded: 'skip',
      nextRunAt: '2026-03-02T18:00:00.000Z',
    });
    expect((await api.get('/calendars/cn-holidays')).body.usedBy).toBe(1);
    await api.put('/calendars/cn-holidays', { ...holidays, dates: ['2026-03-02..2026-03-04'] });
    expect((await api.get('/schedules/a')).body.nextRunAt).toBe('2026-03-04T18:00:00.000Z');
    expectProblem(await api.delete('/calendars/cn-holidays'), { status: 409, words: '"a"' });
    await api.patch('/schedules/a', { exclude: [] });
    expect((await api.get('/schedules/a')).body.nextRunAt).toBe('2026-03-01T18:00:00.000Z');
    expect((await api.delete('/calendars/cn-holidays')).status).toBe(204);
  });

  test('keeps to what is in `only`, and moves to the next business day', async () => {
    await api.put('/calendars/trading', { dates: ['2026-03-10', '2026-03-12'] });
    const response = await api.post('/schedules', {
      name: 'a',
      every: '6h',
      only: ['calendar:trading'],
      job: noop,
    });
    expect(response.body.upcoming.slice(0, 2)).toEqual([
      '2026-03-10T00:00:00.000Z',
      '2026-03-10T06:00:00.000Z',
    ]);
    const moved = await api.post('/schedules/preview', {
      cron: '0 18 L * *',
      exclude: ['* * * * 0,6'],
      onExcluded: 'previous_allowed',
      from: '2026-01-01T00:00:00Z',
      count: 3,
    });
    expect(moved.body.fires.map(({ scheduledFor }: { scheduledFor: string }) => scheduledFor)).toEqual([
      '2026-01-30T18:00:00.000Z',
      '2026-02-27T18:00:00.000Z',
      '2026-03-31T18:00:00.000Z',
    ]);
  });

  test('a reschedule keeps its exclusions, unless it names others', async () => {
    await api.post('/schedules', {
      name: 'a',
      ...daily,
      exclude: ['2026-03-02'],
      onExcluded: 'next_allowed',
    });
    const kept = await api.post('/schedules/a/reschedule', { cron: '0 3 * * *' });
    expect(kept.body).toMatchObject({ exclude: ['2026-03-02'], onExcluded: 'next_allowed' });
    expect(kept.body.nextRunAt).toBe('2026-03-02T19:00:00.000Z');
    const other = await api.post('/schedules/a/reschedule', {
      cron: '0 3 * * *',
      exclude: [],
      onExcluded: 'skip',
    });
    expect(other.body).toMatchObject({ exclude: [], nextRunAt: '2026-03-01T19:00:00.000Z' });
  });

  test.each([
    [
      'a calendar that there is not',
      { exclude: ['2026-03-01', 'calendar:none'] },
      ['/exclude/1'],
      'PUT /calendars/none',
    ],
    ['one in `only`', { only: ['calendar:none'] }, ['/only/0'], 'no calendar'],
    ['a calendar without a name', { exclude: ['calendar:'] }, ['/exclude/0'], 'must name a calendar'],
    ['a day that does not exist', { exclude: ['2026-02-30'] }, ['/exclude/0'], undefined],
    ['a range that runs backwards', { exclude: ['2026-03-02..2026-03-01'] }, ['/exclude/0'], undefined],
    ['a cron that is none', { exclude: ['99 * * * *'] }, ['/exclude/0'], 'cron'],
    ['a number', { exclude: [5] }, ['/exclude/0'], undefined],
    ['no list', { exclude: '2026-03-01' }, ['/exclude'], undefined],
    ['nothing left', { exclude: ['* * * * *'] }, ['/exclude'], 'never fires'],
    ['only what is past', { only: ['2020-01-01'] }, ['/only'], 'never fires'],
    ['an unknown rule', { onExcluded: 'tomorrow' }, ['/onExcluded'], undefined],
  ])('with %s is refused', async (_what, fields, pointers, words) => {
    const refusal = { status: 400, code: 'invalid', pointers, ...(words !== undefined && { words }) };
    await expectRefused(api, () => api.post('/schedules', { name: 'a', ...daily, ...fields }), refusal);
  });

  test('a preview of a calendar that there is not is refused, and one with nothing left warns', async () => {
    const preview = (fields: object) =>
      api.post('/schedules/preview', { ...daily, job: undefined, ...fields });
    expectProblem(await preview({ exclude: ['calendar:none'] }), { status: 400, pointers: ['/exclude/0'] });
    // It may be asked about all the same; a schedule of it is refused.
    expect((await preview({ exclude: ['0 2 * * *'] })).body).toMatchObject({
      fires: [],
      warningDetails: [{ code: 'excluded_all_year' }],
    });
  });
});

describe('bad input', () => {
  test.each<[string, object, string[]]>([
    ['no days', {}, ['/dates']],
    ['a day that does not exist', { dates: ['2026-03-01', '2026-02-30'] }, ['/dates/1']],
    ['a day that is a number', { dates: [20260301] }, ['/dates/0']],
    ['an unknown field', { dates: [], days: [] }, ['/days']],
    ['a read-only field', { dates: [], version: 2 }, ['/version']],
    ['a zone that there is not', { dates: [], timezone: 'Mars/Phobos' }, ['/timezone']],
    ['10,001 days', { dates: Array.from({ length: 10_001 }, () => '2026-03-01') }, ['/dates']],
    ['text that is no iCalendar', { ical: 'hello' }, ['/ical']],
    ['a rule by the second', { ical: ical.replace('YEARLY', 'SECONDLY') }, ['/ical']],
  ])('%s is a 400 that points at it', async (_what, body, pointers) => {
    await expectRefused(api, () => api.put('/calendars/x', body), { status: 400, code: 'invalid', pointers });
  });

  test.each(['a/b', 'x'.repeat(300), ' ', '-x', 'stop'])('the name %j cannot be made', async (name) => {
    await expectRefused(api, () => api.put(`/calendars/${encodeURIComponent(name)}`, { dates: [] }), {
      status: 400,
      pointers: ['/name'],
    });
  });

  test('a calendar that there is not is a 404', async () => {
    expectProblem(await api.get('/calendars/none'), { status: 404, code: 'not_found' });
    expectProblem(await api.delete('/calendars/none'), { status: 404, code: 'not_found' });
    expectProblem(await api.get('/calendars/a%2Fb'), { status: 404, pointers: ['{name}'] });
  });

  test('text/calendar is for calendars only, and must be text', async () => {
    const elsewhere = await api.agent.post('/schedules').set('content-type', 'text/calendar').send(ical);
    expectProblem(elsewhere, { status: 415, words: 'application/json' });
    expectProblem(await sendIcal('/calendars/x', 'BEGIN:VCALENDAR\r\nEND:VCARD\r\n'), {
      status: 400,
      pointers: ['/ical'],
    });
    const bytes = await fetch(`${api.address}/calendars/x`, {
      method: 'PUT',
      headers: { 'content-type': 'text/calendar' },
      body: Buffer.from([0x42, 0xff, 0xfe]),
    });
    expect(await bytes.json()).toMatchObject({ status: 400, errors: [{ pointer: '/ical' }] });
    const twice = await api.put('/calendars/x?timezone=UTC', { dates: [], timezone: 'UTC' });
    expectProblem(twice, { status: 400, pointers: ['?timezone'] });
    expectProblem(await sendIcal('/calendars/x', `${ical}${' '.repeat(1_048_576)}`), { status: 413 });
  });

  test('other types are a 415 that says what is taken', async () => {
    const response = await api.agent.put('/calendars/x').set('content-type', 'text/xml').send('<x/>');
    expectProblem(response, { status: 415, words: 'text/calendar' });
  });
});

test('the document shows both ways of sending one', async () => {
  const { paths } = (await api.get('/openapi.json')).body;
  const content = paths['/calendars/{name}'].put.requestBody.content;
  expect(Object.keys(content)).toEqual(['application/json', 'text/calendar']);
  expect(content['text/calendar'].schema.type).toBe('string');
  expect(await readFile(new URL('../../openapi.yaml', import.meta.url), 'utf8')).toContain('text/calendar:');
});
