/** What Postgres complains of in a session of ours, as faults that a retry policy can tell apart. */
import { codeOf } from '../../errors.ts';
import { JobError } from '../job.ts';
import { invalidConfiguration, messageOf } from '../storage/target-faults.ts';
import type { PgConnection } from './pg-connection.ts';

/** A database is what is read, or what is written to; its faults bear different types. */
export type DatabaseRole = 'source' | 'target';

const unreachable = { source: 'SourceUnreachable', target: 'TargetUnreachable' } as const;
const failed = { source: 'SourceFailed', target: 'TargetFailed' } as const;

/** Told apart, as a restore can do something about it. */
export class DatabaseMissing extends JobError {
  constructor(said: string) {
    super('InvalidConfiguration', `Could not log in to ${said}. Correct or create the database.`, {
      retryable: false,
    });
  }
}

/** Of our own session: Postgres tells by SQLSTATE, the system by its code. */
export function sessionFault(error: unknown, connection: PgConnection, role: DatabaseRole): JobError {
  if (error instanceof JobError) return error;
  const code = codeOf(error);
  const said = `${connection.label}: ${connection.redacted(messageOf(error))}`;
  // Not the error as a cause: what a driver hangs on its errors is not ours to publish.
  if (code === '3D000') return new DatabaseMissing(said);
  if (/^28|^0LP01$/.test(code)) {
    return invalidConfiguration(`Could not log in to ${said}. Correct user or password.`);
  }
  if (code === '42501') return invalidConfiguration(`Not allowed at ${said}. Give the user the right to.`);
  if (
    /^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|CERT_|ERR_TLS)|does not support SSL/.test(
      `${code} ${messageOf(error)}`,
    )
  ) {
    return invalidConfiguration(`Could not connect to ${said}. Correct sslmode or sslrootcert.`);
  }
  // Codes of five characters are Postgres'; of those, 08, 53 and 57P pass. What has another code is the system's.
  const isPassing = !/^[0-9A-Z]{5}$/.test(code) || /^(08|53|57P)/.test(code);
  return new JobError(isPassing ? unreachable[role] : failed[role], `Could not work with ${said}`);
}
