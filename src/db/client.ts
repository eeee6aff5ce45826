/**
 * Connections. One pool for the house's own statements; graphile-worker's pools have theirs (`queue.ts`).
 * Whoever opens a pool closes it: `connections.ts`.
 */
import pg from 'pg';
import { dialect, drizzle, type NodePgDatabase, type SQL, sql } from './drizzle.ts';
import * as schema from './schema.ts';

export type Db = NodePgDatabase<typeof schema> & { $client: pg.Pool };
/** A transaction, or a savepoint in one. Not a Db: what must be atomic takes a Tx. */
export type Tx = Parameters<Parameters<Db['transaction']>[0]>[0];

export type Database = { db: Db; pool: pg.Pool; close(): Promise<void> };

export type PoolOptions = {
  url: string;
  connectionsMax: number;
  /** Shown in pg_stat_activity. */
  name: string;
  /** False: a commit does not wait for the disk. For what may be forgotten in a crash of Postgres. */
  durable?: boolean;
  /**
   * Statements are planned without their values, a prepared one so once. For those that are the same all day: Postgres
   * plans the first five of each anew on each connection, which in a herd after a quiet hour is a tenth of its work.
   */
  plansOnce?: boolean;
  /** False: instants come as Postgres' texts. For a reader of many rows that looks at none of their instants. */
  parsesInstants?: boolean;
  /** Told of faults of idle connections; the pool replaces them by itself. */
  onFault(error: Error): void;
};

/**
 * Every statement here has an index to go by. A planner whose statistics are an hour old, or that thinks of spinning
 * disks, would now and then rather read a whole table; with a herd of schedules that is what makes a fire dear.
 */
const sessionSettings =
  'set enable_seqscan = off; set enable_mergejoin = off; set random_page_cost = 1.1; set jit = off';

const instantsAsTexts: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.TIMESTAMPTZ && format !== 'binary'
      ? (text: string) => text
      : pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig['getTypeParser'],
};

/** A pool that outlives server restarts: a lost connection is told and replaced, never an uncaught 'error'. */
export function openPool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connectionsMax,
    application_name: options.name,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    // A half-open connection (the peer gone without a word) must not hold a pass for ever.
    query_timeout: 60_000,
    ...(options.parsesInstants === false && { types: instantsAsTexts }),
    onConnect: async (client) => {
      await client.query(
        sessionSettings +
          (options.durable === false ? '; set synchronous_commit = off' : '') +
          (options.plansOnce === true ? '; set plan_cache_mode = force_generic_plan' : ''),
      );
    },
  });
  pool.on('error', (error) => options.onFault(error));
  // A client that is checked out has no listener of the pool's; its query is rejected all the same.
  pool.on('connect', (client) => client.on('error', (error) => options.onFault(error)));
  return pool;
}

export function openDatabase(options: PoolOptions): Database {
  const pool = openPool(options);
  const db = drizzle(pool, { schema });
  db.transaction = transactionsOf(pool);
  return { db, pool, close: () => pool.end() };
}

/**
 * drizzle's own way of beginning one on a pool keeps a connection for ever whose `begin` was not answered, and gives one
 * back whose `rollback` was not: the next borrower would wait for what still goes on there, or write into a transaction
 * that nobody commits. Here such a connection is closed, and the error is the one that came first.
 */
function transactionsOf(pool: pg.Pool): Db['transaction'] {
  return async (work, config) => {
    const client = await pool.connect();
    let failed: { error: unknown } | null = null;
    try {
      // On one connection drizzle only says begin, commit and rollback. The schema is for types alone.
      const result = await (drizzle(client) as unknown as Db).transaction(async (tx) => {
        try {
          return await work(tx);
        } catch (error) {
          failed = { error };
          throw error;
        }
      }, config);
      client.release();
      return result;
    } catch (error) {
      // `as`, since the checker does not follow the assignment in the function above.
      const first = failed as { error: unknown } | null;
      const isRolledBack = first !== null && error === first.error;
      client.release(!isRolledBack);
      throw first === null ? error : first.error;
    }
  };
}

/** Reads that must fit together: all statements of `work` see the database as it was at the first of them. */
export async function inSnapshot<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  return await db.transaction(work, { isolationLevel: 'repeatable read', accessMode: 'read only' });
}

/**
 * The commit of this transaction will not wait for the disk: a crash of Postgres in the next half second may undo it,
 * whole. Only for what is done again in the same way then, and what nobody has been told of. A later commit that waits
 * (of the start of a run that was queued here) makes this one lasting too, since the log is written in order.
 */
export async function commitWithoutWaiting(tx: Tx): Promise<void> {
  await tx.execute(sql`set local synchronous_commit = off`);
}

/**
 * Runs a statement that is on the path of every run, planned once per connection instead of each time: planning its
 * CTEs costs as much as executing it for dozens of runs. The text must be the same each time for one name.
 */
export async function executePrepared<Row extends Record<string, unknown>>(
  db: Db | Tx,
  name: string,
  statement: SQL,
): Promise<{ rows: Row[] }> {
  const query = dialect.sqlToQuery(statement);
  const result =
    '$client' in db
      ? await db.$client.query({ name, text: query.sql, values: query.params })
      : await db._.session.prepareQuery(query, undefined, name, false).execute();
  return { rows: (result as { rows: Row[] }).rows };
}

/** The database's clock, epoch milliseconds. */
export async function readDatabaseClock(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ ms: number }>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
  );
  return rows[0]!.ms;
}

/** Postgres' SQLSTATE of an error, also of one that drizzle wrapped. */
function sqlState(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return undefined;
}

/** The constraint that a statement broke. */
export function brokenConstraint(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('constraint' in at && typeof at.constraint === 'string') return at.constraint;
  }
  return undefined;
}

/** Deadlock and serialization failures: the transaction did nothing and may be tried again as it was. */
export function isTransient(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40P01' || state === '40001' || state === '55P03';
}

/** The database understood and will never take it: bad data (22), a broken constraint (23), beyond its limits (54). */
export function isRefusal(error: unknown): boolean {
  return /^(22|23|54)/.test(sqlState(error) ?? '');
}

/** In Postgres' words; drizzle's own message repeats the whole statement. */
export function refusalOf(error: unknown): string {
  let at = error;
  while (at instanceof Error && at.cause instanceof Error) at = at.cause;
  return at instanceof Error ? at.message : String(at);
}
