/**
 * One HTTP call as a user means it: redirects included, one timeout over all of it, ended at once when the run is.
 *
 *   exchange ─ final or expected status ─────────────────────────→ HttpAnswer
 *      ↑  └─── redirect, fewer than 5 ─┐    └ no status, or the body of a success failed → JobError
 *      └───────────────────────────────┘
 */
import type { Dispatcher } from 'undici';
import { formatDuration } from '../../duration.ts';
import { JobError, type LogLevel } from '../job.ts';
import { HttpExchange, type HttpRequest, type HttpResponse } from './http-exchange.ts';
import { displayUrl, httpFault } from './http-fault.ts';
import { redirectedRequest, redirectsMax } from './redirect.ts';

export type HttpCall = {
  readonly request: HttpRequest;
  /** A status that counts as success, and so is not followed when it is a redirect. */
  isExpected(statusCode: number): boolean;
  readonly timeoutMs: number;
  /** The call rejects with this signal's reason as soon as it aborts. */
  readonly signal: AbortSignal;
  log(message: string, level?: LogLevel): void;
};

export type HttpAnswer = {
  readonly response: HttpResponse;
  /** The last request: after redirects another one than was asked for. */
  readonly request: HttpRequest;
};

/** The reason that the timer gives; a value, since most calls never need the error. */
const timedOut = Symbol('timed out');

/**
 * Calls and follows. Resolves with any final status, expected or not; rejects with a JobError (`NetworkError`, `Timeout`,
 * `InvalidResponse`, `TooManyRedirects`, `InvalidConfiguration`) or with the signal's reason.
 */
export async function callHttp(dispatcher: Dispatcher, call: HttpCall): Promise<HttpAnswer> {
  const { signal } = call;
  let exchange = new HttpExchange();
  const timer = setTimeout(() => exchange.abort(timedOut), call.timeoutMs);
  const onAbort = () => exchange.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    let { request } = call;
    const visited = new Set<string>();
    for (;;) {
      // Before each request: the run may have ended before the call, or between two redirects.
      signal.throwIfAborted();
      const response = await finish(exchange, dispatcher, request, call);
      const next = call.isExpected(response.statusCode) ? null : redirectedRequest(request, response);
      if (next === null) return { response, request };
      if (response.bodyFault?.cause === timedOut) throw faultOf(timedOut, exchange, request, call);

      visited.add(`${request.method} ${request.url.href}`);
      if (visited.size > redirectsMax || visited.has(`${next.method} ${next.url.href}`)) {
        throw tooManyRedirects(call.request, next, visited.size);
      }
      logRedirect(call, response, request, next);
      request = next;
      exchange = new HttpExchange();
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

async function finish(
  exchange: HttpExchange,
  dispatcher: Dispatcher,
  request: HttpRequest,
  call: HttpCall,
): Promise<HttpResponse> {
  try {
    exchange.send(dispatcher, request);
    const response = await exchange.response;
    call.signal.throwIfAborted();
    // Half a body is no success. A status that is no success says more than its broken body: it stands.
    if (response.bodyFault !== null && call.isExpected(response.statusCode)) throw response.bodyFault.cause;
    return response;
  } catch (error) {
    call.signal.throwIfAborted();
    throw faultOf(error, exchange, request, call);
  }
}

function faultOf(cause: unknown, exchange: HttpExchange, request: HttpRequest, call: HttpCall): JobError {
  const what = `${request.method} ${displayUrl(request.url)}`;
  if (cause !== timedOut) return httpFault(what, cause);
  return new JobError(
    'Timeout',
    `${what}: timed out after ${formatDuration(call.timeoutMs)} while ${exchange.phase}.`,
  );
}

function tooManyRedirects(first: HttpRequest, next: HttpRequest, count: number): JobError {
  const why =
    count > redirectsMax ? `led on after ${redirectsMax} redirects` : 'went in a circle of redirects';
  return new JobError(
    'TooManyRedirects',
    `${first.method} ${displayUrl(first.url)} ${why}; the last one leads to ${displayUrl(next.url)}.`,
    { retryable: false },
  );
}

function logRedirect(call: HttpCall, response: HttpResponse, from: HttpRequest, to: HttpRequest): void {
  const left = Object.keys(from.headers).filter((name) => !Object.hasOwn(to.headers, name));
  const without = left.length === 0 ? '' : ` without the headers ${left.join(', ')}`;
  call.log(
    `${from.method} ${displayUrl(from.url)} answered ${response.statusCode}: going on with ${to.method} ${displayUrl(to.url)}${without}.`,
  );
}
