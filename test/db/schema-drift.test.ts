import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api';
import { sql } from 'drizzle-orm';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findDrift } from '../../scripts/db-check.ts';
import { migrationsFolder } from '../../src/db/migrate.ts';
import * as schema from '../../src/db/schema.ts';
import { type House, setupHouse } from '../support/house.ts';

describe('the migrations', () => {
  let copy: string;
  beforeEach(async () => {
    copy = await mkdtemp(join(tmpdir(), 'carillon-drift-'));
    await cp(migrationsFolder, copy, { recursive: true });
  });
  afterEach(() => rm(copy, { recursive: true }));

  async function edit(name: string, change: (content: string) => string) {
    const path = join(copy, name);
    await writeFile(path, change(await readFile(path, 'utf8')));
  }
  async function editLast(change: (content: string) => string) {
    const { entries } = JSON.parse(await readFile(join(copy, 'meta/_journal.json'), 'utf8')) as {
      entries: unknown[];
    };
    await edit(`meta/${String(entries.length - 1).padStart(4, '0')}_snapshot.json`, change);
  }

  it('are what the schema says', async () => {
    expect(await findDrift(migrationsFolder)).toEqual([]);
  });

  it('that lack a column are told by table and column', async () => {
    await editLast((text) => text.replaceAll('"due_at"', '"when_due"'));
    expect(await findDrift(copy)).toContainEqual(
      expect.stringMatching(/^public\.schedule_states differs in .*columns \(due_at, when_due\)/),
    );
  });

  it('that lack a table, or have one too many, are told', async () => {
    await editLast((text) => text.replace('"public.outages":', '"public.breaks":'));
    expect(await findDrift(copy)).toEqual([
      'public.breaks is in the migrations and not in the schema',
      'public.outages is in the schema and not in the migrations',
    ]);
  });

  it('that would break nodes of the version before are told', async () => {
    const { entries } = JSON.parse(await readFile(join(copy, 'meta/_journal.json'), 'utf8')) as {
      entries: { tag: string }[];
    };
    const { tag } = entries.at(-1)!;
    const add = (text: string) => edit(`${tag}.sql`, (sqlText) => `${sqlText};\n${text}`);
    await add(
      'ALTER TABLE "runs" ADD COLUMN "a" text;\nALTER TABLE "runs" ADD COLUMN "b" int DEFAULT 0 NOT NULL;',
    );
    expect(await findDrift(copy)).toEqual([]);
    await add(`ALTER TABLE "runs" DROP COLUMN "a"; ALTER TABLE "runs" RENAME COLUMN "b" TO "c";
      ALTER TABLE "runs" ALTER COLUMN "b" SET NOT NULL; ALTER TABLE "runs" ALTER COLUMN "b" SET DATA TYPE text;
      ALTER TABLE "runs" ADD COLUMN "d" text NOT NULL;`);
    expect(await findDrift(copy)).toEqual([
      `${tag} drops what the version before may use`,
      `${tag} renames what the version before may use`,
      `${tag} forbids a null that the version before may write`,
      `${tag} changes a type, which writes the whole table while everybody waits`,
      `${tag} adds a column that the version before cannot fill`,
    ]);
    await add('-- unused since 0.2.0');
    expect(await findDrift(copy)).toEqual([]);
  });

  it('that are dated before the ones they follow are told', async () => {
    await edit('meta/_journal.json', (text) => {
      const journal = JSON.parse(text) as { entries: { when: number; tag: string }[] };
      journal.entries.at(-1)!.when = journal.entries[0]!.when;
      return JSON.stringify(journal);
    });
    expect(await findDrift(copy)).toEqual([
      expect.stringMatching(/^\d{4}_\w+ is dated before the one it follows/),
    ]);
  });

  it('whose constraint has another text are told', async () => {
    await editLast((text) => text.replace("in ('cancel', 'stop')", "in ('cancel')"));
    expect(await findDrift(copy)).toEqual(['public.runs differs in checkConstraints (runs_signal_check)']);
  });

  it('with a file that the journal does not name, or the other way round, are told', async () => {
    await writeFile(join(copy, '0099_forgotten.sql'), 'select 1;');
    expect(await findDrift(copy)).toEqual([
      '0099_forgotten.sql is not in the journal, so it is never applied',
    ]);
    await rm(join(copy, '0099_forgotten.sql'));
    await rm(join(copy, '0001_storage.sql'));
    expect(await findDrift(copy)).toEqual(['0001_storage.sql is in the journal and not in the folder']);
  });

  it('with a broken chain of snapshots are told', async () => {
    await edit('meta/0000_snapshot.json', (text) => text.replace(/"id": "[^"]+"/, '"id": "another"'));
    expect(await findDrift(copy)).toEqual(['meta/0001_snapshot.json does not follow the one before it']);
  });

  it('that have drifted end npm run db:check with 1 and what to do', async () => {
    await rm(join(copy, '0001_storage.sql'));
    const script = fileURLToPath(new URL('../../scripts/db-check.ts', import.meta.url));
    const ended = await new Promise((resolve) => {
      execFile(process.execPath, [script, copy], (error, _stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stderr }),
      );
    });
    expect(ended).toEqual({
      code: 1,
      stderr:
        'migrations/ is not what src/db/schema.ts says; run npm run db:generate.\n- 0001_storage.sql is in the journal and not in the folder\n',
    });
  });
});

