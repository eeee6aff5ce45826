/** A Postgres that the machine's `pg_dump` can dump: it refuses servers that are newer than itself. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, glob, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { postgresAccount, runAs } from '../../src/db/embedded-account.ts';
import { startServer, stopServer } from '../../src/db/embedded-server.ts';

export type DumpSource = {
  url: string;
  /** Of the folder with pg_dump. */
  bin: string;
  /** Fills a table; returns its MiB. */
  fill(rows: number): Promise<number>;
  stop(): Promise<void>;
};

const quiet = { info: () => undefined };
const user = 'bench';

/** The newest whole installation of the machine's packages. */
export async function startDumpSource(): Promise<DumpSource | { absent: string }> {
  const bins: string[] = [];
  for await (const path of glob('/usr/lib/postgresql/*/bin/initdb')) bins.push(dirname(path));
  const bin = bins
    .toSorted()
    .findLast((each) => spawnSync(join(each, 'pg_dump'), ['--version']).status === 0);
  if (bin === undefined) return { absent: 'there is no Postgres with pg_dump of the machine’s own packages' };
  const account = process.getuid?.() === 0 ? await postgresAccount(quiet) : undefined;
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-dump-'));
  const cluster = join(folder, 'postgres');
  const passwordFile = join(folder, 'password');
  const password = randomBytes(12).toString('hex');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account !== undefined)
    for (const path of [folder, passwordFile]) await chown(path, account.uid, account.gid);
  const binaries = {
    postgres: join(bin, 'postgres'),
    initdb: join(bin, 'initdb'),
    pgCtl: join(bin, 'pg_ctl'),
  };
  const made = await runAs(account, binaries.initdb, [
    ...[`--pgdata=${cluster}`, `--username=${user}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
    ...['--encoding=UTF8', '--locale=C', '--no-instructions', '--no-sync'],
  ]);
  if (made.code !== 0) throw new Error(`initdb failed: ${made.output}`);
  const logFile = join(folder, 'postgres.log');
  const start = { cluster, logFile, binaries, account, port: undefined, log: quiet };
  const { pid, port } = await startServer(start);
  const url = `postgres://${user}:${password}@127.0.0.1:${port}/postgres`;
  return {
    url,
    bin,
    async fill(rows) {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        await client.query(
          `create table orders as select g as id, g % 10000 as customer, 'order number ' || g as name, g * 1.25 as amount,
            md5(g::text) as hash from generate_series(1, $1::int) g`,
          [rows],
        );
        const { rows: size } = await client.query(`select pg_table_size('orders') / 1048576.0 as mebibytes`);
        return Number(size[0].mebibytes);
      } finally {
        await client.end();
      }
    },
    async stop() {
      await stopServer(cluster, pid, binaries.pgCtl);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
