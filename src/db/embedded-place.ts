/**
 * Where the files of the embedded server lie, and which account of the operating system runs it.
 *
 * For an ordinary user there is nothing to decide: the files lie in the data directory and the server runs as that
 * user. But Postgres refuses to run as root. So, for root:
 * - existing files decide for themselves: the server runs as the account that owns them;
 * - new files belong to the owner of the data directory, or when that is root, to the account `postgres`, which is
 *   created when missing;
 * - when that account cannot enter the data directory (root's home has mode 0700), they go to
 *   /var/lib/carillon/<name>-<random>, and `postgres-location` in the data directory says so. That pointer, not a
 *   name computed from the path, is what later starts follow, so renaming the data directory loses nothing. If what
 *   it points at is gone, we stop with an error: quietly beginning empty would look like lost schedules.
 */
import { randomBytes } from 'node:crypto';
import { chmod, lchown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compileCacheName, isRoot } from './data-directory.ts';
import { type Account, accountById, postgresAccount, runAs } from './embedded-account.ts';

/** `directory` holds the cluster (`postgres/`), its password and its log. Without `account` the server runs as us. */
export type Place = { directory: string; account: Account | undefined };

/** Root's place for what cannot lie in the data directory. It survives reboots, and only root writes there. */
const SYSTEM_DIRECTORY = '/var/lib/carillon';
const POINTER = 'postgres-location';

/** The directory with the server's files, as an earlier start chose it; the data directory when there was none. */
export async function knownDirectory(dataDir: string): Promise<string> {
  const pointer = await readFile(join(dataDir, POINTER), 'utf8').catch(() => '');
  return pointer.split('\n', 1)[0]?.trim() || dataDir;
}

/**
 * Decides, and creates what is missing (account, directory, pointer). Only for the owner of the data directory: two
 * at once would decide twice.
 *
 * @throws when there is no account to run as, or it cannot reach the files; the message says what to do
 */
export async function choosePlace(dataDir: string, log: { info(message: string): void }): Promise<Place> {
  const directory = await knownDirectory(dataDir);
  const cluster = join(directory, 'postgres');
  const owner = await stat(cluster).catch(() => undefined);
  if (directory !== dataDir) {
    await requireTarget(dataDir, directory);
    log.info(`the embedded Postgres keeps its files in ${directory}, as ${join(dataDir, POINTER)} says`);
  }
  if (!isRoot()) {
    const uid = process.getuid?.();
    if (owner === undefined || uid === undefined || owner.uid === uid)
      return { directory, account: undefined };
    throw new Error(
      `${cluster} belongs to user id ${owner.uid}, and this process runs as user id ${uid}. Start Carillon as that` +
        ` user (or as root), or hand the files over: sudo chown -R ${uid} ${directory}`,
    );
  }
  if (owner === undefined) return placeForNewFiles(dataDir, directory, log);

  const account = owner.uid === 0 ? await postgresAccount(log) : await accountById(owner);
  if (owner.uid === 0) {
    // Root copied them (cp -r, a restored backup), and as they are Postgres would refuse them.
    log.info(`handing ${cluster} over to the account ${account.name}, as Postgres does not run as root`);
    await giveTree(cluster, account);
  }
  if (await canEnter(account, cluster)) return { directory, account };
  throw new Error(
    `the account that runs the embedded Postgres (${account.name}) cannot enter ${cluster}. Let it pass with` +
      ' "chmod o+x" on each folder above, or move the data directory to where it can.',
  );
}

/** Where copies of the programs may lie: not where another account could change what we run. */
export function copiesDirectory(place: Place): string {
  return place.account === undefined ? place.directory : SYSTEM_DIRECTORY;
}

async function placeForNewFiles(
  dataDir: string,
  directory: string,
  log: { info(message: string): void },
): Promise<Place> {
  const owner = await stat(dataDir);
  const named = owner.uid === 0 ? undefined : await accountById(owner);
  const account = named?.known ? named : await postgresAccount(log);
  if (directory !== dataDir) return { directory, account }; // an earlier start was killed before it made the cluster

  const isOurs = (name: string) => name.startsWith('postgres-') || name === compileCacheName;
  if ((await readdir(dataDir)).every(isOurs)) {
    // Nothing but ours in it (a fresh volume, a mkdtemp), so we may open it for passing through.
    await chmod(dataDir, (owner.mode & 0o7777) | 0o011);
  }
  if (await canEnter(account, dataDir)) return { directory, account };

  const elsewhere = join(SYSTEM_DIRECTORY, `${basename(dataDir)}-${randomBytes(4).toString('hex')}`);
  await mkdir(elsewhere, { recursive: true });
  await chmod(SYSTEM_DIRECTORY, 0o755); // whatever the umask is: the account must pass
  await chmod(elsewhere, 0o711);
  await writeFile(
    join(dataDir, POINTER),
    `${elsewhere}\nThe database lies there, because the account "${account.name}" cannot enter this directory.\n` +
      'Keep this file: without it Carillon begins with an empty database.\n',
    { flush: true },
  );
  log.info(`the account ${account.name} cannot enter ${dataDir}: the database lies in ${elsewhere}`);
  return { directory: elsewhere, account };
}

async function requireTarget(dataDir: string, directory: string): Promise<void> {
  await stat(directory).catch((error: unknown) => {
    throw new Error(
      `${join(dataDir, POINTER)} says that the database lies in ${directory}, but that is gone. Restore it from a` +
        ` backup, or delete ${join(dataDir, POINTER)} to begin with an empty database.`,
      { cause: error },
    );
  });
}

/** Asked as that account: only the kernel knows the sum of modes, access lists and mounts. */
async function canEnter(account: Account, directory: string): Promise<boolean> {
  const outcome = await runAs(account, '/bin/sh', ['-c', 'test -x "$1"', 'sh', directory]);
  return outcome.code === 0;
}

async function giveTree(root: string, account: Account): Promise<void> {
  await lchown(root, account.uid, account.gid);
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    await lchown(join(entry.parentPath, entry.name), account.uid, account.gid);
  }
}
