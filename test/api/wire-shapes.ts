/** What answers look like on the wire, field by field, as DESIGN §3 says it. */
import type { Response, Test } from 'supertest';
import { expect } from 'vitest';
import { runAnswer, runDetailAnswer } from '../../src/routes/run-wire.ts';
import { scheduleAnswer } from '../../src/routes/schedule-answer.ts';
import type { ApiHouse } from '../support/api-house.ts';

export const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
export const id = expect.stringMatching(
  /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
);

export const noCounts = { fired: 0, succeeded: 0, failed: 0, skipped: 0, missed: 0 };

/** Of a schedule, beside those of its trigger. */
const scheduleFields = [
  ...['id', 'name', 'description', 'labels', 'timezone', 'dst', 'startAt', 'endAt', 'maxRuns', 'exclude'],
  ...['only', 'onExcluded', 'notify', 'lateAfter'],
  ...[
    'jitter',
    'overlap',
    'catchUp',
    'catchUpWindow',
    'pauseAfterFailures',
    'job',
    'status',
    'note',
    'version',
  ],
  ...['createdAt', 'updatedAt', 'nextRunAt', 'upcoming', 'lastRun', 'runningRuns', 'counts'],
  // Beyond the contract: how many runs are active (the list shows 20), and why a next time could not be computed.
  ...['activeRuns', 'heldRuns', 'fault', 'deleteAfterCompletion'],
  // And which pauses hold.
  'pauses',
];

export const runFields = [
  ...['id', 'scheduleId', 'scheduleName', 'jobType', 'taskQueue', 'cause', 'scheduledFor', 'createdAt'],
  ...['startedAt', 'finishedAt', 'durationMs', 'status', 'reason', 'attempt', 'maxAttempts', 'nextAttemptAt'],
  ...['input', 'output', 'error'],
  // Beyond the contract: which definition it was made from, when jitter lets it start, and ranges of missed times.
  ...['scheduleVersion', 'dueAt', 'missed', 'backfillId'],
];

/** Its fields, and their types as the API's document says them. */
export function expectSchedule(value: object, ...triggerFields: string[]): void {
  scheduleAnswer.strict().parse(value);
  expect(Object.keys(value).sort()).toEqual([...scheduleFields, ...triggerFields].sort());
}

export function expectRun(value: object, ...more: string[]): void {
  (more.length > 0 ? runDetailAnswer : runAnswer).strict().parse(value);
  expect(Object.keys(value).sort()).toEqual([...runFields, ...more].sort());
}

export type Refusal = {
  status: number;
  code?: string;
  /** Where the mistakes are, in their order. */
  pointers?: readonly string[];
  /** What the detail says. */
  words?: RegExp | string;
};

/** The answer is a problem (RFC 9457) with all of its fields. */
export function expectProblem(response: Response, { status, code, pointers, words }: Refusal): void {
  const { body } = response;
  expect(body, response.text).toMatchObject({ status, ...(code && { code }) });
  expect(response.status).toBe(status);
  expect(response.type).toBe('application/problem+json');
  expect(Object.keys(body).sort()).toEqual(
    ['code', 'detail', 'errors', 'requestId', 'status', 'title', 'type'].sort(),
  );
  expect(body.type).toBe('about:blank');
  expect(body.title).toMatch(/^[A-Z]/);
  expect(body.detail).toMatch(/\.$/);
  expect(body.requestId).toBe(response.headers['x-request-id']);
  for (const error of body.errors) expect(Object.keys(error)).toEqual(['pointer', 'detail']);
  if (pointers) expect(body.errors.map((error: { pointer: string }) => error.pointer)).toEqual(pointers);
  if (typeof words === 'string') expect(body.detail).toContain(words);
  else if (words) expect(body.detail).toMatch(words);
}

/** The request is refused so, and leaves no trace in any table. */
export async function expectRefused(api: ApiHouse, request: () => Test, refusal: Refusal): Promise<void> {
  const before = await api.snapshot();
  expectProblem(await request(), refusal);
  expect(await api.snapshot()).toEqual(before);
}
