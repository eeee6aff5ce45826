/** What a job gave back or threw, in the form in which it is kept. Pure. */
import { messageOf } from '../errors.ts';
import type { RunError } from '../runs/run.ts';
import { JobError } from './job.ts';

/** An output beyond this is a fault of the job. */
export const outputBytesMax = 256 * 1024;
/** As deep as JSON from outside may be; Postgres gives up at some ten thousand levels. */
const outputDepthMax = 64;
const messageLengthMax = 4000;
const typeLengthMax = 200;

/**
 * An output once and for all as JSON: an object could change after this, or say something else the next time.
 * Throws JobError, not to be retried, for one that is too large or too deep. `whose` is told in it.
 */
export function normalised(output: unknown, whose = ''): unknown {
  const of = whose === '' ? 'The output' : `The output of ${whose}`;
  const text = JSON.stringify(output) ?? 'null';
  const size = Buffer.byteLength(text);
  if (size > outputBytesMax) {
    const message = `${of} has ${size} bytes; at most ${outputBytesMax} are kept.`;
    throw new JobError('OutputTooLarge', message, { retryable: false });
  }
  if (isDeeper(text, outputDepthMax)) {
    const message = `${of} is nested deeper than ${outputDepthMax} levels, which is more than is kept.`;
    throw new JobError('OutputTooDeep', message, { retryable: false });
  }
  return JSON.parse(text);
}

export type Fault = { retryable: boolean; retryAfterMs?: number | undefined };

/** Anything can be thrown, also what cannot be turned into words. */
export function faultOf(thrown: unknown): [RunError, Fault] {
  try {
    if (thrown instanceof JobError) {
      const { type, message, retryable, retryAfterMs } = thrown;
      const fault = { retryable, retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : undefined };
      return [{ type: String(type), message: String(message) }, fault];
    }
    const type = thrown instanceof Error ? String(thrown.name) : 'Error';
    return [{ type, message: String(messageOf(thrown)) }, { retryable: true }];
  } catch {
    const message = `The job threw something that says nothing of itself (${typeof thrown}).`;
    return [{ type: 'Error', message }, { retryable: true }];
  }
}

/** An error as it is stored. */
export function keptError(error: RunError): RunError {
  return { type: clean(error.type).slice(0, typeLengthMax).toWellFormed(), message: clean(error.message) };
}

/** Whether JSON text nests arrays and objects more than `levels` deep. */
function isDeeper(json: string, levels: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < json.length; at += 1) {
    const char = json[at];
    if (quoted) {
      if (char === '\\') at += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '[' || char === '{') {
      depth += 1;
      if (depth > levels) return true;
    } else if (char === ']' || char === '}') depth -= 1;
  }
  return false;
}

/** Postgres stores no null characters, and nobody reads a message of a megabyte. */
export function clean(message: string): string {
  const text = message.replaceAll('\u0000', '\\0').toWellFormed();
  return text.length <= messageLengthMax
    ? text
    : `${text.slice(0, messageLengthMax).toWellFormed()}… (${text.length} characters)`;
}
