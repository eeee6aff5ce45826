import { expect, test } from 'vitest';
import { pageOf } from '../../src/routes/page-wire.ts';
import { scheduleAnswer } from '../../src/routes/schedule-answer.ts';
import { scheduleId, standIn, viewOf } from './stand-in.ts';

test('schedules are listed as they are shown one by one', async () => {
  const { app } = await standIn({
    schedules: { list: async () => ({ items: [viewOf(), viewOf()], next: scheduleId }) },
  });
  const page = pageOf(scheduleAnswer.strict())
    .strict()
    .parse((await app.inject('/schedules')).json());
  expect(page.items).toHaveLength(2);
  expect(page.nextCursor).not.toBeNull();
});

test('filters are handed on', async () => {
  const { app, calls } = await standIn();
  await app.inject('/schedules?status=paused&jobType=echo&label=team:a:b&q=%E6%97%A5&lastStatus=timed_out');
  expect(calls[0]?.[1]).toEqual({
    status: 'paused',
    jobType: 'echo',
    label: { key: 'team', value: 'a:b' },
    q: '日',
    lastStatus: 'timed_out',
  });
});

test('a label may be asked for with an empty value', async () => {
  const { app, calls } = await standIn();
  await app.inject('/schedules?label=beta:');
  expect(calls[0]?.[1]).toEqual({ label: { key: 'beta', value: '' } });
});

test.each([
  ['status=sleeping', '?status'],
  ['status=', '?status'],
  ['lastStatus=ok', '?lastStatus'],
  ['label=team', '?label'],
  ['label=:data', '?label'],
  [`q=${'x'.repeat(201)}`, '?q'],
])('a filter of %s is a 400 that names it', async (query, pointer) => {
  const { app, calls } = await standIn();
  const response = await app.inject(`/schedules?${query}`);
  expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer }] });
  expect(calls).toEqual([]);
});
