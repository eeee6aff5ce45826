/**
 * vitest's global setup: one real Postgres for the whole run, and in it one migrated template database that every
 * test file clones (database.ts).
 *
 * The server is the one of DATABASE_URL, or else an embedded one in a temporary directory. Whatever a run leaves
 * behind when it is killed is removed by the next one. The rule is safe because each run holds a lock that the kernel
 * or the server gives back when the run dies: only what belongs to a lock that we could take is removed.
 * - temporary directories: `run.lock` in them (src/db/embedded-owner.ts);
 * - databases on an external server: an advisory lock on the run's number, which is part of their names.
 */
import { randomInt } from 'node:crypto';
import { chmod, lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { isServerOf, readPidFile } from '../../src/db/embedded-cluster.ts';
import { tryToOwn } from '../../src/db/embedded-owner.ts';
import { knownDirectory } from '../../src/db/embedded-place.ts';
import { stopServer } from '../../src/db/embedded-server.ts';
import { migrate } from '../../src/db/migrate.ts';

const DIRECTORY_PREFIX = 'carillon-test-';
const LOCK_FILE = 'run.lock';
const LOCK_CLASS = 0x4341; // of our advisory locks, "CA"
const SCARCE_LOG = { info: () => undefined, warn: (message: string) => process.stderr.write(`${message}\n`) };

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the database `postgres`, by a user who may create databases. */
    adminUrl: string;
    templateDatabase: string;
    /** Databases of this run begin with it; the template too. */
    databasePrefix: string;
    /** For servers and files of single tests; removed at the end with everything in it. */
    runDirectory: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeStaleDirectories();
  const directory = await createRunDirectory();
  const undo: (() => Promise<void>)[] = [() => removeRunDirectory(directory)];
  const teardown = async () => {
    for (const step of undo.reverse()) await step();
  };
  try {
    const adminUrl = await serverUrl(directory.path, undo);
    const admin = new pg.Client({ connectionString: adminUrl });
    admin.on('error', () => undefined); // a test that restarts an external server ends this session; nothing to do
    await admin.connect();
    undo.push(() => admin.end());
    await removeStaleDatabases(admin);

    const run = randomInt(1, 2 ** 31);
    await admin.query('select pg_advisory_lock($1, $2)', [LOCK_CLASS, run]);
    const databasePrefix = `carillon_test_${run}_`;
    undo.push(() => dropDatabases(admin, run));
    const templateDatabase = `${databasePrefix}template`;
    await admin.query(`create database ${templateDatabase}`);
    await migrate(databaseUrl(adminUrl, templateDatabase));

    project.provide('adminUrl', adminUrl);
    project.provide('templateDatabase', templateDatabase);
    project.provide('databasePrefix', databasePrefix);
    project.provide('runDirectory', directory.path);
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}

/** The same server, another database. */
export function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** Power cuts do not matter to test data; everything else stays as shipped. */
export async function stopSyncing(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('alter system set fsync = off');
  await client.query('alter system set full_page_writes = off');
  await client.query('select pg_reload_conf()');
  await client.end();
}

async function serverUrl(runDirectory: string, undo: (() => Promise<void>)[]): Promise<string> {
  const external = process.env.DATABASE_URL;
  if (external) return databaseUrl(external, 'postgres');
  const server = await startEmbeddedPostgres({ dataDir: join(runDirectory, 'shared'), log: SCARCE_LOG });
  undo.push(() => server.stop());
  await stopSyncing(server.url);
  return databaseUrl(server.url, 'postgres');
}

type RunDirectory = { path: string; release: () => void };

async function createRunDirectory(): Promise<RunDirectory> {
  const path = await mkdtemp(join(tmpdir(), DIRECTORY_PREFIX));
  await chmod(path, 0o711); // run by root, the servers in it belong to another account
  const release = tryToOwn(join(path, LOCK_FILE));
  if (release === undefined) throw new Error(`${path} is new, and yet somebody has locked it`);
  return { path, release };
}

async function removeRunDirectory(directory: RunDirectory): Promise<void> {
  for (const entry of await readdir(directory.path, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeServer(join(directory.path, entry.name));
  }
  await rm(directory.path, { recursive: true, force: true });
  directory.release();
}

/** It still runs only when a test, or the process of its test file, was killed. */
async function removeServer(dataDir: string): Promise<void> {
  const directory = await knownDirectory(dataDir); // not the data directory itself when TMPDIR is closed to others
  const cluster = join(directory, 'postgres');
  const server = await readPidFile(cluster);
  if (server !== undefined && (await isServerOf(server.pid, cluster))) await stopServer(cluster, server.pid);
  await rm(directory, { recursive: true, force: true });
}

async function removeStaleDirectories(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(DIRECTORY_PREFIX)) continue;
    const path = join(tmpdir(), name);
    const found = await lstat(path).catch(() => undefined);
    // Of our own user only: what lies in another's directory must not tell us what to remove.
    if (!found?.isDirectory() || found.uid !== process.getuid?.()) continue;
    // No lock file: its run is between mkdtemp and the lock at this very moment.
    if (!(await readdir(path)).includes(LOCK_FILE)) continue;
    const release = tryToOwn(join(path, LOCK_FILE));
    if (release !== undefined) await removeRunDirectory({ path, release });
  }
}

async function removeStaleDatabases(admin: pg.Client): Promise<void> {
  const found = await admin.query<{ run: number }>(
    `select distinct substring(datname from '^carillon_test_(\\d+)_')::int as run
       from pg_database where datname ~ '^carillon_test_\\d+_'`,
  );
  for (const { run } of found.rows) {
    const lock = await admin.query<{ ok: boolean }>('select pg_try_advisory_lock($1, $2) as ok', [
      LOCK_CLASS,
      run,
    ]);
    if (lock.rows[0]?.ok !== true) continue; // its run lives
    await dropDatabases(admin, run);
    await admin.query('select pg_advisory_unlock($1, $2)', [LOCK_CLASS, run]);
  }
}

async function dropDatabases(admin: pg.Client, run: number): Promise<void> {
  const found = await admin.query<{ name: string }>(
    'select datname as name from pg_database where starts_with(datname, $1)',
    [`carillon_test_${run}_`],
  );
  for (const { name } of found.rows) await admin.query(`drop database if exists ${name} with (force)`);
}
