/** What a schedule was: its versions, and the way back to one. */
import { z } from 'zod';
import { toIso } from '../clock.ts';
import type { HistoryEntry, HistoryService } from '../schedules/history-service.ts';
import { scheduleStatuses } from '../schedules/schedule.ts';
import type { ScheduleService } from '../schedules/schedule-service.ts';
import { changeActions, type ScheduleVersion } from '../schedules/schedule-version.ts';
import { answerSchedule, callerHeaders, toCaller } from './caller-wire.ts';
import { bodyProblems, problems, scheduleRef } from './documented.ts';
import { changeAnswer, diff } from './json-diff.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { pausesAnswer, presentDefinition, presentPauses, scheduleAnswer } from './schedule-answer.ts';
import { toRef } from './schedule-name.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['schedules'];

const versionAnswer = z
  .object({
    version: z.int().min(1),
    at: z.string().meta({ format: 'date-time' }),
    actor: z
      .string()
      .describe('Who: `X-Carillon-Actor` of the request, else `api`; `carillon` for what it does by itself.'),
    action: z.enum(changeActions),
    note: z.string().nullable(),
    status: z.enum(scheduleStatuses).describe('After it.'),
    pauses: pausesAnswer,
    definition: z.record(z.string(), z.unknown()).describe('After it, as it is written in a request.'),
    changes: z
      .array(changeAnswer)
      .nullable()
      .describe('What is different from the version before; null when that one is not on record any more.'),
  })
  .meta({ id: 'ScheduleVersion', description: 'A version of a schedule: who changed what, and when.' });

const rollbackInput = z
  .strictObject({
    version: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .describe('One of the schedule’s history.'),
  })
  .meta({ examples: [{ version: 1 }] });

export function scheduleHistoryRoutes(
  app: ZodApp,
  schedules: ScheduleService,
  history: HistoryService,
): void {
  app.get(
    '/schedules/:id/history',
    {
      schema: {
        tags,
        operationId: 'listVersions',
        summary: 'Who changed what, and when',
        description:
          'Every version, newest first, in pages; what Carillon does by itself too. Of a deleted schedule by its id, until the retention is over.',
        params: scheduleRef,
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(versionAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const page = await history.list(toRef(request.params.id), toPageRequest('history', request.query));
      return presentPage('history', page, presentEntry, request, reply);
    },
  );

  app.post(
    '/schedules/:id/rollback',
    {
      schema: {
        tags,
        operationId: 'rollbackSchedule',
        summary: 'Go back to a version',
        description:
          'Its definition then is the present one again, as a new version. The status stays, and the next time is computed as by a PATCH.',
        params: scheduleRef,
        headers: callerHeaders,
        body: rollbackInput,
        response: { 200: scheduleAnswer, ...problems(404, 409, 412, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const { params, body, headers } = request;
      return answerSchedule(
        reply,
        await schedules.rollback(toRef(params.id), body.version, toCaller(headers)),
      );
    },
  );
}

function presentEntry({ version: entry, before }: HistoryEntry): z.output<typeof versionAnswer> {
  const { version, atMs, actor, action, note, status, pauses, spec } = entry;
  const first = version === 1 ? [] : null;
  return {
    version,
    at: toIso(atMs),
    actor,
    action,
    note,
    status,
    pauses: presentPauses(pauses),
    definition: presentDefinition(spec),
    changes: before === null ? first : diff(stateOf(before), stateOf(entry)),
  };
}

function stateOf({ spec, status, pauses }: ScheduleVersion) {
  return { ...presentDefinition(spec), status, pauses: presentPauses(pauses) };
}
