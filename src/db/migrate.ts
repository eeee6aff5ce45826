/**
 * Brings a database to this program's schema: ours first, then graphile-worker's. Several nodes may start at once;
 * an advisory lock lets one migrate and the others wait and find nothing to do. What is pending is one transaction, so
 * a kill in the middle leaves all of it undone, and the lock is gone with its connection.
 *
 * Nodes of the version before go on working meanwhile and afterwards (a rolling update), which takes two things:
 * - A statement that changes a table waits for whoever uses it, and whoever comes later waits behind that statement: one
 *   long transaction, of a backup say, would hold up the whole house. So it gives up after half a second, lets the others
 *   through, and is tried again until it gets its turn.
 * - A migration leaves what the version before needs (`scripts/db-check.ts` looks), and a program that finds migrations
 *   newer than its own says so and works.
 */
import { fileURLToPath } from 'node:url';
import { Logger, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { isTransient, refusalOf } from './client.ts';
import { drizzle, type MigrationMeta, migrateDrizzle, readMigrationFiles } from './drizzle.ts';

export const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url));

export type MigrateOptions = {
  folder?: string;
  log?: { info(message: string): void; warn(message: string): void };
};

/** Any constant will do, as long as every node has the same. */
const lockKey = 7_244_106;
const serverVersionMin = 150_000;
const waitForServerMs = 30_000;
const migrationsSchema = 'carillon_migrations';
/** Shorter than Postgres takes to look for deadlocks (a second), so that it is always the migration that gives way. */
const lockTimeoutMs = 500;
/** Between two tries, for those who waited: so the house stands still for a small part of the time only. */
const lockPauseMsMin = 1000;
const lockPauseMsMax = 5000;
const quiet = { info: () => {}, warn: () => {} };

/**
 * Waits for as long as others use what it has to change, and says so.
 *
 * @throws Error when the server is older than Postgres 15, cannot be reached within 30 s, or the user may not create tables
 */
export async function migrate(
  databaseUrl: string,
  { folder = migrationsFolder, log = quiet }: MigrateOptions = {},
): Promise<void> {
  const client = await connect(databaseUrl);
  try {
    const { rows } = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    const version = rows[0]!.version;
    if (version < serverVersionMin) {
      throw new Error(
        `Postgres ${Math.floor(version / 10_000)} is too old: Carillon needs 15 or newer. Point DATABASE_URL at a newer server.`,
      );
    }
    // Of a node that is gone without a word the server would keep the lock for hours.
    await client.query(
      'set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3',
    );
    await client.query('select pg_advisory_lock($1)', [lockKey]);
    await client.query(`set lock_timeout = ${lockTimeoutMs}`);
    await onceUnlocked(client, log, () =>
      migrateDrizzle(drizzle(client), { migrationsFolder: folder, migrationsSchema }),
    );
    await tellNewer(client, readMigrationFiles({ migrationsFolder: folder }), log);
    await onceUnlocked(client, log, () => migrateGraphile(databaseUrl));
  } finally {
    // Ends the session, and the lock with it.
    await client.end().catch(() => {});
  }
}

/** Again and again, until no lock was in the way. */
async function onceUnlocked(
  client: pg.Client,
  log: MigrateOptions['log'] & {},
  work: () => Promise<void>,
): Promise<void> {
  for (let pauseMs = lockPauseMsMin; ; pauseMs = Math.min(pauseMs * 2, lockPauseMsMax)) {
    try {
      return await work();
    } catch (error) {
      // A lock_timeout, or a deadlock after all.
      if (!isTransient(error)) throw error;
      log.warn(
        `the database cannot be migrated yet: ${refusalOf(error)}; ${await longestTransaction(client)}; tried again in ${pauseMs} ms`,
      );
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Whom we most likely wait for, in words. */
async function longestTransaction(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ pid: number; name: string; since: Date }>(`
    select pid, application_name as name, xact_start as since
    from pg_stat_activity
    where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()
    order by xact_start limit 1`);
  const [longest] = rows;
  if (longest === undefined) return 'no other transaction is open any more';
  const { pid, name, since } = longest;
  return `the longest transaction is of process ${pid} (${name === '' ? 'it has no name' : name}), open since ${since.toISOString()}`;
}

/** A newer version has been here: that one's changes leave us what we need. */
async function tellNewer(
  client: pg.Client,
  own: readonly MigrationMeta[],
  log: MigrateOptions['log'] & {},
): Promise<void> {
  const lastMs = Math.max(...own.map((each) => each.folderMillis));
  const { rows } = await client.query<{ newer: number }>(
    `select count(*)::int as newer from ${migrationsSchema}.__drizzle_migrations where created_at > $1`,
    [lastMs],
  );
  const { newer } = rows[0]!;
  if (newer > 0)
    log.info(
      `the database was migrated by a newer version (${newer} migrations that this one does not know); this one works beside it until it is updated too`,
    );
}

async function migrateGraphile(databaseUrl: string): Promise<void> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 2,
    onConnect: async (client) => {
      await client.query(`set lock_timeout = ${lockTimeoutMs}`);
    },
  });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  try {
    await runMigrations({ pgPool: pool, logger: new Logger(() => () => {}) });
  } finally {
    await pool.end();
  }
}

/** A server that is just starting, as in a compose file, is waited for; a wrong password is not. */
async function connect(databaseUrl: string): Promise<pg.Client> {
  const startedAt = performance.now();
  for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 2000)) {
    const client = new pg.Client({
      connectionString: databaseUrl,
      application_name: 'carillon migrate',
      connectionTimeoutMillis: 5000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      if (!mayPass(error) || performance.now() - startedAt > waitForServerMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

function mayPass(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  // 57P03: the server is starting up.
  return ['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', '57P03'].includes(code);
}
