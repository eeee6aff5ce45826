/** Carillon nodes as real processes, to be stopped, frozen and killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { inject, onTestFinished } from 'vitest';
import { compileCacheIn } from './postgres-server.ts';
import { waitFor } from './wait-for.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export type ProcessEnd = { code: number | null; signal: NodeJS.Signals | null };

export type SpawnedProcess = {
  pid: number;
  /** Everything it has written so far, both streams. */
  output(): string;
  /** To the process, or to its whole group as a terminal's Ctrl-C. */
  kill(signal: NodeJS.Signals, whom?: 'process' | 'group'): void;
  readonly running: boolean;
  /** Resolves when it has ended and all its output is here. */
  exited: Promise<ProcessEnd>;
};

export type NodeProcess = SpawnedProcess & {
  address: string;
  /** Calls its API; fails on any status that is not 2xx. */
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
};

export type NodeOptions = {
  databaseUrl: string;
  roles?: string;
  workers?: string;
  graceSeconds?: number;
  env?: Record<string, string>;
  /** The program; `src/main.ts` unless the test needs job types of its own. */
  entry?: string;
};

/** `node src/main.ts`, ready to work; killed when the test has finished. */
export async function startNode(options: NodeOptions): Promise<NodeProcess> {
  const child = spawnIn({
    command: process.execPath,
    args: ['--import', './test/support/leave-with-parent.ts', options.entry ?? 'src/main.ts'],
    env: {
      PORT: '0',
      ...compileCache(),
      DATABASE_URL: options.databaseUrl,
      ...(options.roles === undefined ? {} : { CARILLON_ROLES: options.roles }),
      ...(options.workers === undefined ? {} : { CARILLON_WORKERS: options.workers }),
      ...(options.graceSeconds === undefined
        ? {}
        : { CARILLON_SHUTDOWN_GRACE_SECONDS: String(options.graceSeconds) }),
      ...options.env,
    },
  });
  const address = await addressOf(child);
  await waitFor(async () => (await fetch(`${address}/readyz`)).ok, { what: `${address} to be ready` });
  return {
    ...child,
    get running() {
      return child.running;
    },
    address,
    get: (path) => ask(`${address}${path}`),
    post: (path, body) =>
      ask(`${address}${path}`, {
        method: 'POST',
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      }),
  };
}

/** The address in the banner: it stands there once everything has started. */
export async function addressOf(child: SpawnedProcess, timeoutMs = 30_000): Promise<string> {
  return await waitFor(
    () => {
      const address = /^ {2}(?:API {4}|Health )(http:\/\/[^\s/]+)/m.exec(child.output())?.[1];
      if (address !== undefined) return address;
      throw new Error(`process ${child.pid} ${child.running ? 'runs' : 'has ended'}: ${child.output()}`);
    },
    { what: 'the banner', timeoutMs },
  );
}

/**
 * A command in the repository, in a process group of its own, with none of the variables that configure Carillon but
 * the given ones. Its whole group is killed when the test has finished.
 */
export function spawnIn(options: {
  command: string;
  args: readonly string[];
  env: Record<string, string>;
}): SpawnedProcess {
  const child = spawn(options.command, options.args, {
    cwd: root,
    env: { ...inheritedEnv(), ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  child.stdin.on('error', () => undefined);
  const exited = ended(child);
  let running = true;
  void exited.then(() => {
    running = false;
  });
  const pid = child.pid!;
  const kill = (signal: NodeJS.Signals, whom: 'process' | 'group' = 'process') => {
    try {
      process.kill(whom === 'group' ? -pid : pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  onTestFinished(async () => {
    kill('SIGKILL', 'group');
    await exited;
  });
  return {
    pid,
    output: () => output,
    kill,
    get running() {
      return running;
    },
    exited,
  };
}

async function ended(child: ChildProcess): Promise<ProcessEnd> {
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal };
}

/** Half a second less for every start but the first. */
export function compileCache(): Record<string, string> {
  return { NODE_COMPILE_CACHE: compileCacheIn(inject('runDirectory')) };
}

function inheritedEnv(): Record<string, string> {
  const names = ['PATH', 'HOME', 'USER', 'TMPDIR', 'LANG'];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

async function ask<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${init?.method ?? 'GET'} ${url} answered ${response.status}: ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as T;
}
