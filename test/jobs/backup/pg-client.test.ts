import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { findClient, type SearchPath } from '../../../src/jobs/backup/pg-client.ts';
import { readConnection } from '../../../src/jobs/postgres/pg-connection.ts';
import { serverVersion } from '../../../src/jobs/postgres/pg-session.ts';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

async function setup() {
  const root = await mkdtemp(join(tmpdir(), 'carillon-clients-'));
  undo.push(() => rm(root, { recursive: true, force: true }));
  const install = async (folder: string, says: string, name = 'pg_dump') => {
    const bin = join(root, folder);
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, name), `#!/bin/sh\n${says}\n`);
    await chmod(join(bin, name), 0o755);
    return bin;
  };
  const version = (folder: string, number: string) =>
    install(folder, `echo "pg_dump (PostgreSQL) ${number} (Debian)"`);
  const find = (serverMajor: number, searchPath: SearchPath) =>
    findClient('pg_dump', { serverMajor, searchPath: { extraDirs: [], ...searchPath } });
  return { root, install, version, find };
}

describe('the client', () => {
  it('is of the server’s version, else of the nearest newer one, in that the newest', async () => {
    const { root, version, find } = await setup();
    for (const number of ['15.2', '16.1', '16.9', '18.4']) await version(`pg/${number}/bin`, number);
    const searchPath = { extraDirs: [join(root, 'pg/*/bin')] };
    expect(await find(15, searchPath)).toMatchObject({ version: '15.2', major: 15 });
    expect(await find(16, searchPath)).toEqual({
      version: '16.9',
      major: 16,
      path: join(root, 'pg/16.9/bin/pg_dump'),
    });
    expect(await find(17, searchPath)).toMatchObject({ version: '18.4' });
    expect(await find(9, searchPath)).toMatchObject({ version: '15.2' });
  });

  it('of equals is that of CARILLON_PG_BIN, then of PATH', async () => {
    const { version, find } = await setup();
    const [a, b, c] = [await version('a', '18.1'), await version('b', '18.1'), await version('c', '18.1')];
    const searchPath = { PATH: `relative:${b}:/nowhere`, extraDirs: [c] };
    expect((await find(18, searchPath)).path).toBe(join(b, 'pg_dump'));
    expect((await find(18, { ...searchPath, pgBin: a })).path).toBe(join(a, 'pg_dump'));
  });

  it('is not what does not run, is something else, or Debian’s wrapper', async () => {
    const { root, install, version, find } = await setup();
    const broken = await install('broken', 'exit 1');
    const other = await install('other', 'echo "hello (PostgreSQL) world"');
    const wrapper = await install('wrapper', 'echo "pg_dump (PostgreSQL) 19.0"', 'pg_wrapper');
    await symlink(join(wrapper, 'pg_wrapper'), join(wrapper, 'pg_dump'));
    const plain = join(root, 'plain');
    await mkdir(plain);
    await writeFile(join(plain, 'pg_dump'), 'echo "pg_dump (PostgreSQL) 19.0"');
    const good = await version('good', '19beta2');
    const searchPath = { PATH: [broken, other, wrapper, plain].join(':') };
    await expect(find(18, searchPath)).rejects.toThrow(/found none/);
    expect(await find(18, { ...searchPath, extraDirs: [good] })).toMatchObject({ version: '19', major: 19 });
  });

  it('that is missing or too old is a matter of installing, with what was found', async () => {
    const { version, find } = await setup();
    const old = await version('old', '15.2');
    await expect(find(18, { PATH: old, pgBin: '/opt/none' })).rejects.toMatchObject({
      type: 'InvalidConfiguration',
      retryable: false,
      message: expect.stringMatching(
        /PostgreSQL 18.*found .*old\/pg_dump \(15\.2\), though CARILLON_PG_BIN is \/opt\/none.*postgresql-client-18/,
      ),
    });
  });
});

