/** JSON over HTTP within fixed bounds, whatever the other side sends. */
import type { Dispatcher } from 'undici';
import { formatDuration } from '../../duration.ts';
import { JobError } from '../job.ts';
import { displayUrl, httpFault } from '../task/http-fault.ts';
import { isRetryableStatus, parseRetryAfter } from '../task/retry-after.ts';
import { type JsonValue, parseExactly } from './exact-json.ts';

/** An answer beyond this is not read to its end. */
export const answerBytesMax = 32 * 1024 * 1024;
/** What is read of an answer that is a refusal. */
const refusalBytesMax = 16_384;
const refusalShownMax = 300;
const connectMsMax = 10_000;
/** Until the answer begins, and between two pieces of it. */
const silenceMsMax = 60_000;

export type HttpJson = {
  get(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<JsonValue>;
  /** The status and the beginning of the answer when it refuses what was sent; null: it took it. */
  post(
    url: URL,
    headers: Record<string, string>,
    body: string,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string } | null>;
  close(): void;
};

export type HttpJsonOptions = { userAgent: string; now(): number; redact(text: string): string };

/** Statuses by which a receiver says that something in the body is wrong. */
const aboutBody = [400, 409, 413, 422];

/**
 * @throws JobError: retryable `NetworkError`, `Timeout`, `HttpStatus` (408, 425, 429, 5xx); not retryable `HttpStatus`
 *   (other statuses) and `InvalidResponse`; the signal's reason
 */
export function createHttpJson(options: HttpJsonOptions): HttpJson {
  let agent: Promise<{ agent: Dispatcher; request: typeof import('undici').request }> | undefined;
  const open = () => {
    agent ??= import('undici').then(({ Agent, request }) => ({
      agent: new Agent({
        connections: 2,
        headersTimeout: silenceMsMax,
        bodyTimeout: silenceMsMax,
        connect: { timeout: connectMsMax, autoSelectFamily: true },
      }),
      request,
    }));
    return agent;
  };

  async function call(
    method: 'GET' | 'POST',
    url: URL,
    headers: Record<string, string>,
    body: string | null,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    signal.throwIfAborted();
    const { agent: dispatcher, request } = await open();
    return await request(url, {
      dispatcher,
      method,
      headers: { 'user-agent': options.userAgent, accept: 'application/json', ...headers },
      body,
      signal,
    });
  }

  function refused(what: string, response: Dispatcher.ResponseData, text: string): JobError {
    const status = response.statusCode;
    const retryable = isRetryableStatus(status);
    const said = options
      .redact(text)
      .replace(/[\p{Cc}\s]+/gu, ' ')
      .trim()
      .slice(0, refusalShownMax);
    const location = response.headers.location;
    const hint =
      status >= 300 && status < 400 && location !== undefined
        ? ' It is a redirect: give the address that it leads to.'
        : '';
    return new JobError('HttpStatus', `${what} answered ${status}${said === '' ? '.' : `: ${said}`}${hint}`, {
      retryable,
      retryAfterMs: retryable ? parseRetryAfter(response.headers['retry-after'], options.now()) : undefined,
    });
  }

  async function faults<T>(what: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof JobError && error.message.startsWith(what)) throw error;
      const code = (error as { code?: unknown } | null)?.code;
      if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT')
        throw new JobError('Timeout', `${what}: nothing came for ${formatDuration(silenceMsMax)}.`);
      throw httpFault(what, error);
    }
  }

  return {
    async get(url, headers, signal) {
      const what = `GET ${displayUrl(url)}`;
      return await faults(what, signal, async () => {
        const response = await call('GET', url, headers, null, signal);
        const isOk = response.statusCode >= 200 && response.statusCode < 300;
        const { text, isWhole } = await textOf(response.body, isOk ? answerBytesMax : refusalBytesMax);
        if (!isOk) throw refused(what, response, text);
        const coding = response.headers['content-encoding'];
        if (coding !== undefined && coding !== 'identity')
          throw invalidResponse(`${what}: the answer is compressed (${coding}), which was not asked for.`);
        if (!isWhole)
          throw invalidResponse(
            `${what}: the answer is larger than ${answerBytesMax / 1_048_576} MiB: ask for smaller pages by a parameter in \`source.url\`.`,
          );
        try {
          return parseExactly(text);
        } catch {
          const type = String(response.headers['content-type'] ?? 'no content-type').slice(0, 100);
          throw invalidResponse(`${what}: the answer is no JSON (${type}, ${text.length} characters).`);
        }
      });
    },

    async post(url, headers, body, signal) {
      const what = `POST ${displayUrl(url)}`;
      return await faults(what, signal, async () => {
        const response = await call(
          'POST',
          url,
          { 'content-type': 'application/json', ...headers },
          body,
          signal,
        );
        const { text } = await textOf(response.body, refusalBytesMax);
        const { statusCode: status } = response;
        if (status >= 200 && status < 300) return null;
        if (aboutBody.includes(status)) {
          return { status, text: options.redact(text).slice(0, refusalShownMax) };
        }
        throw refused(what, response, text);
      });
    },

    close() {
      agent?.then(
        (opened) => void opened.agent.destroy().catch(() => undefined),
        () => undefined,
      );
      agent = undefined;
    },
  };
}

export function invalidResponse(message: string): JobError {
  return new JobError('InvalidResponse', message, { retryable: false });
}

/** Of what is longer than `bytesMax` the rest is never read: the connection is cut. */
async function textOf(
  body: AsyncIterable<Buffer> & { destroy(): unknown },
  bytesMax: number,
): Promise<{ text: string; isWhole: boolean }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bytesMax) return { text: Buffer.concat(chunks).toString('utf8'), isWhole: false };
    chunks.push(chunk);
  }
  return { text: Buffer.concat(chunks).toString('utf8'), isWhole: true };
}
