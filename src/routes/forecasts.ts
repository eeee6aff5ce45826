/** /forecast: how many runs are coming, for a picture of the load. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { chooseLocale, contentLanguages } from '../schedules/locale.ts';
import type { OutlookService } from '../schedules/outlook-service.ts';
import { problems } from './documented.ts';
import { instantParameter } from './query-wire.ts';
import { presentWarning, warningAnswer } from './schedule-times.ts';
import { zoneName } from './trigger-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const bucketMs = { minute: 60_000, hour: 3_600_000 };
const time = z.string().meta({ format: 'date-time' });
const count = z.int().min(0);

const forecastAnswer = z
  .object({
    from: time,
    until: time,
    bucket: z.enum(['minute', 'hour']),
    buckets: z
      .array(z.object({ start: time, fires: count }))
      .describe('All of the range, also the empty ones.'),
    fires: count.describe('The sum of all buckets.'),
    schedules: count.describe('Active schedules that were counted.'),
    truncated: z
      .boolean()
      .describe('Some numbers are estimates, or schedules were left out; the next two say how many.'),
    estimatedFires: count.describe('Fires taken from the mean of their schedule instead of being computed.'),
    schedulesLeftOut: count.describe(
      'Active schedules that were not looked at, to stay within the time limit.',
    ),
    schedulesUnknown: count.describe(
      'Active schedules without times to count: `delay`, and those with a fault.',
    ),
    warnings: z.array(z.string()),
    warningDetails: z.array(warningAnswer),
  })
  .meta({ id: 'Forecast', description: 'Nominal times of all active schedules, counted.' });

export function forecastRoutes(app: ZodApp, outlook: OutlookService): void {
  app.get(
    '/forecast',
    {
      schema: {
        tags: ['schedules'],
        operationId: 'getForecast',
        summary: 'How many runs are coming',
        description:
          'Counts the nominal times of all active schedules per minute or hour. Jitter, overlap, `maxRuns` and pauses to come are not looked at.',
        headers: z.object({ 'accept-language': z.string().optional() }),
        querystring: z.strictObject({
          from: instantParameter.optional().describe('Included. Default: now.'),
          until: instantParameter.optional().describe('Not included. Default: a day after `from`.'),
          bucket: z
            .enum(['minute', 'hour'])
            .optional()
            .describe('Default: a minute for up to a day, else an hour. At most 10,080 buckets.'),
          timezone: zoneName.default('UTC').describe('The clock that warnings tell the time by.'),
        }),
        response: { 200: forecastAnswer, ...problems(400) },
      },
    },
    async (request, reply) => {
      const { from = null, until = null, bucket, timezone } = request.query;
      const locale = chooseLocale(request.headers['accept-language']);
      const view = await outlook.forecast({
        fromMs: from,
        untilMs: until,
        bucketMs: bucket === undefined ? null : bucketMs[bucket],
        timezone,
        locale,
      });
      reply.header('content-language', contentLanguages[locale]).header('vary', 'accept-language');
      return {
        from: toIso(view.fromMs),
        until: toIso(view.untilMs),
        bucket: view.bucketMs === bucketMs.minute ? ('minute' as const) : ('hour' as const),
        buckets: view.buckets.map(({ startMs, fires }) => ({ start: toIso(startMs), fires })),
        fires: view.buckets.reduce((sum, { fires }) => sum + fires, 0),
        schedules: view.schedulesCounted,
        truncated: view.truncated,
        estimatedFires: view.estimatedFires,
        schedulesLeftOut: view.schedulesLeftOut,
        schedulesUnknown: view.schedulesUnknown,
        warnings: view.warnings.map(({ message }) => message),
        warningDetails: view.warnings.map(presentWarning),
      };
    },
  );
}
