/** The Postgres of a chaos run: the one of the packages, on one port, stopped, killed and started at will. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { findBinaries } from '../src/db/embedded-binaries.ts';
import { isServerOf } from '../src/db/embedded-cluster.ts';
import { choosePlace, copiesDirectory } from '../src/db/embedded-place.ts';
import { startServer } from '../src/db/embedded-server.ts';

export type ChaosPostgres = {
  /** Without any proxy. */
  url: string;
  port: number;
  end(how: 'fast' | 'kill'): Promise<void>;
  /** Starts it if it does not run. */
  start(): Promise<void>;
  /** No session that begins a transaction from now on may write. */
  readOnly(on: boolean): Promise<void>;
  /** Takes all the space that its disk has; null where the disk is not one of its own. */
  fillDisk: (() => Promise<void>) | null;
  /** Writes to its log until that takes no more: else some seconds of a full disk might pass without being noticed. */
  spendLog(): Promise<void>;
  /** Whether a transaction that writes is committed. */
  takesWrites(): Promise<boolean>;
  /** Holds a transaction open that has read the table. Over at once where the database is away. */
  readForLong(table: string, forMs: number): Promise<void>;
  freeDisk(): Promise<void>;
  close(): Promise<void>;
};

const quiet = { info: () => {}, warn: () => {} };
const diskMb = 800;
const logMbMax = 200;
const run = promisify(execFile);

/** In `directory`, on a disk of its own where that can be had: a tmpfs, for which one must be root. */
export async function startChaosPostgres(directory: string, ownDisk: boolean): Promise<ChaosPostgres> {
  const disk = join(directory, 'disk');
  await mkdir(disk, { mode: 0o711 });
  const mounted =
    ownDisk &&
    (await run('mount', ['-t', 'tmpfs', '-o', `size=${diskMb}m,mode=711`, 'tmpfs', disk]).then(
      () => true,
      () => false,
    ));
  const dataDir = join(disk, 'data');
  const first = await startEmbeddedPostgres({ dataDir, log: quiet });
  const { url, port } = first;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  // Processes are killed here, no machine is: what was written is there, synced or not. It spares the disk of others.
  await client.query('alter system set fsync = off');
  await client.end();
  await first.stop();
  const place = await choosePlace(dataDir, quiet);
  const binaries = await findBinaries(place.account, copiesDirectory(place), quiet);
  const cluster = join(place.directory, 'postgres');
  const logFile = join(place.directory, 'postgres.log');
  const filler = join(disk, 'filler');
  let pid: number | null = null;
  // Whoever ends this program in the middle leaves no server and no mount behind.
  const quit = () => {
    if (pid !== null) process.kill(pid, 'SIGQUIT');
    if (mounted) spawnSync('umount', ['-l', disk]);
  };
  process.on('exit', quit);

  /** False: something in it failed. */
  async function inSession(work: (session: pg.Client) => Promise<void>): Promise<boolean> {
    const session = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 5000,
      query_timeout: 60_000,
    });
    session.on('error', () => {});
    try {
      await session.connect();
      await work(session);
      return true;
    } catch {
      return false;
    } finally {
      await session.end().catch(() => {});
    }
  }

  const postgres: ChaosPostgres = {
    url,
    port,
    async end(how) {
      if (pid === null) return;
      if (await isServerOf(pid, cluster)) process.kill(pid, how === 'fast' ? 'SIGINT' : 'SIGKILL');
      while (await isServerOf(pid, cluster)) await delay(5);
      pid = null;
    },
    async start() {
      if (pid !== null && (await isServerOf(pid, cluster))) return;
      pid = (await startServer({ cluster, logFile, binaries, ...place, port, log: quiet })).pid;
    },
    async readOnly(on) {
      const session = new pg.Client({ connectionString: url });
      await session.connect();
      await session.query('set default_transaction_read_only = off');
      await session.query(`alter system set default_transaction_read_only = ${on ? 'on' : 'off'}`);
      await session.query('select pg_reload_conf()');
      await session.end();
    },
    fillDisk: mounted
      ? async () => {
          const file = await open(filler, 'a');
          const block = Buffer.alloc(1024 * 1024, 1);
          try {
            // Down to the last page: what is left of a block is tried in smaller ones.
            for (let bytes = block.length; bytes >= 4096; ) {
              await file.write(block, 0, bytes).catch(() => {
                bytes /= 2;
              });
            }
          } finally {
            await file.close();
          }
        }
      : null,
    async spendLog() {
      await inSession(async (session) => {
        for (let mb = 0; mb < logMbMax; mb += 1) {
          await session.query("select pg_logical_emit_message(true, 'chaos', repeat('x', 1048576))");
        }
      });
    },
    takesWrites: () =>
      inSession(async (session) => {
        await session.query('create table if not exists chaos_writes (text text)');
        await session.query(
          "insert into chaos_writes select repeat('x', 1000) from generate_series(1, 1000)",
        );
      }),
    async readForLong(table, forMs) {
      await inSession(async (session) => {
        await session.query(`begin; select from ${table} limit 1`);
        await delay(forMs);
        await session.query('commit');
      });
    },
    freeDisk: () => rm(filler, { force: true }),
    async close() {
      await postgres.end('fast');
      process.off('exit', quit);
      if (mounted) await run('umount', [disk]);
    },
  };
  await postgres.start();
  return postgres;
}
