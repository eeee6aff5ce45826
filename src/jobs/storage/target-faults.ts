/** What goes wrong with the places and the databases of jobs, as faults that a retry policy can tell apart. */
import { codeOf } from '../../errors.ts';
import { JobError } from '../job.ts';

const messageLengthMax = 600;

/** Somebody has to install, create, set or correct something: trying again does not help, so the message says what. */
export function invalidConfiguration(message: string): JobError {
  return new JobError('InvalidConfiguration', message, { retryable: false });
}

export function backupMissing(name: string, location: string): JobError {
  return new JobError('BackupMissing', `There is no ${name} at ${location}.`, { retryable: false });
}

/** The file does not say what it said when it was written; it will not get better by reading it again. */
export function backupDamaged(message: string): JobError {
  return new JobError('BackupDamaged', message, { retryable: false });
}

/**
 * What a system call on a file of `folder` meant. Retryable `TargetFull` and `TargetUnreachable` (a network drive that
 * is away tells itself as EIO, ESTALE and the like), else `InvalidConfiguration`.
 */
export function fileFault(error: unknown, folder: string): JobError {
  if (error instanceof JobError) return error;
  const code = codeOf(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new JobError(
        'TargetFull',
        `There is no room left at ${folder} (${code}): free some, or let retentionDays keep fewer backups.`,
      );
    case 'ENOENT':
      return invalidConfiguration(`${folder} does not exist: create it, or mount what should be there.`);
    case 'ENOTDIR':
      return invalidConfiguration(`${folder} is not a folder: give the backups a folder of their own.`);
    case 'EACCES':
    case 'EPERM':
      return invalidConfiguration(
        `${folder} may not be read and written by the account that runs Carillon (${code}): give it the right to.`,
      );
    case 'EROFS':
      return invalidConfiguration(`${folder} is mounted read-only: mount it for writing.`);
    case 'EFBIG':
      return invalidConfiguration(
        `The file system of ${folder}, or a limit of the process, allows no file so large.`,
      );
    case 'ENAMETOOLONG':
    case 'ELOOP':
      return invalidConfiguration(`${folder} cannot be reached by its name (${code}): correct it.`);
    default:
      return new JobError('TargetUnreachable', `${folder} failed: ${oneLine(messageOf(error))}`, {
        cause: error,
      });
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || codeOf(error) || error.name : String(error);
}

/** For messages: one line of bounded length. */
export function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\s]+/gu, ' ').trim();
  return line.length <= messageLengthMax ? line : `${line.slice(0, messageLengthMax)}…`;
}
