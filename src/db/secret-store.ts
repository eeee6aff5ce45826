/** The `secrets` table. What it holds is sealed (secrets/secret-box.ts): no value passes through here. */
import { toIso } from '../clock.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { arrayParam } from './array-literal.ts';
import { brokenConstraint, type Db, type Tx } from './client.ts';
import { type SQL, sql } from './drizzle.ts';
import { epochMs } from './epoch-ms.ts';
import { pageOf } from './keyset-page.ts';

/** All that may be told of a secret. */
export type StoredSecret = {
  id: string;
  name: string;
  description: string;
  version: number;
  createdAtMs: number;
  updatedAtMs: number;
};

export type SealedSecret = {
  name: string;
  sealed: Buffer;
  /** Of the key that it is sealed under. */
  keyId: string;
};

const told = sql`id, name, description, version, ${epochMs('created_at')} as "createdAtMs",
  ${epochMs('updated_at')} as "updatedAtMs"`;
const kept = sql`name, sealed, key_id as "keyId"`;

export async function findSecret(db: Db | Tx, name: string): Promise<StoredSecret | null> {
  const { rows } = await db.execute<StoredSecret>(sql`select ${told} from secrets where name = ${name}`);
  return rows[0] ?? null;
}

/** Newest first. */
export async function listSecrets(db: Db | Tx, page: PageRequest): Promise<Page<StoredSecret>> {
  const after: SQL = page.after === null ? sql`` : sql`where id < ${page.after}`;
  const { rows } = await db.execute<StoredSecret>(
    sql`select ${told} from secrets ${after} order by id desc limit ${page.limit + 1}`,
  );
  return pageOf(rows, page, (row) => row);
}

/** Those of these names that there are. */
export async function readSealed(db: Db | Tx, names: readonly string[]): Promise<SealedSecret[]> {
  const { rows } = await db.execute<SealedSecret>(
    sql`select ${kept} from secrets where name = any(${arrayParam(names)}::text[])`,
  );
  return rows;
}

/** Which of these names there are. */
export async function knownSecrets(db: Db | Tx, names: readonly string[]): Promise<Set<string>> {
  const { rows } = await db.execute<{ name: string }>(
    sql`select name from secrets where name = any(${arrayParam(names)}::text[])`,
  );
  return new Set(rows.map((row) => row.name));
}

/** It cannot change or be deleted until the transaction ends. */
export async function lockSecret(tx: Tx, name: string): Promise<(StoredSecret & SealedSecret) | null> {
  const { rows } = await tx.execute<StoredSecret & SealedSecret>(
    sql`select ${told}, ${kept} from secrets where name = ${name} for update`,
  );
  return rows[0] ?? null;
}

/** Creates it, or replaces what it has and counts its version up. */
export async function putSecret(
  tx: Tx,
  secret: { id: string; description: string } & SealedSecret,
  atMs: number,
): Promise<{ created: boolean; secret: StoredSecret }> {
  const at = toIso(atMs);
  const { rows } = await tx.execute<StoredSecret>(sql`
    insert into secrets (id, name, description, sealed, key_id, version, created_at, updated_at)
    values (${secret.id}, ${secret.name}, ${secret.description}, ${secret.sealed}, ${secret.keyId}, 1, ${at}, ${at})
    on conflict (name) do update set description = excluded.description, sealed = excluded.sealed,
      key_id = excluded.key_id, version = secrets.version + 1, updated_at = excluded.updated_at
    returning ${told}`);
  const stored = rows[0]!;
  return { created: stored.version === 1, secret: stored };
}

/** `in_use` when a schedule refers to it. */
export async function deleteSecret(db: Db | Tx, name: string): Promise<'done' | 'unknown' | 'in_use'> {
  try {
    const { rowCount } = await db.execute(sql`delete from secrets where name = ${name}`);
    return rowCount === 1 ? 'done' : 'unknown';
  } catch (error) {
    if (brokenConstraint(error) === 'schedule_secrets_secret_fk') return 'in_use';
    throw error;
  }
}

/** The secrets that a schedule's input refers to are these from now on. Answers those that there are not. */
export async function linkSecrets(tx: Tx, scheduleId: string, names: readonly string[]): Promise<string[]> {
  const named = arrayParam(names);
  // The foreign key keeps them from being deleted until the transaction ends.
  await tx.execute(sql`
    with named as (select id from secrets where name = any(${named}::text[])),
    gone as (
      delete from schedule_secrets where schedule_id = ${scheduleId} and secret_id not in (select id from named)
    )
    insert into schedule_secrets (secret_id, schedule_id) select id, ${scheduleId} from named
    on conflict do nothing`);
  const known = await knownSecrets(tx, names);
  return names.filter((name) => !known.has(name));
}

/** Names of schedules whose input refers to a secret, at most `limit`. */
export async function nameSecretUsers(db: Db | Tx, name: string, limit: number): Promise<string[]> {
  const { rows } = await db.execute<{ name: string }>(sql`
    select s.name from secrets x join schedule_secrets u on u.secret_id = x.id join schedules s on s.id = u.schedule_id
    where x.name = ${name} order by s.name limit ${limit}`);
  return rows.map((row) => row.name);
}
