/**
 * The Postgres server that Carillon brings along, for when no DATABASE_URL is given.
 *
 * ```
 * data directory
 *   postgres/             the cluster (mode 0700)
 *   postgres-password     of its superuser, random (mode 0600)
 *   postgres.log          the server's own log, shortened at a start
 *   postgres-owner.lock   locked by the process that owns the server (embedded-owner.ts)
 *   postgres-location     only when root had to put the first three elsewhere (embedded-place.ts)
 * ```
 *
 * Any number of processes may start on one data directory at any time, and any of them may be killed:
 * 1. Who gets the lock is the owner. The kernel gives it back when the owner dies, however it dies.
 * 2. The owner looks for a server that already runs on these files, the orphan of a killed owner, and adopts it if it
 *    accepts our password. Else it starts one, on a new cluster if there is none.
 * 3. Everybody else waits until that server accepts our password, and attaches.
 * 4. Each looks once a second: who finds the lock free becomes the owner, and an owner that finds the server gone
 *    starts it again, on the same port, so that everybody's pools find it.
 * 5. At stop() the owner stops the server, an attached process leaves it alone.
 *
 * The class of the npm package is not used, only its binaries: it spawns the server in our process group (Ctrl-C ends
 * it before we are done), rejects with `undefined` on an early exit, lets an 'error' event crash the process when the
 * server's account cannot enter the folder, and knows nothing of orphans.
 */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createDataDirectory, giveToDirectoryOwner } from './data-directory.ts';
import { findBinaries } from './embedded-binaries.ts';
import { clusterExists, createCluster, isServerOf, readPidFile, syncCluster } from './embedded-cluster.ts';
import {
  DATABASE,
  ensureDatabase,
  readPassword,
  urlOf,
  whyNotOurs,
  writePassword,
} from './embedded-login.ts';
import { tryToOwn } from './embedded-owner.ts';
import { choosePlace, copiesDirectory, knownDirectory } from './embedded-place.ts';
import { startServer, stopServer } from './embedded-server.ts';

const POLL_MS = 25;
const LOOK_EVERY_MS = 1_000;
const RESTART_PAUSE_MAX_MS = 30_000;
/** For what somebody else's server does: crash recovery can take minutes. */
const PATIENCE_MS = 10 * 60_000;
const NOTE_EVERY_MS = 10_000;
/** At stop(), for a restart or a sync that is under way. */
const STOP_PATIENCE_MS = 10_000;

export type EmbeddedLog = { info(message: string): void; warn(message: string): void };

export type EmbeddedPostgres = {
  /** Of the database `carillon`, as superuser, with the password in it. Holds for as long as this process lives. */
  url: string;
  port: number;
  /** The given one, absolute and without symlinks. */
  dataDir: string;
  /** Where its files lie, if not in the data directory, where its account perhaps cannot go (embedded-place.ts). */
  filesElsewhere: string | null;
  /** The server was there before us: an orphan of a killed process, or another process's. */
  adopted: boolean;
  /** Stops the server if we own it; takes half a minute at most. May be called again, also at the same time. */
  stop(): Promise<void>;
};

type Server = {
  pid: number;
  port: number;
  url: string;
  cluster: string;
  adopted: boolean;
  pgCtl?: string;
  /** Settles when the files of a new cluster are on the disk. */
  synced?: Promise<void>;
};

