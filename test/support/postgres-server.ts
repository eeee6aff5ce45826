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
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
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
  const forgetExit = endServersAtExit(directory);
  const undo = [async () => forgetExit(), () => removeRunDirectory(directory)];
  // For the processes of test files and all that those start: half a second less for every start but the first.
  process.env.NODE_COMPILE_CACHE = compileCacheIn(directory.path);
  const teardown = async () => {
    const outcomes: PromiseSettledResult<void>[] = [];
    // Each in its turn, and each also when one before it failed.
    while (undo.length > 0) outcomes.push(...(await Promise.allSettled([undo.pop()!()])));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  };
  try {
    const external = process.env.DATABASE_URL;
    const adminUrl = external ? databaseUrl(external, 'postgres') : await startServer(directory.path, undo);
    const databasePrefix = await reserveDatabases(adminUrl, undo);
    const templateDatabase = `${databasePrefix}template`;
    await withClient(adminUrl, (admin) => admin.query(`create database ${templateDatabase}`));
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

export function compileCacheIn(runDirectory: string): string {
  return join(runDirectory, 'compile-cache');
}

/** The same server, another database. */
export function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

export async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined); // the query's rejection tells
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** Power cuts do not matter to test data; everything else stays as shipped. */
export async function stopSyncing(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('alter system set fsync = off');
    await client.query('alter system set full_page_writes = off');
    await client.query('select pg_reload_conf()');
  });
}

async function startServer(runDirectory: string, undo: (() => Promise<void>)[]): Promise<string> {
  const server = await startEmbeddedPostgres({ dataDir: join(runDirectory, 'shared'), log: SCARCE_LOG });
  undo.push(() => server.stop());
  await stopSyncing(server.url);
  return databaseUrl(server.url, 'postgres');
}

/** A prefix for the databases of this run; what bears it is dropped at the end, or by a later run if we are killed. */
async function reserveDatabases(adminUrl: string, undo: (() => Promise<void>)[]): Promise<string> {
  const admin = new pg.Client({ connectionString: adminUrl });
  admin.on('error', () => undefined); // its session is the lock: whoever ends the server ends the run's claim
  await admin.connect();
  undo.push(() => admin.end());
  await removeStaleDatabases(admin);
  const run = randomInt(1, 2 ** 31);
  await admin.query('select pg_advisory_lock($1, $2)', [LOCK_CLASS, run]);
  undo.push(() => dropDatabases(admin, run));
  return databasePrefixOf(run);
}

type RunDirectory = { path: string; release: () => void };

async function createRunDirectory(): Promise<RunDirectory> {
  const path = await mkdtemp(join(tmpdir(), DIRECTORY_PREFIX));
  await chmod(path, 0o711); // run by root, the servers in it belong to another account
  const release = tryToOwn(join(path, LOCK_FILE));
  if (release === undefined) throw new Error(`${path} is new, and yet somebody has locked it`);
  return { path, release };
}

/** With the servers in it: those of tests still run when a test, or the process of its file, was killed. */
async function removeRunDirectory(directory: RunDirectory): Promise<void> {
  const entries = await readdir(directory.path, { recursive: true });
  const elsewhere: string[] = []; // where root's servers keep their files when TMPDIR is closed to their account
  for (const entry of entries) {
    if (basename(entry) === 'postgres-location') {
      elsewhere.push(await knownDirectory(dirname(join(directory.path, entry))));
    }
  }
  const clusters = entries
    .filter((entry) => basename(entry) === 'postmaster.pid')
    .map((entry) => dirname(join(directory.path, entry)))
    .concat(elsewhere.map((path) => join(path, 'postgres')));
  for (const cluster of clusters) {
    const server = await readPidFile(cluster);
    if (server !== undefined && (await isServerOf(server.pid, cluster)))
      await stopServer(cluster, server.pid);
  }
  // The lock file last: what bears none is not touched by later runs.
  const contents = (await readdir(directory.path)).filter((name) => name !== LOCK_FILE);
  for (const path of [...elsewhere, ...contents.map((name) => join(directory.path, name)), directory.path]) {
    await rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
  directory.release();
}

/**
 * For an end without teardown: vitest calls process.exit() at Ctrl-C, and SIGTERM would end us without even that.
 * Nothing can be awaited any more, and the tests' own processes may live a little longer than we: so this ends the
 * servers that run now, and the next run removes the directory and what came after.
 */
function endServersAtExit(directory: RunDirectory): () => void {
  const exit = () => process.exit(143);
  const endServers = () => {
    for (const entry of readdirSync(directory.path, { recursive: true, encoding: 'utf8' })) {
      if (basename(entry) !== 'postmaster.pid') continue;
      try {
        const pid = Number.parseInt(readFileSync(join(directory.path, entry), 'utf8'), 10);
        if (pid > 0) process.kill(pid, 'SIGQUIT');
      } catch {
        // it has ended in this moment
      }
    }
  };
  process.once('SIGTERM', exit);
  process.once('exit', endServers);
  return () => {
    process.off('SIGTERM', exit);
    process.off('exit', endServers);
  };
}

async function removeStaleDirectories(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(DIRECTORY_PREFIX)) continue;
    const path = join(tmpdir(), name);
    const found = await lstat(path).catch(() => undefined);
    // Of our own user only: what lies in another's directory must not tell us what to remove.
    if (!found?.isDirectory() || found.uid !== process.getuid?.()) continue;
    // No lock file: its run is between mkdtemp and the lock at this very moment.
    const entries = await readdir(path).catch((): string[] => []); // another run may be removing it, too
    if (!entries.includes(LOCK_FILE)) continue;
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
    [databasePrefixOf(run)],
  );
  for (const { name } of found.rows) await admin.query(`drop database if exists ${name} with (force)`);
}

function databasePrefixOf(run: number): string {
  return `carillon_test_${run}_`;
}
