/**
 * Every error on the wire is `application/problem+json` (RFC 9457). This is the one mapping from what was thrown to
 * what is told: a caller's mistakes in full, our own faults only by the request id under which they were logged.
 */
import { STATUS_CODES } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { DomainError, type ErrorCode, type Issue } from '../errors.ts';
import { isOutage } from './outage.ts';

export const problemSchema = z
  .object({
    type: z.string().describe('Always `about:blank`: `code` tells the kinds apart.'),
    title: z.string().describe("The status code's own words."),
    status: z.int(),
    detail: z.string().describe('What is wrong and what to do, in English.'),
    code: z.string().describe('Stable, for programs: `invalid`, `not_found`, `conflict`, …'),
    errors: z
      .array(
        z.object({
          pointer: z
            .string()
            .describe(
              'Where: a JSON Pointer into the body, `?name` for a query parameter, `{name}` for a part of the path, the name of a header.',
            ),
          detail: z.string(),
        }),
      )
      .describe('One entry per mistake; empty when it is not about a field.'),
    requestId: z.string().describe('Also in the `X-Request-Id` header and in the log.'),
  })
  .meta({ id: 'Problem', description: 'What went wrong (RFC 9457).' });

export type Problem = z.output<typeof problemSchema>;

/** A fault that only HTTP knows: a method, a header, a media type. Faults of the domain are DomainError. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly issues: readonly Issue[];
  /** Extension members (RFC 9457 section 3.2). */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    more: {
      headers?: Record<string, string>;
      issues?: readonly Issue[];
      extra?: Record<string, unknown>;
    } = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.headers = more.headers ?? {};
    this.issues = more.issues ?? [];
    this.extra = more.extra ?? {};
  }
}

/** More mistakes than this are not listed; a body may hold thousands. */
const errorsListedMax = 50;

const statusOfCode: Record<ErrorCode, number> = {
  invalid: 400,
  not_found: 404,
  conflict: 409,
  precondition_failed: 412,
};

/** Fastify's own refusals, in our words. Those that are not here keep Fastify's text. */
const refusals: Record<string, { code: string; detail: string }> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: 'body_too_large',
    detail:
      'The body is larger than is taken here (1 MiB, if nothing else is said). Send less, or split it into several requests.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported_media_type',
    detail: 'The content type is not understood. Send JSON as application/json.',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'malformed_request',
    detail: 'The body is not as long as its Content-Length says. Send the request again.',
  },
  FST_ERR_BAD_URL: {
    code: 'malformed_request',
    detail: 'The path is not a valid URL: a % must be followed by two hexadecimal digits of UTF-8.',
  },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'uri_too_long', detail: 'A part of the path is too long.' },
};

type Answer = { problem: Omit<Problem, 'requestId'>; headers: Readonly<Record<string, string>> };

/** What a thrown value is on the wire. Pure; 5xx answers say nothing of what happened inside. */
export function toAnswer(error: unknown): Answer {
  if (error instanceof DomainError) {
    const { code, issues } = error;
    // Two fields may have the same thing wrong with them; it is said once.
    const detail = code === 'invalid' && issues.length > 0 ? sentences(issues) : error.message;
    return answer(statusOfCode[code], code, detail, issues);
  }
  if (error instanceof HttpProblem) {
    return answer(error.status, error.code, error.message, error.issues, error.headers);
  }
  const { code, statusCode, message } = fastifyFault(error);
  if (statusCode >= 400 && statusCode < 500) {
    const refusal = refusals[code] ?? { code: 'malformed_request', detail: message };
    return answer(statusCode, refusal.code, refusal.detail);
  }
  if (isOutage(error)) {
    const detail =
      'The database cannot be reached or takes no changes at the moment. Nothing was lost; try again in a few seconds.';
    return answer(503, 'unavailable', detail, [], { 'retry-after': '2' });
  }
  return answer(500, 'internal', 'Carillon failed. The cause is in its log under this requestId.');
}

function answer(
  status: number,
  code: string,
  detail: string,
  issues: readonly Issue[] = [],
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const errors = issues.slice(0, errorsListedMax);
  const more = issues.length - errors.length;
  const told = more > 0 ? `${sentences(errors)} And ${more} more.` : detail;
  const title = STATUS_CODES[status] ?? 'Error';
  return { problem: { type: 'about:blank', title, status, detail: told, code, errors }, headers };
}

function sentences(issues: readonly Issue[]): string {
  return [...new Set(issues.map((issue) => issue.detail))].join(' ');
}

function fastifyFault(error: unknown): { code: string; statusCode: number; message: string } {
  if (!(error instanceof Error)) return { code: '', statusCode: 500, message: '' };
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  return {
    code: typeof code === 'string' ? code : '',
    statusCode: typeof statusCode === 'number' ? statusCode : 500,
    message: error.message,
  };
}

/** Answers with the problem that `error` is, and logs it when the fault is ours. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { problem, headers } = toAnswer(error);
  if (problem.status >= 500 && !(error instanceof HttpProblem)) {
    request.log[problem.status === 503 ? 'warn' : 'error'](
      { err: error, method: request.method, url: request.url },
      'request failed',
    );
  }
  return reply
    .code(problem.status)
    .headers(headers)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(
      JSON.stringify({ ...problem, requestId: request.id, ...(error instanceof HttpProblem && error.extra) }),
    );
}

export function registerProblems(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply));
}
