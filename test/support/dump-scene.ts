/** Dumps are tested by restoring them: server and programs are the machine's own, of one version. */
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { findClient, type PgClient } from '../../src/jobs/backup/pg-client.ts';
import { dumpDatabase } from '../../src/jobs/backup/pg-dump.ts';
import { serverVersion } from '../../src/jobs/postgres/pg-session.ts';
import { databaseUrl, withClient } from './postgres-server.ts';
import { fillRichly } from './rich-database.ts';
import { type SystemPostgres, startSystemPostgres } from './system-postgres.ts';

const PASSWORD = "canary 'p@ss/w%rd\\ä";

export type DumpScene = {
  server: SystemPostgres;
  dumper: PgClient;
  restorer: PgClient;
  /** A folder for passing files. */
  scratch: string;
  /** Of a database that does not exist yet; its name needs quoting everywhere. */
  newUrl(): string;
  create(): Promise<string>;
  nameOf(url: string): string;
  exists(url: string): Promise<boolean>;
  /** A client of our own making. */
  script(name: string, text: string): Promise<PgClient>;
  close(): Promise<void>;
};

/** The password of its URLs begins with "canary". */
export async function startDumpScene(system: { major: number; bin: string }): Promise<DumpScene> {
  const server = await startSystemPostgres(system, PASSWORD);
  const scratch = await mkdtemp(join(tmpdir(), 'carillon-dump-'));
  const searchPath = { PATH: '/usr/bin', extraDirs: ['/usr/lib/postgresql/*/bin'] };
  const { major: serverMajor } = await serverVersion(server.url);
  let count = 0;
  const newUrl = () => databaseUrl(server.url, `db%20${count++}%20a=b`);
  const nameOf = (url: string) => decodeURIComponent(new URL(url).pathname.slice(1));
  return {
    server,
    dumper: await findClient('pg_dump', { serverMajor, searchPath }),
    restorer: await findClient('pg_restore', { serverMajor, searchPath }),
    scratch,
    newUrl,
    nameOf,
    create: async () => {
      const url = newUrl();
      await withClient(server.url, (client) =>
        client.query(`create database "${nameOf(url)}" template template0`),
      );
      return url;
    },
    exists: async (url) => {
      let found = false;
      await withClient(server.url, async (client) => {
        found =
          (await client.query('select from pg_database where datname = $1', [nameOf(url)])).rowCount === 1;
      });
      return found;
    },
    script: async (name, text) => {
      const path = join(scratch, name);
      await writeFile(path, `#!/bin/sh\n${text}\n`);
      await chmod(path, 0o755);
      return { path, version: '15.0', major: 15 };
    },
    close: async () => {
      await server.stop();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** The same, with a database that has all usual types in it, and a dump of that. */
export async function startRichDumpScene(system: {
  major: number;
  bin: string;
}): Promise<DumpScene & { source: string; dump: Buffer }> {
  const scene = await startDumpScene(system);
  const source = await scene.create();
  await fillRichly(source);
  const dump = await buffer(dumpDatabase({ url: source, client: scene.dumper }).content);
  return { ...scene, source, dump };
}

/** Command lines of this process' children, without those that stay beside it as long as it lives. */
export async function children(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const isOurs = Number(/\) \S (\d+)/.exec(stat)?.[1]) === process.pid;
    if (isOurs && !/\bpostgres\0|\/group-guard\.ts\0/.test(line)) found.push(line.replaceAll('\0', ' '));
  }
  return found;
}
