/** When a schedule will fire, and when a trigger would that is not stored. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { invalidAll } from '../errors.ts';
import { DST_DEFAULT } from '../schedules/cron-times.ts';
import { describe } from '../schedules/describe.ts';
import type { ScheduleService } from '../schedules/schedule-service.ts';
import { bodyProblems, problems, scheduleRef } from './documented.ts';
import { presentLocal } from './instant-wire.ts';
import { countField, instantField } from './query-wire.ts';
import { toRef } from './schedule-name.ts';
import { nameField } from './schedule-wire.ts';
import {
  dstField,
  excludeField,
  type Findings,
  timezoneField,
  toTiming,
  triggerFields,
  windowFields,
} from './trigger-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['schedules'];
const firesMax = 1_000;
const firesDefault = 10;

const time = z.string().meta({ format: 'date-time' });
const fires = z
  .array(z.object({ scheduledFor: time, local: z.string().describe('The same on the clocks of the zone.') }))
  .meta({ examples: [[{ scheduledFor: '2027-03-28T01:00:00.000Z', local: '2027-03-28T03:00:00+02:00' }]] });

const upcomingAnswer = z
  .object({ timezone: z.string(), upcoming: z.array(time), fires })
  .meta({ id: 'Upcoming', description: 'The next nominal times of a schedule.' });

const previewAnswer = z
  .object({
    description: z.string().describe('The trigger in words.'),
    timezone: z.string(),
    fires,
    warnings: z.array(z.string()).describe('What may surprise.'),
  })
  .meta({ id: 'Preview', description: 'When a trigger would fire.' });

const previewInput = z
  .strictObject({
    ...triggerFields,
    timezone: timezoneField.default('UTC'),
    dst: dstField.default(DST_DEFAULT),
    ...windowFields,
    exclude: excludeField.default([]),
    name: nameField.optional().describe('The name of the schedule to be: `H` in `cron` depends on it.'),
    from: instantField.nullable().optional().describe('Fires are strictly after this. Default: now.'),
    count: z.int().min(1).max(firesMax).default(firesDefault).describe('How many fires to tell.'),
  })
  .meta({
    id: 'PreviewRequest',
    description: 'Exactly one of `cron`, `every` and `at`.',
    examples: [{ cron: '30 2 * * *', timezone: 'Europe/Berlin', from: '2027-03-27T00:00:00Z', count: 3 }],
  });

export function scheduleTimeRoutes(app: ZodApp, schedules: ScheduleService): void {
  app.get(
    '/schedules/:id/upcoming',
    {
      schema: {
        tags,
        operationId: 'getUpcoming',
        summary: 'The next times of a schedule',
        description: 'As if it stayed active. Fewer than asked for when it ends before.',
        params: scheduleRef,
        querystring: z.strictObject({
          count: countField(1, firesMax, firesDefault).describe('How many times to tell.'),
        }),
        response: { 200: upcomingAnswer, ...problems(400, 404) },
      },
    },
    async (request) => {
      const { schedule, timesMs } = await schedules.upcoming(toRef(request.params.id), request.query.count);
      const { timezone } = schedule.spec;
      return { timezone, upcoming: timesMs.map(toIso), fires: presentFires(timezone, timesMs) };
    },
  );

  app.post(
    '/schedules/preview',
    {
      schema: {
        tags,
        operationId: 'previewSchedule',
        summary: 'When would this fire?',
        description: 'Explains a trigger and lists its next times. Nothing is stored.',
        body: previewInput,
        response: { 200: previewAnswer, ...problems(...bodyProblems) },
      },
    },
    async (request) => {
      const { timezone, dst, name = '', from = null, count } = request.body;
      const findings: Findings = { issues: [], written: {} };
      const timing = toTiming(request.body, { timezone, dst }, name, findings);
      if (timing === null) throw invalidAll(findings.issues);
      const timesMs = schedules.preview(timing, name, from, count);
      return {
        description: describe(timing),
        timezone,
        fires: presentFires(timezone, timesMs),
        warnings: [],
      };
    },
  );
}

function presentFires(timezone: string, timesMs: readonly number[]): z.output<typeof fires> {
  return timesMs.map((ms) => ({ scheduledFor: toIso(ms), local: presentLocal(timezone, ms) }));
}
