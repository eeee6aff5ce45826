/**
 * The job type `task`: calls an HTTP endpoint and keeps its answer. At least once: when an attempt is lost after the
 * request was sent, the next one sends it again with the same `Idempotency-Key`.
 */
import type { Dispatcher } from 'undici';
import { defineJob, type JobContext, JobError } from '../job.ts';
import { callHttp, type HttpAnswer } from './http-call.ts';
import { createTaskDispatcher } from './http-dispatcher.ts';
import type { HttpRequest } from './http-exchange.ts';
import { displayUrl } from './http-fault.ts';
import { excerpt, responseText } from './response-text.ts';
import { parseRetryAfter } from './retry-after.ts';
import { requestHeaders } from './task-headers.ts';
import { type TaskInput, taskInput, taskOutput, timeoutMsMax } from './task-input.ts';

export type TaskJobOptions = {
  /** Where the calls go through; whoever made it closes it. By default one of its own, whose idle sockets end by themselves. */
  dispatcher?: Dispatcher;
  /** Carillon's, for the User-Agent header. */
  version: string;
};

/** Statuses by which a receiver says "later" (RFC 9110, RFC 8470, RFC 6585); beside them all of 5xx are retried. */
const retryableStatuses: readonly number[] = [408, 425, 429];

const excerptLengthMax = 200;

/** The job type, bound to its connections. */
export function createTaskJob({ dispatcher = createTaskDispatcher(), version }: TaskJobOptions) {
  const userAgent = `carillon/${version}`;
  return defineJob({
    type: 'task',
    description:
      'Calls an HTTP endpoint. 2xx is success; 408, 425, 429, 5xx and network faults are retried, honouring Retry-After; other statuses fail the run. At most 5 redirects are followed.',
    input: taskInput,
    output: taskOutput,
    taskQueue: 'default',
    retry: {
      maxAttempts: 3,
      initialIntervalMs: 5_000,
      maxIntervalMs: 300_000,
      backoffCoefficient: 2,
      nonRetryableErrorTypes: ['InvalidConfiguration'],
    },
    // As long as the longest `timeout` of an input, so that the input decides and not a default it does not know of.
    timeoutMs: timeoutMsMax,
    example: { url: 'http://127.0.0.1:3000/healthz' },
    async run(context, input) {
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
    },
  });
}

function requestOf(context: JobContext, input: TaskInput, userAgent: string): HttpRequest {
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

function expectation(expectStatus: TaskInput['expectStatus']): (statusCode: number) => boolean {
  if (expectStatus === undefined) return (statusCode) => statusCode >= 200 && statusCode <= 299;
  const expected: readonly number[] = Array.isArray(expectStatus) ? expectStatus : [expectStatus];
  return (statusCode) => expected.includes(statusCode);
}

function statusError(
  { request, response }: HttpAnswer,
  expectStatus: TaskInput['expectStatus'],
  text: string,
  nowMs: number,
): JobError {
  const { statusCode } = response;
  const expected = expectStatus === undefined ? '' : `, expected ${[expectStatus].flat().join(' or ')}`;
  const said = excerpt(text, excerptLengthMax);
  const retryable = statusCode >= 500 || retryableStatuses.includes(statusCode);
  const retryAfter = response.headers['retry-after'];
  return new JobError(
    'HttpStatus',
    `${request.method} ${displayUrl(request.url)} answered ${statusCode}${expected}${said === '' ? '.' : `: ${said}`}`,
    {
      retryable,
      retryAfterMs: retryable
        ? parseRetryAfter(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, nowMs)
        : undefined,
    },
  );
}
