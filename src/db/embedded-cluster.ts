/**
 * The files of a Postgres cluster: making them, and what they say about the server over them. The processes are in
 * embedded-server.ts.
 */
import { randomBytes } from 'node:crypto';
import { lchown, mkdir, open, readdir, readFile, readlink, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Account, runAs } from './embedded-account.ts';
import type { Binaries } from './embedded-binaries.ts';

export const SUPERUSER = 'carillon';
const MAJOR_VERSION = '18';

export type PidFile = { pid: number; port: number; status: string };

/** Whether there is a cluster. @throws when it is of another version, or something else lies there */
export async function clusterExists(cluster: string): Promise<boolean> {
  const entries = await readdir(cluster).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (entries === undefined) return false;
  if (!entries.includes('PG_VERSION')) {
    throw new Error(`${cluster} is not a Postgres cluster (it has no PG_VERSION). Move it out of the way.`);
  }
  const version = (await readFile(join(cluster, 'PG_VERSION'), 'utf8')).trim();
  if (version !== MAJOR_VERSION) {
    throw new Error(
      `${cluster} was written by Postgres ${version}, and this Carillon brings Postgres ${MAJOR_VERSION}. Go back to` +
        ` the Carillon that you had, or dump it with the pg_dump of Postgres ${version} and restore that into a` +
        ' server of your own (DATABASE_URL), or move the directory out of the way to begin empty.',
    );
  }
  return true;
}

/**
 * Runs initdb in a directory of another name, then renames that: what bears the cluster's name is always whole, also
 * when we are killed in between. It is not yet safe from a power cut: syncCluster.
 *
 * @param passwordFile the superuser's password; readable for the account
 */
export async function createCluster(
  cluster: string,
  passwordFile: string,
  binaries: Binaries,
  account: Account | undefined,
): Promise<void> {
  const parent = dirname(cluster);
  const prefix = `${basename(cluster)}.new-`;
  for (const entry of await readdir(parent)) {
    if (entry.startsWith(prefix)) await rm(join(parent, entry), { recursive: true, force: true });
  }
  const staging = join(parent, prefix + randomBytes(4).toString('hex'));
  await mkdir(staging, { mode: 0o700 });
  if (account !== undefined) await lchown(staging, account.uid, account.gid);
  const outcome = await runAs(account, binaries.initdb, [
    `--pgdata=${staging}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Sorts by code point and knows Unicode's upper and lower case, without any locale of the operating system.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
    '--no-sync',
  ]);
  if (outcome.code !== 0) {
    await rm(staging, { recursive: true, force: true });
    const hint = outcome.output.includes('could not look up effective user ID')
      ? ' Postgres wants a user with a name: give it an entry in /etc/passwd, or set DATABASE_URL.'
      : '';
    throw new Error(`initdb could not make the database in ${cluster}: ${lastLines(outcome.output)}${hint}`);
  }
  await rename(staging, cluster);
}

/**
 * Brings a new cluster's files to the disk: without it a power cut in the first half minute, before the system does so
 * by itself, could leave a cluster that is broken. It takes 0.2 s, and seconds on a busy disk, so it is not part of
 * initdb but goes on while the service starts. The server's own writes are synced from its first one on.
 */
export async function syncCluster(
  cluster: string,
  binaries: Binaries,
  account: Account | undefined,
  log: { warn(message: string): void },
): Promise<void> {
  const outcome = await runAs(account, binaries.initdb, ['--sync-only', `--pgdata=${cluster}`]);
  if (outcome.code !== 0) log.warn(`could not sync ${cluster} to disk: ${lastLines(outcome.output)}`);
  await syncDirectory(dirname(cluster)).catch((error: unknown) => log.warn(String(error)));
}

/** What the running server noted (lines 1, 4 and 8 of postmaster.pid); undefined without one, or half written. */
export async function readPidFile(cluster: string): Promise<PidFile | undefined> {
  const lines = (await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  const pid = Math.abs(Number.parseInt(lines[0] ?? '', 10)); // negative: single-user mode
  if (!(pid > 0)) return undefined;
  return { pid, port: Number.parseInt(lines[3] ?? '', 10), status: (lines[7] ?? '').trim() };
}

/** Whether the process lives and is a server of exactly this cluster. `cluster` has no symlinks in it. */
export async function isServerOf(pid: number, cluster: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform === 'linux') {
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (args[args.indexOf('-D') + 1] === cluster) return true;
    // Somebody may have started it in another way, but a server always works in its cluster. This does not come first:
    // root in a container usually has not the right (CAP_SYS_PTRACE) to see it. A zombie has neither.
    return (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === cluster;
  }
  if (process.platform === 'win32') return true; // no cheap way to know; the login that follows finds out
  const command = await runAs(undefined, 'ps', ['-o', 'command=', '-p', String(pid)]);
  return command.output.includes('postgres') && command.output.includes(cluster);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** The port of the last start, from the command line that the server notes down. */
export async function lastPort(cluster: string): Promise<number | undefined> {
  const commandLine = await readFile(join(cluster, 'postmaster.opts'), 'utf8').catch(() => '');
  const port = /"-p" "(\d+)"/.exec(commandLine)?.[1];
  return port === undefined ? undefined : Number(port);
}

/** The end of a program's output, for an error message. */
export function lastLines(text: string): string {
  return text.trim().split('\n').slice(-12).join('\n') || '(it said nothing)';
}

async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return; // cannot be done there
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
