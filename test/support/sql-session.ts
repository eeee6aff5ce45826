/** A connection of the test's own, to look at the database and to lock things in it. */
import pg from 'pg';
import { onTestFinished } from 'vitest';

export type SqlSession = {
  rows<T>(text: string, values?: unknown[]): Promise<T[]>;
  /** The only row. */
  row<T>(text: string, values?: unknown[]): Promise<T>;
  close(): Promise<void>;
};

/** Closed when the test has finished. */
export async function openSession(url: string): Promise<SqlSession> {
  const client = new pg.Client({ connectionString: url, application_name: 'test' });
  client.on('error', () => undefined); // a test that kills the server ends this session too
  await client.connect();
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= client.end().catch(() => undefined);
    return closed;
  };
  onTestFinished(close);
  const rows = async <T>(text: string, values: unknown[] = []) =>
    (await client.query(text, values)).rows as T[];
  return {
    rows,
    async row<T>(text: string, values: unknown[] = []) {
      const found = await rows<T>(text, values);
      if (found.length !== 1) throw new Error(`${found.length} rows instead of one: ${text}`);
      return found[0]!;
    },
    close,
  };
}
