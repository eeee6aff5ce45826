/** Schedules as one document: applied as a whole, and given back. */
import { z } from 'zod';
import { DomainError, type Issue, invalidAll } from '../errors.ts';
import { type Applied, type ApplyService, applyMax } from '../schedules/apply-service.ts';
import type { JobCatalog } from '../schedules/job-catalog.ts';
import type { ScheduleSpec } from '../schedules/schedule.ts';
import { actorHeaders, toCaller } from './caller-wire.ts';
import { bodyProblems, problems } from './documented.ts';
import { changeAnswer, diff } from './json-diff.ts';
import { labelField, labelsField } from './label-wire.ts';
import { presentDefinition } from './schedule-answer.ts';
import { scheduleInput, toSpec } from './schedule-wire.ts';
import { checkPart, type ZodApp } from './zod-validation.ts';

const tags = ['schedules'];
const bodyBytesMax = 8 * 1_048_576;

/** Read by itself, so that what is wrong with all of them is told at once; documented as what it is. */
const definition = z.unknown().meta({ $ref: '#/components/schemas/ScheduleDefinitionInput' });

const applyInput = z
  .strictObject({
    schedules: z
      .array(definition)
      .max(applyMax)
      .describe(`At most ${applyMax}, each as \`POST /schedules\` takes it.`),
    prune: z
      .strictObject({ label: labelField.describe('As `key:value`; every schedule of the document has it.') })
      .optional()
      .describe('Deletes what has this label and is not in the document. What has ended is left alone.'),
    dryRun: z.boolean().default(false).describe('Only tells what would be done.'),
  })
  .meta({
    id: 'ScheduleDocument',
    examples: [
      {
        schedules: [
          {
            name: 'ping',
            every: '5s',
            labels: { 'managed-by': 'git' },
            job: { type: 'task', input: { url: 'http://127.0.0.1:3000/healthz' } },
          },
        ],
        prune: { label: 'managed-by:git' },
        dryRun: true,
      },
    ],
  });

const applyAnswer = z
  .object({
    dryRun: z.boolean(),
    counts: z.object({ created: z.int(), updated: z.int(), unchanged: z.int(), pruned: z.int() }),
    schedules: z
      .array(
        z.object({
          name: z.string(),
          id: z.string().nullable().describe('Null for one that a dry run would create.'),
          action: z.enum(['created', 'updated', 'unchanged', 'pruned']),
          version: z.int().describe('After it.'),
          changes: z.array(changeAnswer).describe('Of what is updated: what is different now.'),
        }),
      )
      .describe('In the order of the document, then what is pruned.'),
  })
  .meta({ id: 'Applied', description: 'What was done, or in a dry run would be.' });

const exportQuery = z.strictObject({ label: labelsField });
const exportAnswer = z
  .object({ schedules: z.array(definition) })
  .meta({ description: 'A document that POST /schedules/apply takes.' });

export function scheduleApplyRoutes(app: ZodApp, documents: ApplyService, catalog: JobCatalog): void {
  app.post(
    '/schedules/apply',
    {
      bodyLimit: bodyBytesMax,
      schema: {
        tags,
        operationId: 'applySchedules',
        summary: 'Apply a document of schedules',
        description:
          'Creates what is missing, changes what differs, leaves the rest, and with `prune` deletes what is not in it any more: all of it or nothing. The same document again changes nothing. Up to 8 MiB.',
        headers: actorHeaders,
        body: applyInput,
        response: { 200: applyAnswer, ...problems(409, ...bodyProblems) },
      },
    },
    async ({ body, headers }) => {
      const { schedules, prune, dryRun } = body;
      const caller = toCaller(headers);
      const specs = toSpecs(schedules, catalog);
      const applied = await documents.apply({ specs, prune: prune?.label ?? null, dryRun }, caller);
      return presentApplied(applied, dryRun);
    },
  );

  app.get(
    '/schedules/export',
    {
      schema: {
        tags,
        operationId: 'exportSchedules',
        summary: 'Schedules as a document',
        description: `What \`POST /schedules/apply\` takes, by name: applied again it changes nothing. Schedules that are stopped or completed are left out. At most ${applyMax}: narrow it with labels.`,
        querystring: exportQuery,
        response: { 200: exportAnswer, ...problems(400) },
      },
    },
    async ({ query }) => ({ schedules: (await documents.export(query.label ?? [])).map(presentDefinition) }),
  );
}

/** DomainError `invalid` with what is wrong with each of them. */
function toSpecs(schedules: readonly unknown[], catalog: JobCatalog): ScheduleSpec[] {
  const issues: Issue[] = [];
  const specs = schedules.flatMap((given, index) => {
    try {
      return [toSpec(checkPart(scheduleInput, given, 'body'), catalog)];
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      issues.push(
        ...error.issues.map((issue) => ({ ...issue, pointer: `/schedules/${index}${issue.pointer}` })),
      );
      return [];
    }
  });
  if (issues.length > 0) throw invalidAll(issues);
  return specs;
}

function presentApplied(applied: readonly Applied[], dryRun: boolean): z.output<typeof applyAnswer> {
  const counts = { created: 0, updated: 0, unchanged: 0, pruned: 0 };
  for (const { action } of applied) counts[action] += 1;
  const schedules = applied.map(({ id, name, action, version, before, after }) => ({
    name,
    id,
    action,
    version,
    changes:
      action === 'updated' && before !== null && after !== null
        ? diff(presentDefinition(before), presentDefinition(after))
        : [],
  }));
  return { dryRun, counts, schedules };
}
