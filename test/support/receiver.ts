/** A receiver of webhooks: keeps what it hears, and answers as the test says. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export type Heard = {
  path: string;
  id: string;
  headers: Record<string, string>;
  /** As it came; what is signed. */
  body: string;
  message: { type: string; timestamp: string; data: Record<string, unknown> };
};

const noMessage = { type: '', timestamp: '', data: {} };

/** `hold`: no answer ever comes. */
export type Reply = number | { status: number; headers?: Record<string, string>; body?: string } | 'hold';

export type Receiver = {
  url: string;
  heard: Heard[];
  /** For all calls from now on; the n-th call counts from 0. */
  reply(by: (call: Heard, n: number) => Reply): void;
  types(): string[];
};

/** Closed when the test has finished. */
export async function startReceiver(): Promise<Receiver> {
  const heard: Heard[] = [];
  let replyBy: (call: Heard, n: number) => Reply = () => 204;
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const headers = request.headers as Record<string, string>;
    const call = {
      path: request.url!,
      id: headers['webhook-id'] ?? '',
      headers,
      body,
      message: body === '' ? noMessage : JSON.parse(body),
    };
    heard.push(call);
    const reply = replyBy(call, heard.length - 1);
    if (reply === 'hold') return;
    if (typeof reply === 'number') response.writeHead(reply).end();
    else response.writeHead(reply.status, reply.headers).end(reply.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    reply: (by) => {
      replyBy = by;
    },
    types: () => heard.map(({ message }) => message.type),
  };
}
