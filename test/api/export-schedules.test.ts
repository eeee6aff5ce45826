/** GET /schedules/export */
import fc from 'fast-check';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { noop, setupApi } from '../support/api-house.ts';
import { MINUTE } from '../support/timings.ts';
import { expectProblem } from './wire-shapes.ts';

const api = await setupApi();
beforeEach(() => api.reset());
afterAll(() => api.close());

/** One of each kind of thing that can be written. */
const various = [
  { name: 'nightly', cron: '0 2 * * *', timezone: 'Asia/Shanghai', dst: { gap: 'skip', repeat: 'both' } },
  { name: 'spread', cron: ['H 3 * * *', '15 12 * * 1-5'], jitter: '90s', catchUpWindow: 'PT15M' },
  { name: 'often', every: '90s', offset: '1500ms', overlap: 'allow', catchUp: 'all', maxRuns: 1_000 },
  { name: 'tail', delay: '120s', startAt: '2026-03-02T00:00:00+08:00', endAt: '2027-01-01T00:00:00Z' },
  { name: 'dates', at: ['2026-12-24T18:00:00+01:00', '2026-11-01T00:00:00Z'], description: '日报' },
  {
    name: 'business',
    cron: '0 18 L * *',
    exclude: ['* * * * 0,6', 'calendar:holidays', '2026-12-25..2026-12-27'],
    only: ['2026-03-01..2027-03-01'],
    onExcluded: 'previous_allowed',
    pauseAfterFailures: 3,
  },
  {
    name: 'call',
    every: '1h',
    labels: { team: 'data', 'a.b/c': 'x:y' },
    job: {
      type: 'task',
      timeout: '90s',
      taskQueue: 'calls',
      retry: { maxAttempts: 2, initialInterval: '5000ms' },
      input: {
        url: 'http://127.0.0.1:1/',
        headers: { a: { $secret: 'token' } },
        body: { n: [1, null, 'ü'] },
      },
    },
  },
].map((each) => ({ job: noop, ...each }));

async function prepare(): Promise<void> {
  await api.put('/calendars/holidays', { dates: ['2026-12-25'] });
  await api.put('/secrets/token', { value: 'hunter2-hunter2' });
}

test('what was exported and is applied changes nothing', async () => {
  await prepare();
  for (const each of various) expect((await api.post('/schedules', each)).status).toBe(201);
  await api.post('/schedules/often/pause');
  const exported = await api.get('/schedules/export');
  expect(exported.status).toBe(200);
  expect(exported.text).not.toContain('hunter2');
  const before = await api.snapshot();
  const { body } = await api.post('/schedules/apply', exported.body);
  expect(body.counts).toEqual({ created: 0, updated: 0, unchanged: various.length, pruned: 0 });
  expect(await api.snapshot()).toEqual(before);
});

test('and applied to an empty house it makes the same definitions', async () => {
  await prepare();
  await api.post('/schedules/apply', { schedules: various });
  const exported = (await api.get('/schedules/export')).body;
  await api.reset();
  await prepare();
  expect((await api.post('/schedules/apply', exported)).body.counts.created).toBe(various.length);
  expect((await api.get('/schedules/export')).body).toEqual(exported);
});

