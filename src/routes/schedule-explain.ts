/** Why a schedule ran, or did not. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import type { ExplainedInstant, ExplainService } from '../schedules/explain-service.ts';
import { changeActions } from '../schedules/schedule-version.ts';
import { verdicts } from '../schedules/verdict.ts';
import { problems, scheduleRef } from './documented.ts';
import { presentInstant } from './instant-wire.ts';
import { instantParameter } from './query-wire.ts';
import { presentRun, runAnswer } from './run-wire.ts';
import { pausesAnswer, presentPauses } from './schedule-answer.ts';
import { toRef } from './schedule-name.ts';
import type { ZodApp } from './zod-validation.ts';

const time = z.string().meta({ format: 'date-time' });

const explanationAnswer = z
  .object({
    at: time,
    scheduleId: z.string().meta({ format: 'uuid' }),
    scheduleName: z.string(),
    timezone: z.string(),
    verdict: z.enum(verdicts),
    detail: z.string().describe('The same in words.'),
    version: z
      .object({ version: z.int().min(1), at: time, actor: z.string(), action: z.enum(changeActions) })
      .nullable()
      .describe('What was in force then; its definition is in the history. Null before the first on record.'),
    run: runAnswer
      .nullable()
      .describe('What is on record of this nominal time, or of a stretch of times that it belongs to.'),
    byRun: runAnswer.nullable().describe('The run that it waits for, was skipped for, or was replaced by.'),
    otherRuns: z.array(runAnswer).describe('Runs by hand and of backfills at this very time; at most 20.'),
    outage: z
      .object({ from: time, until: time })
      .nullable()
      .describe('When nobody dispatched; `until` is now while it lasts.'),
    pauses: pausesAnswer.describe('Those that kept it from running.'),
    rule: z
      .object({ list: z.enum(['exclude', 'only']), item: z.string().nullable() })
      .nullable()
      .describe('What leaves it out: an item of `exclude`; or `only`, none of whose items has it.'),
    movedTo: time.nullable().describe('Where `onExcluded` moved it.'),
    movedFrom: time.nullable().describe('The excluded time that it stands for.'),
    previous: time.nullable().describe('The nominal time before, by the version in force then.'),
    next: time.nullable().describe('And the one after.'),
  })
  .meta({ id: 'Explanation', description: 'Why a schedule ran, or did not, at an instant.' });

export function scheduleExplainRoutes(app: ZodApp, explanations: ExplainService): void {
  app.get(
    '/schedules/:id/explain',
    {
      schema: {
        tags: ['schedules'],
        operationId: 'explainSchedule',
        summary: 'Why did it run, or not?',
        description:
          'Of any instant, past or to come: what became of it and why, in words and in fields. A nominal time is met only by the very millisecond; next to one, the nearest two are told. Of a deleted schedule by its id, until the retention is over.',
        params: scheduleRef,
        querystring: z.strictObject({
          at: instantParameter
            .optional()
            .describe('The instant. Default: the last nominal time until now.')
            .meta({ examples: ['2026-12-24T02:00:00Z'] }),
        }),
        response: { 200: explanationAnswer, ...problems(400, 404) },
      },
    },
    async (request) =>
      presentExplanation(await explanations.explain(toRef(request.params.id), request.query.at ?? null)),
  );
}

function presentExplanation(told: ExplainedInstant): z.output<typeof explanationAnswer> {
  const { version, outage } = told;
  return {
    at: toIso(told.atMs),
    scheduleId: told.scheduleId,
    scheduleName: told.scheduleName,
    timezone: told.timezone,
    verdict: told.verdict,
    detail: told.detail,
    version: version && {
      version: version.version,
      at: toIso(version.atMs),
      actor: version.actor,
      action: version.action,
    },
    run: told.run && presentRun(told.run),
    byRun: told.byRun && presentRun(told.byRun),
    otherRuns: told.otherRuns.map(presentRun),
    outage: outage && { from: toIso(outage.fromMs), until: toIso(outage.untilMs) },
    pauses: presentPauses(told.pauses),
    rule: told.rule,
    movedTo: presentInstant(told.movedToMs),
    movedFrom: presentInstant(told.movedFromMs),
    previous: presentInstant(told.previousMs),
    next: presentInstant(told.nextMs),
  };
}
