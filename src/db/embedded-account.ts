/** Accounts of the operating system, and running the Postgres programs as one of them. */
import { execFile } from 'node:child_process';

/** `known`: it has a name. Without one initdb refuses to work, the server itself does not mind. */
export type Account = { name: string; uid: number; gid: number; known: boolean };

export type Outcome = {
  /** Undefined: it could not be started, or a signal or the time limit ended it. */
  code: number | undefined;
  output: string;
};

const NAME = 'postgres';
const PROGRAM_TIMEOUT_MS = 120_000;

/** Runs a program to its end, as the account or (undefined) as ourselves. Never throws. */
export function runAs(account: Account | undefined, program: string, args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const options = { ...processOptions(account), timeout: PROGRAM_TIMEOUT_MS };
    const ended = (error: Error | null, stdout: string, stderr: string) => {
      const output = stdout + stderr;
      if (error === null) resolve({ code: 0, output });
      else if ('code' in error && typeof error.code === 'number') resolve({ code: error.code, output });
      else resolve({ code: undefined, output: `${output}${error.message}` });
    };
    try {
      execFile(program, args, options, ended);
    } catch (error) {
      ended(error instanceof Error ? error : new Error(String(error)), '', '');
    }
  });
}

/**
 * Account, folder and environment of the Postgres processes. Their folder is `/`, as ours may be closed to the account.
 * They get an environment of their own: a stray PGDATA, TZ or LC_ALL must not change them, our secrets are none of
 * theirs, and LC_ALL=C makes the messages English that we look at. Windows cannot do without its own environment.
 */
export function processOptions(account: Account | undefined) {
  const windows = process.platform === 'win32';
  return {
    cwd: windows ? undefined : '/',
    env: windows ? undefined : { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    uid: account?.uid,
    gid: account?.gid,
    windowsHide: true,
  };
}

export async function accountById(owner: { uid: number; gid: number }): Promise<Account> {
  const outcome = await runAs(undefined, 'id', ['-nu', String(owner.uid)]);
  const known = outcome.code === 0;
  return {
    name: known ? outcome.output.trim() : `user id ${owner.uid}`,
    uid: owner.uid,
    gid: owner.gid,
    known,
  };
}

/** The account for files that would otherwise be root's; created when missing. @throws when that is not possible */
export async function postgresAccount(log: { info(message: string): void }): Promise<Account> {
  const existing = await accountByName(NAME);
  if (existing !== undefined) return existing;
  const ways: [string, string[]][] = [
    ['useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/sbin/nologin', NAME]],
    ['adduser', ['-S', '-D', '-H', NAME]], // BusyBox
  ];
  const complaints: string[] = [];
  for (const [program, args] of ways) {
    const outcome = await runAs(undefined, program, args);
    const account = await accountByName(NAME); // also after a failure: another process may have been first
    if (account !== undefined) {
      log.info(`created the account ${NAME}, as Postgres does not run as root`);
      return account;
    }
    complaints.push(`${program}: ${outcome.output.trim()}`);
  }
  throw new Error(
    `Postgres does not run as root, and the account "${NAME}" for it could not be created` +
      ` (${complaints.join('; ')}). Create it, or start Carillon as an ordinary user, or set DATABASE_URL.`,
  );
}

async function accountByName(name: string): Promise<Account | undefined> {
  const uid = await runAs(undefined, 'id', ['-u', name]);
  const gid = await runAs(undefined, 'id', ['-g', name]);
  if (uid.code !== 0 || gid.code !== 0) return undefined;
  return { name, uid: Number(uid.output), gid: Number(gid.output), known: true };
}
