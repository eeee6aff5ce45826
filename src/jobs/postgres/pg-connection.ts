/**
 * How to reach a Postgres database, for our own session and for Postgres' programs alike. What is secret goes to those
 * by their environment: an argument could be read by every account of the machine (`ps`, /proc).
 */
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type pg from 'pg';
import { codeOf } from '../../errors.ts';
import { invalidConfiguration, oneLine } from '../storage/target-faults.ts';

export type PgConnection = {
  readonly database: string;
  /** For messages: database, host and port. */
  readonly label: string;
  /** PG* variables, as libpq's programs read them. */
  readonly environment: Readonly<Record<string, string>>;
  /**
   * For node-postgres: to be tried in this order while encryption is the obstacle. Not as a URL, of which it decodes
   * the database's name in a way of its own.
   *
   * @param database another one on the same server
   */
  configs(database?: string): pg.ClientConfig[];
  /** One line of bounded length in which the password is not to be read. */
  redacted(text: string): string;
};

const connectSecondsMax = 10;
const applicationName = 'carillon-backup';

/** Parameter of the URL → libpq's variable. Others are node-postgres' own, or another driver's, and mean nothing here. */
const variables: Record<string, string> = {
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslcrl: 'PGSSLCRL',
  sslnegotiation: 'PGSSLNEGOTIATION',
  channel_binding: 'PGCHANNELBINDING',
  require_auth: 'PGREQUIREAUTH',
  gssencmode: 'PGGSSENCMODE',
  krbsrvname: 'PGKRBSRVNAME',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  options: 'PGOPTIONS',
};

/**
 * What the URL leaves open is filled in, the same for both sides: their own defaults differ (libpq goes to a socket,
 * node-postgres to localhost), and both would look at variables that were meant for something else.
 *
 * @param url `postgres://user:password@host:port/database?sslmode=…`; a socket's folder as `?host=/run/postgresql`
 * @throws JobError `InvalidConfiguration` that does not show the URL
 */
export function readConnection(url: string): PgConnection {
  const parsed = /^postgres(ql)?:\/\//i.test(url) && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined) {
    throw invalidConfiguration(
      'The address of a database is postgres://user:password@host:port/database, with what is not a letter or a' +
        ' digit in user, password and database as %XX; one host, not several.',
    );
  }
  const { searchParams } = parsed;
  const user = decoded(parsed.username) || searchParams.get('user') || accountName();
  const password = decoded(parsed.password) || searchParams.get('password') || '';
  const host =
    searchParams.get('host') || decoded(parsed.hostname).replace(/^\[(.*)\]$/, '$1') || 'localhost';
  const port = parsed.port || searchParams.get('port') || '5432';
  const database = decoded(parsed.pathname.slice(1)) || user;
  if ([user, password, host, port, database].some((text) => text.includes('\0'))) {
    throw invalidConfiguration('The address of a database contains %00, which no part of it may.');
  }
  const secrets = [...new Set([password, encodeURIComponent(password), parsed.password])]
    .filter((text) => text !== '')
    .sort((a, b) => b.length - a.length);

  const environment: Record<string, string> = {
    LC_ALL: 'C', // messages that we look at
    TZ: 'UTC',
    PGHOST: host,
    PGPORT: port,
    PGUSER: user,
    PGDATABASE: database,
    PGCONNECT_TIMEOUT: String(connectSecondsMax),
    PGAPPNAME: applicationName,
    ...(password !== '' && { PGPASSWORD: password }),
  };
  for (const [name, variable] of Object.entries(variables)) {
    const value = searchParams.get(name);
    if (value) environment[variable] = value;
  }
  // node-postgres' words for "encrypted, by whomever".
  if (['true', '1', 'no-verify'].includes(searchParams.get('ssl') ?? '')) environment.PGSSLMODE ??= 'require';
  if (environment.PGSSLMODE === 'no-verify') environment.PGSSLMODE = 'require';

  return {
    database,
    label: `the database "${database}" at ${host}:${port}`,
    environment,
    configs: (other = database) => {
      const common = {
        ...{ host, port: Number(port), user, database: other, application_name: applicationName },
        ...(password !== '' && { password }),
        ...(environment.PGOPTIONS !== undefined && { options: environment.PGOPTIONS }),
        connectionTimeoutMillis: connectSecondsMax * 1000,
      };
      return encryptions(environment).map((ssl) => ({ ...common, ssl }));
    },
    redacted: (text) => oneLine(secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)),
  };
}

/**
 * libpq's sslmode in node-postgres' terms, which by itself takes `require` for `verify-full` and cannot fall back.
 *
 * @throws JobError `InvalidConfiguration` when a file cannot be read
 */
function encryptions(environment: Readonly<Record<string, string>>): NonNullable<pg.ClientConfig['ssl']>[] {
  const { PGSSLMODE: mode = 'unset', PGSSLROOTCERT: root, PGSSLCERT: cert, PGSSLKEY: key } = environment;
  if (mode === 'disable') return [false];
  const files = {
    ...(root !== undefined && root !== 'system' && { ca: readText(root) }),
    ...(cert !== undefined && { cert: readText(cert) }),
    ...(key !== undefined && { key: readText(key) }),
  };
  if (mode === 'verify-full') return [files];
  const isAuthorityChecked = mode === 'verify-ca' || (mode === 'require' && root !== undefined);
  const unnamed = isAuthorityChecked
    ? { ...files, checkServerIdentity: () => undefined }
    : { ...files, rejectUnauthorized: false };
  if (mode === 'prefer') return [unnamed, false];
  return mode === 'allow' || mode === 'unset' ? [false, unnamed] : [unnamed];
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw invalidConfiguration(
      `The file ${path}, which the address of a database names, cannot be read (${codeOf(error)}).`,
    );
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidConfiguration(
      'The address of a database contains a "%" that is not one of %XX: write it as %25.',
    );
  }
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'postgres'; // an account without a name, as containers have
  }
}
