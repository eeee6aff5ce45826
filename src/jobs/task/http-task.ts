/**
 * One HTTP task: the call that its input asks for, judged by its answer. At least once: when an attempt is lost after
 * the request was sent, the next one sends it again with the same `Idempotency-Key`.
 */
import type { Dispatcher } from 'undici';
import { type JobContext, JobError } from '../job.ts';
import { callHttp, type HttpAnswer } from './http-call.ts';
import type { HttpRequest } from './http-exchange.ts';
import { displayUrl } from './http-fault.ts';
import { excerpt, responseText } from './response-text.ts';
import { isRetryableStatus, parseRetryAfter } from './retry-after.ts';
import { type CallerContext, requestHeaders } from './task-headers.ts';
import type { HttpTaskInput, HttpTaskOutput } from './task-input.ts';

/** Who calls, and what ends the call early. */
export type HttpTaskContext = CallerContext & Pick<JobContext, 'signal' | 'now' | 'log' | 'redact'>;

export type HttpTaskParts = { dispatcher: Dispatcher; userAgent: string };

const excerptLengthMax = 200;

/** Rejects with a JobError (http-call.ts, and `HttpStatus`), or with the signal's reason. */
export async function runHttpTask(
  { dispatcher, userAgent }: HttpTaskParts,
  context: HttpTaskContext,
  input: HttpTaskInput,
): Promise<HttpTaskOutput> {
  const startedAt = context.now();
  const isExpected = expectation(input.expectStatus);
  const answer = await callHttp(dispatcher, {
    request: requestOf(context, input, userAgent),
    isExpected,
    timeoutMs: input.timeout,
    signal: context.signal,
    log: (message, level) => context.log(message, level),
  });
  const durationMs = Math.max(0, Math.round(context.now() - startedAt));
  const { text, isTruncated, note } = await responseText(answer.response);
  if (note !== null) context.log(note, 'warn');
  const { statusCode } = answer.response;
  if (!isExpected(statusCode)) {
    throw statusError(answer, input.expectStatus, context.redact(text), context.now());
  }
  context.log(
    `${answer.request.method} ${displayUrl(answer.request.url)} answered ${statusCode} in ${durationMs} ms`,
  );
  return { statusCode, durationMs, body: text, ...(isTruncated ? { bodyTruncated: true as const } : {}) };
}

function requestOf(context: CallerContext, input: HttpTaskInput, userAgent: string): HttpRequest {
  // null is what JSON has for "none"; a task that wants to send the four letters writes the text "null".
  const hasBody = input.body !== undefined && input.body !== null;
  const isText = typeof input.body === 'string';
  const contentType = hasBody ? (isText ? 'text/plain;charset=UTF-8' : 'application/json') : null;
  return {
    url: new URL(input.url),
    method: input.method ?? (hasBody ? 'POST' : 'GET'),
    headers: requestHeaders(context, userAgent, contentType, input.headers ?? {}),
    body: hasBody ? (isText ? (input.body as string) : JSON.stringify(input.body)) : null,
  };
}

function expectation(expectStatus: HttpTaskInput['expectStatus']): (statusCode: number) => boolean {
  if (expectStatus === undefined) return (statusCode) => statusCode >= 200 && statusCode <= 299;
  const expected: readonly number[] = Array.isArray(expectStatus) ? expectStatus : [expectStatus];
  return (statusCode) => expected.includes(statusCode);
}

function statusError(
  { request, response }: HttpAnswer,
  expectStatus: HttpTaskInput['expectStatus'],
  text: string,
  nowMs: number,
): JobError {
  const { statusCode } = response;
  const expected = expectStatus === undefined ? '' : `, expected ${[expectStatus].flat().join(' or ')}`;
  const said = excerpt(text, excerptLengthMax);
  const retryable = isRetryableStatus(statusCode);
  return new JobError(
    'HttpStatus',
    `${request.method} ${displayUrl(request.url)} answered ${statusCode}${expected}${said === '' ? '.' : `: ${said}`}`,
    {
      retryable,
      retryAfterMs: retryable ? parseRetryAfter(response.headers['retry-after'], nowMs) : undefined,
    },
  );
}
