/** Backfills: the fires of a past range, asked for on purpose; how far they are; calling them off. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import { type BackfillView, backfillStatuses, backfillTimesMax } from '../schedules/backfill.ts';
import type { BackfillResult, BackfillService } from '../schedules/backfill-service.ts';
import { overlapPolicies } from '../schedules/schedule.ts';
import { bodyProblems, problems, scheduleRef } from './documented.ts';
import { presentInstant } from './instant-wire.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { instantField } from './query-wire.ts';
import { toRef } from './schedule-name.ts';
import { overlapField } from './schedule-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['runs'];
const firesShownMax = 1_000;

const time = z.string().meta({ format: 'date-time' });
const count = z.int().min(0);

const backfillInput = z
  .strictObject({
    start: instantField.describe('The first nominal time, included.'),
    end: instantField.describe('The last one, included; not in the future.'),
    overlap: overlapField.optional().describe("Instead of the schedule's own policy."),
    dryRun: z.boolean().default(false).describe('True: only answers what it would do.'),
  })
  .meta({
    description: `A range of up to ${backfillTimesMax} nominal times.`,
    examples: [{ start: '2026-02-01T00:00:00Z', end: '2026-02-01T01:00:00Z', overlap: 'queue_all' }],
  });

const progressAnswer = z.object({
  held: count.describe('Wait until others have ended.'),
  queued: count,
  running: count,
  retrying: count,
  succeeded: count,
  failed: count,
  timedOut: count,
  cancelled: count,
  skipped: count,
});

const backfillFields = {
  scheduleId: z.string().meta({ format: 'uuid' }),
  scheduleName: z.string(),
  start: time,
  end: time,
  overlap: z.enum(overlapPolicies),
  total: count.describe('Nominal times of the range.'),
};

export const backfillAnswer = z
  .object({
    id: z.string().meta({ format: 'uuid' }),
    ...backfillFields,
    status: z.enum(backfillStatuses),
    progress: progressAnswer.describe('What its runs are now; fewer than `total` once history was pruned.'),
    createdAt: time,
    cancelledAt: time.nullable(),
  })
  .meta({ id: 'Backfill', description: 'The fires of a past range, asked for on purpose.' });

const startAnswer = z
  .object({
    id: z.string().nullable().meta({ format: 'uuid', description: 'Null when nothing was stored.' }),
    ...backfillFields,
    dryRun: z.boolean(),
    status: z.enum(backfillStatuses).nullable().describe('Null when nothing was stored.'),
    enqueued: count.describe('Times that become runs, those that wait included.'),
    skipped: count.describe('Times that overlap does not let run.'),
    fires: z
      .array(
        z.object({
          scheduledFor: time,
          runId: z.string().nullable().meta({ format: 'uuid' }),
          status: z.enum(['queued', 'skipped']),
          reason: z.string().nullable(),
        }),
      )
      .describe(`The first ${firesShownMax}.`),
  })
  .meta({ id: 'BackfillStart', description: 'What a backfill enqueued, or would.' });

const backfillRef = z.object({
  id: z.string().meta({ description: 'The id of the backfill.', format: 'uuid' }),
});

export function backfillRoutes(app: ZodApp, backfills: BackfillService): void {
  app.post(
    '/schedules/:id/backfill',
    {
      schema: {
        tags: ['schedules'],
        operationId: 'backfillSchedule',
        summary: 'Run a past range',
        description:
          'All nominal times of the range, both ends included, whatever became of them before; `Location` names the backfill. They give way to live fires. A dry run, and a range without a time, is answered with 200.',
        params: scheduleRef,
        body: backfillInput,
        response: { 200: startAnswer, 202: startAnswer, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const { start, end, overlap, dryRun } = request.body;
      const asked = { startMs: start, endMs: end, dryRun, ...(overlap !== undefined && { overlap }) };
      const result = await backfills.start(toRef(request.params.id), asked);
      if (result.backfill !== null) reply.code(202).header('location', `/backfills/${result.backfill.id}`);
      return presentStart(result, asked);
    },
  );

  app.get(
    '/backfills',
    {
      schema: {
        tags,
        operationId: 'listBackfills',
        summary: 'List backfills',
        description: 'Newest first, in pages.',
        querystring: z.strictObject({
          schedule: z.string().optional().describe('Only of this schedule: its id or name.'),
          ...pageQuery,
        }),
        response: { 200: pageOf(backfillAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const { schedule, ...page } = request.query;
      const filter = schedule === undefined ? {} : { schedule: toRef(schedule, '?schedule') };
      const found = await backfills.list(filter, toPageRequest('backfills', page));
      return presentPage('backfills', found, presentBackfill, request, reply);
    },
  );

  app.get(
    '/backfills/:id',
    {
      schema: {
        tags,
        operationId: 'getBackfill',
        summary: 'How far a backfill is',
        description: 'Its runs are those of `GET /schedules/{id}/runs` with its `backfillId`.',
        params: backfillRef,
        response: { 200: backfillAnswer, ...problems(404) },
      },
    },
    async (request) => presentBackfill(await backfills.get(request.params.id)),
  );

  app.post(
    '/backfills/:id/cancel',
    {
      schema: {
        tags,
        operationId: 'cancelBackfill',
        summary: 'Call off the rest of a backfill',
        description: 'What waits is cancelled at once, what runs is told to. What has ended stays as it is.',
        params: backfillRef,
        response: { 200: backfillAnswer, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async (request) => presentBackfill(await backfills.cancel(request.params.id)),
  );
}

function presentBackfill(backfill: BackfillView): z.output<typeof backfillAnswer> {
  return {
    id: backfill.id,
    scheduleId: backfill.scheduleId,
    scheduleName: backfill.scheduleName,
    start: toIso(backfill.startMs),
    end: toIso(backfill.endMs),
    overlap: backfill.overlap,
    total: backfill.total,
    status: backfill.status,
    progress: backfill.progress,
    createdAt: toIso(backfill.createdAtMs),
    cancelledAt: presentInstant(backfill.cancelledAtMs),
  };
}

function presentStart(
  { schedule, overlap, fires, backfill }: BackfillResult,
  asked: { startMs: number; endMs: number; dryRun: boolean },
): z.output<typeof startAnswer> {
  const skipped = fires.filter((fire) => fire.status === 'skipped').length;
  return {
    id: backfill?.id ?? null,
    scheduleId: schedule.id,
    scheduleName: schedule.name,
    start: toIso(asked.startMs),
    end: toIso(asked.endMs),
    overlap,
    total: fires.length,
    dryRun: asked.dryRun,
    status: backfill?.status ?? null,
    enqueued: fires.length - skipped,
    skipped,
    fires: fires.slice(0, firesShownMax).map((fire) => ({
      scheduledFor: toIso(fire.scheduledForMs),
      runId: backfill === null ? null : fire.runId,
      status: fire.status === 'skipped' ? ('skipped' as const) : ('queued' as const),
      reason: fire.reason,
    })),
  };
}
