/** Finds Postgres' own programs. A dump is theirs to make: nobody else knows all that a database can hold. */
import { execFile } from 'node:child_process';
import { access, constants, glob, realpath } from 'node:fs/promises';
import { basename, delimiter, isAbsolute, join } from 'node:path';
import { invalidConfiguration } from '../storage/target-faults.ts';

export type PgProgram = 'pg_dump' | 'pg_restore';

export type PgClient = {
  /** Absolute. */
  path: string;
  /** As 18.4 */
  version: string;
  major: number;
};

export type SearchPath = {
  /** As the environment's, folders between colons. */
  PATH?: string | undefined;
  /** Folders, or patterns of such. Default: where packages put the programs of several versions beside each other. */
  extraDirs?: readonly string[] | undefined;
  /** CARILLON_PG_BIN: one more folder, and of equal versions its own is taken. */
  pgBin?: string | undefined;
};

export type FindOptions = { serverMajor: number; searchPath: SearchPath; signal?: AbortSignal | undefined };

const packageDirs = [
  '/usr/lib/postgresql/*/bin', // Debian, Ubuntu
  '/usr/pgsql-*/bin', // Red Hat, SUSE
  '/usr/libexec/postgresql*', // Alpine
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
];
const askMsMax = 10_000;

/**
 * The program that fits the server: of its own major version, else of the nearest newer one; in that the newest minor.
 * An older one refuses. The newest of all would be no better: since 17 programs set `transaction_timeout`, which makes
 * what they restore fail on servers before 17, and an archive of theirs can be read by none older.
 *
 * @throws JobError `InvalidConfiguration` that names what was found and what to install
 */
export async function findClient(program: PgProgram, options: FindOptions): Promise<PgClient> {
  const { serverMajor, searchPath, signal } = options;
  const found: PgClient[] = [];
  for (const path of await candidates(program, searchPath)) {
    signal?.throwIfAborted();
    const client = await ask(path, signal);
    if (client !== undefined) found.push(client);
  }
  const fit = found.filter((client) => client.major >= serverMajor);
  // Stable: of equals the first, and CARILLON_PG_BIN comes first.
  const [best] = fit.sort((a, b) => a.major - b.major || minorOf(b) - minorOf(a));
  if (best !== undefined) return best;
  throw invalidConfiguration(refusal(program, serverMajor, searchPath, found));
}

async function candidates(program: PgProgram, searchPath: SearchPath): Promise<string[]> {
  const dirs = [
    ...(searchPath.pgBin ? [searchPath.pgBin] : []),
    ...(searchPath.PATH ?? '').split(delimiter).filter(isAbsolute), // not what happens to lie in our own folder
  ];
  for (const pattern of searchPath.extraDirs ?? packageDirs) {
    dirs.push(...(pattern.includes('*') ? await Array.fromAsync(glob(pattern)) : [pattern]));
  }
  const paths = new Map<string, string>();
  for (const dir of dirs) {
    const path = join(dir, program);
    const real = await realpath(path).catch(() => undefined);
    // Debian's wrapper answers by one version and, with a host and a port to go to, may run another.
    if (real === undefined || basename(real) === 'pg_wrapper' || paths.has(real)) continue;
    const mayRun = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (mayRun) paths.set(real, path);
  }
  return [...paths.values()];
}

/** Undefined: it does not run here, or is something else. */
function ask(path: string, signal: AbortSignal | undefined): Promise<PgClient | undefined> {
  return new Promise((resolve, reject) => {
    const options = { env: { LC_ALL: 'C' }, timeout: askMsMax, killSignal: 'SIGKILL', signal } as const;
    execFile(path, ['--version'], options, (error, stdout) => {
      if (signal?.aborted) return reject(signal.reason);
      const version = error === null ? /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout)?.[1] : undefined;
      resolve(version === undefined ? undefined : { path, version, major: Number.parseInt(version, 10) });
    });
  });
}

function minorOf(client: PgClient): number {
  return Number(client.version.split('.')[1] ?? 0);
}

function refusal(program: PgProgram, major: number, searchPath: SearchPath, found: PgClient[]): string {
  const list = found.map((client) => `${client.path} (${client.version})`).join(', ');
  const bin = searchPath.pgBin ? `, though CARILLON_PG_BIN is ${searchPath.pgBin}` : '';
  return (
    `The server is PostgreSQL ${major}, and ${program} must not be older: found ${list || 'none'}${bin}. Install the` +
    ` client tools of PostgreSQL ${major} (Debian, Ubuntu: postgresql-client-${major}, from apt.postgresql.org;` +
    ` Alpine: postgresql${major}-client; macOS: brew install postgresql@${major}), or set CARILLON_PG_BIN to the folder` +
    ` that holds ${program}.`
  );
}
