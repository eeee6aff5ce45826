/**
 * zod at the HTTP border: Fastify's validator, and zod's issues in words that a caller can act on. Each says where it
 * is (a JSON Pointer) and begins with the field's name.
 */
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifySchemaCompiler,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Issue, invalidAll } from '../errors.ts';
import { unknownFieldWords } from '../zod-fields.ts';
import { fieldName, sentence, valueAt, wordsFor } from '../zod-words.ts';
import { jsonPointer, textIssues } from './json-limits.ts';

/** A Fastify instance whose route schemas are zod's. */
export type ZodApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** Fields that answers have and requests may not: a schema registered here tells them apart from unknown ones. */
export const readOnlyFields = z.registry<{ names: readonly string[] }>();

export type RequestPart = 'body' | 'query' | 'path';

const partOf: Record<string, RequestPart> = { body: 'body', querystring: 'query', params: 'path' };

/** Checks a request's part; a mismatch is one DomainError `invalid` with all the issues. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  const part = partOf[httpPart ?? ''] ?? 'body';
  return (data: unknown) => {
    try {
      // Fastify says null when there is no body at all: commands take that as an empty one. A body that says null
      // does not come this far.
      return { value: checkPart(schema, part === 'body' && data === null ? {} : data, part) };
    } catch (error) {
      return { error: error as Error };
    }
  };
};

/** The parsed value, or DomainError `invalid` with everything that is wrong. */
export function checkPart<S extends z.ZodType>(schema: S, data: unknown, part: RequestPart): z.output<S> {
  // Bodies have been through this when they were parsed (json-body.ts).
  const unstorable =
    part === 'query'
      ? textIssues(data).map((issue) => ({ ...issue, pointer: `?${issue.pointer.slice(1)}` }))
      : [];
  if (unstorable.length > 0) throw invalidAll(unstorable);
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  throw invalidAll(issuesOf(result.error, data, part, schema));
}

/** zod's issues as ours. `data` is what was parsed: zod does not keep it. */
function issuesOf(error: z.core.$ZodError, data: unknown, part: RequestPart, schema: z.ZodType): Issue[] {
  const readOnly = readOnlyFields.get(schema)?.names ?? [];
  return error.issues.filter(isOurBound).flatMap((issue) => {
    const { path } = issue;
    if (issue.code !== 'unrecognized_keys') return [toIssue(path, wordsIn(part, issue, data), part)];
    return issue.keys.slice(0, unknownKeysToldMax).map((key) => {
      const words =
        path.length === 0 && readOnly.includes(key)
          ? 'is read-only; leave it out'
          : unknownFieldWords(schema, path, key, part === 'query' ? 'parameter' : 'field');
      return toIssue([...path, key], words, part);
    });
  });
}

/** Of thousands of unknown fields the first are told; the next request tells the others. */
const unknownKeysToldMax = 20;

/** Beside a bound of ours zod tells that of safe integers, which is beyond it. */
function isOurBound(issue: z.core.$ZodIssue): boolean {
  if (issue.code === 'too_big') return issue.maximum !== Number.MAX_SAFE_INTEGER;
  return issue.code !== 'too_small' || issue.minimum !== Number.MIN_SAFE_INTEGER;
}

function wordsIn(part: RequestPart, issue: z.core.$ZodIssue, data: unknown): string {
  if (part !== 'query') return wordsFor(issue, valueAt(data, issue.path));
  // What a parameter was made of is gone, and no parameter is required.
  const given = valueAt(data, issue.path.slice(0, 1));
  return issue.path.length === 1 && Array.isArray(given)
    ? 'must be given only once'
    : wordsFor(issue, given ?? null);
}

function toIssue(path: readonly PropertyKey[], words: string, part: RequestPart): Issue {
  return { pointer: pointerOf(path, part), detail: sentence(subjectOf(path, part), words) };
}

function pointerOf(path: readonly PropertyKey[], part: RequestPart): string {
  if (part === 'query') return `?${String(path[0] ?? '')}`;
  if (part === 'path') return `{${String(path[0] ?? '')}}`;
  return jsonPointer(path);
}

function subjectOf(path: readonly PropertyKey[], part: RequestPart): string {
  if (path.length === 0) return `The ${part}`;
  if (part === 'query') return `The query parameter \`${String(path[0])}\``;
  return `\`${fieldName(path)}\``;
}
