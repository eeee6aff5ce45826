import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { plantMigration } from '../../chaos/newer-version.ts';
import { migrate, migrationsFolder } from '../../src/db/migrate.ts';
import { databaseUrl, withClient } from '../support/postgres-server.ts';

let url: string;
let admin: pg.Client;
beforeAll(async () => {
  admin = new pg.Client({ connectionString: inject('adminUrl') });
  await admin.connect();
});
beforeEach(async () => {
  // Of the run's own, so that whoever cleans up after it finds it.
  const name = `${inject('databasePrefix')}${randomBytes(5).toString('hex')}`;
  await admin.query(`create database ${name}`);
  url = databaseUrl(inject('adminUrl'), name);
});
const folders: string[] = [];
afterAll(async () => {
  await admin.end();
  for (const folder of folders) await rm(folder, { recursive: true });
});

async function query<T extends pg.QueryResultRow>(text: string): Promise<T[]> {
  let rows: T[] = [];
  await withClient(url, async (client) => {
    rows = (await client.query<T>(text)).rows;
  });
  return rows;
}

const applied = () => query('select hash from carillon_migrations.__drizzle_migrations order by id');
const advisoryLocks = (which: string) =>
  query<{ waiting: number }>(`
    select count(*)::int as waiting from pg_locks where locktype = 'advisory' and ${which}
      and database = (select oid from pg_database where datname = current_database())`) as Promise<
    [{ waiting: number }]
  >;
/** Ours, and one more. */
async function newerMigrations(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-migrations-'));
  folders.push(folder);
  await cp(migrationsFolder, folder, { recursive: true });
  await plantMigration(folder);
  return folder;
}
const journal = async () =>
  (
    JSON.parse(await readFile(join(migrationsFolder, 'meta/_journal.json'), 'utf8')) as {
      entries: { tag: string }[];
    }
  ).entries;

