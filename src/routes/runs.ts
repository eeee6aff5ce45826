/** /runs: the history, one run, its log, and the two things a run can be told. */
import { z } from 'zod';
import type { RunFilter, RunService } from '../runs/run-service.ts';
import { runStatuses } from '../runs/run-state.ts';
import { bodyProblems, noInput, problems, runRef, scheduleRef } from './documented.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { instantParameter, wordsField } from './query-wire.ts';
import {
  logLineAnswer,
  presentLogLine,
  presentRun,
  presentRunDetail,
  runAnswer,
  runDetailAnswer,
} from './run-wire.ts';
import { toRef, toRunId } from './schedule-name.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['runs'];

const listed =
  'Newest nominal time first, in pages. Filters narrow each other. With `status` or `jobType` a page looks at 10,000 runs at most, and may be short of `limit`, or empty, before the last one.';

const filterQuery = {
  status: wordsField(runStatuses).optional().describe('One or several, repeated or with commas.'),
  jobType: z.string().max(128).optional(),
  since: instantParameter.optional().describe('Nominal times from here on; included.'),
  until: instantParameter.optional().describe('Nominal times up to here; included.'),
  ...pageQuery,
};

const ofScheduleQuery = z.strictObject(filterQuery);
const listQuery = z.strictObject({
  ...filterQuery,
  schedule: z.string().max(256).optional().describe('The id or name of a schedule.'),
});

export function runRoutes(app: ZodApp, runs: RunService): void {
  app.get(
    '/runs',
    {
      schema: {
        tags,
        operationId: 'listRuns',
        summary: 'List runs',
        description: listed,
        querystring: listQuery,
        response: { 200: pageOf(runAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const { schedule, ...query } = request.query;
      const filter = {
        ...toFilter(query),
        ...(schedule === undefined ? {} : { schedule: toRef(schedule, '?schedule') }),
      };
      const page = await runs.list(filter, toPageRequest('runs', query));
      return presentPage('runs', page, presentRun, request, reply);
    },
  );

  app.get(
    '/schedules/:id/runs',
    {
      schema: {
        tags,
        operationId: 'listScheduleRuns',
        summary: 'List the runs of a schedule',
        description: listed,
        params: scheduleRef,
        querystring: ofScheduleQuery,
        response: { 200: pageOf(runAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const filter = { ...toFilter(request.query), schedule: toRef(request.params.id) };
      const page = await runs.list(filter, toPageRequest('runs', request.query));
      return presentPage('runs', page, presentRun, request, reply);
    },
  );

  app.get(
    '/runs/:id',
    {
      schema: {
        tags,
        operationId: 'getRun',
        summary: 'Read a run',
        description: 'With its attempts and steps.',
        params: runRef,
        response: { 200: runDetailAnswer, ...problems(400, 404) },
      },
    },
    async (request) => presentRunDetail(await runs.get(toRunId(request.params.id))),
  );

  app.get(
    '/runs/:id/logs',
    {
      schema: {
        tags,
        operationId: 'getRunLogs',
        summary: "Read a run's log",
        description: 'Oldest line first, in pages.',
        params: runRef,
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(logLineAnswer), ...problems(400, 404) },
      },
    },
    async (request, reply) => {
      const page = await runs.logs(toRunId(request.params.id), toPageRequest('logs', request.query));
      return presentPage('logs', page, presentLogLine, request, reply);
    },
  );

  app.post(
    '/runs/:id/cancel',
    {
      schema: {
        tags,
        operationId: 'cancelRun',
        summary: 'Cancel a run',
        description:
          'A waiting run ends at once; a running one is told and ends soon. Cancelling it again changes nothing.',
        params: runRef,
        body: noInput,
        response: { 202: runAnswer, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const run = await runs.cancel(toRunId(request.params.id));
      return reply.code(202).send(presentRun(run));
    },
  );

  app.post(
    '/runs/:id/retry',
    {
      schema: {
        tags,
        operationId: 'retryRun',
        summary: 'Run again',
        description: 'A new run with the input of an ended one. `Location` names it.',
        params: runRef,
        body: noInput,
        response: { 202: runAnswer, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const run = await runs.retry(toRunId(request.params.id));
      return reply.code(202).header('location', `/runs/${run.id}`).send(presentRun(run));
    },
  );
}

type FilterQuery = {
  status?: RunFilter['statuses'];
  jobType?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
};

function toFilter({ status, jobType, since, until }: FilterQuery): RunFilter {
  return { statuses: status, jobType, sinceMs: since, untilMs: until };
}
