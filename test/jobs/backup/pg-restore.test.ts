import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PgClient } from '../../../src/jobs/backup/pg-client.ts';
import { listDump, restoreDump, verifyDump } from '../../../src/jobs/backup/pg-restore.ts';
import { children, type DumpScene, startRichDumpScene } from '../../support/dump-scene.ts';
import { withClient } from '../../support/postgres-server.ts';
import { portrait } from '../../support/rich-database.ts';
import { findSystemPostgres } from '../../support/system-postgres.ts';

const system = await findSystemPostgres();

// Skipped: no PostgreSQL server and clients under /usr/lib/postgresql/*/bin.
describe.skipIf(system === undefined)('a dump', () => {
  let scene: DumpScene;
  let dumper: PgClient;
  let restorer: PgClient;
  let source: string;
  let dump: Buffer;

  beforeAll(async () => {
    const rich = await startRichDumpScene(system!);
    scene = rich;
    ({ dumper, restorer, source, dump } = rich);
  });

  afterAll(() => scene?.close());

  const from = (bytes: Buffer) => Readable.from([bytes]);
  /** Gives so much, then what comes. */
  const broken = (bytes: Buffer, then: () => Promise<never>) =>
    Readable.from(
      (async function* () {
        yield bytes;
        await then();
      })(),
    );

  it('gives back all of a database, into one that is made for it', async () => {
    const url = scene.newUrl();
    expect(await restoreDump({ content: from(dump), url, client: restorer })).toEqual({ created: true });
    const [was, is] = [await portrait(source, scene.server.bin), await portrait(url, scene.server.bin)];
    expect(Object.keys(was).length).toBeGreaterThanOrEqual(15);
    expect(was.largeObjects).toHaveLength(2);
    expect(is).toEqual(was);
    // And it lives on: sequences and defaults count from where they were.
    await withClient(url, async (client) => {
      const next = await client.query(
        `select nextval('counting')::int as counting, nextval('parent_id_seq')::int as parent, nextval('untouched')::int as untouched`,
      );
      expect(next.rows).toEqual([{ counting: 3, parent: 4711, untouched: 77 }]);
      const id = await client.query("insert into kinds (t) values ('new') returning id");
      const before = await client.query('select max(id)::int as max from kinds where id < $1', [
        id.rows[0].id,
      ]);
      expect(Number(id.rows[0].id)).toBe(before.rows[0].max + 7);
    });
  });

  it('goes into a database that is empty, and into no other', async () => {
    const url = await scene.create();
    expect(await restoreDump({ content: from(dump), url, client: restorer })).toEqual({ created: false });
    await withClient(url, (client) => client.query('truncate kinds'));
    const content = from(dump);
    await expect(restoreDump({ content, url, client: restorer })).rejects.toMatchObject({
      type: 'InvalidConfiguration',
      retryable: false,
      message: expect.stringMatching(/has \d+ tables.*does not exist yet\.$/),
    });
    expect(content.destroyed).toBe(true);
    await withClient(url, async (client) => {
      expect((await client.query('select from kinds')).rowCount).toBe(0);
      await client.query('create table mine (a int)');
      await client.query(
        `alter database "${scene.nameOf(url)}" set search_path = "$user", "od d""s", public`,
      );
      await client.query(`alter database "${scene.nameOf(url)}" set timezone = 'Asia/Kolkata'`);
    });
    // Said so, it takes the place of all that it has, whoever is connected, and keeps its settings.
    await withClient(url, async () => {
      const restored = restoreDump({ content: from(dump), url, client: restorer, overwrite: true });
      expect(await restored).toEqual({ created: false });
    });
    await withClient(url, async (client) => {
      expect((await client.query('show timezone')).rows[0].TimeZone).toBe('Asia/Kolkata');
      expect((await client.query('show search_path')).rows[0].search_path).toBe('"$user", "od d""s", public');
    });
    expect(await portrait(url, scene.server.bin)).toEqual(await portrait(source, scene.server.bin));
  });

  it('may also create a database that may be overwritten', async () => {
    expect(
      await restoreDump({ content: from(dump), url: scene.newUrl(), client: restorer, overwrite: true }),
    ).toEqual({ created: true });
  });

  it('of an extension’s tables only is no obstacle', async () => {
    const url = await scene.create();
    await withClient(url, (client) => client.query('create extension pg_stat_statements'));
    await expect(restoreDump({ content: from(dump), url, client: restorer })).resolves.toEqual({
      created: false,
    });
  });

  it('says what is in it', async () => {
    const list = await listDump(from(dump), restorer);
    expect(list.entries).toBeGreaterThan(80);
    expect(list.serverVersion).toMatch(/^\d+/);
    expect(list.clientVersion).toBe(dumper.version);
    await verifyDump(from(dump), restorer);
  });

  it.each([
    ['empty', () => Buffer.alloc(0)],
    ['noise', () => randomBytes(100_000)],
    ['no more than a beginning', () => dump.subarray(0, 3)],
    ['cut in its list', () => dump.subarray(0, 2000)],
    ['noise after its header', () => Buffer.concat([dump.subarray(0, 11), Buffer.alloc(4096, 0xff)])],
    ['a script', () => Buffer.from('--\n-- PostgreSQL database dump\n--\n\nselect 1;\n'.repeat(50))],
  ])('that is %s is damaged', async (_what, damaged) => {
    const fault = { type: 'BackupDamaged', retryable: false };
    await expect(listDump(from(damaged()), restorer)).rejects.toMatchObject(fault);
    await expect(verifyDump(from(damaged()), restorer)).rejects.toMatchObject(fault);
    const url = scene.newUrl();
    await expect(restoreDump({ content: from(damaged()), url, client: restorer })).rejects.toMatchObject(
      fault,
    );
    expect(await scene.exists(url)).toBe(false);
  });

  it('that lacks its end, or is bent inside, is found out, and leaves the database as it was', async () => {
    const bent = Buffer.from(dump);
    bent.fill(0x5a, Math.floor(dump.length / 2), Math.floor(dump.length / 2) + 4000);
    for (const damaged of [dump.subarray(0, dump.length / 2), dump.subarray(0, dump.length - 10), bent]) {
      expect((await listDump(from(damaged), restorer)).entries).toBeGreaterThan(80);
      await expect(verifyDump(from(damaged), restorer)).rejects.toMatchObject({ type: 'BackupDamaged' });
      const url = scene.newUrl();
      const restored = restoreDump({ content: from(damaged), url, client: restorer });
      await expect(restored).rejects.toMatchObject({ type: 'BackupDamaged' });
      expect(await scene.exists(url)).toBe(false);
    }
    const kept = await scene.create();
    await withClient(kept, (client) => client.query('create table kinds as select 42 as answer'));
    const content = from(dump.subarray(0, dump.length / 2));
    await expect(restoreDump({ content, url: kept, client: restorer, overwrite: true })).rejects.toThrow();
    await withClient(scene.server.url, async (client) => {
      expect(
        (await client.query("select from pg_database where datname like 'carillon_restore%'")).rowCount,
      ).toBe(0);
    });
    await withClient(kept, async (client) => {
      expect((await client.query('select * from kinds')).rows).toEqual([{ answer: 42 }]);
    });
  });

  it('whose stream breaks, or whose restore is aborted, leaves nothing', async () => {
    const url = scene.newUrl();
    const fault = new Error('the connection was cut');
    const content = broken(dump.subarray(0, dump.length / 2), () => Promise.reject(fault));
    await expect(restoreDump({ content, url, client: restorer })).rejects.toBe(fault);
    expect(await scene.exists(url)).toBe(false);

    const abort = new AbortController();
    const stalled = broken(dump.subarray(0, dump.length / 2), () => {
      abort.abort(new Error('cancel'));
      return new Promise<never>(() => undefined);
    });
    await expect(
      restoreDump({ content: stalled, url, client: restorer, signal: abort.signal }),
    ).rejects.toThrow('cancel');
    expect(await scene.exists(url)).toBe(false);
    expect(await children()).toEqual([]);
  });

  it('of an older format than the client’s is read, a newer one asks for a newer client', async () => {
    const newer = Buffer.from(dump);
    newer[6] = 99; // the minor version of the format
    const fault = { type: 'InvalidConfiguration', message: expect.stringContaining('at least as new') };
    await expect(listDump(from(newer), restorer)).rejects.toMatchObject(fault);
    await expect(
      restoreDump({ content: from(newer), url: scene.newUrl(), client: restorer }),
    ).rejects.toMatchObject(fault);
  });

  it('is not called damaged because its reader was killed', async () => {
    const killed = await scene.script('killed', 'kill -9 $$');
    await expect(verifyDump(from(dump), killed)).rejects.toMatchObject({
      retryable: true,
      type: 'RestoreFailed',
    });
  });
});
