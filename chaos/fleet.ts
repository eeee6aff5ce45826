/** Three nodes, as a user starts them, and what became of each of their processes. A supervisor: who ends comes back. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { MemorySample, ProcessEnd } from './evidence.ts';
import { nodeCount, restartAfterMs } from './fault-plan.ts';
import type { ChaosProxy } from './proxy.ts';

/** Mixed and separate; two of them can do each thing. */
export const rolesOfNodes = ['api,dispatcher,worker', 'worker', 'api,dispatcher'] as const;
export const graceSeconds = 3;

export type FleetNode = {
  readonly index: number;
  readonly roles: string;
  readonly proxy: ChaosProxy;
  /** Of the API; null while it is not up. */
  readonly address: string | null;
  readonly pid: number | null;
  /** Sends a signal that ends it; it is started again a moment after its end. Resolves when it has ended. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** A SIGKILL is about to come by `signal`. */
  expectKill(): void;
  /** One that it survives, or a SIGKILL at a moment that allows no waiting. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it is up and says that it is ready. */
  ready(): Promise<void>;
  /** For its next start: how far its clock is off, and the program, a path of a `main.ts`. */
  clockShiftMs: number;
  entry: string;
  /** While true it is not started again. */
  staysDown: boolean;
};

export type Fleet = {
  nodes: readonly FleetNode[];
  ends: readonly ProcessEnd[];
  memory: readonly MemorySample[];
  start(): Promise<void>;
  /** Ends all, and starts none again. */
  stop(): Promise<void>;
};

export type FleetOptions = {
  /** The program that each begins with. */
  entry: string;
  directory: string;
  databaseUrl: string;
  proxies: readonly ChaosProxy[];
  preload: string;
  blockMs: number;
};

const sampleEveryMs = 5000;
const lookEveryMs = 50;

export function createFleet(options: FleetOptions): Fleet {
  const ends: ProcessEnd[] = [];
  const memory: MemorySample[] = [];
  let closing = false;
  const nodes = Array.from({ length: nodeCount }, (_, index) => createNode(index));
  let sampler: NodeJS.Timeout | undefined;

  function createNode(index: number): FleetNode & { spawn(): void } {
    const roles = rolesOfNodes[index]!;
    const proxy = options.proxies[index]!;
    const log: WriteStream = createWriteStream(join(options.directory, `node-${index}.log`), { flags: 'a' });
    let child: ChildProcess | null = null;
    let address: string | null = null;
    let ended: Promise<void> = Promise.resolve();
    let asked: ProcessEnd['asked'] = null;

    function spawnOne(): void {
      const { staysDown, clockShiftMs, entry } = node;
      if (staysDown || closing || child !== null) return;
      const url = new URL(options.databaseUrl);
      url.port = String(proxy.port);
      const started = spawn(
        process.execPath,
        ['--max-semi-space-size=64', '--import', options.preload, entry],
        {
          cwd: dirname(dirname(entry)),
          env: {
            PATH: process.env.PATH,
            HOME: process.env.HOME,
            PORT: '0',
            NODE_COMPILE_CACHE: join(options.directory, 'compile-cache'),
            DATABASE_URL: url.href,
            CARILLON_ROLES: roles,
            CARILLON_WORKERS: 'default:200',
            CARILLON_DATABASE_CONNECTIONS: '16',
            CARILLON_SHUTDOWN_GRACE_SECONDS: String(graceSeconds),
            CHAOS_CLOCK_SHIFT_MS: String(clockShiftMs),
            CHAOS_BLOCK_MS: String(options.blockMs),
          },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      child = started;
      asked = null;
      const { promise, resolve } = Promise.withResolvers<void>();
      ended = promise;
      let text = '';
      for (const stream of [started.stdout, started.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          log.write(chunk);
          if (address !== null) return;
          text += chunk.toString();
          address = /^ {2}(?:API {4}|Health )(http:\/\/[^\s/]+)/m.exec(text)?.[1] ?? null;
        });
      }
      started.on('exit', (code, signal) => {
        ends.push({
          node: index,
          pid: started.pid!,
          code,
          signal,
          atMs: Date.now(),
          asked,
          starting: address === null,
        });
        child = null;
        address = null;
        resolve();
        setTimeout(spawnOne, restartAfterMs);
      });
    }

    const node: FleetNode & { spawn(): void } = {
      index,
      roles,
      proxy,
      clockShiftMs: 0,
      entry: options.entry,
      staysDown: false,
      get address() {
        return address;
      },
      get pid() {
        return child?.pid ?? null;
      },
      async end(signal) {
        if (child === null) return;
        // The first word counts: a node that is told to stop and is killed then was killed.
        asked = { signal, atMs: Date.now() };
        child.kill(signal);
        await ended;
      },
      expectKill() {
        asked = { signal: 'SIGKILL', atMs: Date.now() };
      },
      signal(signal) {
        child?.kill(signal);
      },
      async ready() {
        for (;;) {
          const at = address;
          const isReady =
            at !== null &&
            (await fetch(`${at}/readyz`, { signal: AbortSignal.timeout(2000) }).then(
              async (answer) => {
                await answer.arrayBuffer();
                return answer.ok;
              },
              () => false,
            ));
          if (isReady) return;
          await delay(lookEveryMs);
        }
      },
      spawn: spawnOne,
    };
    return node;
  }

  async function sample(): Promise<void> {
    for (const { pid } of nodes) {
      if (pid === null) continue;
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      const kb = /VmRSS:\s+(\d+)/.exec(status)?.[1];
      if (kb !== undefined) memory.push({ pid, atMs: Date.now(), rssMb: Number(kb) / 1024 });
    }
  }

  return {
    nodes,
    ends,
    memory,
    async start() {
      sampler ??= setInterval(() => void sample(), sampleEveryMs);
      // The first one migrates and leaves its compiled code to the others: all at once take longer on two cores.
      const [first, ...others] = nodes;
      first!.spawn();
      await first!.ready();
      for (const node of others) node.spawn();
      await Promise.all(others.map((node) => node.ready()));
    },
    async stop() {
      closing = true;
      clearInterval(sampler);
      await Promise.all(
        nodes.map(async (node) => {
          node.signal('SIGCONT');
          const killer = setTimeout(() => node.signal('SIGKILL'), (graceSeconds + 25) * 1000);
          await node.end('SIGTERM');
          clearTimeout(killer);
        }),
      );
    },
  };
}
