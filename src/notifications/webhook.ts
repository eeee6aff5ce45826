/**
 * Webhooks after Standard Webhooks (standardwebhooks.com): `webhook-id`, the same for every try of a message,
 * `webhook-timestamp` of this try, and `webhook-signature` (v1, HMAC-SHA-256) where there is a key. The manners towards
 * receivers are those of the job type `task`; redirects are not followed, since a signed message is for its address.
 */
import { Webhook } from 'standardwebhooks';
import type { Dispatcher } from 'undici';
import { type Clock, toDate } from '../clock.ts';
import { messageOf } from '../errors.ts';
import { callHttp } from '../jobs/task/http-call.ts';
import { excerpt, responseText } from '../jobs/task/response-text.ts';
import { parseRetryAfter } from '../jobs/task/retry-after.ts';
import type { Sent } from './sent.ts';

/** With the values of its secrets in it. */
export type OpenedWebhook = { url: string; secret?: string; headers?: Readonly<Record<string, string>> };

export interface WebhookSender {
  /** Never rejects. */
  send(id: string, webhook: OpenedWebhook, payload: unknown, signal: AbortSignal): Promise<Sent>;
}

export const webhookTimeoutMs = 15_000;
const excerptLengthMax = 200;

export function createWebhookSender(parts: {
  dispatcher: Dispatcher;
  clock: Clock;
  /** Carillon's, for User-Agent. */
  version: string;
}): WebhookSender {
  const { dispatcher, clock, version } = parts;
  return {
    async send(id, webhook, payload, signal) {
      const body = JSON.stringify(payload);
      const nowMs = clock.now();
      try {
        const answer = await callHttp(dispatcher, {
          request: {
            url: new URL(webhook.url),
            method: 'POST',
            headers: {
              ...webhook.headers,
              'Content-Type': 'application/json',
              Accept: '*/*',
              'Accept-Encoding': 'identity',
              'User-Agent': `carillon/${version}`,
              ...signedHeaders(id, nowMs, body, webhook.secret),
            },
            body,
          },
          isExpected: (status) => status < 400,
          timeoutMs: webhookTimeoutMs,
          signal,
          log: () => undefined,
        });
        const { statusCode, headers } = answer.response;
        if (statusCode >= 200 && statusCode <= 299) return { ok: true };
        const said = excerpt((await responseText(answer.response)).text, excerptLengthMax);
        const retryAfterMs = parseRetryAfter(headers['retry-after'], clock.now());
        return {
          ok: false,
          error: `It answered ${statusCode}${said === '' ? '.' : `: ${said}`}`,
          // 410 is how a receiver says that it wants no more (Standard Webhooks, "Operational considerations").
          retryable: statusCode !== 410,
          ...(retryAfterMs !== undefined && { retryAfterMs }),
        };
      } catch (error) {
        return { ok: false, error: messageOf(error), retryable: true };
      }
    },
  };
}

function signedHeaders(
  id: string,
  nowMs: number,
  body: string,
  secret: string | undefined,
): Record<string, string> {
  const timestamp = toDate(nowMs);
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(timestamp.getTime() / 1000)),
  };
  if (secret === undefined) return headers;
  return { ...headers, 'webhook-signature': signer(secret).sign(id, timestamp, body) };
}

function signer(secret: string): Webhook {
  // The library takes what is no base64 for some, and the receiver's may not.
  if (
    !/^(?:whsec_)?(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(secret) ||
    secret === ''
  ) {
    throw new Error(
      'The secret to sign with must be base64, with or without "whsec_" before it: `echo whsec_$(openssl rand -base64 32)` makes one.',
    );
  }
  return new Webhook(secret);
}
