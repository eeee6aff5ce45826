/** What Postgres' programs complain of, as faults that a retry policy can tell apart. */
import { JobError } from '../job.ts';
import type { PgConnection } from '../postgres/pg-connection.ts';
import type { DatabaseRole } from '../postgres/pg-session-faults.ts';
import { backupDamaged, invalidConfiguration, oneLine } from '../storage/target-faults.ts';

const unreachable = { source: 'SourceUnreachable', target: 'TargetUnreachable' } as const;
const failed = { source: 'DumpFailed', target: 'RestoreFailed' } as const;

/** A program of Postgres that ended with a failure, by what it wrote to stderr. */
export function programFault(stderr: string, connection: PgConnection, role: DatabaseRole): JobError {
  const said = `${role === 'source' ? 'pg_dump' : 'pg_restore'} for ${connection.label}: ${connection.redacted(stderr)}`;
  const login =
    /FATAL: .*(authentication|no pg_hba\.conf|role ".*" (does not|is not)|database ".*" does not exist|permission denied)|no password supplied/;
  if (login.test(stderr))
    return invalidConfiguration(`Could not log in. ${said}. Correct user, password or database.`);
  if (
    /certificate verify failed|certificate for ".*" .*not match|root certificate file|does not support SSL/.test(
      stderr,
    )
  ) {
    return invalidConfiguration(`Could not connect. ${said}. Correct sslmode or sslrootcert.`);
  }
  const gone =
    /connection to server .* failed|could not translate host name|server closed the connection|terminating connection|SSL SYSCALL|no connection to the server|connection not open/;
  if (gone.test(stderr)) return new JobError(unreachable[role], said);
  if (/permission denied for|must be owner|must be superuser|must be able to SET ROLE/.test(stderr)) {
    return invalidConfiguration(`Not allowed. ${said}. Give the user the right to, or use the owner.`);
  }
  if (/server version mismatch/.test(stderr)) {
    return invalidConfiguration(`${said}. Install the client tools of the server's version.`);
  }
  return role === 'target'
    ? restoreFault(stderr, said)
    : new JobError(failed.source, `${said || 'It ended without a word.'}`);
}

/** A length that is nonsense makes pg_restore ask for as much memory; the server's own want begins with "ERROR:". */
const wantsTooMuch = /^out of memory$/m;
const unreadable =
  /magic string|unexpected end of file|end of file|could not read from input|uncompress|could not find block ID|too short|corrupt|input file (is empty|does not appear)|invalid (header|entry|dump|compression)|unexpected (section|block)|unrecognized data block|found unexpected|sanity check|bad dumpId|text format dump/;

/** What archive readers say of a file that they cannot read to its end. */
function isDamage(stderr: string): boolean {
  return unreadable.test(stderr) || wantsTooMuch.test(stderr);
}

/** pg_restore that only read. @param how it ended, as "exit code 1" or "SIGKILL" */
export function readFault(stderr: string, how: string): JobError {
  const said = `pg_restore: ${oneLine(stderr || how)}`;
  if (/unsupported version \(.*\) in file header/.test(stderr)) return tooNew(said);
  // It was killed, for its memory or with its container: that tells nothing of the backup.
  if (how.startsWith('SIG'))
    return new JobError(failed.target, `The backup could not be read. ${said} (${how})`);
  return backupDamaged(`The backup cannot be read. ${said}`);
}

function tooNew(said: string): JobError {
  return invalidConfiguration(`${said}. Install client tools at least as new as those that made the backup.`);
}

function restoreFault(stderr: string, said: string): JobError {
  if (/unsupported version \(.*\) in file header/.test(stderr)) {
    return invalidConfiguration(
      `${said}. Install client tools at least as new as those that made the backup.`,
    );
  }
  if (/unrecognized configuration parameter/.test(stderr)) {
    return invalidConfiguration(
      `${said}. The client tools are newer than the server, and set what it does not know: install those of the` +
        " server's own version, or restore into a newer server.",
    );
  }
  if (
    /extension ".*" is not available|could not open extension control file|could not access file/.test(stderr)
  ) {
    return invalidConfiguration(`${said}. Install what is missing on the server.`);
  }
  if (/role ".*" does not exist|tablespace ".*" does not exist/.test(stderr)) {
    return invalidConfiguration(`${said}. Create it on the server.`);
  }
  if (/No space left on device|could not extend file/.test(stderr)) return new JobError('TargetFull', said);
  if (isDamage(stderr)) return backupDamaged(said);
  return new JobError(failed.target, said);
}