describe('a migrated database', () => {
  let house: House;
  beforeAll(async () => {
    house = await setupHouse();
  });
  afterAll(() => house.close());

  it('has the tables, columns, keys, checks and indexes that the schema alone would give, and no others', async () => {
    const client = await house.pool.connect();
    try {
      await client.query('create schema fresh; set search_path to fresh');
      for (const statement of await generateMigration(generateDrizzleJson({}), generateDrizzleJson(schema))) {
        await client.query(statement.replaceAll('"public".', ''));
      }
      const fresh = await catalogue(client, 'fresh');
      expect(fresh.length).toBeGreaterThan(100);
      expect(await catalogue(client, 'public')).toEqual(fresh);
    } finally {
      client.release(true);
    }
  });

  it('has what drizzle has no words for: the guard of ended runs, and storage for hot tables', async () => {
    const { rows } = await house.db.execute<{ table: string; options: string[] | null }>(sql`
      select relname as table, reloptions as options from pg_class
      where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname`);
    const options = new Map(rows.map((row) => [row.table, row.options?.join(' ') ?? '']));
    for (const table of ['runs', 'schedule_states', 'workers', 'dispatch_state']) {
      expect(options.get(table)).toMatch(/fillfactor=\d+/);
      expect(options.get(table)).toMatch(/autovacuum_vacuum_/);
    }
    const triggers = await house.db.execute(sql`
      select tgname as name, tgenabled as enabled from pg_trigger where not tgisinternal
        and tgrelid = 'runs'::regclass`);
    expect(triggers.rows).toEqual([{ name: 'runs_ends_are_final', enabled: 'O' }]);
  });
});

/** Everything in a schema of the database, a line each, in Postgres' own words. */
async function catalogue(client: pg.PoolClient, name: string): Promise<string[]> {
  await client.query(`set search_path to ${name}`);
  const { rows } = await client.query<{ line: string }>(
    `select format('column %s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then ' not null' end, ' default ' || pg_get_expr(d.adbin, d.adrelid)) as line
      from pg_attribute a join pg_class c on c.oid = a.attrelid
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where c.relnamespace = $1::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    union all
    select format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      from pg_constraint where connamespace = $1::regnamespace and contype <> 'n'
    union all
    select 'index ' || replace(pg_get_indexdef(indexrelid), $1 || '.', '')
      from pg_index join pg_class c on c.oid = indexrelid where c.relnamespace = $1::regnamespace
    order by line`,
    [name],
  );
  return rows.map((row) => row.line);
}
