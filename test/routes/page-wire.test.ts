import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeCursor, encodeCursor } from '../../src/routes/page-wire.ts';
import { runId, runOf, scheduleId, standIn } from './stand-in.ts';

const lists = ['schedules', 'runs', 'logs'] as const;

describe('a cursor', () => {
  test('gives back the id that it was made of', () => {
    fc.assert(
      fc.property(fc.constantFrom('schedules' as const, 'runs' as const), fc.uuid(), (list, id) => {
        expect(decodeCursor(list, encodeCursor(list, id))).toBe(id);
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 - 1 }), fc.nat({ max: 1e9 - 1 }), (attempt, seq) => {
        expect(decodeCursor('logs', encodeCursor('logs', `${attempt}.${seq}`))).toBe(`${attempt}.${seq}`);
      }),
    );
  });

  test.each(lists)('of %s is refused when it was forged with something that is no place in it', (list) => {
    const junk = ['', 'abc', '1', '-1.5', '1.5.6', `${runId}'`, '９.９', '1e9.1', '\0'];
    for (const after of junk) expect(() => decodeCursor(list, encodeCursor(list, after))).toThrow(/cursor/);
  });

  test('is refused when one character was changed, added or lost', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.constantFrom(...'Aa0_-=+/ .é'),
        fc.constantFrom(0, 1),
        (place, letter, kept) => {
          const cursor = encodeCursor('runs', runId);
          const at = place % (cursor.length + 1);
          const tampered = cursor.slice(0, at) + letter + cursor.slice(at + 1 - kept);
          fc.pre(tampered !== cursor);
          expect(() => decodeCursor('runs', tampered)).toThrow(/cursor/);
          expect(() => decodeCursor('runs', cursor.slice(0, at % cursor.length))).toThrow(/cursor/);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('of one list is refused by the others', () => {
    expect(() => decodeCursor('schedules', encodeCursor('runs', runId))).toThrow(/cursor/);
  });
});

test.each([
  '/schedules',
  '/runs',
  '/schedules/ping/runs',
  `/runs/${runId}/logs`,
])('%s asks for 50 items from the start unless told otherwise', async (url) => {
  const { app, calls } = await standIn();
  expect((await app.inject(url)).json()).toMatchObject({ nextCursor: null });
  expect(calls[0]?.[2]).toEqual({ limit: 50, after: null });
});

test('the next page is named in the body and in a Link header that keeps the filters', async () => {
  const { app, calls } = await standIn({ runs: { list: async () => ({ items: [runOf()], next: runId }) } });
  const response = await app.inject('/runs?status=failed,queued&limit=1');
  const { nextCursor } = response.json();
  const link = /^<([^>]+)>; rel="next"$/.exec(String(response.headers.link))?.[1] ?? '';
  expect(new URL(link, 'http://x').searchParams.get('cursor')).toBe(nextCursor);
  await app.inject(link);
  expect(calls[1]).toEqual([
    'list',
    expect.objectContaining({ statuses: ['failed', 'queued'] }),
    { limit: 1, after: runId },
  ]);
});

test('the last page has no Link header', async () => {
  const { app } = await standIn();
  expect((await app.inject('/runs')).headers.link).toBeUndefined();
});

test.each([
  '?cursor=abc',
  '?cursor=',
  `?cursor=${scheduleId}`,
  `?cursor=${encodeCursor('runs', runId).slice(0, -1)}`,
  `?cursor=${'A'.repeat(5_000)}`,
])('%s is a 400 that names the cursor', async (query) => {
  const { app, calls } = await standIn();
  const response = await app.inject(`/runs${query}`);
  expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer: '?cursor' }] });
  expect(calls).toEqual([]);
});

test.each([
  '0',
  '201',
  '-1',
  '1.5',
  '1e2',
  '0x10',
  'ten',
  '',
  ' 5',
  '99999999999',
])('a limit of "%s" is a 400 that names it', async (limit) => {
  const { app } = await standIn();
  const response = await app.inject(`/schedules?limit=${encodeURIComponent(limit)}`);
  expect(response.json()).toMatchObject({ status: 400, errors: [{ pointer: '?limit' }] });
});

test.each(['1', '200', '050'])('a limit of %s is taken', async (limit) => {
  const { app, calls } = await standIn();
  await app.inject(`/schedules?limit=${limit}`);
  expect(calls[0]?.[2]).toMatchObject({ limit: Number(limit) });
});

test('an unknown parameter and a repeated one are a 400 that names each', async () => {
  const { app } = await standIn();
  const response = await app.inject('/schedules?limt=5&q=a&q=b');
  expect(
    response
      .json()
      .errors.map((error: { pointer: string }) => error.pointer)
      .sort(),
  ).toEqual(['?limt', '?q']);
  expect(response.json().detail).toContain('only once');
});

test('a null character in a parameter is a 400 that names it', async () => {
  const { app } = await standIn();
  expect((await app.inject('/schedules?q=a%00b')).json()).toMatchObject({
    status: 400,
    errors: [{ pointer: '?q' }],
  });
});
