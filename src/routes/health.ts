/** /healthz: this process answers. /readyz: it can do its work. Both are open to anyone. */
import { z } from 'zod';
import { type Clock, toIso } from '../clock.ts';
import { HttpProblem, problemSchema, sendProblem } from './problem.ts';
import type { ZodApp } from './zod-validation.ts';

/** One thing that the service needs, and how it is. */
export type HealthCheck = { ok: boolean; detail: string };

export interface HealthService {
  /** Asks each thing that the service needs; does not throw, and answers within a few seconds. */
  ready(): Promise<{ ready: boolean; checks: Record<string, HealthCheck> }>;
}

const tags = ['service'];
const checksAnswer = z.record(z.string(), z.object({ ok: z.boolean(), detail: z.string() }));

const healthAnswer = z
  .object({ status: z.literal('ok'), version: z.string(), time: z.string().meta({ format: 'date-time' }) })
  .meta({ id: 'Health', description: 'The process answers.' });

const readyAnswer = z
  .object({ status: z.literal('ready'), checks: checksAnswer })
  .meta({ id: 'Readiness', description: 'All that it needs is there.' });

export function healthRoutes(app: ZodApp, health: HealthService, clock: Clock, version: string): void {
  app.get(
    '/healthz',
    {
      schema: {
        tags,
        security: [],
        operationId: 'getHealth',
        summary: 'Is the process alive?',
        description: 'Asks nothing else, so it stays 200 while the database is away.',
        response: { 200: healthAnswer },
      },
    },
    async () => ({ status: 'ok' as const, version, time: toIso(clock.now()) }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        tags,
        security: [],
        operationId: 'getReadiness',
        summary: 'Can it do its work?',
        description: 'Whether the database is reached and migrated and fires are dispatched.',
        response: {
          200: readyAnswer,
          503: {
            description: 'Not now; `checks` says why.',
            content: {
              'application/problem+json': { schema: problemSchema.extend({ checks: checksAnswer }) },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const { ready, checks } = await health.ready();
      if (ready) return { status: 'ready' as const, checks };
      const failing = Object.entries(checks).filter(([, check]) => !check.ok);
      const detail = failing.map(([name, check]) => `${name}: ${check.detail}`).join('; ');
      return sendProblem(new HttpProblem(503, 'not_ready', detail, { extra: { checks } }), request, reply);
    },
  );
}
