/**
 * Brings a database to this program's schema: ours first, then graphile-worker's. Several nodes may start at once;
 * an advisory lock lets one migrate and the others wait and find nothing to do. Each migration is a transaction, so
 * a kill in the middle leaves the migration undone and the lock gone with its connection.
 */
import { fileURLToPath } from 'node:url';
import { Logger, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { drizzle, migrateDrizzle } from './drizzle.ts';

export const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url));

/** Any constant will do, as long as every node has the same. */
const lockKey = 7_244_106;
const serverVersionMin = 150_000;
const waitForServerMs = 30_000;

/**
 * Throws when the server is older than Postgres 15, cannot be reached within 30 s, or the user may not create tables.
 */
export async function migrate(databaseUrl: string): Promise<void> {
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
    await client.query('select pg_advisory_lock($1)', [lockKey]);
    await migrateDrizzle(drizzle(client), { migrationsFolder, migrationsSchema: 'carillon_migrations' });
    await migrateGraphile(databaseUrl);
  } finally {
    // Ends the session, and the lock with it.
    await client.end().catch(() => {});
  }
}

async function migrateGraphile(databaseUrl: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
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