/**
 * Starts the server of this data directory, or joins the one that runs already; returns when its database `carillon`
 * answers. New: 1 s. Used: 0.1 s, unless it recovers from a crash.
 *
 * @throws Error that says why and what to do: no account to run as, another version's files, no space, …
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string;
  log: EmbeddedLog;
}): Promise<EmbeddedPostgres> {
  const { log } = options;
  await createDataDirectory(options.dataDir);
  const dataDir = await realpath(options.dataDir); // as the server names it
  const lockFile = join(dataDir, 'postgres-owner.lock');
  const waiting = patience(log, `another process to get the embedded Postgres of ${dataDir} ready`);
  for (;;) {
    const release = tryToOwn(lockFile);
    if (release !== undefined) {
      try {
        await giveToDirectoryOwner(lockFile);
        return keep(await bringUp(dataDir, log), { dataDir, lockFile, release, log });
      } catch (error) {
        release();
        throw error;
      }
    }
    const running = await findAttachable(dataDir);
    if (running !== undefined) {
      log.info(`using the embedded Postgres (pid ${running.pid}) of another process on ${dataDir}`);
      return keep(running, { dataDir, lockFile, release, log });
    }
    await waiting.pause();
  }
}

/** Steps 4 and 5: from here on until stop() the server runs, and somebody owns it. */
function keep(
  first: Server,
  context: { dataDir: string; lockFile: string; release: (() => void) | undefined; log: EmbeddedLog },
): EmbeddedPostgres {
  const { dataDir, lockFile, log } = context;
  let server = first;
  let release = context.release;
  let looking: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  let pauseMs = LOOK_EVERY_MS;
  let notBefore = 0;

  const look = async () => {
    if (release === undefined) {
      release = tryToOwn(lockFile);
      if (release !== undefined) {
        log.info('the owner of the embedded Postgres is gone: this process owns it now');
      }
    }
    if (await isServerOf(server.pid, server.cluster)) return;
    if (release === undefined) {
      server = (await findAttachable(dataDir)) ?? server; // its owner started it again
    } else if (performance.now() >= notBefore) {
      log.warn(`the embedded Postgres (pid ${server.pid}) is gone: starting it again`);
      pauseMs = Math.min(pauseMs * 2, RESTART_PAUSE_MAX_MS);
      notBefore = performance.now() + pauseMs;
      server = await bringUp(dataDir, log, server.port);
      log.info(`the embedded Postgres runs again (pid ${server.pid})`);
    } else return;
    pauseMs = LOOK_EVERY_MS;
  };
  const timer = setInterval(() => {
    looking ??= look()
      .catch((error: unknown) =>
        log.warn(`the embedded Postgres could not be started again: ${String(error)}`),
      )
      .finally(() => {
        looking = undefined;
      });
  }, LOOK_EVERY_MS);
  timer.unref();

  const stop = async () => {
    clearInterval(timer);
    await atMost(STOP_PATIENCE_MS, Promise.all([looking, server.synced]));
    release ??= tryToOwn(lockFile); // its owner may have died just now
    if (release === undefined) return;
    try {
      const stopped = await stopServer(server.cluster, server.pid, server.pgCtl);
      if (!stopped) {
        log.warn(`the embedded Postgres (pid ${server.pid}) does not stop; the next start will adopt it`);
      }
    } finally {
      release();
    }
  };
  return {
    url: first.url,
    port: first.port,
    dataDir,
    filesElsewhere: first.cluster === join(dataDir, 'postgres') ? null : first.cluster,
    adopted: first.adopted,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Step 2, for the owner only. With `samePort` on no other port than that. */
async function bringUp(dataDir: string, log: EmbeddedLog, samePort?: number): Promise<Server> {
  const place = await choosePlace(dataDir, log);
  const binaries = await findBinaries(place.account, copiesDirectory(place), log);
  const passwordFile = join(place.directory, 'postgres-password');
  const target = join(place.directory, 'postgres');
  const isNew = !(await clusterExists(target));
  if (isNew) {
    await writePassword(passwordFile, place.account);
    await createCluster(target, passwordFile, binaries, place.account);
  }
  const cluster = await realpath(target);
  const password = await readPassword(passwordFile);

  const orphan = await findOrphan(cluster, password, log);
  if (orphan !== undefined) {
    log.info(`adopted the Postgres server (pid ${orphan.pid}) that a killed process left`);
  }
  const logFile = join(place.directory, 'postgres.log');
  const { pid, port } =
    orphan ?? (await startServer({ cluster, logFile, binaries, ...place, port: samePort, log }));
  try {
    await ensureDatabase(port, password);
  } catch (error) {
    if (orphan === undefined) await stopServer(cluster, pid, binaries.pgCtl); // else nobody would
    throw error;
  }
  const synced = isNew ? syncCluster(cluster, binaries, place.account, log) : undefined;
  const url = urlOf(port, password, DATABASE);
  return { pid, port, url, cluster, adopted: orphan !== undefined, pgCtl: binaries.pgCtl, synced };
}

/** Step 3: the server of a living owner; undefined as long as that has none ready. */
async function findAttachable(dataDir: string): Promise<Server | undefined> {
  const directory = await knownDirectory(dataDir);
  const cluster = await realpath(join(directory, 'postgres')).catch(() => undefined);
  const noted = cluster === undefined ? undefined : await readPidFile(cluster);
  if (cluster === undefined || noted?.status !== 'ready') return undefined;
  const password = await readPassword(join(directory, 'postgres-password')).catch(() => '');
  const url = urlOf(noted.port, password, DATABASE);
  if ((await whyNotOurs(url, cluster)) !== undefined) return undefined; // it stops, or has no database yet
  return { pid: noted.pid, port: noted.port, url, cluster, adopted: true };
}

/**
 * The server that runs on these files though nobody owns it.
 *
 * @throws when there is one that we cannot use: a second one beside it would destroy the files
 */
async function findOrphan(
  cluster: string,
  password: string,
  log: EmbeddedLog,
): Promise<{ pid: number; port: number } | undefined> {
  const waiting = patience(log, 'the Postgres server of a killed process to finish starting or stopping');
  for (;;) {
    const noted = await readPidFile(cluster);
    if (noted === undefined || !(await isServerOf(noted.pid, cluster))) return undefined;
    if (noted.status === 'ready') {
      const complaint = await whyNotOurs(urlOf(noted.port, password, 'postgres'), cluster);
      if (complaint === undefined) return noted;
      const now = await readPidFile(cluster); // it may have begun to stop while we asked
      if (now?.pid === noted.pid && now.status === 'ready' && (await isServerOf(now.pid, cluster))) {
        throw new Error(
          `a Postgres server (pid ${noted.pid}) runs on ${cluster}, but does not let us in (${complaint}). Stop it` +
            ` with "kill -INT ${noted.pid}", then start Carillon again.`,
        );
      }
    }
    await waiting.pause();
  }
}

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([work, delay(ms, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}

/** Bounded waiting with a sign of life in the log. */
function patience(log: EmbeddedLog, what: string): { pause(): Promise<void> } {
  const start = performance.now();
  let nextNote = start + NOTE_EVERY_MS;
  return {
    async pause() {
      const now = performance.now();
      if (now - start > PATIENCE_MS) {
        throw new Error(`waited ${PATIENCE_MS / 60_000} minutes in vain for ${what}`);
      }
      if (now >= nextNote) {
        log.info(`waiting for ${what}`);
        nextNote = now + NOTE_EVERY_MS;
      }
      await delay(POLL_MS);
    },
  };
}
