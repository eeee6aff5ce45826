/** GET /job-types: what can be scheduled. */
import { z } from 'zod';
import { formatDuration } from '../duration.ts';
import type { JobCatalog, JobTypeInfo } from '../schedules/job-catalog.ts';
import { problems } from './documented.ts';
import { presentRetry, retryAnswer } from './job-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const jsonSchema = z.record(z.string(), z.unknown());

const jobTypeAnswer = z
  .object({
    name: z.string().describe('For `job.type` of a schedule.'),
    description: z.string(),
    taskQueue: z.string(),
    timeout: z.string(),
    retry: retryAnswer,
    inputSchema: jsonSchema.describe('JSON Schema (2020-12).'),
    outputSchema: jsonSchema.describe('JSON Schema (2020-12).'),
    example: z.unknown().describe('An input that is valid.'),
  })
  .meta({ id: 'JobType', description: 'A kind of job, with the defaults of its runs.' });

export function jobTypeRoutes(app: ZodApp, catalog: JobCatalog): void {
  app.get(
    '/job-types',
    {
      schema: {
        tags: ['job types'],
        operationId: 'listJobTypes',
        summary: 'List the job types',
        description: 'Their inputs and outputs as JSON Schema, and their defaults.',
        response: { 200: z.object({ items: z.array(jobTypeAnswer) }), ...problems() },
      },
    },
    async () => ({ items: catalog.list().map(presentJobType) }),
  );
}

function presentJobType(info: JobTypeInfo): z.output<typeof jobTypeAnswer> {
  return {
    name: info.type,
    description: info.description,
    taskQueue: info.taskQueue,
    timeout: formatDuration(info.timeoutMs),
    retry: presentRetry(info.retry),
    inputSchema: info.inputSchema,
    outputSchema: info.outputSchema,
    example: info.example,
  };
}
