/** The API's own document, at /openapi.json, and Swagger UI on it at /docs. Open to anyone: they hold no secrets. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { JobCatalog } from '../schedules/job-catalog.ts';
import { completeDocument } from './openapi-document.ts';
import { documentOptions } from './openapi-options.ts';
import type { ZodApp } from './zod-validation.ts';

/** Must come before the routes that it documents. */
export async function registerDocs(app: ZodApp, catalog: JobCatalog, version: string): Promise<void> {
  await app.register(
    swagger,
    documentOptions(version, (document) => completeDocument(document, catalog)),
  );
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: {
      // Without the bar on top, which would show somebody else's name.
      layout: 'BaseLayout',
      docExpansion: 'list',
      deepLinking: true,
      tryItOutEnabled: true,
      validatorUrl: null,
    },
    // The plugin's own policy upgrades requests to https, which a service on loopback does not speak.
    staticCSP: {
      'default-src': ["'self'"],
      'img-src': ["'self'", 'data:'],
      'style-src': ["'self'", "'unsafe-inline'"],
      'script-src': ["'self'"],
      'frame-ancestors': ["'none'"],
    },
    theme: { title: 'Carillon API' },
  });
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => reply.send(app.swagger()));
  app.get('/', { schema: { hide: true } }, async (_request, reply) => reply.redirect('/docs', 302));
}
