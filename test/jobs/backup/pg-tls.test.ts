/** A server that takes encrypted connections only: our own session and pg_dump read `sslmode` alike. */
import { execFileSync } from 'node:child_process';
import { chmod, chown, copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findClient, type PgClient } from '../../../src/jobs/backup/pg-client.ts';
import { dumpDatabase } from '../../../src/jobs/backup/pg-dump.ts';
import { serverVersion } from '../../../src/jobs/postgres/pg-session.ts';
import { withClient } from '../../support/postgres-server.ts';
import {
  findSystemPostgres,
  type SystemPostgres,
  startSystemPostgres,
} from '../../support/system-postgres.ts';

const system = await findSystemPostgres();
const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

// Skipped: no PostgreSQL under /usr/lib/postgresql/*/bin, or no openssl to make a certificate with.
describe.skipIf(system === undefined || !hasOpenssl)('a server that wants encryption', () => {
  let server: SystemPostgres;
  let client: PgClient;
  let scratch: string;

  beforeAll(async () => {
    server = await startSystemPostgres(system!, 'secret');
    scratch = await mkdtemp(join(tmpdir(), 'carillon-tls-'));
    client = await findClient('pg_dump', { serverMajor: server.major, searchPath: {} });
    const [key, cert] = [join(scratch, 'key'), join(scratch, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync(
      'openssl',
      ['req', '-x509', ...newKey, '-days', '9', ...subject, '-keyout', key, '-out', cert],
      {
        stdio: 'ignore',
      },
    );
    await withClient(server.url, async (session) => {
      const data: string = (await session.query('show data_directory')).rows[0].data_directory;
      const { uid, gid } = await stat(data);
      for (const [from, name] of [
        [key, 'server.key'],
        [cert, 'server.crt'],
      ] as const) {
        await copyFile(from, join(data, name));
        await chmod(join(data, name), 0o600);
        await chown(join(data, name), uid, gid);
      }
      await writeFile(join(data, 'pg_hba.conf'), 'hostssl all all all scram-sha-256\n');
      await session.query('alter system set ssl = on');
      await session.query('select pg_reload_conf()');
    });
  });

  afterAll(async () => {
    await server?.stop();
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
  });

  const address = (query: string, host = 'localhost') => {
    const url = new URL(`${server.url}${query}`);
    url.hostname = host;
    return url.href;
  };

  it.each([
    '',
    '?sslmode=prefer',
    '?sslmode=allow',
    '?sslmode=require',
    '?ssl=true',
    '?sslmode=no-verify',
  ])('is reached by both with "%s"', async (query) => {
    const url = address(query);
    expect((await serverVersion(url)).major).toBe(server.major);
    expect((await buffer(dumpDatabase({ url, client }).content)).length).toBeGreaterThan(500);
  });

  it.each(['verify-ca', 'verify-full'])('is reached by both with its certificate and %s', async (mode) => {
    const url = address(`?sslmode=${mode}&sslrootcert=${join(scratch, 'cert.pem')}`);
    expect((await serverVersion(url)).major).toBe(server.major);
    expect((await buffer(dumpDatabase({ url, client }).content)).length).toBeGreaterThan(500);
  });

  it('is not trusted under another name, nor spoken to in the clear', async () => {
    const refused = { type: 'InvalidConfiguration', retryable: false };
    for (const url of [
      address(`?sslmode=verify-full&sslrootcert=${join(scratch, 'cert.pem')}`, '127.0.0.1'),
      address('?sslmode=disable'),
    ]) {
      await expect(serverVersion(url)).rejects.toMatchObject(refused);
      await expect(buffer(dumpDatabase({ url, client }).content)).rejects.toMatchObject(refused);
    }
    await expect(serverVersion(address('?sslmode=verify-full'))).rejects.toMatchObject(refused);
  });
});
