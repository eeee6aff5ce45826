/**
 * Whether a fault means that the database is away, or takes no changes for now. That is neither the caller's mistake nor a bug, so it is worth a
 * 503 with Retry-After instead of a 500: a restarting Postgres is an ordinary event.
 */

/** What the network says when nobody listens or the other side hung up. */
const networkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN']);

/**
 * SQLSTATE: class 08 lost connections, 57P01–57P03 shutting down or starting up, class 53 out of connections, memory or
 * disk, 25006 read-only: a standby, until it is promoted.
 */
const sqlStates = /^(08...|57P0[123]|53...|25006)$/;

/** What pg says, without any code, of a connection that ended, or was not there or did not answer in time. */
const messages =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout)/;

const causesMax = 8;

export function isOutage(error: unknown): boolean {
  let cause = error;
  // Query builders wrap what the driver threw.
  for (let depth = 0; depth < causesMax && cause instanceof Error; depth++) {
    const { code } = cause as { code?: unknown };
    if (typeof code === 'string' && (networkCodes.has(code) || sqlStates.test(code))) return true;
    if (messages.test(cause.message)) return true;
    if (cause instanceof AggregateError && cause.errors.some(isOutage)) return true;
    cause = cause.cause;
  }
  return false;
}
