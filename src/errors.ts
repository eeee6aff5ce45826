/**
 * The faults that a caller can mend, as values of one class. Routes map them to problem+json (RFC 9457);
 * nothing below the routes knows HTTP. A message names the thing, its state, and what to do.
 */
export const errorCodes = ['invalid', 'not_found', 'conflict', 'precondition_failed'] as const;
export type ErrorCode = (typeof errorCodes)[number];

/** One thing wrong with the input. `pointer` is a JSON Pointer (RFC 6901) into the request body, or `?name` for a query parameter. */
export type Issue = { pointer: string; detail: string };

export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly issues: readonly Issue[];

  constructor(code: ErrorCode, message: string, issues: readonly Issue[] = []) {
    super(message);
    this.name = 'DomainError';
    this.code = code;
    this.issues = issues;
  }
}

/** The input breaks a rule; `pointer` names the field. */
export function invalid(pointer: string, detail: string): DomainError {
  return new DomainError('invalid', detail, [{ pointer, detail }]);
}

/** Several things are wrong at once; all are told. */
export function invalidAll(issues: readonly Issue[]): DomainError {
  return new DomainError('invalid', issues.map((issue) => issue.detail).join(' '), issues);
}

export function notFound(what: string): DomainError {
  return new DomainError('not_found', what);
}

/** The request is well-formed but the thing is in a state that does not allow it. */
export function conflict(why: string, issues: readonly Issue[] = []): DomainError {
  return new DomainError('conflict', why, issues);
}

/** The code of a system, database or TLS fault, such as `ENOENT`; "" without one. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** The message of anything that was thrown, also of what is not an Error. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) {
    if (error.message !== '') return error.message;
    return error instanceof AggregateError ? error.errors.map(messageOf).join('; ') : error.name;
  }
  return typeof error === 'string' ? error : String(error);
}

/** For a promise that is awaited later, or by nobody: that it rejects meanwhile is no fault of the process. */
export function heardLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
