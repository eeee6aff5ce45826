/** An HTTP server for syncs: answers with what the test says, and keeps what it was sent. */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export type Asked = { method: string; url: URL; headers: http.IncomingHttpHeaders; body: string };
type Answer =
  | { status?: number; headers?: Record<string, string>; body: unknown }
  | ((response: http.ServerResponse) => void);

export async function startJsonApi(answer: (asked: Asked) => Answer) {
  const asked: Asked[] = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const one = {
      method: request.method!,
      url: new URL(request.url!, 'http://api'),
      headers: request.headers,
      body,
    };
    asked.push(one);
    const given = answer(one);
    if (typeof given === 'function') return given(response);
    response.writeHead(given.status ?? 200, { 'content-type': 'application/json', ...given.headers });
    response.end(typeof given.body === 'string' ? given.body : JSON.stringify(given.body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/items`, asked };
}
