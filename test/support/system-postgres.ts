/** A Postgres of the machine's own packages, for what needs server and client programs of one version. */
import { randomBytes } from 'node:crypto';
import { chown, glob, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { postgresAccount, runAs } from '../../src/db/embedded-account.ts';
import { startServer, stopServer } from '../../src/db/embedded-server.ts';

export type SystemPostgres = {
  major: number;
  /** Of its database `postgres`, as superuser. */
  url: string;
  /** Of the folder with pg_dump. */
  bin: string;
  stop(): Promise<void>;
};

const quiet = { info: () => undefined };

/** The newest version that is whole, or undefined: then there is none on this machine. */
export async function findSystemPostgres(): Promise<{ major: number; bin: string } | undefined> {
  const found: { major: number; bin: string }[] = [];
  for await (const path of glob('/usr/lib/postgresql/*/bin/{initdb,pg_dump,pg_restore,postgres}')) {
    const bin = dirname(path);
    found.push({ bin, major: Number(/\/(\d+)\/bin$/.exec(bin)?.[1]) });
  }
  const whole = found.filter(({ bin }) => found.filter((each) => each.bin === bin).length === 4);
  return whole.toSorted((a, b) => b.major - a.major)[0];
}

/** @param password of the superuser, who is called "sup er" */
export async function startSystemPostgres(
  { major, bin }: { major: number; bin: string },
  password: string,
): Promise<SystemPostgres> {
  const account = process.getuid?.() === 0 ? await postgresAccount(quiet) : undefined;
  const directory = join(inject('runDirectory'), `system-${randomBytes(5).toString('hex')}`);
  const cluster = join(directory, 'postgres');
  const passwordFile = join(directory, 'password');
  await mkdir(directory, { mode: 0o700 });
  await writeFile(passwordFile, password);
  if (account !== undefined) {
    await chown(directory, account.uid, account.gid);
    await chown(passwordFile, account.uid, account.gid);
  }
  const binaries = {
    postgres: join(bin, 'postgres'),
    initdb: join(bin, 'initdb'),
    pgCtl: join(bin, 'pg_ctl'),
  };
  const made = await runAs(account, binaries.initdb, [
    ...[`--pgdata=${cluster}`, '--username=sup er', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
    ...['--encoding=UTF8', '--locale=C', '--no-instructions', '--no-sync'],
  ]);
  await rm(passwordFile, { force: true });
  if (made.code !== 0) throw new Error(`initdb of PostgreSQL ${major} failed: ${made.output}`);
  await writeFile(join(cluster, 'postgresql.auto.conf'), 'fsync = off\nfull_page_writes = off\n');
  if (account !== undefined) await chown(join(cluster, 'postgresql.auto.conf'), account.uid, account.gid);
  const logFile = join(directory, 'postgres.log');
  const { pid, port } = await startServer({
    cluster,
    logFile,
    binaries,
    account,
    port: undefined,
    log: quiet,
  });
  return {
    major,
    bin,
    url: `postgres://sup%20er:${encodeURIComponent(password)}@127.0.0.1:${port}/postgres`,
    stop: async () => {
      await stopServer(cluster, pid);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
