/** Password, address and first questions: is the server at that port ours, and does our database exist? */
import { randomBytes } from 'node:crypto';
import { lchown, open, readFile, realpath, rm } from 'node:fs/promises';
import pg from 'pg';
import type { Account } from './embedded-account.ts';
import { SUPERUSER } from './embedded-cluster.ts';

export const DATABASE = 'carillon';
const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 60_000;

/** A new random password, only for its file's owner: the account that runs initdb, which reads it. */
export async function writePassword(file: string, account: Account | undefined): Promise<void> {
  await rm(file, { force: true });
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(`${randomBytes(24).toString('base64url')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (account !== undefined) await lchown(file, account.uid, account.gid);
}

/** @throws when there is none: what to do */
export async function readPassword(file: string): Promise<string> {
  const password = (await readFile(file, 'utf8').catch(() => '')).trim();
  if (password !== '') return password;
  throw new Error(
    `${file} is missing or empty, and without it nobody can log in to the database beside it. Restore the file, or` +
      ' move the directory "postgres" out of the way to begin with an empty database.',
  );
}

/** `sslmode` is given, or else a PGSSLMODE in the environment would decide, and the server has no TLS. */
export function urlOf(port: number, password: string, database: string): string {
  return `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}?sslmode=disable`;
}

/** Why the server at this address is not the one of our cluster; undefined when it is. */
export async function whyNotOurs(url: string, cluster: string): Promise<string | undefined> {
  try {
    const [row] = await query(url, "select current_setting('data_directory') as directory");
    const directory = await realpath(String(row?.directory));
    return directory === cluster ? undefined : `it serves ${directory}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Not by initdb: we may have been killed between that and this. */
export async function ensureDatabase(port: number, password: string): Promise<void> {
  const url = urlOf(port, password, 'postgres');
  const rows = await query(url, `select 1 from pg_database where datname = '${DATABASE}'`);
  if (rows.length === 0) await query(url, `create database ${DATABASE}`);
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'carillon start',
  });
  client.on('error', () => undefined); // connect() and query() reject too; without a listener it would be uncaught
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
