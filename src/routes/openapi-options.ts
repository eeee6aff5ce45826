/** How @fastify/swagger makes the OpenAPI 3.1 document from the route schemas. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ApiDocument, Json } from './openapi-document.ts';

const description = `Carillon stores schedules, fires them on time, runs their jobs with retries, and keeps the history.

Times are RFC 3339: any offset in, UTC out. Durations are written like \`90s\`, \`15m\`, \`1h30m\` or \`PT15M\`,
and answered as they were written, ISO 8601 in the simple form.
Ids and names both work in every path below \`/schedules\`. Lists come in pages; \`nextCursor\` asks for the next one.
Calls that change a schedule may say who asks (\`X-Carillon-Actor\`) and of which version (\`If-Match\`: its \`ETag\`).
Errors are \`application/problem+json\` (RFC 9457). Bodies are JSON, with or without a content type.`;

/**
 * zod leaves out examples and defaults of what it transforms, since they might be meant for after the transformation;
 * ours are in the form of the wire. It also states the bounds of safe integers for every integer.
 */
function restate({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: Json }): void {
  const meta = z.globalRegistry.get(zodSchema);
  if (meta?.examples !== undefined) jsonSchema.examples = meta.examples;
  if (meta?.default !== undefined) jsonSchema.default = meta.default;
  // Answers may get more fields; only requests are closed.
  if (zodSchema instanceof z.ZodObject && zodSchema.def.catchall === undefined)
    delete jsonSchema.additionalProperties;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
}

const zodToJsonConfig = { override: restate };
const transformObject = createJsonSchemaTransformObject({ zodToJsonConfig });

export function documentOptions(
  version: string,
  complete: (document: ApiDocument) => ApiDocument,
): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Carillon', version, description, license: { name: 'MIT', identifier: 'MIT' } },
      tags: [
        { name: 'schedules', description: 'What runs when.' },
        { name: 'calendars', description: 'Days that schedules leave out or keep to.' },
        { name: 'secrets', description: 'Texts that jobs use and nobody reads.' },
        { name: 'queues', description: 'Tasks that wait to be executed by `queue` jobs.' },
        { name: 'runs', description: 'What ran, and how it went.' },
        { name: 'job types', description: 'What can be scheduled.' },
        { name: 'service', description: 'Health and metrics.' },
      ],
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', description: 'CARILLON_API_KEY, where one is set.' },
        },
      },
      // The empty one: on loopback the service may run without a key.
      security: [{ apiKey: [] }, {}],
    },
    transform: createJsonSchemaTransform({ zodToJsonConfig }),
    transformObject: (input) => {
      const document = transformObject(input) as unknown as ApiDocument;
      return complete(document) as unknown as ReturnType<typeof transformObject>;
    },
  };
}
