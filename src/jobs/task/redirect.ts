/** Where a redirect leads, and with what. Pure: a function of the request and the response's head. */
import { JobError } from '../job.ts';
import type { HttpRequest, HttpResponse } from './http-exchange.ts';
import { displayUrl } from './http-fault.ts';
import { withoutHeaders } from './task-headers.ts';
import { urlLengthMax } from './task-input.ts';

/** Redirects that are followed in one call. */
export const redirectsMax = 5;

const redirectStatuses: readonly number[] = [301, 302, 303, 307, 308];

/** Headers that say something about the body; they go when the body goes (Fetch standard, HTTP-redirect fetch, 13). */
const bodyHeaders = new Set(['content-type', 'content-encoding', 'content-language', 'content-location']);

/**
 * Headers that another origin may see. Authorization and Cookie must stay behind (Fetch standard); but an X-Api-Key is a
 * secret too and nobody can tell from its name, so all that are not known to be harmless stay behind.
 */
const harmlessHeaders =
  /^(?:accept|accept-.*|content-.*|user-agent|idempotency-key|x-carillon-.*|traceparent)$/;

/**
 * The request that a redirect asks for; null when the response is no redirect. The method changes as the Fetch standard
 * says: POST becomes GET on 301 and 302, all but HEAD become GET on 303. Throws a JobError that is not retryable when
 * the target must not be called.
 */
export function redirectedRequest(request: HttpRequest, response: HttpResponse): HttpRequest | null {
  const { statusCode } = response;
  const location = firstValue(response.headers.location);
  if (!redirectStatuses.includes(statusCode) || location === undefined) return null;
  const url = targetOf(request, statusCode, location);

  let { method, headers, body } = request;
  const becomesGet =
    statusCode === 303 ? method !== 'GET' && method !== 'HEAD' : statusCode <= 302 && method === 'POST';
  if (becomesGet) {
    method = 'GET';
    body = null;
    headers = withoutHeaders(headers, (name) => bodyHeaders.has(name));
  }
  if (url.origin !== request.url.origin)
    headers = withoutHeaders(headers, (name) => !harmlessHeaders.test(name));
  return { url, method, headers, body };
}

function targetOf(request: HttpRequest, statusCode: number, location: string): URL {
  const what = `${request.method} ${displayUrl(request.url)} answered ${statusCode} with a redirect`;
  if (location.length > urlLengthMax) {
    throw new JobError(
      'InvalidResponse',
      `${what} to an address of ${location.length} characters; at most ${urlLengthMax} are followed.`,
      { retryable: false },
    );
  }
  const url = URL.parse(location, request.url);
  if (url === null) {
    throw new JobError('InvalidResponse', `${what} to something that is not an address.`, {
      retryable: false,
    });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new JobError(
      'InvalidConfiguration',
      `${what} to ${url.protocol}, but only http and https are called.`,
      {
        retryable: false,
      },
    );
  }
  if (request.url.protocol === 'https:' && url.protocol === 'http:') {
    throw new JobError(
      'InvalidConfiguration',
      `${what} from https to ${displayUrl(url)}, which is not encrypted. If that is meant, make it the url.`,
      { retryable: false },
    );
  }
  // What a receiver writes there must not end up in an Authorization header or in a log.
  url.username = '';
  url.password = '';
  return url;
}

/** The header's text. undici gives Latin-1, while servers that do not percent-encode write UTF-8, as browsers read it. */
function firstValue(value: string | string[] | undefined): string | undefined {
  const first = Array.isArray(value) ? value[0] : value;
  return first === undefined ? undefined : Buffer.from(first, 'latin1').toString('utf8');
}
