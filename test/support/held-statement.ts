/**
 * Statements that stop where a test wants them: a trigger waits for an advisory lock that the test's session holds. So a
 * process can be killed at a boundary that is a write, and not some time near it.
 */
import type { SqlSession } from './sql-session.ts';
import { waitFor } from './wait-for.ts';

const lock = 4711;

export type HeldStatement = {
  /** Resolves when so many statements wait there. */
  reached(times: number): Promise<void>;
  /** Ends those that wait, as if their clients' death had been seen, and lets all later ones pass. */
  release(): Promise<void>;
};

/** `when`: SQL about `new` or `old`; `on`, as "insert or update on runs". */
export async function holdStatement(sql: SqlSession, on: string, when: string): Promise<HeldStatement> {
  await sql.rows(`
    create function wait_for_test() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock(${lock});
      return coalesce(new, old);
    end $$`);
  await sql.rows(
    `create trigger waits_for_test before ${on} for each row when (${when}) execute function wait_for_test()`,
  );
  await sql.rows(`select pg_advisory_lock(${lock})`);
  const waiting = `select pid from pg_locks where locktype = 'advisory' and objid = ${lock} and not granted`;
  return {
    async reached(times) {
      await waitFor(async () => (await sql.rows(waiting)).length === times, {
        what: `${times} statements to wait`,
        timeoutMs: 30_000,
      });
    },
    async release() {
      await sql.rows(`select pg_terminate_backend(pid, 5000) from (${waiting}) held`);
      await sql.rows(`select pg_advisory_unlock(${lock})`);
    },
  };
}
