/** Sessions of our own with databases that jobs are given. */
import pg from 'pg';
import { codeOf } from '../../errors.ts';
import { messageOf } from '../storage/target-faults.ts';
import { type PgConnection, readConnection } from './pg-connection.ts';
import { type DatabaseRole, sessionFault } from './pg-session-faults.ts';

export type SessionOptions = { role: DatabaseRole; signal?: AbortSignal | undefined; database?: string };

/**
 * Connects, works, disconnects.
 *
 * @throws JobError: `InvalidConfiguration` when the login is refused, retryable `SourceUnreachable` (of a target:
 *   `TargetUnreachable`) when the server does not answer; the signal's reason
 */
export async function withSession<T>(
  connection: PgConnection,
  { role, signal, database }: SessionOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => undefined);
  const onAbort = () => aborted.reject(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let client: pg.Client | undefined;
  try {
    client = await connectAny(connection.configs(database), aborted.promise);
    return await Promise.race([work(client), aborted.promise]);
  } catch (error) {
    throw signal?.aborted ? signal.reason : sessionFault(error, connection, role);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (client !== undefined) hangUp(client);
  }
}

/**
 * One wants encryption that the other has not, or the other way round: then by the next config. Who calls it ends the
 * client, also by `hangUp`.
 *
 * @param aborted rejects when nobody waits any more
 */
export async function connectAny(
  [config, ...others]: pg.ClientConfig[],
  aborted: Promise<never>,
): Promise<pg.Client> {
  const client = new pg.Client(config);
  client.on('error', () => undefined); // the query's rejection tells
  try {
    await Promise.race([client.connect(), aborted]);
    return client;
  } catch (error) {
    hangUp(client);
    const isOfEncryption = codeOf(error) === '28000' || /does not support SSL/.test(messageOf(error));
    if (others.length === 0 || !isOfEncryption) throw error;
    // What the second way is told matters only when it gets further than a refusal of encryption.
    return await connectAny(others, aborted).catch((second) => {
      throw /does not support SSL/.test(messageOf(second)) ? error : second;
    });
  }
}

/** Not awaited: with a query in flight it cuts the connection, and a server that is away never answers. */
export function hangUp(client: pg.Client): void {
  client.end().catch(() => undefined);
}

export type ServerVersion = {
  /** 18 of 18.4 */
  major: number;
  /** As the server says it. */
  text: string;
};

/** @throws as `withSession` */
export async function serverVersion(
  url: string,
  signal?: AbortSignal,
  role: DatabaseRole = 'source',
): Promise<ServerVersion> {
  const connection = readConnection(url);
  return await withSession(connection, { role, signal }, async (client) => {
    const found = await client.query<{ number: string; text: string }>(
      `select current_setting('server_version_num') as number, current_setting('server_version') as text`,
    );
    const { number, text } = found.rows[0]!;
    return { major: Math.floor(Number(number) / 10_000), text };
  });
}
