/** The server process over a cluster: its settings, its start, its stop. Who may do that is decided in embedded.ts. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { constants, open, readFile, rename, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { giveToDirectoryOwner } from './data-directory.ts';
import { type Account, processOptions } from './embedded-account.ts';
import type { Binaries } from './embedded-binaries.ts';
import { isAlive, isServerOf, lastLines, lastPort, readPidFile } from './embedded-cluster.ts';

/**
 * Given on the command line at each start, so that an old data directory gets them too. Who wants to tune more runs a
 * server of their own and sets DATABASE_URL.
 *
 * fsync, full_page_writes and synchronous_commit stay at Postgres' default, on: what was answered with 201 must survive
 * a power cut. They are not listed here, so that the tests' server can have fsync off by ALTER SYSTEM.
 */
/**
 * For the buffers of a server beside all else that runs on the machine: an eighth of its memory, 128 MB to 2 GB. The system
 * gives it only as it is used. With 256 MB, of a herd beside a million schedules and their history each row was read from
 * the system's cache and written back at once: 10,100 instead of 12,700 fires/s (bench/scale.ts).
 */
export function sharedBuffersMb(memoryBytes: number): number {
  return Math.floor(Math.min(2048, Math.max(128, memoryBytes / 8 / 2 ** 20)));
}

const SETTINGS = {
  listen_addresses: '127.0.0.1', // nobody but this machine
  unix_socket_directories: '', // none: its path may be too long (107 bytes) or its folder not writable
  max_connections: '200', // several pools per process, and a few processes on one server
  shared_buffers: `${sharedBuffersMb(memoryBytes())}MB`,
  max_wal_size: '2GB', // with the next: checkpoints come by time, not in the middle of a midnight herd
  checkpoint_timeout: '15min', // fewer full-page images; a start after a crash replays at most this much
  wal_compression: 'off', // only pglz is built in: 20,000 updates after a checkpoint took 690 ms with, 110 without
  jit: 'off', // our queries take milliseconds, compiling one takes longer
  max_parallel_workers_per_gather: '0', // likewise; and it needs /dev/shm, of which a container has 64 MB
  autovacuum_naptime: '15s', // a herd leaves as many dead rows as it has fires
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off', // the log is shortened only at a start, so nothing that recurs goes into it:
  log_min_messages: 'log', // not each failed statement (the service reports those), but starts, crashes, refusals
};

const LOG_BYTES_MAX = 1024 * 1024;
const POLL_MS = 10;
const START_TRIES_MAX = 20;
const START_PAUSE_MS = 25;
const NOTE_EVERY_MS = 10_000;
const STOP_FAST_MS = 10_000;
const STOP_IMMEDIATE_MS = 10_000;

export type StartOptions = {
  cluster: string;
  logFile: string;
  binaries: Binaries;
  account: Account | undefined;
  /** This one and no other. Undefined: that of the last start if it is free, else any. */
  port: number | undefined;
  log: { info(message: string): void };
};

/**
 * Starts the server and waits until it accepts connections. Recovery after a crash is part of that: it has no time
 * limit, as a server that is killed for being slow would begin it again at the next start.
 *
 * @throws Error with the end of the server's log when it exits instead
 */
export async function startServer(options: StartOptions): Promise<{ pid: number; port: number }> {
  const { cluster } = options;
  const wanted = options.port ?? (await lastPort(cluster));
  for (let tries = 1; ; tries++) {
    const port = await freePort(wanted);
    if (options.port !== undefined && port !== options.port) {
      throw new Error(
        `its port ${options.port} is taken by another program. End that, or start Carillon again.`,
      );
    }
    // postmaster.pid may name a living process that is something else altogether: pids are used again.
    const noted = await readPidFile(cluster);
    const isStranger = noted !== undefined && isAlive(noted.pid) && !(await isServerOf(noted.pid, cluster));
    try {
      return await startOnce({ ...options, port, strangerPid: isStranger ? noted.pid : undefined });
    } catch (error) {
      // Somebody took the port in between, or the sessions of a killed server are just ending: both pass.
      const passing = /could not create any TCP\/IP sockets|pre-existing shared memory block/;
      if (tries === START_TRIES_MAX || !passing.test(String(error))) throw error;
      await delay(START_PAUSE_MS * tries);
    }
  }
}

type Start = StartOptions & { port: number; strangerPid: number | undefined };

