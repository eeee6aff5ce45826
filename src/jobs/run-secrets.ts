/** The secrets of a run's input, opened for its attempt alone. */
import type { ClaimedRun } from '../db/run-store.ts';
import { DomainError, messageOf } from '../errors.ts';
import { type Redact, redactUrls } from '../secrets/redaction.ts';
import type { SecretService } from '../secrets/secret-service.ts';
import type { LiveAttempt } from './live-attempt.ts';
import { type AttemptEnd, failureOf } from './run-job.ts';

export type OpenedRun = {
  /** With the values in its input: for the job alone. */
  run: ClaimedRun;
  redact: Redact;
  values: ReadonlyMap<string, string>;
};

/** Or how the attempt ends that cannot have them. Never throws. */
export async function openSecrets(
  secrets: Pick<SecretService, 'resolve'>,
  run: ClaimedRun,
  live: LiveAttempt,
): Promise<OpenedRun | AttemptEnd> {
  try {
    const { input, redact, values } = await secrets.resolve(run.input);
    return { run: input === run.input ? run : { ...run, input }, redact, values };
  } catch (error) {
    const failure = failureOf(run, live, redactUrls);
    if (error instanceof DomainError && error.code === 'invalid') {
      return failure({ type: 'InvalidConfiguration', message: error.message }, { retryable: false });
    }
    // Another node may have the key, or the database may answer again.
    return failure({ type: 'SecretUnavailable', message: messageOf(error) }, { retryable: true });
  }
}
