/** One try of a task: its secrets, its input, the call, and what came back, in the form in which it is kept. */
import { DomainError, messageOf } from '../../errors.ts';
import type { ClaimedTask } from '../../queues/queue-task.ts';
import type { TryOutcome } from '../../queues/task-end.ts';
import { redactJson, redactUrls } from '../../secrets/redaction.ts';
import type { SecretService } from '../../secrets/secret-service.ts';
import { type JobContext, JobError } from '../job.ts';
import { faultOf, keptError, normalised } from '../job-answer.ts';
import type { HttpTaskContext } from '../task/http-task.ts';
import { type HttpTaskInput, type HttpTaskOutput, httpTaskInput } from '../task/task-input.ts';

export type TaskTryParts = {
  secrets: Pick<SecretService, 'resolve'>;
  call(context: HttpTaskContext, input: HttpTaskInput): Promise<HttpTaskOutput>;
};

/** Of an answer's body this many characters are kept: queues have many tasks. */
export const keptBodyLengthMax = 4_096;

/** Never rejects; null when the drain was aborted meanwhile. */
export async function tryTask(
  { secrets, call }: TaskTryParts,
  context: JobContext,
  task: ClaimedTask,
): Promise<TryOutcome | null> {
  let redact = redactUrls;
  try {
    const resolved = await secrets.resolve(task.input).catch((error) => Promise.reject(secretFault(error)));
    redact = resolved.redact;
    const input = httpTaskInput.safeParse(resolved.input);
    if (!input.success) {
      const message = `The input of the task does not fit: ${input.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`;
      throw new JobError('InvalidConfiguration', message, { retryable: false });
    }
    const output = await call(contextOf(context, task, redact), input.data);
    return { kind: 'succeeded', output: kept(redactJson(normalised(output), redact)) };
  } catch (thrown) {
    if (context.signal.aborted) return null;
    const [{ type, message }, failure] = faultOf(thrown);
    const error = keptError({ type: redact(type), message: redact(message) });
    return { kind: 'failed', error, failure };
  }
}

function contextOf(context: JobContext, task: ClaimedTask, redact: (text: string) => string) {
  return {
    runId: context.runId,
    scheduleName: context.scheduleName,
    attempt: task.attempt,
    scheduledForMs: task.dueAtMs,
    idempotencyKey: task.id,
    signal: context.signal,
    now: () => context.now(),
    // Of thousands of calls only what went wrong is worth a line, and that is told with the outcome.
    log: () => undefined,
    redact,
  };
}

/** As for a run (run-secrets.ts): a reference that names nothing never will; a key may come back. */
function secretFault(error: unknown): JobError {
  const isInvalid = error instanceof DomainError && error.code === 'invalid';
  return new JobError(isInvalid ? 'InvalidConfiguration' : 'SecretUnavailable', messageOf(error), {
    retryable: !isInvalid,
    cause: error,
  });
}

function kept(output: unknown): unknown {
  const { body } = output as { body?: unknown };
  if (typeof body !== 'string' || body.length <= keptBodyLengthMax) return output;
  return {
    ...(output as object),
    body: body.slice(0, keptBodyLengthMax).toWellFormed(),
    bodyTruncated: true,
  };
}
