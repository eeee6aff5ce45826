/** What backup and restore work with, made from plain settings in the process of a run. */
import { type Db, openDatabase } from '../../db/client.ts';
import type { JobContext } from '../job.ts';
import { serverVersion } from '../postgres/pg-session.ts';
import type { S3Options } from '../storage/s3-client.ts';
import { openTarget, type StorageTarget } from '../storage/storage-target.ts';
import { findClient, type PgClient, type PgProgram } from './pg-client.ts';

/** Plain JSON: it goes to the process of an isolated run over its channel. */
export type BackupSettings = {
  /** Carillon's own database: the catalogue of backups, and the default source. */
  databaseUrl: string;
  pgBin: string | null;
  path: string | null;
  s3: S3Options;
};

export type BackupTools = {
  db: Db;
  /** The service's own database. */
  ownUrl: string;
  target(location: string): StorageTarget;
  client(program: PgProgram, url: string, signal: AbortSignal, role?: 'source' | 'target'): Promise<PgClient>;
};

const connectionsMax = 2;

/** Everything that was opened is closed when `work` has ended. */
export async function withTools<T>(
  settings: BackupSettings,
  context: Pick<JobContext, 'now' | 'log'>,
  work: (tools: BackupTools) => Promise<T>,
): Promise<T> {
  const { db, close } = openDatabase({
    url: settings.databaseUrl,
    connectionsMax,
    name: 'carillon backup',
    onFault: () => {},
  });
  const targets: StorageTarget[] = [];
  try {
    return await work({
      db,
      ownUrl: settings.databaseUrl,
      target(location) {
        const target = openTarget(location, { now: () => context.now(), s3: settings.s3 });
        targets.push(target);
        return target;
      },
      async client(program, url, signal, role = 'source') {
        // A database to restore to may not be there yet; its server is.
        const { major } = await serverVersion(role === 'target' ? onServer(url) : url, signal, role);
        const searchPath = {
          ...(settings.path !== null && { PATH: settings.path }),
          ...(settings.pgBin !== null && { pgBin: settings.pgBin }),
        };
        return await findClient(program, { serverMajor: major, searchPath, signal });
      },
    });
  } finally {
    for (const target of targets) target.close();
    await close();
  }
}

/** The database that every server has, on the same one. */
function onServer(url: string): string {
  const other = new URL(url);
  other.pathname = '/postgres';
  return other.href;
}
