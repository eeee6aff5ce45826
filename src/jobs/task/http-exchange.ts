/**
 * One request and its response, within fixed bounds, whatever the other side sends. Redirects and the meaning of a
 * status are the business of `http-call.ts`.
 */
import type { Dispatcher } from 'undici';
import { JobError } from '../job.ts';
import { KeptBytes } from './kept-bytes.ts';
import type { HeaderMap } from './task-headers.ts';

/** Of a response body this much is kept … */
export const keptBodyBytesMax = 65_536;
/** … and this much is read; then the connection is destroyed. */
export const readBodyBytesMax = 1_048_576;
/**
 * What a chunk counts for at least. Chunks of one byte cost us a call each and six bytes on the wire; like this their
 * sender gets as far as what is kept, and not sixteen times further.
 */
const chunkBytesMin = 16;
/** More 1xx responses than this before the answer are an attack or a loop. */
const informationalMax = 20;

export type HttpRequest = {
  readonly url: URL;
  readonly method: string;
  readonly headers: HeaderMap;
  readonly body: string | null;
};

/** A response whose status is known. The body may have failed later: whether that matters depends on the status. */
export type HttpResponse = {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The first bytes as they came, content coding included. */
  readonly body: Buffer;
  readonly isTruncated: boolean;
  /** Why the body did not come to its end; null when it did, or when enough of it was read. */
  readonly bodyFault: { readonly cause: unknown } | null;
};

/** How far an exchange has come, in words that complete "timed out while …". */
export type ExchangePhase = 'waiting for a connection' | 'waiting for a response' | 'reading the body';

/**
 * Uses undici's dispatch interface and not `request()`: the bytes are counted as they are parsed, so no stream buffers
 * them, and a call costs a fifth less.
 */
export class HttpExchange implements Dispatcher.DispatchHandler {
  readonly #settled = Promise.withResolvers<HttpResponse>();
  readonly #kept = new KeptBytes(keptBodyBytesMax);
  #readBytes = 0;
  #informationals = 0;
  #head: Pick<HttpResponse, 'statusCode' | 'headers'> | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #aborted: { readonly reason: unknown } | null = null;
  phase: ExchangePhase = 'waiting for a connection';

  /** Rejects only when no final status came. */
  get response(): Promise<HttpResponse> {
    return this.#settled.promise;
  }

  send(dispatcher: Dispatcher, request: HttpRequest): void {
    dispatcher.dispatch(
      {
        origin: request.url.origin,
        path: `${request.url.pathname}${request.url.search}`,
        method: request.method,
        headers: request.headers,
        body: request.body,
      },
      this,
    );
  }

  /**
   * Settles `response` at once. undici itself learns of it only when it has a connection for the request, which may be
   * after the connect timeout; the request is not sent then.
   */
  abort(reason: unknown): void {
    if (this.#aborted !== null) return;
    this.#aborted = { reason };
    this.#fail(reason);
    this.#destroyConnection();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted === null) this.phase = 'waiting for a response';
    else this.#destroyConnection();
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: HttpResponse['headers'],
  ): void {
    if (statusCode < 200) {
      this.#informationals += 1;
      if (this.#informationals > informationalMax) {
        this.abort(
          new JobError('InvalidResponse', `more than ${informationalMax} informational (1xx) responses`),
        );
      }
      return;
    }
    this.#head = { statusCode, headers };
    this.phase = 'reading the body';
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#aborted !== null) return;
    this.#kept.add(chunk);
    this.#readBytes += Math.max(chunk.length, chunkBytesMin);
    if (this.#readBytes <= readBodyBytesMax) return;
    this.#succeed(null);
    this.#destroyConnection();
  }

  onResponseEnd(): void {
    this.#succeed(null);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  #fail(cause: unknown): void {
    if (this.#head === null) this.#settled.reject(cause);
    else this.#succeed({ cause });
  }

  #succeed(bodyFault: HttpResponse['bodyFault']): void {
    if (this.#head === null) return;
    const { bytes: body, isTruncated } = this.#kept;
    this.#settled.resolve({ ...this.#head, body, isTruncated, bodyFault });
  }

  #destroyConnection(): void {
    // The error is undici's to pass back to `onResponseError`, where it finds `response` settled.
    this.#controller?.abort(new Error('The exchange is over.'));
  }
}
