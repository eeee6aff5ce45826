/** What a schedule can be told: pause, resume, stop, reschedule, trigger. All take an empty body, and are idempotent where that can be. */
import { z } from 'zod';
import { invalidAll } from '../errors.ts';
import { catchUpPolicies } from '../schedules/schedule.ts';
import type { ScheduleService } from '../schedules/schedule-service.ts';
import { answerSchedule, callerHeaders, toCaller } from './caller-wire.ts';
import { bodyProblems, problems, scheduleRef } from './documented.ts';
import { exclusionFields, presentExclusions } from './exclusion-wire.ts';
import { presentRun, runAnswer } from './run-wire.ts';
import { scheduleAnswer } from './schedule-answer.ts';
import { toRef } from './schedule-name.ts';
import { overlapField } from './schedule-wire.ts';
import {
  dstField,
  type Findings,
  rewritten,
  timezoneField,
  toTiming,
  triggerFields,
  windowFields,
} from './trigger-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['schedules'];
const answers = { 200: scheduleAnswer, ...problems(404, 409, 412, ...bodyProblems) };

export const noteInput = z
  .strictObject({ note: z.string().max(1_000).nullable().optional().describe('Why; shown in the schedule.') })
  .meta({ examples: [{ note: 'The target is being moved.' }] });

export const resumeInput = z
  .strictObject({
    catchUp: z
      .enum(catchUpPolicies)
      .default('none')
      .describe(
        'What to do about the times inside the pause. They are not missed unless this asks for them.',
      ),
  })
  .meta({ examples: [{ catchUp: 'latest' }] });

const rescheduleInput = z
  .strictObject({
    ...triggerFields,
    timezone: timezoneField.optional(),
    dst: dstField.optional(),
    ...windowFields,
    ...exclusionFields,
  })
  .meta({
    description: 'Exactly one of `cron`, `every`, `at` and `delay`. What else is left out stays as it is.',
    examples: [{ cron: '*/10 * * * * *' }],
  });

const triggerInput = z
  .strictObject({
    input: z
      .unknown()
      .describe("A merge patch (RFC 7396) on the schedule's input, for this run only.")
      .optional(),
    overlap: overlapField.optional().describe("Instead of the schedule's own policy."),
  })
  .meta({ examples: [{ overlap: 'allow' }] });

export function scheduleCommandRoutes(app: ZodApp, schedules: ScheduleService): void {
  app.post(
    '/schedules/:id/pause',
    {
      schema: {
        tags,
        operationId: 'pauseSchedule',
        summary: 'Pause',
        description:
          'Nothing fires until it is resumed, and what would have is not missed. Active runs go on.',
        params: scheduleRef,
        headers: callerHeaders,
        body: noteInput,
        response: answers,
      },
    },
    async ({ params, body, headers }, reply) =>
      answerSchedule(reply, await schedules.pause(toRef(params.id), body.note ?? null, toCaller(headers))),
  );

  app.post(
    '/schedules/:id/resume',
    {
      schema: {
        tags,
        operationId: 'resumeSchedule',
        summary: 'Resume',
        description:
          'Fires again from now on, whoever paused it: the pauses of groups are lifted too. `catchUp` may ask for times inside the pause.',
        params: scheduleRef,
        headers: callerHeaders,
        body: resumeInput,
        response: answers,
      },
    },
    async ({ params, body, headers }, reply) =>
      answerSchedule(reply, await schedules.resume(toRef(params.id), body, toCaller(headers))),
  );

  app.post(
    '/schedules/:id/stop',
    {
      schema: {
        tags,
        operationId: 'stopSchedule',
        summary: 'Stop for good',
        description: 'Nothing fires any more, and a running run ends after its current step. Final.',
        params: scheduleRef,
        headers: callerHeaders,
        body: noteInput,
        response: answers,
      },
    },
    async ({ params, body, headers }, reply) =>
      answerSchedule(reply, await schedules.stop(toRef(params.id), body.note ?? null, toCaller(headers))),
  );

  app.post(
    '/schedules/:id/reschedule',
    {
      schema: {
        tags,
        operationId: 'rescheduleSchedule',
        summary: 'Change when it fires',
        description:
          'In force at once. A fire that was queued for the old trigger and has not started is withdrawn.',
        params: scheduleRef,
        headers: callerHeaders,
        body: rescheduleInput,
        response: answers,
      },
    },
    async ({ params, body: given, headers }, reply) => {
      const change: Parameters<ScheduleService['reschedule']>[1] = ({ spec }) => {
        const zone = { timezone: given.timezone ?? spec.timezone, dst: given.dst ?? spec.dst };
        const window = {
          startAt: given.startAt === undefined ? spec.timing.startAtMs : given.startAt,
          endAt: given.endAt === undefined ? spec.timing.endAtMs : given.endAt,
        };
        const findings: Findings = { issues: [], written: {} };
        const { exclude, only, onExcluded } = presentExclusions(spec.timing);
        const exclusions = {
          exclude: given.exclude ?? exclude,
          only: given.only ?? only,
          onExcluded: given.onExcluded ?? onExcluded,
        };
        const timing = toTiming({ ...given, ...window, ...exclusions }, zone, spec.name, findings);
        if (timing === null) throw invalidAll(findings.issues);
        return { timing, ...zone, ...rewritten(spec, findings.written) };
      };
      return answerSchedule(reply, await schedules.reschedule(toRef(params.id), change, toCaller(headers)));
    },
  );

  app.post(
    '/schedules/:id/trigger',
    {
      schema: {
        tags,
        operationId: 'triggerSchedule',
        summary: 'Run now',
        description:
          'One more run at once; the schedule itself does not move. `Location` names the run. It counts as active for overlap: with `skip` and a run that is active the answer is a run that was `skipped`.',
        params: scheduleRef,
        headers: callerHeaders,
        body: triggerInput,
        response: { 202: runAnswer, ...problems(404, 409, 412, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      const run = await schedules.trigger(toRef(request.params.id), request.body, toCaller(request.headers));
      return reply.code(202).header('location', `/runs/${run.id}`).send(presentRun(run));
    },
  );
}
