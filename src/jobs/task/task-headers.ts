/** The headers of a task's request: which ones a user may set, and the ones that Carillon adds. Pure. */
import { toIso } from '../../clock.ts';
import type { JobContext } from '../job.ts';

/** Header name → value. Names keep their spelling; they are unique without regard to case. */
export type HeaderMap = Readonly<Record<string, string>>;

export const headerNameLengthMax = 256;
export const headerValueLengthMax = 8_192;

/** Who calls, as a receiver is told. */
export type CallerContext = Pick<
  JobContext,
  'runId' | 'attempt' | 'scheduleName' | 'scheduledForMs' | 'idempotencyKey'
>;

/** RFC 9110, 5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Tab, printable ASCII and Latin-1: what HTTP/1.1 can carry. Line breaks would smuggle in headers of their own. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

const refusedHeaders = new Map<string, string>([
  ['host', 'it is taken from the url'],
  ['content-length', 'it is computed from the body'],
  ['transfer-encoding', 'the framing of the body is chosen by Carillon'],
  ['trailer', 'the framing of the body is chosen by Carillon'],
  ['expect', 'the body is sent at once'],
  ...[
    'connection',
    'keep-alive',
    'proxy-connection',
    'proxy-authorization',
    'te',
    'upgrade',
    'http2-settings',
  ].map((name): [string, string] => [
    name,
    'it concerns one connection only, and connections are managed by Carillon',
  ]),
]);

/** What is wrong with a header that a user gave, as a sentence; null when nothing is. */
export function headerFault(name: string, value: string): string | null {
  if (name.length > headerNameLengthMax || !token.test(name)) {
    return 'Not a header name: use letters, digits and hyphens.';
  }
  const lower = name.toLowerCase();
  const refusal = refusedHeaders.get(lower);
  if (refusal !== undefined) return `The header ${name} cannot be set: ${refusal}.`;
  if (lower.startsWith('x-carillon-'))
    return `The header ${name} cannot be set: Carillon says there which run calls.`;
  if (value.length > headerValueLengthMax)
    return `The value of the header ${name} is longer than ${headerValueLengthMax} characters.`;
  if (!fieldValue.test(value)) {
    return `The value of the header ${name} has characters that HTTP does not allow: no line breaks or control characters, nothing beyond Latin-1 (percent-encode it).`;
  }
  return null;
}

/**
 * Percent-encodes what is not visible ASCII, and the percent sign, so that `decodeURIComponent` gives the text back.
 * Ordinary names stay readable: `daily-backup` and `team:sync` are themselves.
 */
export function headerSafe(text: string): string {
  return text.toWellFormed().replace(/[^!-$&-~]/gu, encodeURIComponent);
}

/** The headers of a run's request: ours, then the user's, which win where both are allowed (User-Agent, Idempotency-Key…). */
export function requestHeaders(
  context: CallerContext,
  userAgent: string,
  contentType: string | null,
  given: HeaderMap,
): HeaderMap {
  const headers: Record<string, string> = {
    'User-Agent': userAgent,
    Accept: '*/*',
    // A body that nobody compressed needs no decoder, and 1 MiB of it is 1 MiB.
    'Accept-Encoding': 'identity',
    'Idempotency-Key': headerSafe(context.idempotencyKey),
    'X-Carillon-Schedule': headerSafe(context.scheduleName),
    'X-Carillon-Run-Id': headerSafe(context.runId),
    'X-Carillon-Scheduled-For': toIso(context.scheduledForMs),
    'X-Carillon-Attempt': String(context.attempt),
  };
  if (contentType !== null) headers['Content-Type'] = contentType;
  const overridden = new Set(Object.keys(given).map((name) => name.toLowerCase()));
  for (const name of overridden.size === 0 ? [] : Object.keys(headers)) {
    if (overridden.has(name.toLowerCase())) delete headers[name];
  }
  return Object.assign(headers, given);
}

/** The headers without those whose name, in lower case, is dropped. */
export function withoutHeaders(headers: HeaderMap, isDropped: (lowerName: string) => boolean): HeaderMap {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isDropped(name.toLowerCase())));
}
