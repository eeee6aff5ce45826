/**
 * Whether a fault means that the database is away. That is neither the caller's mistake nor a bug, so it is worth a
 * 503 with Retry-After instead of a 500: a restarting Postgres is an ordinary event.
 */

/** What the network says when nobody listens or the other side hung up. */
const networkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN']);

/** SQLSTATE: class 08 lost connections, 57P01–57P03 shutting down or starting up, 53300 too many connections. */
const sqlStates = /^(08...|57P0[123]|53300)$/;

/** What pg says, without any code, of a connection that ended or could not be had in time. */
const messages = /^(Connection terminated|timeout exceeded when trying to connect)/;

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
