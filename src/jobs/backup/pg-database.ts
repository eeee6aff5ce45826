/**
 * The database that a restore goes into. One that is to be overwritten is not emptied first: the backup goes into a
 * stand-in beside it, which takes its name when all is there. (`pg_restore --clean` would do it in place, and fails on
 * what it cannot drop alone, as the primary key of a partition.)
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { JobError } from '../job.ts';
import type { PgConnection } from '../postgres/pg-connection.ts';
import { withSession } from '../postgres/pg-session.ts';
import { DatabaseMissing } from '../postgres/pg-session-faults.ts';
import { invalidConfiguration, messageOf } from '../storage/target-faults.ts';

export type RestorePlace = {
  /** The database to restore into. */
  name: string;
  /** `found`: empty. `created`: was missing. `stand-in`: is to take the place of the one that is there. */
  kind: 'found' | 'created' | 'stand-in';
};

const quoted = pg.escapeIdentifier;

/**
 * @throws JobError `InvalidConfiguration` when the database has something already and is not to be overwritten, or the
 *   user may not create one; else as `withSession`
 */
export async function preparePlace(
  connection: PgConnection,
  overwrite: boolean,
  signal: AbortSignal | undefined,
): Promise<RestorePlace> {
  const name = connection.database;
  try {
    const count = await withSession(connection, { role: 'target', signal }, countRelations);
    if (!overwrite && count === 0) return { name, kind: 'found' };
    if (!overwrite) {
      throw invalidConfiguration(
        `Nothing was restored, as ${connection.label} has ${count} tables, views or sequences already: name a database` +
          ' that is empty or does not exist yet.',
      );
    }
  } catch (error) {
    if (!(error instanceof DatabaseMissing)) throw error;
    // Of template0: what this server's template1 was given would be in the way of the backup's own.
    await beside(connection, signal, (client) =>
      client.query(`create database ${quoted(name)} template template0`),
    );
    return { name, kind: 'created' };
  }
  const standIn = `carillon_restore_${randomBytes(6).toString('hex')}`;
  await beside(connection, signal, (client) => createAlike(client, name, standIn));
  return { name: standIn, kind: 'stand-in' };
}

/**
 * Ends the sessions of the old database, drops it, and gives its name to the stand-in. Kept are its encoding, locale,
 * owner and settings; not kept are grants on the database itself.
 *
 * @throws JobError; when it says so, the backup is there under the stand-in's name
 */
export async function takePlace(connection: PgConnection, standIn: string): Promise<void> {
  const name = connection.database;
  await beside(connection, undefined, async (client) => {
    await client.query(`drop database ${quoted(name)} with (force)`);
    try {
      await client.query(`alter database ${quoted(standIn)} rename to ${quoted(name)}`);
    } catch (error) {
      // From here on the stand-in is all there is.
      throw new JobError(
        'RestoreFailed',
        `The backup was restored as "${standIn}", which could not be renamed to "${name}": do that by hand` +
          ` (${connection.redacted(messageOf(error))}).`,
        { retryable: false },
      );
    }
  });
}

/** Also after an abort, so without its signal. Somebody who is connected by now keeps it. Never rejects. */
export async function dropAgain(connection: PgConnection, name: string): Promise<void> {
  await beside(connection, undefined, (client) =>
    client.query(`drop database if exists ${quoted(name)}`),
  ).catch(() => undefined);
}

/** In a session to another database of the server: one cannot create, drop or rename the one that one is in. */
async function beside<T>(
  connection: PgConnection,
  signal: AbortSignal | undefined,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const database = connection.database === 'postgres' ? 'template1' : 'postgres'; // every server has them
  return await withSession(connection, { role: 'target', signal, database }, work);
}

async function createAlike(client: pg.Client, name: string, standIn: string): Promise<void> {
  const found = await client.query<{
    encoding: string;
    collate: string;
    ctype: string;
    owner: string;
    settings: string[] | null;
  }>(
    `select pg_encoding_to_char(d.encoding) as encoding, d.datcollate as collate, d.datctype as ctype,
            pg_get_userbyid(d.datdba) as owner, s.setconfig as settings
       from pg_database d left join pg_db_role_setting s on s.setdatabase = d.oid and s.setrole = 0
      where d.datname = $1`,
    [name],
  );
  const like = found.rows[0];
  if (like === undefined) throw new JobError('TargetUnreachable', `The database "${name}" has just gone.`);
  const { escapeLiteral } = pg;
  await client.query(
    `create database ${quoted(standIn)} template template0 encoding ${escapeLiteral(like.encoding)}` +
      ` lc_collate ${escapeLiteral(like.collate)} lc_ctype ${escapeLiteral(like.ctype)}`,
  );
  try {
    await client.query(`alter database ${quoted(standIn)} owner to ${quoted(like.owner)}`);
    for (const setting of like.settings ?? []) {
      // By way of this session: a list, as search_path, is not to be quoted as one text.
      const [key = '', value] = [
        setting.slice(0, setting.indexOf('=')),
        setting.slice(setting.indexOf('=') + 1),
      ];
      await client.query('select set_config($1, $2, false)', [key, value]);
      const parts = key.split('.').map(quoted).join('.');
      await client.query(`alter database ${quoted(standIn)} set ${parts} from current`);
    }
  } catch (error) {
    await client.query(`drop database if exists ${quoted(standIn)}`);
    throw error;
  }
}

/** Tables, views, sequences and the like of users, without those that belong to an extension. */
async function countRelations(client: pg.Client): Promise<number> {
  const found = await client.query<{ count: number }>(
    `select count(*)::int as count
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
        and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'
        and not exists (select from pg_depend d
                         where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')`,
  );
  return found.rows[0]?.count ?? 0;
}
