/**
 * `npm run restore -- <backupId> --to <directory | postgres URL>`: restores a backup without the service, which may run
 * at the same time or not at all. Only the catalogue in the database is read; no run is made of it.
 *
 * A kill -9 leaves what a killed run leaves: a directory that is half filled, which a second try refuses, or a new database
 * that is not complete.
 */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { createClock } from './clock.ts';
import { type Config, ConfigError, loadConfig } from './config.ts';
import { codeOf, messageOf } from './errors.ts';
import { type RestoreInput, restoreInput } from './jobs/backup/backup-input.ts';
import { withTools } from './jobs/backup/backup-tools.ts';
import { restoreBackup } from './jobs/backup/restore-backup.ts';
import { reachDatabase } from './reach-database.ts';
import { redactUrls } from './secrets/redaction.ts';

const exitCodes = { ok: 0, fault: 1, usage: 64, badConfiguration: 78 } as const;

const usage = `Usage: npm run restore -- <backupId> --to <directory | postgres://user@host/database>

  GET /backups lists the ids. A directory must be empty or missing, a database without tables or missing.
  PGPASSWORD is the database's password where its URL has none, so that no process list shows it.`;

/** What was asked for cannot be understood; nothing was done. */
class UsageError extends Error {}

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  const input = readArguments(process.argv.slice(2), process.env.PGPASSWORD);
  // What the programs that it starts would inherit.
  for (const name of ['CARILLON_SECRET_KEY', 'CARILLON_API_KEY', 'DATABASE_URL', 'PGPASSWORD'])
    delete process.env[name];
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => stopping.abort(new Error(`${signal}: the restore is broken off`)));

  const clock = createClock();
  await knowDataDirectory(config);
  const database = await reachDatabase(config, { info: () => {}, warn: say });
  try {
    const context = {
      now: () => clock.now(),
      log: say,
      step<T>(name: string, fn: (context: { signal: AbortSignal }) => Promise<T>): Promise<T> {
        say(name);
        return fn({ signal: stopping.signal });
      },
    };
    const settings = { databaseUrl: database.url, ...config.backup };
    const { backups, entries, durationSeconds } = await withTools(settings, context, (tools) =>
      restoreBackup(context, input, tools),
    );
    const what = entries === null ? '' : `, ${entries} entries`;
    process.stdout.write(
      `Restored ${input.backupId} (${backups} ${backups === 1 ? 'archive' : 'archives'}${what}) in ${durationSeconds} s.\n`,
    );
  } finally {
    await database.stop();
  }
}

/** @throws UsageError that names what is wrong */
function readArguments(args: string[], password: string | undefined): RestoreInput {
  const { values, positionals } = parse(args);
  const [backupId, ...more] = positionals;
  if (backupId === undefined || values.to === undefined || more.length > 0) throw new UsageError(usage);
  const read = restoreInput.safeParse({ backupId, to: placeOf(values.to, password) });
  if (read.success) return read.data;
  throw new UsageError(
    `${read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n')}\n\n${usage}`,
  );
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: { to: { type: 'string' } } });
  } catch (error) {
    throw new UsageError(`${messageOf(error)}\n\n${usage}`);
  }
}

/** A directory as one types it, from where npm was called; or the URL of a database or a directory. */
function placeOf(to: string, password: string | undefined): string {
  if (/^file:/i.test(to)) return to;
  if (!/^[a-z][a-z0-9+.-]+:\/\//i.test(to))
    return pathToFileURL(resolve(process.env.INIT_CWD ?? '.', to)).href;
  if (password === undefined || !URL.canParse(to)) return to;
  const url = new URL(to);
  if (url.password === '') url.password = encodeURIComponent(password);
  return url.href;
}

/** Else a wrong DATA_DIR would make a new, empty database, to say that this backup is not in it. */
async function knowDataDirectory({ databaseUrl, dataDir }: Config): Promise<void> {
  if (databaseUrl !== null) return;
  await stat(dataDir).catch(() => {
    throw new Error(`there is no data directory ${dataDir}; set DATA_DIR or DATABASE_URL to Carillon's own.`);
  });
}

function say(message: string): void {
  process.stderr.write(`${redactUrls(message)}\n`);
}

/** Postgres' `undefined_table`, which drizzle wraps. */
function hasNoCatalogue(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return codeOf(cause) === '42P01';
}

try {
  await main();
  process.exitCode = exitCodes.ok;
} catch (error) {
  if (error instanceof UsageError) {
    say(error.message);
    process.exitCode = exitCodes.usage;
  } else if (error instanceof ConfigError) {
    say(`This environment cannot be used:\n\n${error.message}`);
    process.exitCode = exitCodes.badConfiguration;
  } else {
    say(
      `Not restored: ${hasNoCatalogue(error) ? 'this database has no catalogue of backups; set DATA_DIR or DATABASE_URL to Carillon’s own.' : messageOf(error)}`,
    );
    process.exitCode = exitCodes.fault;
  }
}
