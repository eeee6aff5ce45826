/** GET /metrics, for Prometheus. It wants the API key: numbers tell what a house does. */
import { z } from 'zod';
import { problems } from './documented.ts';
import type { ZodApp } from './zod-validation.ts';

export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
}

export function metricsRoutes(app: ZodApp, metrics: Metrics): void {
  app.get(
    '/metrics',
    {
      schema: {
        tags: ['service'],
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        description: "In Prometheus' text format.",
        produces: ['text/plain'],
        response: {
          200: { description: 'The metrics.', content: { 'text/plain': { schema: z.string() } } },
          ...problems(),
        },
      },
    },
    async (_request, reply) => reply.header('content-type', metrics.contentType).send(await metrics.render()),
  );
}
