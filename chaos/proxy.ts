/**
 * A TCP proxy between one node and Postgres, with the faults of networks: slow, cut, refusing, half-open (it swallows
 * both ways and closes nothing), and a connection that ends after a COMMIT was passed on and before its answer was.
 *
 * Of the protocol it reads as much as that needs: where messages of the frontend begin, and which of them open or
 * close a transaction. A statement outside of one commits by itself, so executions of the house's prepared statements count too.
 */
import { createConnection, createServer, type Server, type Socket } from 'node:net';

/** What opens or closes a transaction: `begin`, `commit`, or the name of a prepared statement that is one by itself. */
export type Edge = { what: string };

export type Mode =
  | { kind: 'pass' }
  | { kind: 'slow'; delayMs: () => number }
  | { kind: 'half_open' }
  | { kind: 'refuse' };

export type ChaosProxy = {
  port: number;
  /** New and present connections. Half-open ones are reset when the mode ends, as by a network that is back. */
  setMode(mode: Mode): void;
  /** Resets all connections; new ones are taken. */
  cut(): void;
  /** Asked at each edge, before it is passed on; true: it is, and its answer is lost with the connection. */
  loseAnswerOf: ((edge: Edge) => boolean) | null;
  /** Told of each edge before it is passed on, and when its answer has come and is not passed on yet. */
  onEdge: ((edge: Edge, at: 'sent' | 'answered') => void) | null;
  /** How many answers were lost on purpose. */
  readonly lostAnswers: number;
  close(): Promise<void>;
};

export async function startProxy(targetPort: number, host = '127.0.0.1'): Promise<ChaosProxy> {
  const links = new Set<{ client: Socket; server: Socket; swallowed: boolean }>();
  let mode: Mode = { kind: 'pass' };
  let lostAnswers = 0;

  const listener = createServer({ noDelay: true }, (client) => {
    if (mode.kind === 'refuse') return void client.resetAndDestroy();
    const server = createConnection({ port: targetPort, host, noDelay: true });
    const link = { client, server, swallowed: mode.kind === 'half_open' };
    links.add(link);
    const frontend = createFrontendReader();
    /** Those whose answer has not come. */
    let pending: Edge[] = [];
    let losesNext = false;
    const end = () => {
      links.delete(link);
      client.destroy();
      server.destroy();
    };
    const reset = () => {
      links.delete(link);
      client.resetAndDestroy();
      server.destroy();
    };
    const toServer = delayed((chunk) => server.write(chunk));
    const toClient = delayed((chunk) => client.write(chunk));
    client.on('data', (chunk: Buffer) => {
      const edges = frontend(chunk);
      if (mode.kind === 'half_open') {
        link.swallowed = true;
        return;
      }
      for (const edge of edges) {
        proxy.onEdge?.(edge, 'sent');
        losesNext ||= proxy.loseAnswerOf?.(edge) ?? false;
        pending.push(edge);
      }
      toServer(chunk, mode);
    });
    server.on('data', (chunk: Buffer) => {
      if (mode.kind === 'half_open') {
        link.swallowed = true;
        return;
      }
      if (losesNext) {
        lostAnswers += 1;
        return reset();
      }
      for (const edge of pending) proxy.onEdge?.(edge, 'answered');
      pending = [];
      toClient(chunk, mode);
    });
    for (const socket of [client, server]) {
      socket.on('error', () => {});
      // What is delayed may still be on its way when one side ends; the other hears of it at once, as by a reset.
      socket.on('close', () => {
        if (mode.kind !== 'half_open') end();
        else link.swallowed = true;
      });
    }
  });

  const proxy: ChaosProxy = {
    port: await listen(listener),
    setMode(next) {
      mode = next;
      if (next.kind === 'half_open') return;
      for (const link of links) {
        if (!link.swallowed && next.kind !== 'refuse') continue;
        links.delete(link);
        link.client.resetAndDestroy();
        link.server.destroy();
      }
    },
    cut() {
      for (const link of links) {
        links.delete(link);
        link.client.resetAndDestroy();
        link.server.destroy();
      }
    },
    loseAnswerOf: null,
    onEdge: null,
    get lostAnswers() {
      return lostAnswers;
    },
    async close() {
      proxy.cut();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  return proxy;
}

/** Passes chunks on in their order, each as late as the mode says. */
function delayed(write: (chunk: Buffer) => void): (chunk: Buffer, mode: Mode) => void {
  let queue: Promise<void> | null = null;
  return (chunk, mode) => {
    if (mode.kind !== 'slow' && queue === null) return write(chunk);
    const dueAt = performance.now() + (mode.kind === 'slow' ? mode.delayMs() : 0);
    const mine = (queue ?? Promise.resolve()).then(async () => {
      const leftMs = dueAt - performance.now();
      if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
      write(chunk);
      if (queue === mine) queue = null;
    });
    queue = mine;
  };
}

/** Reads the frontend's messages as they come in pieces; answers the edges among those that a piece completes. */
export function createFrontendReader(): (chunk: Buffer) => Edge[] {
  let left: Buffer = Buffer.alloc(0);
  let started = false;
  return (chunk) => {
    left = left.length === 0 ? chunk : Buffer.concat([left, chunk]);
    const edges: Edge[] = [];
    for (;;) {
      // The first message of a connection has no type.
      const header = started ? 1 : 0;
      if (left.length < header + 4) return edges;
      const length = header + left.readInt32BE(header);
      if (left.length < length) return edges;
      if (started) {
        const edge = edgeOf(String.fromCharCode(left[0]!), left.subarray(5, length));
        if (edge !== null) edges.push(edge);
      }
      started = true;
      left = left.subarray(length);
    }
  };
}

function edgeOf(type: string, body: Buffer): Edge | null {
  // Query: a text. Parse: a name and a text. Bind: a portal and the name of a prepared statement.
  if (type === 'Q') return edgeIn(textAt(body, 0));
  if (type === 'P') {
    const name = textAt(body, 0);
    return edgeIn(textAt(body, Buffer.byteLength(name) + 1));
  }
  if (type === 'B') {
    const portal = textAt(body, 0);
    const statement = textAt(body, Buffer.byteLength(portal) + 1);
    return statement === '' ? null : { what: statement };
  }
  return null;
}

function edgeIn(text: string): Edge | null {
  const word = /^\s*(begin|commit)\b/i.exec(text)?.[1];
  return word === undefined ? null : { what: word.toLowerCase() };
}

function textAt(body: Buffer, from: number): string {
  const end = body.indexOf(0, from);
  return body.toString('utf8', from, end < 0 ? body.length : end);
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}