async function startOnce(options: Start): Promise<{ pid: number; port: number }> {
  const { cluster, logFile } = options;
  const { child, logStart } = await spawnServer(options);
  let failure: Error | undefined;
  child.on('error', (error) => {
    failure = error;
  });
  child.unref(); // it must not keep our process alive
  const notes = setInterval(
    () => options.log.info(`Postgres is still starting, see ${logFile}`),
    NOTE_EVERY_MS,
  );
  try {
    for (;;) {
      if (failure !== undefined) {
        throw new Error(`Postgres could not be started: ${failure.message}`, { cause: failure });
      }
      if (child.exitCode !== null || child.signalCode !== null) {
        const how = child.signalCode ?? `code ${child.exitCode}`;
        throw new Error(`Postgres ended at once (${how}): ${await endOfLog(logFile, logStart)}`);
      }
      const noted = await readPidFile(cluster);
      if (noted !== undefined && noted.pid === child.pid && noted.status === 'ready') {
        return { pid: noted.pid, port: noted.port };
      }
      await delay(POLL_MS);
    }
  } finally {
    clearInterval(notes);
  }
}

async function spawnServer(options: Start): Promise<{ child: ChildProcess; logStart: number }> {
  const { cluster, logFile, account, strangerPid } = options;
  const common = processOptions(account);
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = await openLog(logFile);
  try {
    const logStart = (await log.stat()).size;
    const child = spawn(options.binaries.postgres, ['-D', cluster, '-p', String(options.port), ...settings], {
      ...common,
      // Makes Postgres ignore this one pid in postmaster.pid. It still checks the shared memory that the file names,
      // and so still finds out when sessions of a killed server live: safer than deleting the file.
      env:
        strangerPid === undefined ? common.env : { ...common.env, PG_GRANDPARENT_PID: String(strangerPid) },
      // A session of its own: Ctrl-C in a terminal goes to our whole process group, and the server must not stop
      // before we have put our things in order.
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    return { child, logStart };
  } finally {
    await log.close();
  }
}

/**
 * Fast shutdown: sessions are ended and everything is written. After 10 s an immediate one: as after a crash, the next
 * start replays the log, and nothing committed is lost.
 *
 * @param pgCtl only Windows needs it
 * @returns false when the server still runs after 10 s more
 */
export async function stopServer(cluster: string, pid: number, pgCtl?: string): Promise<boolean> {
  if (!(await isServerOf(pid, cluster))) return true; // ended by itself: its pid may be somebody else's by now
  signal(pid, 'INT', pgCtl);
  if (await isGone(cluster, pid, STOP_FAST_MS)) return true;
  signal(pid, 'QUIT', pgCtl);
  return isGone(cluster, pid, STOP_IMMEDIATE_MS);
}

/**
 * A free loopback port: `wanted` if it is free (attached processes, or somebody's psql, then find the server again
 * after a restart), else a random one below the range from which systems take the ports of outgoing connections. In
 * that range somebody's connection could take it while the server is down; even our own pool's, to itself.
 */
async function freePort(wanted?: number): Promise<number> {
  if (wanted !== undefined && (await canListen(wanted))) return wanted;
  for (let tries = 0; tries < 100; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await canListen(port)) return port;
  }
  throw new Error('found no free port on 127.0.0.1 between 20000 and 32000 in 100 tries');
}

/** What the server wrote last, from byte `start` on. */
/** What this process may have of the machine: a container may be given less than all. */
function memoryBytes(): number {
  const most = process.constrainedMemory();
  return most > 0 ? Math.min(most, totalmem()) : totalmem();
}

async function endOfLog(logFile: string, start: number): Promise<string> {
  const content = await readFile(logFile).catch(() => Buffer.alloc(0));
  return lastLines(content.subarray(start).toString('utf8'));
}

async function openLog(logFile: string) {
  const old = await stat(logFile).catch(() => undefined);
  if (old !== undefined && old.size > LOG_BYTES_MAX) await rename(logFile, `${logFile}.1`);
  // O_NOFOLLOW: run by root in somebody's directory, a symlink there must not make us write to another file.
  const flags = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0);
  const log = await open(logFile, flags, 0o600);
  await giveToDirectoryOwner(logFile);
  return log;
}

async function isGone(cluster: string, pid: number, patienceMs: number): Promise<boolean> {
  const end = performance.now() + patienceMs;
  while (await isServerOf(pid, cluster)) {
    if (performance.now() > end) return false;
    await delay(POLL_MS);
  }
  return true;
}

function signal(pid: number, name: 'INT' | 'QUIT', pgCtl: string | undefined): void {
  if (process.platform === 'win32' && pgCtl !== undefined) {
    execFile(pgCtl, ['kill', name, String(pid)], () => undefined);
    return;
  }
  try {
    process.kill(pid, `SIG${name}`);
  } catch {
    // it is gone already
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
