/** /secrets: texts that jobs use by name. Written and deleted here; no route answers with a value. */
import { z } from 'zod';
import { DomainError } from '../errors.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import { bodyProblems, nothing, problems } from './documented.ts';
import { pageOf, pageQuery, presentPage, toPageRequest } from './page-wire.ts';
import { readName, toNewName } from './schedule-name.ts';
import { presentSecret, secretAnswer, secretInput } from './secret-wire.ts';
import type { ZodApp } from './zod-validation.ts';

const tags = ['secrets'];

const secretRef = z.object({
  name: z.string().meta({ description: 'The name of the secret.', examples: ['warehouse-password'] }),
});

/** The name of a secret that a path names. DomainError `not_found` for what can be none. */
function toSecretRef(text: string): string {
  const read = readName(text);
  if ('name' in read) return read.name;
  const detail = `There is no secret ${JSON.stringify(text)}: a name ${read.reason}.`;
  throw new DomainError('not_found', detail, [{ pointer: '{name}', detail }]);
}

export function secretRoutes(app: ZodApp, secrets: SecretService): void {
  app.put(
    '/secrets/:name',
    {
      schema: {
        tags,
        operationId: 'putSecret',
        summary: 'Create or replace a secret',
        description:
          // biome-ignore lint/suspicious/noTemplateCurlyInString: It is what callers write.
          'A job’s input uses it as `{"$secret": "name"}` in place of a text, or as `${secret:name}` inside of one. Attempts that begin after this answers use the new value.',
        params: secretRef,
        body: secretInput,
        response: { 200: secretAnswer, 201: secretAnswer, ...problems(...bodyProblems) },
      },
    },
    async (request, reply) => {
      const name = toNewName(request.params.name);
      const { created, secret } = await secrets.put(name, request.body);
      if (created) reply.code(201).header('location', `/secrets/${encodeURIComponent(name)}`);
      return presentSecret(secret);
    },
  );

  app.get(
    '/secrets',
    {
      schema: {
        tags,
        operationId: 'listSecrets',
        summary: 'List secrets',
        description: 'Newest first, in pages, without their values.',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(secretAnswer), ...problems(400) },
      },
    },
    async (request, reply) => {
      const page = await secrets.list(toPageRequest('secrets', request.query));
      return presentPage('secrets', page, presentSecret, request, reply);
    },
  );

  app.get(
    '/secrets/:name',
    {
      schema: {
        tags,
        operationId: 'getSecret',
        summary: 'Read what a secret is for',
        description: 'Its description and version; the value is for jobs alone.',
        params: secretRef,
        response: { 200: secretAnswer, ...problems(404) },
      },
    },
    async (request) => presentSecret(await secrets.get(toSecretRef(request.params.name))),
  );

  app.delete(
    '/secrets/:name',
    {
      schema: {
        tags,
        operationId: 'deleteSecret',
        summary: 'Delete a secret',
        description: 'Only one that no active or paused schedule refers to.',
        params: secretRef,
        response: { 204: nothing, ...problems(404, 409, ...bodyProblems) },
      },
    },
    async (request, reply) => {
      await secrets.remove(toSecretRef(request.params.name));
      return reply.code(204).send(null);
    },
  );
}
