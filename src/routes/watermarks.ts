/** /schedules/{id}/watermark: how far a sync schedule has come. */
import { z } from 'zod';
import type { WatermarkService, WatermarkView } from '../schedules/watermark-service.ts';
import { bodyProblems, problems } from './documented.ts';
import { presentInstant } from './instant-wire.ts';
import { toRef } from './schedule-name.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['schedules'];
const syncRef = z.object({
  id: z.string().meta({ description: 'The id or the name of the schedule.', examples: ['hourly-sync'] }),
});
const watermarkLengthMax = 2_000;

export const watermarkAnswer = z
  .object({
    scheduleId: z.string().meta({ format: 'uuid' }),
    watermark: z
      .string()
      .nullable()
      .describe('As the source writes it. Null: the next run begins from the start.')
      .meta({ examples: ['2026-03-01 10:00:00.123456+00'] }),
    runId: z
      .string()
      .nullable()
      .describe('The run that moved it last; null when it was set by hand.')
      .meta({ format: 'uuid' }),
    updatedAt: z.string().nullable().describe('Null: it was never moved.').meta({ format: 'date-time' }),
  })
  .meta({ id: 'Watermark', description: 'How far a schedule of the job type `sync` has come.' });

const watermarkInput = z
  .strictObject({
    watermark: z
      .string()
      .min(1)
      .max(watermarkLengthMax)
      .refine(
        (text) => !text.includes('\0') && text.isWellFormed(),
        'must not contain null characters or halves of surrogate pairs',
      )
      .nullable()
      .describe('The next run reads again all that has this watermark or a later one. Null: everything.'),
  })
  .meta({ examples: [{ watermark: '2026-03-01T00:00:00Z' }] });

export function watermarkRoutes(app: ZodApp, watermarks: WatermarkService): void {
  app.get(
    '/schedules/:id/watermark',
    {
      schema: {
        tags,
        operationId: 'getWatermark',
        summary: 'How far a sync has come',
        description:
          'Everything that the source had up to it is at the target. Only of schedules of the type `sync`.',
        params: syncRef,
        response: { 200: watermarkAnswer, ...problems(404, 409) },
      },
    },
    async (request) => present(await watermarks.get(toRef(request.params.id))),
  );

  app.put(
    '/schedules/:id/watermark',
    {
      schema: {
        tags,
        operationId: 'putWatermark',
        summary: 'Set a sync back, or forward',
        description: 'In force from the next run on. Refused while a run is active, which would move it on.',
        params: syncRef,
        body: watermarkInput,
        response: { 200: watermarkAnswer, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async (request) => present(await watermarks.set(toRef(request.params.id), request.body.watermark)),
  );
}

function present({ updatedAtMs, ...rest }: WatermarkView): z.output<typeof watermarkAnswer> {
  return { ...rest, updatedAt: presentInstant(updatedAtMs) };
}