test('whatever was written and is given back changes nothing, here and in an empty house', async () => {
  const duration = fc
    .tuple(fc.integer({ min: 10, max: 5_000 }), fc.constantFrom('s', 'm', '000ms'))
    .map(String);
  const written = duration.map((text) => text.replace(',', ''));
  const instant = fc
    .date({
      min: new Date('2026-04-01T00:00:00Z'),
      max: new Date('2030-01-01T00:00:00Z'),
      noInvalidDate: true,
    })
    .map((date) => date.toISOString().replace('Z', '+05:30'));
  const cron = fc.constantFrom('0 2 * * *', 'H H * * *', '*/7 * * * 1-5', '0 0 12 L * ?');
  const trigger = fc.oneof(
    fc.record({ cron: fc.oneof(cron, fc.array(cron, { minLength: 1, maxLength: 3 })) }),
    fc.record({ every: written, offset: fc.constantFrom('0s', '1s', 'PT5S') }, { requiredKeys: ['every'] }),
    fc.record({ at: fc.oneof(instant, fc.array(instant, { minLength: 1, maxLength: 3 })) }),
    fc.record({ delay: written }),
  );
  const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((each) => !each.includes('\0'));
  const others = fc.record(
    {
      description: text,
      labels: fc.dictionary(fc.stringMatching(/^[a-z./]{1,9}$/), text, { maxKeys: 3 }),
      timezone: fc.constantFrom('UTC', 'Asia/Shanghai', 'Australia/Lord_Howe'),
      dst: fc.record({ gap: fc.constantFrom('run', 'skip') }),
      endAt: fc.constantFrom(null, '2031-01-01T00:00:00+01:00'),
      exclude: fc.constantFrom([], [' 2026-12-25 '], ['* * * * 0']),
      onExcluded: fc.constantFrom('skip', 'next_allowed'),
      jitter: fc.oneof(
        fc.constant(null),
        written.filter((each) => each.endsWith('s')),
      ),
      catchUpWindow: written,
      maxRuns: fc.option(fc.integer({ min: 1, max: 1e9 })),
      job: fc.record(
        {
          type: fc.constant('echo'),
          input: fc.record({ text }),
          timeout: fc.constantFrom('90s', 'PT15M', '1h'),
          retry: fc.record({ maxAttempts: fc.integer({ min: 1, max: 9 }), initialInterval: written }),
        },
        { requiredKeys: ['type', 'input'] },
      ),
    },
    { requiredKeys: ['job'] },
  );
  const document = fc
    .array(fc.tuple(trigger, others), { minLength: 1, maxLength: 5 })
    .map((all) => all.map(([when, what], index) => ({ name: `s${index}`, ...what, ...when })));
  await fc.assert(
    fc.asyncProperty(document, async (schedules) => {
      await api.reset();
      const made = await api.post('/schedules/apply', { schedules });
      expect(made.status, made.text).toBe(200);
      expect(made.body.counts.created).toBe(schedules.length);
      const exported = (await api.get('/schedules/export')).body;
      const unchanged = { created: 0, updated: 0, unchanged: schedules.length, pruned: 0 };
      expect((await api.post('/schedules/apply', exported)).body.counts).toEqual(unchanged);
      expect((await api.post('/schedules/apply', { schedules })).body.counts).toEqual(unchanged);
      await api.reset();
      await api.post('/schedules/apply', exported);
      expect((await api.get('/schedules/export')).body).toEqual(exported);
    }),
    { seed: 2026, numRuns: 40 },
  );
}, 60_000);

test('it is by name, and durations are as they were written', async () => {
  await prepare();
  await api.post('/schedules/apply', { schedules: various });
  const { schedules } = (await api.get('/schedules/export')).body;
  const names = schedules.map(({ name }: { name: string }) => name);
  expect(names).toEqual([...names].sort());
  const find = (name: string) => schedules.find((each: { name: string }) => each.name === name);
  expect(find('spread')).toMatchObject({ jitter: '90s', catchUpWindow: '15m' });
  expect(find('call').job.retry.initialInterval).toBe('5000ms');
  expect(find('nightly')).not.toHaveProperty('status');
});

test('labels narrow it, all of them together', async () => {
  await api.create('a', { labels: { team: 'data', env: 'prod' } });
  await api.create('b', { labels: { team: 'data' } });
  await api.create('c');
  const names = async (query: string) =>
    (await api.get(`/schedules/export${query}`)).body.schedules.map(({ name }: { name: string }) => name);
  expect(await names('')).toEqual(['a', 'b', 'c']);
  expect(await names('?label=team:data')).toEqual(['a', 'b']);
  expect(await names('?label=team:data&label=env:prod')).toEqual(['a']);
  expect(await names('?label=team:nobody')).toEqual([]);
  expectProblem(await api.get('/schedules/export?label=team'), { status: 400, pointers: ['?label'] });
});

test('what has ended is left out', async () => {
  await api.create('a');
  await api.create('stopped');
  await api.create('once', { at: '2026-03-01T00:01:00Z' });
  await api.post('/schedules/stopped/stop');
  await api.house.live(MINUTE);
  await api.house.dispatchAll();
  const { schedules } = (await api.get('/schedules/export')).body;
  expect(schedules.map(({ name }: { name: string }) => name)).toEqual(['a']);
});