describe('migrate', () => {
  it('brings an empty database to the present schema, ours and graphile’s', async () => {
    await migrate(url);
    expect(await applied()).toHaveLength((await journal()).length);
    const tables = await query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
    );
    expect(tables.map((table) => table.name)).toEqual([
      'backfills',
      'backups',
      'calendars',
      'dispatch_state',
      'notifications',
      'notify_events',
      'outages',
      'queue_drains',
      'queue_tasks',
      'queues',
      'retention_state',
      'run_attempts',
      'run_logs',
      'run_progress',
      'run_steps',
      'runs',
      'schedule_calendars',
      'schedule_secrets',
      'schedule_states',
      'schedule_versions',
      'schedules',
      'secrets',
      'sync_watermarks',
      'workers',
    ]);
    await query(`select graphile_worker.add_job('run/default')`);
  });

  it('a second time changes nothing', async () => {
    await migrate(url);
    const before = await applied();
    await query(`insert into dispatch_state values (1, '2026-03-01T00:00:00Z')`);
    await migrate(url);
    expect(await applied()).toEqual(before);
    expect(await query('select id from dispatch_state')).toEqual([{ id: 1 }]);
  });

  it('by many nodes at once is done once, and all of them succeed', async () => {
    await Promise.all(Array.from({ length: 5 }, () => migrate(url)));
    expect(await applied()).toHaveLength((await journal()).length);
  });

  it('waits for the node that is at it, and leaves no lock behind', async () => {
    await withClient(url, async (other) => {
      // The key that every version of every node must take, so it is written down here a second time.
      await other.query('select pg_advisory_lock(7244106)');
      const migrated = migrate(url);
      for (let waiting = 0; waiting === 0; ) [{ waiting }] = await advisoryLocks('not granted');
      expect(await query(`select to_regclass('public.runs') as runs`)).toEqual([{ runs: null }]);
      await other.query('select pg_advisory_unlock(7244106)');
      await migrated;
    });
    expect(await query(`select to_regclass('public.runs') is not null as there`)).toEqual([{ there: true }]);
    expect(await advisoryLocks('true')).toEqual([{ waiting: 0 }]);
  });

  it('when it fails leaves the database without half a migration, and can be done again', async () => {
    // A table that is in the way of one in the middle.
    await query('create table runs (id int)');
    await expect(migrate(url)).rejects.toThrow();
    const tables = await query(
      `select table_name from information_schema.tables where table_schema = 'public'`,
    );
    expect(tables).toEqual([{ table_name: 'runs' }]);
    await query('drop table runs');
    await migrate(url);
    expect(await applied()).toHaveLength((await journal()).length);
  });

  it('gives schedules of before a history that begins with what they are, and paused ones their pause', async () => {
    const tags = (await journal()).map(({ tag }) => tag);
    const texts = await Promise.all(
      tags.map((tag) => readFile(join(migrationsFolder, `${tag}.sql`), 'utf8')),
    );
    const from = tags.findIndex((tag) => tag.endsWith('_versions'));
    await query(texts.slice(0, from).join(';'));
    await query(`
      insert into schedules (id, name, description, labels, trigger, timezone, dst, overlap, catch_up, catch_up_window_ms,
        job_type, job_input, task_queue, timeout_ms, retry, status, note, paused_at, version, created_at, updated_at)
      select gen_random_uuid(), name, '', '{}', '{"kind":"every","everyMs":60000,"offsetMs":0}', 'UTC', '{}', 'skip',
        'none', 10000, 'noop', '{}', 'default', 1000, '{}', status, note, paused_at, version, '2026-03-01', '2026-03-02'
      from (values ('held', 'paused', 'why', '2026-03-02T01:02:03Z'::timestamptz, 5), ('free', 'active', null, null, 1))
        as v(name, status, note, paused_at, version)`);
    await query(texts[from]!);
    const paused = [{ labels: null, sinceMs: Date.parse('2026-03-02T01:02:03Z'), actor: 'api', note: 'why' }];
    expect(
      await query(`
        select v.version, actor, action, v.status, v.pauses, definition->>'name' as name, superseded_at as over
        from schedule_versions v join schedules s on s.id = v.schedule_id and s.pauses = v.pauses order by 1`),
    ).toEqual([
      {
        version: 1,
        actor: 'carillon',
        action: 'created',
        status: 'active',
        pauses: [],
        name: 'free',
        over: null,
      },
      {
        ...{ version: 5, actor: 'carillon', action: 'updated', status: 'paused' },
        ...{ pauses: paused, name: 'held', over: null },
      },
    ]);
    await query(texts.slice(from + 1).join(';') || 'select');
  });

  it('lets everybody else through while a long transaction is in its way, and says whose it is', async () => {
    await migrate(url);
    const warnings: string[] = [];
    const { promise: gaveWay, resolve: giveWay } = Promise.withResolvers<void>();
    const log = {
      info: () => {},
      warn: (text: string) => {
        warnings.push(text);
        giveWay();
      },
    };
    let migrated: Promise<void> | undefined;
    await withClient(url, async (reader) => {
      await reader.query(`set application_name = 'a long backup'; begin; select from runs`);
      migrated = migrate(url, { folder: await newerMigrations(), log });
      await gaveWay;
      // Who came after the migration would wait for as long as the reader takes: for ever, here.
      await withClient(url, async (writer) => {
        await writer.query(`set statement_timeout = '10s'`);
        for (let times = 0; times < 3; times += 1) await writer.query('update runs set attempt = attempt');
      });
      expect(await query(`select to_regclass('public.releases') as made`)).toEqual([{ made: null }]);
      await reader.query('commit');
    });
    await migrated;
    expect(warnings[0]).toMatch(/lock timeout; the longest transaction is of process \d+ \(a long backup\)/);
    expect(await query(`select to_regclass('public.releases') is not null as made`)).toEqual([
      { made: true },
    ]);
  });

  it('by a version that is older than the database changes nothing and says so', async () => {
    await migrate(url, { folder: await newerMigrations() });
    const before = await applied();
    const told: string[] = [];
    await migrate(url, { log: { info: (text) => told.push(text), warn: () => {} } });
    expect(await applied()).toEqual(before);
    expect(told).toEqual([
      expect.stringContaining('migrated by a newer version (1 migrations that this one does not know)'),
    ]);
  });

  it('does not wait for a server that knows us and says no', async () => {
    const wrong = new URL(url);
    wrong.pathname = '/no_such_database_at_all';
    await expect(migrate(wrong.href)).rejects.toMatchObject({ code: '3D000' });
  });
});
