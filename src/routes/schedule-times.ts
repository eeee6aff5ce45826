/** When a schedule will fire, and when a trigger would that is not stored. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { invalidAll } from '../errors.ts';
import { DST_DEFAULT } from '../schedules/cron-times.ts';
import { describe } from '../schedules/describe.ts';
import { presentLocal } from '../schedules/local-time.ts';
import { chooseLocale, contentLanguages } from '../schedules/locale.ts';
import type { OutlookService } from '../schedules/outlook-service.ts';
import type { ScheduleService } from '../schedules/schedule-service.ts';
import type { Warning } from '../schedules/warnings.ts';
import { bodyProblems, problems, scheduleRef } from './documented.ts';
import { takeDuration } from './duration-wire.ts';
import { exclusionFieldsWhole } from './exclusion-wire.ts';
import { presentInstant } from './instant-wire.ts';
import { countField, instantField } from './query-wire.ts';
import { toRef } from './schedule-name.ts';
import { jitterField, nameField } from './schedule-wire.ts';
import {
  dstField,
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

export const warningAnswer = z.object({
  code: z.string().meta({ examples: ['dst_gap_moved'] }),
  message: z.string(),
  at: time.nullable().describe('The instant that it is about, where there is one.'),
});

const previewAnswer = z
  .object({
    description: z
      .string()
      .describe('The trigger in words, in the language of `Accept-Language`: English or Chinese.'),
    timezone: z.string(),
    fires,
    warnings: z
      .array(z.string())
      .describe('What may surprise, in sentences of the same language.')
      .meta({
        examples: [
          [
            'Will not run at 02:30 on 2027-03-28, which does not exist in Europe/Berlin; runs at 03:00 instead.',
          ],
        ],
      }),
    warningDetails: z.array(warningAnswer).describe('The same for programs; codes are stable.'),
  })
  .meta({ id: 'Preview', description: 'When a trigger would fire.' });

const previewInput = z
  .strictObject({
    ...triggerFields,
    timezone: timezoneField.default('UTC'),
    dst: dstField.default(DST_DEFAULT),
    ...windowFields,
    ...exclusionFieldsWhole,
    jitter: jitterField.nullable().optional(),
    name: nameField.optional().describe('The name of the schedule to be: `H` in `cron` depends on it.'),
    from: instantField.nullable().optional().describe('Fires are strictly after this. Default: now.'),
    count: z.int().min(1).max(firesMax).default(firesDefault).describe('How many fires to tell.'),
  })
  .meta({
    id: 'PreviewRequest',
    description: 'Exactly one of `cron`, `every`, `at` and `delay`.',
    examples: [{ cron: '30 2 * * *', timezone: 'Europe/Berlin', from: '2027-03-27T00:00:00Z', count: 3 }],
  });

export function scheduleTimeRoutes(app: ZodApp, schedules: ScheduleService, outlook: OutlookService): void {
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
        description:
          'Explains a trigger, lists its next times and warns of what may surprise. Nothing is stored.',
        headers: z.object({ 'accept-language': z.string().optional() }),
        body: previewInput,
        response: { 200: previewAnswer, ...problems(...bodyProblems) },
      },
    },
    async (request, reply) => {
      const { timezone, dst, name, jitter, from = null, count } = request.body;
      const findings: Findings = { issues: [], written: {} };
      const timing = toTiming(request.body, { timezone, dst }, name ?? '', findings);
      if (timing === null) throw invalidAll(findings.issues);
      const locale = chooseLocale(request.headers['accept-language']);
      const { timesMs, warnings } = await outlook.preview({
        timing,
        seedName: name ?? '',
        timezone,
        jitterMs: jitter ? takeDuration(jitter, '/jitter', findings.written) : null,
        fromMs: from,
        count,
        locale,
      });
      reply.header('content-language', contentLanguages[locale]).header('vary', 'accept-language');
      return {
        description: describe(timing, locale, name),
        timezone,
        fires: presentFires(timezone, timesMs),
        warnings: warnings.map(({ message }) => message),
        warningDetails: warnings.map(presentWarning),
      };
    },
  );
}

export function presentWarning({ code, message, at }: Warning): z.output<typeof warningAnswer> {
  return { code, message, at: presentInstant(at ?? null) };
}

function presentFires(timezone: string, timesMs: readonly number[]): z.output<typeof fires> {
  return timesMs.map((ms) => ({ scheduledFor: toIso(ms), local: presentLocal(timezone, ms) }));
}
