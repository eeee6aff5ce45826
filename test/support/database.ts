/**
 * Databases for tests. Most want `createTestDatabase()`, a clone of the migrated template on the shared server; tests
 * that restart or kill the server want one of their own, `startOwnPostgres()`.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inject } from 'vitest';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { findBinaries } from '../../src/db/embedded-binaries.ts';
import { isServerOf } from '../../src/db/embedded-cluster.ts';
import { choosePlace, copiesDirectory } from '../../src/db/embedded-place.ts';
import { startServer } from '../../src/db/embedded-server.ts';
import { migrate } from '../../src/db/migrate.ts';
import { databaseUrl, stopSyncing, withClient } from './postgres-server.ts';

/** Half an hour of daylight saving, eleven hours from UTC: whoever forgets a time zone notices. */
const TIME_ZONE = 'Australia/Lord_Howe';
const QUIET_LOG = { info: () => undefined, warn: () => undefined };

/** A fresh, migrated, empty database of its own; its sessions' time zone is not UTC on purpose. */
export async function createTestDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `${inject('databasePrefix')}${randomBytes(5).toString('hex')}`;
  await withClient(inject('adminUrl'), async (admin) => {
    // file_copy: 50 ms with fsync off; the default would write all pages of the template to the log, 300 ms.
    await admin.query(`create database ${name} template ${inject('templateDatabase')} strategy file_copy`);
    await admin.query(`alter database ${name} set timezone = '${TIME_ZONE}'`);
  });
  return {
    url: databaseUrl(inject('adminUrl'), name),
    drop: () =>
      withClient(inject('adminUrl'), (admin) => admin.query(`drop database if exists ${name} with (force)`)),
  };
}

export type OwnPostgres = {
  /** Stays the same over restarts. */
  url: string;
  /** Brings it up again, and ends it before that if it runs: `fast` in order, `immediate` like a crash. */
  restart(mode: 'fast' | 'immediate'): Promise<void>;
  /** SIGKILL, as from the out-of-memory killer; resolves when it is dead. It stays down until `restart`. */
  kill9(): Promise<void>;
  stop(): Promise<void>;
};

/** A migrated server for one test file, always an embedded one, with the settings as shipped except for fsync. */
export async function startOwnPostgres(): Promise<OwnPostgres> {
  const dataDir = join(inject('runDirectory'), `own-${randomBytes(5).toString('hex')}`);
  const first = await startEmbeddedPostgres({ dataDir, log: QUIET_LOG });
  const { url, port } = first;
  await stopSyncing(url);
  await migrate(url);
  await withClient(url, (client) => client.query(`alter database carillon set timezone = '${TIME_ZONE}'`));
  // From here on without startEmbeddedPostgres: it would bring up again by itself what a test wants to be down.
  await first.stop();
  const place = await choosePlace(dataDir, QUIET_LOG);
  const binaries = await findBinaries(place.account, copiesDirectory(place), QUIET_LOG);
  const cluster = join(place.directory, 'postgres');
  const logFile = join(place.directory, 'postgres.log');
  const start = () => startServer({ cluster, logFile, binaries, ...place, port, log: QUIET_LOG });
  let { pid } = await start();

  const end = async (signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL') => {
    if (await isServerOf(pid, cluster)) process.kill(pid, signal);
    while (await isServerOf(pid, cluster)) await delay(5);
  };
  return {
    url,
    async restart(mode) {
      await end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
      pid = (await start()).pid;
    },
    kill9: () => end('SIGKILL'),
    stop: () => end('SIGINT'),
  };
}
