import { expect, test } from 'vitest';
import { describe } from '../../src/schedules/describe.ts';
import type { Timing } from '../../src/schedules/schedule.ts';

const always = { startAtMs: null, endAtMs: null };
const dst = { gap: 'run', repeat: 'auto' } as const;

test.each<[Timing, string]>([
  [
    { trigger: { kind: 'cron', expressions: ['0 2 * * *'], timezone: 'Asia/Shanghai', dst }, ...always },
    'At the times of "0 2 * * *", in Asia/Shanghai.',
  ],
  [
    { trigger: { kind: 'cron', expressions: ['@daily', '0 9 * * 1'], timezone: 'UTC', dst }, ...always },
    'At the times of "@daily" and "0 9 * * 1", in UTC.',
  ],
  [
    { trigger: { kind: 'every', everyMs: 900_000, offsetMs: 0 }, ...always },
    'Every 15m, counted from the Unix epoch.',
  ],
  [
    { trigger: { kind: 'every', everyMs: 900_000, offsetMs: 120_000 }, startAtMs: 0, endAtMs: 1_000 },
    'Every 15m, counted from the Unix epoch plus 2m, from 1970-01-01T00:00:00.000Z, until 1970-01-01T00:00:01.000Z.',
  ],
  [{ trigger: { kind: 'at', atMs: [0] }, ...always }, 'Once, at 1970-01-01T00:00:00.000Z.'],
  [
    { trigger: { kind: 'at', atMs: [0, 1] }, ...always },
    'At 2 instants, the first at 1970-01-01T00:00:00.000Z.',
  ],
])('%j in words', (timing, words) => {
  expect(describe(timing)).toBe(words);
});
