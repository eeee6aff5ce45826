/** A real HTTP server that notes who called, and can keep callers waiting until the test lets them go. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { waitFor } from './wait-for.ts';

export type Hit = {
  /** As the job `task` tells them. */
  runId: string;
  attempt: number;
  scheduledFor: string;
  path: string;
  /** The caller hung up before it had its answer. */
  readonly abandoned: boolean;
  /** Answers one that is held; harmless for others. */
  release(status?: number): void;
};

export type Witness = {
  /** Answers 200 at once. */
  url: string;
  /** Answers when the hit is released. */
  holdUrl: string;
  hits: Hit[];
  hitsOf(runId: string): Hit[];
  /** Waits for the call of this attempt. */
  hit(runId: string, attempt: number, timeoutMs?: number): Promise<Hit>;
  releaseAll(): void;
};

/** Closed when the test has finished. */
export async function startWitness(): Promise<Witness> {
  const hits: Hit[] = [];
  const server = createServer((request, response) => {
    request.resume();
    hits.push(note(request, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const hitsOf = (runId: string) => hits.filter((hit) => hit.runId === runId);
  return {
    url: `${url}/`,
    holdUrl: `${url}/hold`,
    hits,
    hitsOf,
    hit: (runId, attempt, timeoutMs) =>
      waitFor(() => hitsOf(runId).find((hit) => hit.attempt === attempt), {
        what: `attempt ${attempt} of run ${runId} to call the witness`,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    releaseAll: () => {
      for (const hit of hits) hit.release();
    },
  };
}

function note(request: IncomingMessage, response: ServerResponse): Hit {
  let abandoned = false;
  response.on('close', () => {
    abandoned = !response.writableEnded;
  });
  const release = (status = 200) => {
    if (!response.writableEnded) response.writeHead(status).end('seen');
  };
  const path = request.url ?? '';
  if (!path.startsWith('/hold')) release();
  return {
    runId: String(request.headers['x-carillon-run-id']),
    attempt: Number(request.headers['x-carillon-attempt']),
    scheduledFor: String(request.headers['x-carillon-scheduled-for']),
    path,
    get abandoned() {
      return abandoned;
    },
    release,
  };
}