describe('the version of a server', () => {
  it('is told', async () => {
    const { major, text } = await serverVersion(inject('adminUrl'));
    expect(String(text)).toMatch(new RegExp(`^${major}`));
    expect(major).toBeGreaterThanOrEqual(13);
  });

  it('cannot be asked with a wrong password, or of an unknown database', async () => {
    const url = new URL(inject('adminUrl'));
    url.password = 'canary';
    const refused = {
      type: 'InvalidConfiguration',
      retryable: false,
      message: expect.not.stringContaining('canary'),
    };
    if (new URL(inject('adminUrl')).password !== '')
      await expect(serverVersion(url.href)).rejects.toMatchObject(refused);
    const missing = new URL(inject('adminUrl'));
    missing.pathname = '/no-such';
    await expect(serverVersion(missing.href)).rejects.toMatchObject({
      type: 'InvalidConfiguration',
      message: expect.stringContaining('no-such'),
    });
  });

  it('may be asked again of a server that is away', async () => {
    const url = 'postgres://u:canary@127.0.0.1:1/d';
    const away = { retryable: true, message: expect.not.stringContaining('canary') };
    await expect(serverVersion(url)).rejects.toMatchObject({ ...away, type: 'SourceUnreachable' });
    await expect(serverVersion(url, undefined, 'target')).rejects.toMatchObject({
      ...away,
      type: 'TargetUnreachable',
    });
  });

  it('is not waited for after an abort', async () => {
    const abort = new AbortController();
    const mute = createServer(() => abort.abort(new Error('cancel')));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    undo.push(() => mute.close());
    const { port } = mute.address() as { port: number };
    await expect(serverVersion(`postgres://u:p@127.0.0.1:${port}/d`, abort.signal)).rejects.toThrow('cancel');
  });
});

describe('a connection', () => {
  it('is the same for libpq and for node-postgres', () => {
    const read = readConnection(
      'postgresql://b%C3%BCro:p%40ss%2F%25@[::1]:6000/my%20db?sslmode=require&options=-c%20x%3D1&schema=y',
    );
    expect(read.environment).toMatchObject({
      ...{ PGHOST: '::1', PGPORT: '6000', PGUSER: 'büro', PGPASSWORD: 'p@ss/%', PGDATABASE: 'my db' },
      ...{ PGSSLMODE: 'require', PGOPTIONS: '-c x=1' },
    });
    expect(
      Object.keys(read.environment)
        .filter((name) => !name.startsWith('PG'))
        .sort(),
    ).toEqual(['LC_ALL', 'TZ']);
    expect(read.configs()).toEqual([
      {
        ...{
          host: '::1',
          port: 6000,
          user: 'büro',
          password: 'p@ss/%',
          database: 'my db',
          options: '-c x=1',
        },
        ...{ application_name: 'carillon-backup', connectionTimeoutMillis: 10_000 },
        ssl: { rejectUnauthorized: false },
      },
    ]);
    expect(read.configs('other')[0]!.database).toBe('other');
    expect(read.label).toBe('the database "my db" at ::1:6000');
    expect(read.redacted('a p@ss/% and p%40ss%2F%25\nb')).toBe('a *** and *** b');
  });

  it.each([
    ['', [false, { rejectUnauthorized: false }]],
    ['?sslmode=disable', [false]],
    ['?sslmode=allow', [false, { rejectUnauthorized: false }]],
    ['?sslmode=prefer', [{ rejectUnauthorized: false }, false]],
    ['?sslmode=no-verify', [{ rejectUnauthorized: false }]],
    ['?ssl=true', [{ rejectUnauthorized: false }]],
    ['?sslmode=verify-full&sslrootcert=system', [{}]],
  ])('of "%s" is encrypted as libpq would', (query, ssl) => {
    expect(
      readConnection(`postgres://u@h/d${query}`)
        .configs()
        .map((config) => config.ssl),
    ).toEqual(ssl);
  });

  it('whose certificate cannot be read is not tried', () => {
    const { configs } = readConnection('postgres://u:p@h/d?sslmode=verify-ca&sslrootcert=/nowhere.pem');
    expect(() => configs()).toThrow(/nowhere\.pem.*ENOENT/);
  });

  it('goes to a socket’s folder, or to localhost', () => {
    expect(readConnection('postgres:///db?host=/run/postgresql').environment).toMatchObject({
      PGHOST: '/run/postgresql',
      PGDATABASE: 'db',
    });
    expect(readConnection('postgres:///db').environment.PGHOST).toBe('localhost');
    expect(readConnection('postgres://h').environment.PGPASSWORD).toBeUndefined();
  });

  it.each([
    'postgres://u:canary@a:1,b:2/d',
    'mysql://u:canary@h/d',
    'u:canary@h',
    'postgres://u:canary%zz@h/d',
    'postgres://u:canary%00@h/d',
  ])('%s is refused, and not shown', (url) => {
    let refused: unknown;
    try {
      readConnection(url);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({
      type: 'InvalidConfiguration',
      message: expect.not.stringContaining('canary'),
    });
    expect((refused as Error).cause).toBeUndefined();
  });
});
