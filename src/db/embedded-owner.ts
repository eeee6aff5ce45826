/**
 * Who owns the embedded server of a data directory: the process that holds an exclusive lock on one file in it.
 *
 * The kernel gives the lock back when its holder dies, however it dies. A file with a pid cannot do that: it goes
 * stale at a SIGKILL, and after a reboot its pid may be anybody's. Node has no flock(), but the SQLite built into
 * it locks files this way on every platform, so an open `BEGIN EXCLUSIVE` on an empty database is our lock. Nothing
 * is ever written into it, and a child process does not inherit it (an orphan server must not look like an owner).
 */
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/** Keeps the connections alive: a garbage-collected one would give its lock back. */
const held = new Set<DatabaseSync>();

/**
 * Takes the lock if nobody has it (in this or another process); never waits.
 *
 * @returns the function that gives it back, or undefined while another holder lives
 * @throws when the file cannot be opened, or its file system has no locks
 */
export function tryToOwn(lockFile: string): (() => void) | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(lockFile, { timeout: 0 });
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE'); // no journal file beside it
  } catch (error) {
    database?.close();
    if (isBusy(error)) return undefined;
    throw new Error(
      `cannot lock ${lockFile} (${String(error)}). It must be writable for this user, and on a disk with file locks.`,
      { cause: error },
    );
  }
  const holder = database;
  held.add(holder);
  return () => {
    if (held.delete(holder)) holder.close();
  };
}

/** The low byte of an extended code is the plain one. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY;
}
