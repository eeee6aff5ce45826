/** Reading dumps: what is in one, whether all of it can be read, and putting it back into a database. */
import type { Readable } from 'node:stream';
import { readConnection } from '../postgres/pg-connection.ts';
import type { PgClient } from './pg-client.ts';
import { dropAgain, preparePlace, takePlace } from './pg-database.ts';
import { programFault, readFault } from './pg-faults.ts';
import { feed, startProgram } from './pg-process.ts';

type Options = { signal?: AbortSignal | undefined };

export type DumpList = {
  /** Tables, their data, indexes, functions: all that pg_restore would make. */
  entries: number;
  /** Of the server that it was made from, and of the pg_dump that made it, as 15.18; null when not told. */
  serverVersion: string | null;
  clientVersion: string | null;
};

export type RestoreOptions = Options & {
  content: Readable;
  url: string;
  client: PgClient;
  /** In place of a database that is there: it is kept until the restore is done, then its sessions are ended. */
  overwrite?: boolean;
};

const local = { LC_ALL: 'C', TZ: 'UTC' };

/**
 * The dump's table of contents. It stands at the beginning: a dump that lacks its end has it all the same, so this is a
 * look, and `verifyDump` the proof. The content is destroyed once enough was read.
 *
 * @throws JobError `BackupDamaged` (not retryable); `InvalidConfiguration` when the client is too old for it
 */
export async function listDump(
  content: Readable,
  client: PgClient,
  options: Options = {},
): Promise<DumpList> {
  let text = '';
  await read(content, client, ['--list'], options, (chunk) => {
    text += chunk;
  });
  const entries = text.match(/^\d+;/gm)?.length ?? 0;
  const version = (words: string) =>
    new RegExp(`^;\\s*${words} version: (\\S+)`, 'm').exec(text)?.[1] ?? null;
  return {
    entries,
    serverVersion: version('Dumped from database'),
    clientVersion: version('Dumped by pg_dump'),
  };
}

/**
 * Reads and unpacks all of a dump, as a restore would, to nowhere.
 *
 * @throws as `listDump`
 */
export async function verifyDump(content: Readable, client: PgClient, options: Options = {}): Promise<void> {
  await read(content, client, ['--file=-'], options, () => undefined);
}

/**
 * Puts a dump into a database, creating it when it is missing. One transaction: all of it, or nothing (and a database
 * that was created for it is dropped again). Owners are not kept, what is restored belongs to the URL's user; grants
 * are. What is wrong with the content must be known before (`verifyDump`, a checksum): pg_restore commits when it has
 * read the last table, and does not wait for what the stream may tell after that. Then a database that was empty has
 * the backup in it, though this throws.
 *
 * @throws JobError: `InvalidConfiguration` (it has tables already, login, rights, something to install),
 *   `BackupDamaged`, retryable `TargetUnreachable`, `TargetFull`, `RestoreFailed`; the content's fault; the signal's
 *   reason
 */
export async function restoreDump(options: RestoreOptions): Promise<{ created: boolean }> {
  const { content, client, signal } = options;
  try {
    const connection = readConnection(options.url);
    const place = await preparePlace(connection, options.overwrite ?? false, signal);
    try {
      // As a connection string: a name with a "=" in it would be taken for one. The rest is in the environment.
      const name = place.name.replace(/[\\']/g, '\\$&');
      const args = [
        '--exit-on-error',
        '--single-transaction',
        '--no-owner',
        '--no-password',
        `--dbname=dbname='${name}'`,
      ];
      const end = await run(content, client, args, connection.environment, signal, () => undefined);
      if (!end.isGood) throw programFault(end.stderr || end.how, connection, 'target');
    } catch (error) {
      if (place.kind !== 'found') await dropAgain(connection, place.name);
      throw error;
    }
    if (place.kind === 'stand-in') await takePlace(connection, place.name);
    return { created: place.kind === 'created' };
  } finally {
    content.destroy();
  }
}

/** pg_restore without a database. */
async function read(
  content: Readable,
  client: PgClient,
  args: readonly string[],
  { signal }: Options,
  onText: (chunk: string) => void,
): Promise<void> {
  try {
    const end = await run(content, client, args, local, signal, onText);
    if (!end.isGood) throw readFault(end.stderr, end.how);
  } finally {
    content.destroy();
  }
}

async function run(
  content: Readable,
  client: PgClient,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
  onText: (chunk: string) => void,
) {
  signal?.throwIfAborted();
  const program = startProgram(client, args, environment);
  signal?.addEventListener('abort', program.stop, { once: true });
  try {
    program.stdout.setEncoding('utf8').on('data', onText);
    const [fed, ended] = await Promise.allSettled([feed(content, program, signal), program.ended]);
    signal?.throwIfAborted();
    if (ended.status === 'rejected') throw ended.reason; // could not be started
    if (fed.status === 'rejected') throw fed.reason;
    return ended.value;
  } finally {
    signal?.removeEventListener('abort', program.stop);
  }
}
