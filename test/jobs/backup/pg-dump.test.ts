import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { finished as closed } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { findClient, type PgClient } from '../../../src/jobs/backup/pg-client.ts';
import { dumpDatabase } from '../../../src/jobs/backup/pg-dump.ts';
import { listDump, restoreDump } from '../../../src/jobs/backup/pg-restore.ts';
import { serverVersion } from '../../../src/jobs/postgres/pg-session.ts';
import { children, type DumpScene, startRichDumpScene } from '../../support/dump-scene.ts';
import { withClient } from '../../support/postgres-server.ts';
import { findSystemPostgres } from '../../support/system-postgres.ts';
import { waitFor } from '../../support/wait-for.ts';

const system = await findSystemPostgres();

// Skipped: no PostgreSQL server and clients under /usr/lib/postgresql/*/bin.
describe.skipIf(system === undefined)('the making of a dump', () => {
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

  it('does not show the password, neither in arguments nor in words', async () => {
    const { content, finished } = dumpDatabase({ url: source, client: dumper });
    await new Promise((resolve) => content.once('readable', resolve));
    const seen = await children();
    expect(seen.join()).toContain('pg_dump');
    expect(seen.join()).not.toContain('canary');
    content.destroy();
    await expect(finished).rejects.toMatchObject({ type: 'DumpFailed' });

    const canary = `echo "it is $PGPASSWORD, in full" >&2; exit`;
    const failing = dumpDatabase({ url: source, client: await scene.script('fails', `${canary} 1`) });
    await expect(failing.finished).rejects.toMatchObject({
      type: 'DumpFailed',
      message: expect.stringContaining('it is ***, in full'),
    });
    const notes: string[] = [];
    const note = (message: string) => notes.push(message);
    await buffer(
      dumpDatabase({ url: source, client: await scene.script('warns', `${canary} 0`), note }).content,
    );
    expect(notes).toEqual(['it is ***, in full']);
  });

  it.each([
    ['a wrong password', (url: URL) => (url.password = 'canary'), 'InvalidConfiguration', false],
    ['an unknown user', (url: URL) => (url.username = 'nobody-here'), 'InvalidConfiguration', false],
    ['an unknown database', (url: URL) => (url.pathname = '/no-such'), 'InvalidConfiguration', false],
    ['a server that is away', (url: URL) => (url.port = '1'), 'SourceUnreachable', true],
  ])('of %s fails with a type', async (_what, change, type, retryable) => {
    const url = new URL(source);
    change(url);
    const { content, finished } = dumpDatabase({ url: url.href, client: dumper });
    const fault = { type, retryable, message: expect.not.stringContaining('canary') };
    await expect(buffer(content)).rejects.toMatchObject(fault);
    await expect(finished).rejects.toMatchObject(fault);
    const restored = restoreDump({ content: from(dump), url: url.href, client: restorer });
    if (type === 'InvalidConfiguration' && url.pathname !== '/no-such')
      await expect(restored).rejects.toMatchObject(fault);
    else if (type === 'SourceUnreachable')
      await expect(restored).rejects.toMatchObject({ type: 'TargetUnreachable' });
    else await restored;
  });

  it('of what the user may not read is a matter of rights', async () => {
    const url = await scene.create();
    await withClient(url, (client) =>
      client.query("create role reader login password 'r'; create table mine (a int)"),
    );
    const asReader = new URL(url);
    asReader.username = 'reader';
    asReader.password = 'r';
    const denied = { type: 'InvalidConfiguration', retryable: false };
    await expect(buffer(dumpDatabase({ url: asReader.href, client: dumper }).content)).rejects.toMatchObject(
      denied,
    );
    asReader.pathname = '/not-yet';
    const restored = restoreDump({ content: from(dump), url: asReader.href, client: restorer });
    await expect(restored).rejects.toMatchObject(denied);
  });

  it('by a pg_dump that dies in the middle does not look whole', async () => {
    const half = join(scene.scratch, 'half');
    await writeFile(half, dump.subarray(0, 100_000));
    const client = await scene.script('dies', `cat ${half}; kill -9 $$`);
    const { content, finished } = dumpDatabase({ url: source, client });
    let isEnded = false;
    content.on('end', () => {
      isEnded = true;
    });
    await expect(buffer(content)).rejects.toMatchObject({
      type: 'DumpFailed',
      message: expect.stringContaining('SIGKILL'),
    });
    await expect(finished).rejects.toThrow();
    expect(isEnded).toBe(false);
  });

  it('is ended by an abort, also when pg_dump does not want to', async () => {
    for (const client of [dumper, await scene.script('deaf', "trap '' TERM; echo data; exec sleep 1000")]) {
      const abort = new AbortController();
      const { content, finished } = dumpDatabase({ url: source, client, signal: abort.signal });
      content.once('data', () => abort.abort(new Error('cancel')));
      await expect(closed(content)).rejects.toThrow('cancel');
      await expect(finished).rejects.toThrow('cancel');
      expect(await children()).toEqual([]);
    }
    // Nor does its query go on at the server.
    await withClient(source, (client) =>
      waitFor(
        async () =>
          (await client.query("select from pg_stat_activity where application_name = 'carillon-backup'"))
            .rowCount === 0,
      ),
    );
  });

  it('by a program that is not there is a matter of installing', async () => {
    const client = { path: join(scene.scratch, 'none'), version: '15.0', major: 15 };
    const missing = { type: 'InvalidConfiguration', message: expect.stringContaining('cannot be started') };
    await expect(buffer(dumpDatabase({ url: source, client }).content)).rejects.toMatchObject(missing);
    await expect(listDump(from(dump), client)).rejects.toMatchObject(missing);
  });

  it('by a program that is older than the server is refused before, and by the program', async (context) => {
    const url = inject('adminUrl');
    const { major } = await serverVersion(url);
    if (major <= dumper.major) return context.skip('the machine’s programs are as new as the tests’ server');
    const searchPath = { extraDirs: ['/usr/lib/postgresql/*/bin'] };
    const refused = { type: 'InvalidConfiguration', retryable: false };
    await expect(findClient('pg_dump', { serverMajor: major, searchPath })).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining(`${dumper.path} (${dumper.version})`),
    });
    await expect(buffer(dumpDatabase({ url, client: dumper }).content)).rejects.toMatchObject(refused);
  });
});
