/** Commands for all schedules that have certain labels. */
import { z } from 'zod';
import { type GroupOutcome, type GroupService, membersToldMax } from '../schedules/group-service.ts';
import { scheduleStatuses } from '../schedules/schedule.ts';
import { actorHeaders, toCaller } from './caller-wire.ts';
import { bodyProblems, problems } from './documented.ts';
import { selectorField } from './label-wire.ts';
import { noteInput, resumeInput } from './schedule-commands.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['schedules'];

const member = z.object({
  id: z.string().meta({ format: 'uuid' }),
  name: z.string(),
  status: z.enum(scheduleStatuses).describe('After it.'),
});
const countOf = (what: string) => z.int().min(0).describe(what);

const outcomeAnswer = z
  .object({
    labels: z.array(z.string()).describe('The group: the labels that were asked for, sorted.'),
    matched: countOf('How many schedules belong to it.'),
    changedCount: countOf('How many of them were changed.'),
    changed: z.array(member).describe(`The first ${membersToldMax} of them, by id.`),
    unchangedCount: countOf('How many were so already, or have ended.'),
    unchanged: z.array(member).describe(`The first ${membersToldMax} of them, by id.`),
    refusedCount: countOf('How many could not be changed.'),
    refused: z.array(member.extend({ detail: z.string().describe('Why, and what to do.') })),
  })
  .meta({ id: 'GroupOutcome', description: 'What became of each schedule of a group.' });

const groupQuery = z.strictObject({ label: selectorField });
const shared = {
  tags,
  querystring: groupQuery,
  headers: actorHeaders,
  response: { 200: outcomeAnswer, ...problems(...bodyProblems) },
};
const inSteps =
  ' It is done some schedules at a time; what breaks off in the middle is finished by asking again.';

export function scheduleGroupRoutes(app: ZodApp, groups: GroupService): void {
  app.post(
    '/schedules/pause',
    {
      schema: {
        ...shared,
        operationId: 'pauseSchedules',
        summary: 'Pause a group',
        description: `A pause of its own in each schedule that has the labels now, beside those that it has already.${inSteps}`,
        body: noteInput,
      },
    },
    async ({ query, body, headers }) =>
      presentOutcome(
        query.label,
        await groups.pause(query.label, { note: body.note ?? null }, toCaller(headers)),
      ),
  );

  app.post(
    '/schedules/resume',
    {
      schema: {
        ...shared,
        operationId: 'resumeSchedules',
        summary: 'Resume a group',
        description: `Lifts what a pause of this very group did. What was paused before, by itself or with another group, stays paused.${inSteps}`,
        body: resumeInput,
      },
    },
    async ({ query, body, headers }) =>
      presentOutcome(query.label, await groups.resume(query.label, body, toCaller(headers))),
  );

  app.post(
    '/schedules/stop',
    {
      schema: {
        ...shared,
        operationId: 'stopSchedules',
        summary: 'Stop a group for good',
        description: `As stopping each of them: nothing fires any more, and running runs end after their current step. Final.${inSteps}`,
        body: noteInput,
      },
    },
    async ({ query, body, headers }) =>
      presentOutcome(
        query.label,
        await groups.stop(query.label, { note: body.note ?? null }, toCaller(headers)),
      ),
  );
}

function presentOutcome(
  labels: readonly string[],
  { matched, changed, unchanged, refused }: GroupOutcome,
): z.output<typeof outcomeAnswer> {
  const plain = ({ id, name, status }: GroupOutcome['changed']['items'][number]) => ({ id, name, status });
  return {
    labels: [...labels],
    matched,
    changedCount: changed.count,
    changed: changed.items.map(plain),
    unchangedCount: unchanged.count,
    unchanged: unchanged.items.map(plain),
    refusedCount: refused.count,
    refused: refused.items,
  };
}
