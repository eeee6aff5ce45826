/** /schedules: create, read, change, delete. Commands and times of a schedule are in files of their own. */
import { z } from 'zod';
import { invalid } from '../errors.ts';
import { runStatuses } from '../runs/run-state.ts';
import type { JobCatalog } from '../schedules/job-catalog.ts';
import { matches } from '../schedules/precondition.ts';
import { scheduleStatuses } from '../schedules/schedule.ts';
import type { ScheduleFilter, ScheduleService } from '../schedules/schedule-service.ts';
import {
  actorHeaders,
  answerSchedule,
  callerHeaders,
  readerHeaders,
  toCaller,
  toTags,
} from './caller-wire.ts';
import { bodyProblems, nothing, notModified, problems, scheduleRef } from './documented.ts';
import { labelField } from './label-wire.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { presentSchedule, scheduleAnswer } from './schedule-answer.ts';
import { toNewName, toRef } from './schedule-name.ts';
import { patchInput } from './schedule-patch.ts';
import { patchedSpec, replacementInput, scheduleInput, toSpec } from './schedule-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['schedules'];

const listQuery = z.strictObject({
  status: z.enum(scheduleStatuses).optional(),
  jobType: z.string().max(128).optional(),
  label: labelField.optional().describe('Only schedules with this label, as `key:value`: `team:data`.'),
  q: z.string().max(200).optional().describe('Part of a name or description, in upper or lower case.'),
  lastStatus: z.enum(runStatuses).optional().describe('How the last run ended.'),
  ...pageQuery,
});

export function scheduleRoutes(app: ZodApp, schedules: ScheduleService, catalog: JobCatalog): void {
  app.post(
    '/schedules',
    {
      schema: {
        tags,
        operationId: 'createSchedule',
        summary: 'Create a schedule',
        description: 'Stores what to run and when; it fires from now on. `Location` names it.',
        headers: actorHeaders,
        body: scheduleInput,
        response: { 201: scheduleAnswer, ...problems(409, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const { actor } = toCaller(request.headers);
      const schedule = await schedules.create(toSpec(request.body, catalog), { actor });
      reply.code(201).header('location', `/schedules/${schedule.id}`);
      return answerSchedule(reply, schedule);
    },
  );

  app.get(
    '/schedules',
    {
      schema: {
        tags,
        operationId: 'listSchedules',
        summary: 'List schedules',
        description:
          'Newest first, in pages. Filters narrow each other. With `q` or `lastStatus` a page looks at 50,000 schedules at most, and may be short of `limit`, or empty, before the last one.',
        querystring: listQuery,
        response: { 200: pageOf(scheduleAnswer), ...problems(400) },
      },
    },
    async (request, reply) => {
      const { limit, cursor, label, ...filter } = request.query;
      const page = await schedules.list(
        toFilter(filter, label),
        toPageRequest('schedules', { limit, cursor }),
      );
      return presentPage('schedules', page, presentSchedule, request, reply);
    },
  );

  app.get(
    '/schedules/:id',
    {
      schema: {
        tags,
        operationId: 'getSchedule',
        summary: 'Read a schedule',
        description: 'With its next times, its last run and the runs that are active.',
        params: scheduleRef,
        headers: readerHeaders,
        response: { 200: scheduleAnswer, 304: notModified, ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const known = request.headers['if-none-match'];
      const tags = known === undefined ? [] : toTags('If-None-Match', known);
      const schedule = await schedules.get(toRef(request.params.id));
      const answer = answerSchedule(reply, schedule);
      return matches(tags, schedule.version, 'weak') ? reply.code(304).send(null) : answer;
    },
  );

  app.put(
    '/schedules/:id',
    {
      schema: {
        tags,
        operationId: 'putSchedule',
        summary: 'Create or replace a schedule by name',
        description:
          'Schedules as code: the same request always leads to the same schedule. What it omits goes back to its default; history and counts are kept. A stopped schedule stays stopped: delete it first.',
        params: scheduleRef,
        headers: callerHeaders,
        body: replacementInput,
        response: { 200: scheduleAnswer, 201: scheduleAnswer, ...problems(409, 412, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const name = toNewName(request.params.id);
      if (request.body.name !== undefined && request.body.name !== name) {
        throw invalid(
          '/name',
          `\`name\` must be the path's, ${JSON.stringify(name)}, or be left out. PATCH renames.`,
        );
      }
      const spec = toSpec({ ...request.body, name }, catalog);
      const { created, schedule } = await schedules.put(spec, toCaller(request.headers));
      if (created) reply.code(201).header('location', `/schedules/${schedule.id}`);
      return answerSchedule(reply, schedule);
    },
  );

  app.patch(
    '/schedules/:id',
    {
      schema: {
        tags,
        operationId: 'patchSchedule',
        summary: 'Change parts of a schedule',
        description:
          'A JSON merge patch (RFC 7396): what it omits stays, null takes a field away. To change the kind of trigger, set the old one to null in the same patch.',
        consumes: ['application/merge-patch+json', 'application/json'],
        params: scheduleRef,
        headers: callerHeaders,
        body: patchInput,
        response: { 200: scheduleAnswer, ...problems(404, 409, 412, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const change = request.body;
      const schedule = await schedules.update(
        toRef(request.params.id),
        (current) => patchedSpec(current, change, catalog),
        toCaller(request.headers),
      );
      return answerSchedule(reply, schedule);
    },
  );

  app.delete(
    '/schedules/:id',
    {
      schema: {
        tags,
        operationId: 'deleteSchedule',
        summary: 'Delete a schedule',
        description:
          'Its waiting runs are cancelled, running ones are told to; its runs and its history stay, under its id.',
        params: scheduleRef,
        headers: callerHeaders,
        response: { 204: nothing, ...problems(404, 412, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      await schedules.remove(toRef(request.params.id), toCaller(request.headers));
      return reply.code(204).send(null);
    },
  );
}

function toFilter(filter: Omit<ScheduleFilter, 'label'>, label: string | undefined): ScheduleFilter {
  if (label === undefined) return filter;
  const colon = label.indexOf(':');
  return { ...filter, label: { key: label.slice(0, colon), value: label.slice(colon + 1) } };
}
